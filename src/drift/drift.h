/*-------------------------------------------------------------------------
 *
 * drift.h
 *	  What HubSpot holds, against what a table in sync says.
 *
 * IDENTIFICATION
 *	  src/drift/drift.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DRIFT_DRIFT_H
#define HUBSPOT_DRIFT_DRIFT_H

#include "drift/drift_task.h"

/* A difference that is left. */
typedef struct HubspotDriftRow
{
	int64		no;				/* by which its marks are found */
	HubspotUnpackedChange unpacked;
	bool		dead;			/* its pair has a dead letter, whose error the
								 * row has */
} HubspotDriftRow;

typedef void (*HubspotTakeDriftRow) (void *state, const HubspotDrift *drift,
									 const HubspotDriftRow *row);

extern List *hubspot_drift_syncs(Oid link_table);
extern HubspotDrift *hubspot_drift_create(const HubspotSync *sync,
										  const HubspotClient *client,
										  const char *scope, bool mirrors);
extern void hubspot_drift_read(HubspotDrift *drift);
extern void hubspot_drift_compare(HubspotDrift *drift, Tuplestorestate *rows);
extern void hubspot_drift_rows(HubspotDrift *drift, HubspotTakeDriftRow take, void *state);
extern void hubspot_drift_end(HubspotDrift *drift);
extern void hubspot_drift_tell(const List *drifts);

#endif							/* HUBSPOT_DRIFT_DRIFT_H */
