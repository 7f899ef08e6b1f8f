/*-------------------------------------------------------------------------
 *
 * repair.h
 *	  Differences from HubSpot, put right through the outbox.
 *
 * IDENTIFICATION
 *	  src/drift/repair.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DRIFT_REPAIR_H
#define HUBSPOT_DRIFT_REPAIR_H

#include "drift/drift.h"

extern void hubspot_repair_begin(void);
extern int64 hubspot_repair(List *drifts, int64 max_removals);
extern int64 hubspot_repair_enqueue(HubspotDrift *drift);

#endif							/* HUBSPOT_DRIFT_REPAIR_H */
