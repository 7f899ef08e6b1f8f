/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Plans: what has to change so that HubSpot holds what a query says.
 *
 * IDENTIFICATION
 *	  src/plan/plan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/object_type.h"
#include "plan/plan.h"
#include "plan/reading.h"
#include "plan/wanted.h"

/* One in so many of what is held may be removed without a number for it. */
#define USUAL_PART		2

static void append_count(StringInfo text, const char *before, int64 count, const char *one,
						 const char *many, const char *after);

/*
 * Make a plan, for which the caller has set what plan_task.h lists first, in the current memory
 * context.  Its changes are sorted, to be got.  Nothing but reads is sent.
 */
void
hubspot_plan_make(HubspotPlan *plan)
{
	plan->context = CurrentMemoryContext;
	(void) hubspot_plan_take_labels(plan);	/* the caller may have looked them
											 * up */
	plan->symmetric = hubspot_same_object_type(plan->from_type.name, plan->to_type.name);
	plan->spared = hubspot_spared_create();
	plan->changes = hubspot_packed_sort_create(plan->context);
	hubspot_read_wanted(plan);

	/* types are shown by their labels, too, as far as these can be had */
	if (plan->typed && plan->stopped == NULL)
	{
		(void) hubspot_labels_look_up(plan->labels);
		(void) hubspot_plan_take_labels(plan);
	}
	hubspot_read_held(plan);
	hubspot_packed_sort_end(plan->wanted);
	hubspot_packed_sort_perform(plan->changes);
}

/*
 * Why a plan removes more than max_removals, or, if that is HUBSPOT_USUAL_REMOVALS, more
 * than one would think that somebody means: a sentence, palloc'd.  NULL: it does not.
 */
char *
hubspot_plan_excess(const HubspotPlanCounts *counts, int64 max_removals)
{
	if (counts->removed == 0)
		return NULL;
	if (max_removals != HUBSPOT_USUAL_REMOVALS)
		return counts->removed <= max_removals ? NULL :
			psprintf("Argument max_removals allows %lld.", (long long) max_removals);
	if (counts->wanted == 0)
		return pstrdup("Without the argument max_removals nothing is removed if nothing is wanted.");
	if (counts->removed > HUBSPOT_MOST_USUAL_REMOVALS)
		return psprintf("Without the argument max_removals at most %d are removed.",
						HUBSPOT_MOST_USUAL_REMOVALS);
	if (counts->removed > counts->held / USUAL_PART)
		return psprintf("Without the argument max_removals at most half of the %lld that the scope holds are removed.",
						(long long) counts->held);
	return NULL;
}

/* ERROR if a plan removes too much; look: the function that shows what. */
void
hubspot_plan_guard(const HubspotPlanCounts *counts, int64 max_removals, const char *look)
{
	const char *reason = hubspot_plan_excess(counts, max_removals);

	if (reason == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg_plural("the plan removes %lld association",
						   "the plan removes %lld associations",
						   (unsigned long) counts->removed, (long long) counts->removed),
			 errdetail("%s Nothing was changed.", reason),
			 errhint("Look at them with %s; to have them removed, pass max_removals => %lld.",
					 look, (long long) counts->removed)));
}

/* Tell people what a plan has come to, or, if it was applied, what has been done. */
void
hubspot_plan_tell(const HubspotPlan *plan, bool applied)
{
	const HubspotPlanCounts *counts = &plan->counts;
	StringInfoData text;

	initStringInfo(&text);
	append_count(&text, "", counts->records, "record", "records", " read");
	appendStringInfo(&text, applied ? ": %lld kept, %lld added, %lld removed" :
					 ": %lld kept, %lld to add, %lld to remove",
					 (long long) (counts->held - counts->removed),
					 (long long) counts->added, (long long) counts->removed);
	append_count(&text, "; ", counts->skipped, "change", "changes", " skipped");
	append_count(&text, "; ", counts->failed, "change", "changes", " failed");
	append_count(&text, "; ", counts->unreadable, "record", "records", " could not be read");
	append_count(&text, "; ", counts->unresolved, "row", "rows", " could not be resolved");
	append_count(&text, "; ", counts->spared, "association stays", "associations stay",
				 " for that reason");
	ereport(NOTICE, (errmsg("%s", text.data)));
	if (hubspot_are_all_spared(plan->spared) && plan->mirrors)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("nothing is removed, since it is not known which records some rows are about"),
				 errhint("See the rows whose action is unresolved.")));
}

/* Append a number of things, with what is before and after; of records also if it is 0. */
static void
append_count(StringInfo text, const char *before, int64 count, const char *one,
			 const char *many, const char *after)
{
	if (count > 0 || before[0] == '\0')
		appendStringInfo(text, "%s%lld %s%s", before, (long long) count,
						 count == 1 ? one : many, after);
}
