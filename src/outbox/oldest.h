/*-------------------------------------------------------------------------
 *
 * oldest.h
 *	  The accounts that have rows in the outbox, and the oldest row of each.
 *
 * IDENTIFICATION
 *	  src/outbox/oldest.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_OLDEST_H
#define HUBSPOT_OUTBOX_OLDEST_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* A server as a role uses it, and when the first of its rows is due. */
typedef struct HubspotOldest
{
	const char *server;
	Oid			role;
	TimestampTz due;
	TimestampTz horizon;		/* no row is due before */
} HubspotOldest;

extern List *hubspot_oldest(const char *server);

#endif							/* HUBSPOT_OUTBOX_OLDEST_H */
