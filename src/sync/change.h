/*-------------------------------------------------------------------------
 *
 * change.h
 *	  Puts changes of a link table into the outbox.
 *
 * IDENTIFICATION
 *	  src/sync/change.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_CHANGE_H
#define HUBSPOT_SYNC_CHANGE_H

#include "commands/trigger.h"

#include "sync/change_sql.h"

/* What one sync makes of the changes of a table. */
typedef struct HubspotChange HubspotChange;

/* What happens to all rows of a table. */
typedef enum HubspotTableChange
{
	HUBSPOT_TABLE_REMOVED,
	HUBSPOT_TABLE_ADDED,
	HUBSPOT_TABLE_BACKFILLED	/* added, and sent in any case */
} HubspotTableChange;

extern HubspotChange *hubspot_change_create(const HubspotSync *sync, Oid table);
extern bool hubspot_change_matters(const HubspotChange *change,
								   TriggerData *trigdata);
extern QueryEnvironment *hubspot_change_environment(TriggerData *trigdata);
extern void hubspot_change_enqueue(HubspotChange *change,
								   TriggerData *trigdata,
								   QueryEnvironment *environment, bool check);
extern int64 hubspot_change_enqueue_table(HubspotChange *change,
										  HubspotTableChange what);
extern Tuplestorestate *hubspot_link_rows(const HubspotDelta *delta, Oid reader);
extern void hubspot_name_rows(QueryEnvironment *environment, const char *name,
							  TupleDesc tupdesc, Tuplestorestate *rows);
extern void hubspot_change_count_skipped(const HubspotChange *change,
										 TriggerData *trigdata);

#endif							/* HUBSPOT_SYNC_CHANGE_H */
