/*-------------------------------------------------------------------------
 *
 * plan_task.c
 *	  What a plan is made for, and what it has come to.
 *
 * IDENTIFICATION
 *	  src/plan/plan_task.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "api/error.h"
#include "plan/plan_task.h"

/*
 * Send nothing more for a plan, if the account was refused when its labels were looked up.
 * NULL, or why.
 */
const HubspotError *
hubspot_plan_take_labels(HubspotPlan *plan)
{
	const HubspotError *refusal = hubspot_labels_refusal(plan->labels);
	MemoryContext old;

	if (refusal == NULL || plan->stopped)
		return refusal;
	old = MemoryContextSwitchTo(plan->context);
	plan->stopped = hubspot_error_after(refusal);
	MemoryContextSwitchTo(old);
	return refusal;
}
