/*-------------------------------------------------------------------------
 *
 * outbox.h
 *	  The outbox: SQL on our own tables.
 *
 * IDENTIFICATION
 *	  src/outbox/outbox.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_OUTBOX_H
#define HUBSPOT_OUTBOX_OUTBOX_H

#include "utils/timestamp.h"

#include "api/endpoint.h"
#include "schema/extension.h"

/* How many rows that are no longer of use are deleted at a time. */
#define HUBSPOT_SQL_SOME	"LIMIT 10000"

/* What is the same for all rows that are enqueued together. */
typedef struct HubspotEnqueue
{
	const char *server;			/* its name */
	Oid			serverid;		/* it may be renamed meanwhile; or InvalidOid */
	Oid			role;			/* on whose behalf */
	const char *operation;		/* create_default, create, archive or
								 * archive_labels */
	const char *from_type;		/* with its property, if it has one */
	const char *to_type;		/* likewise */
	bool		keep_labels;
	bool		all_primary;	/* the type of each row is the primary one */
	const Interval *wait_for_records;	/* NULL: no record is named by a key */

	/*
	 * The rows come before all others: their ids are odd ones below 0, where
	 * those of dead letters that have to give way are even.
	 */
	bool		before;
	Oid			link_table;		/* of rows that come before all others */
} HubspotEnqueue;

extern bool hubspot_outbox_operation(const char *name,
									 HubspotOperation *operation);
extern const char *hubspot_outbox_closest_operation(const char *name);
extern void hubspot_outbox_insert(const HubspotEnqueue *enqueue, Datum inputs);
extern bool hubspot_outbox_pause(const char *server, Oid role);
extern bool hubspot_outbox_resume(const char *server);
extern int64 hubspot_outbox_retry(const Datum *ids, const char *server);
extern int64 hubspot_outbox_discard(const Datum *ids, const char *server);

#endif							/* HUBSPOT_OUTBOX_OUTBOX_H */
