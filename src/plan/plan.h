/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  Plans: what has to change so that HubSpot holds what a query says.
 *
 * IDENTIFICATION
 *	  src/plan/plan.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_PLAN_PLAN_H
#define HUBSPOT_PLAN_PLAN_H

#include "plan/plan_task.h"

extern void hubspot_plan_make(HubspotPlan *plan);
extern char *hubspot_plan_excess(const HubspotPlanCounts *counts, int64 max_removals);
extern void hubspot_plan_guard(const HubspotPlanCounts *counts, int64 max_removals,
							   const char *look);
extern void hubspot_plan_tell(const HubspotPlan *plan, bool applied);

/* No number of removals is given. */
#define HUBSPOT_USUAL_REMOVALS	(-1)

/* So many need none. */
#define HUBSPOT_MOST_USUAL_REMOVALS	1000

#endif							/* HUBSPOT_PLAN_PLAN_H */
