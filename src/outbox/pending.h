/*-------------------------------------------------------------------------
 *
 * pending.h
 *	  Which pairs have something in the outbox, or a dead letter.
 *
 * IDENTIFICATION
 *	  src/outbox/pending.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_PENDING_H
#define HUBSPOT_OUTBOX_PENDING_H

#include "tcop/dest.h"
#include "utils/queryenvironment.h"
#include "utils/tuplestore.h"

/* A role's rows of a server, and the pairs that are asked about. */
typedef struct HubspotPending
{
	const char *server;
	Oid			role;
	const char *from_type;		/* object types of the pairs' records */
	const char *to_type;
	const char *from_given;		/* object types of their names, with
								 * properties */
	const char *to_given;
} HubspotPending;

/* The tuplestore of what hubspot_pending_pairs() has returned, in queries. */
#define HUBSPOT_PENDING_BEFORE	"pending_before"

/* The columns of what hubspot_pending_dead() returns. */
enum
{
	HUBSPOT_DEAD_NO,
	HUBSPOT_DEAD_HTTP_STATUS,
	HUBSPOT_DEAD_CATEGORY,
	HUBSPOT_DEAD_MESSAGE,
	HUBSPOT_DEAD_CORRELATION_ID,
	HUBSPOT_DEAD_NCOLUMNS
};

extern TupleDesc hubspot_pending_tupdesc(void);
extern TupleDesc hubspot_dead_tupdesc(void);
extern Tuplestorestate *hubspot_pending_pairs(const HubspotPending *pending, bool outlives);
extern void hubspot_pending_waiting(const HubspotPending *pending,
									QueryEnvironment *environment,
									DestReceiver *receiver);
extern Tuplestorestate *hubspot_pending_dead(const HubspotPending *pending,
											 QueryEnvironment *environment);

#endif							/* HUBSPOT_OUTBOX_PENDING_H */
