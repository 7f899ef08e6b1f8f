/*-------------------------------------------------------------------------
 *
 * apply.h
 *	  A plan, carried out.
 *
 * IDENTIFICATION
 *	  src/plan/apply.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_PLAN_APPLY_H
#define HUBSPOT_PLAN_APPLY_H

#include "plan/plan_change.h"

extern void hubspot_apply(HubspotPlan *plan, HubspotTakeChange take, void *state);

#endif							/* HUBSPOT_PLAN_APPLY_H */
