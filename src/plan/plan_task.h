/*-------------------------------------------------------------------------
 *
 * plan_task.h
 *	  What a plan is made for, and what it has come to.
 *
 * IDENTIFICATION
 *	  src/plan/plan_task.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_PLAN_PLAN_TASK_H
#define HUBSPOT_PLAN_PLAN_TASK_H

#include "account/client.h"
#include "api/key.h"
#include "call/labels.h"
#include "plan/packed_sort.h"
#include "plan/spared.h"
#include "rows/source.h"

/* How many there are of what a plan is about. */
typedef struct HubspotPlanCounts
{
	int64		wanted;			/* rows whose records are known */
	int64		unresolved;		/* rows whose are not, of the scope, too */
	int64		records;		/* that were read to their end */
	int64		unreadable;		/* that could not be */
	int64		held;			/* associations of the records that were read */
	int64		added;			/* that are to be created */
	int64		removed;		/* that are to be removed */
	int64		spared;			/* that would be removed, if it were known
								 * what all rows mean */

	/* of those to be created and to be removed, once the plan is carried out */
	int64		skipped;		/* that others have */
	int64		failed;
} HubspotPlanCounts;

/*
 * A plan while it is made.  An association is a pair of records, or where the wanted rows
 * are typed, one type of a pair.
 */
typedef struct HubspotPlan
{
	MemoryContext context;		/* of all that the plan has */
	const HubspotClient *client;
	HubspotObjectType from_type;
	HubspotObjectType to_type;
	const char *wanted_query;	/* or NULL: the rows come from wanted_rows */
	HubspotSource *wanted_rows; /* or NULL */
	const char *scope_query;	/* or NULL: the records of the wanted rows */
	bool		selects;		/* wanted rows outside of the scope are left
								 * out; else they are an ERROR */
	bool		mirrors;		/* what is not wanted is removed */
	bool		raise;			/* on_error => 'raise' */
	bool		symmetric;		/* both sides have one object type */
	const HubspotTypeList *managed; /* types that may be removed, or NULL */
	bool		manages_all;	/* any may be, of typed associations */
	HubspotLabels *labels;

	bool		typed;			/* as the columns of the wanted rows say */
	HubspotPackedSort *wanted;	/* entry.h's, of the scope, too */
	HubspotSpared *spared;		/* who loses nothing */
	HubspotPackedSort *changes; /* plan_change.h's */
	const HubspotError *stopped;	/* why nothing more is sent, or NULL; the
									 * caller may know before */
	HubspotPlanCounts counts;
} HubspotPlan;

extern const HubspotError *hubspot_plan_take_labels(HubspotPlan *plan);

#endif							/* HUBSPOT_PLAN_PLAN_TASK_H */
