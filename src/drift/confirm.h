/*-------------------------------------------------------------------------
 *
 * confirm.h
 *	  Which differences are still there, when tables and outbox are looked at again.
 *
 * IDENTIFICATION
 *	  src/drift/confirm.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DRIFT_CONFIRM_H
#define HUBSPOT_DRIFT_CONFIRM_H

#include "drift/drift_task.h"
#include "outbox/pending.h"

extern List *hubspot_claims_on(const HubspotSync *sync);
extern void hubspot_drift_name(HubspotDrift *drift);
extern void hubspot_drift_pending(const HubspotSync *sync, HubspotPending *pending);
extern void hubspot_drift_lock(const HubspotDrift *drift);
extern void hubspot_drift_confirm(HubspotDrift *drift);
extern void hubspot_drift_keep_defaults(HubspotDrift *drift);
extern bool hubspot_is_open(const HubspotPlanChange *change, uint8 marks);

#endif							/* HUBSPOT_DRIFT_CONFIRM_H */
