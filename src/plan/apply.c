/*-------------------------------------------------------------------------
 *
 * apply.c
 *	  A plan, carried out.
 *
 * Its changes are made slice by slice (slice.c), each in three steps, of which each waits
 * for the one before:
 *
 * - the records are read once more, so that nothing is done because of what was true
 *   when the plan was made: what somebody else has done meanwhile is skipped, and who cannot
 *   be read now is left alone;
 * - what goes is removed;
 * - what comes is added, unless a removal of the same record was not confirmed: then the
 *   record would have more than anybody wants, and a limit of HubSpot's may be in the way.
 *
 * Once HubSpot has refused the account, be it while the plan was made, nothing more is sent.
 *
 * Additions of types are sent with the labels that the pair has by then, since HubSpot puts
 * what is sent in their place.  Between records of one object type, a pair may be changed
 * from both sides in one slice, so these labels are read just before each request.
 *
 * IDENTIFICATION
 *	  src/plan/apply.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "api/error.h"
#include "plan/apply.h"
#include "plan/slice.h"
#include "rows/pipeline.h"

typedef struct Applying
{
	MemoryContext context;		/* of what outlives a slice */
	HubspotPlan *plan;
	HubspotTakeChange take;
	void	   *state;
	HubspotChangeSlice slice;
	HubspotStep step;			/* what is sent now */
	int			position;		/* in the slice, of what is sent next */
	MemoryContext input_context;	/* of its types, or of a record's error */
	char	   *failed;			/* id of the last record of the slice before,
								 * if a removal of it was not confirmed; or
								 * NULL */
	const HubspotError *stopped;	/* why nothing more is sent, or NULL */
} Applying;

static void apply_slice(Applying *applying);
static void give_notices(Applying *applying);
static void take_failure(Applying *applying);
static void keep_failure(Applying *applying);
static HubspotPipeline make_pipeline(const Applying *applying, HubspotOperation operation);
static void read_again(Applying *applying);
static bool make_record(void *state, HubspotInput *input, const HubspotError **error);
static void fail_record(Applying *applying, const HubspotSliceRecord *record,
						const HubspotError *error);
static void skip_needless(Applying *applying);
static void send(Applying *applying, HubspotStep step, HubspotOperation operation);
static bool make_change(void *state, HubspotInput *input, const HubspotError **error);
static void fail_additions(Applying *applying);
static void fail_all(Applying *applying);
static void end_run(Applying *applying, HubspotRun *run);
static void count(HubspotPlanCounts *counts, const HubspotSliceChange *change,
				  HubspotFate fate);
static void give(Applying *applying, int i, HubspotFate fate, const HubspotError *error,
				 int http_status);

/*
 * Carry a plan out; its changes go to take(state, ...) as they are settled, and with
 * on_error => 'raise' the first failure is an ERROR.
 */
void
hubspot_apply(HubspotPlan *plan, HubspotTakeChange take, void *state)
{
	Applying	applying = {.plan = plan,.take = take,.state = state};

	applying.context = CurrentMemoryContext;
	applying.stopped = plan->stopped;
	applying.slice.first_no = 1;
	applying.slice.context = AllocSetContextCreate(CurrentMemoryContext,
												   "hubspot_assoc slice of a plan",
												   ALLOCSET_DEFAULT_SIZES);
	applying.input_context = AllocSetContextCreate(CurrentMemoryContext,
												   "hubspot_assoc types of a change",
												   ALLOCSET_SMALL_SIZES);
	while (hubspot_slice_fill(&applying.slice, plan->changes))
		apply_slice(&applying);
	hubspot_packed_sort_end(plan->changes);
}

static void
apply_slice(Applying *applying)
{
	bool		typed = applying->plan->typed;

	give_notices(applying);
	take_failure(applying);
	if (applying->stopped == NULL)
		read_again(applying);
	if (applying->stopped == NULL)
	{
		skip_needless(applying);
		send(applying, HUBSPOT_STEP_REMOVE,
			 typed ? HUBSPOT_BATCH_ARCHIVE_LABELS : HUBSPOT_BATCH_ARCHIVE);
		fail_additions(applying);
	}
	if (applying->stopped == NULL)
		send(applying, HUBSPOT_STEP_ADD,
			 typed ? HUBSPOT_BATCH_CREATE : HUBSPOT_BATCH_CREATE_DEFAULT);
	if (applying->stopped)
		fail_all(applying);
	keep_failure(applying);
}

/* Give the rows of what cannot be done from the start. */
static void
give_notices(Applying *applying)
{
	for (int i = 0; i < applying->slice.nchanges; i++)
	{
		const HubspotPlanChange *change = &applying->slice.changes[i]->unpacked.change;

		if (hubspot_is_notice(change->action))
			give(applying, i, HUBSPOT_FATE_FAILED, change->error, 0);
	}
}

/* Has a removal of the slice's first record failed in the slice before? */
static void
take_failure(Applying *applying)
{
	HubspotSliceRecord *record = applying->slice.records;

	if (applying->slice.nrecords == 0 || applying->failed == NULL)
		return;
	record->failed = hubspot_same_id(record->id, hubspot_slice(applying->failed));
	pfree(applying->failed);
	applying->failed = NULL;
}

/* The next slice may begin with the last record of this one. */
static void
keep_failure(Applying *applying)
{
	const HubspotSliceRecord *record;

	if (applying->slice.nrecords == 0)
		return;
	record = &applying->slice.records[applying->slice.nrecords - 1];
	if (record->failed)
		applying->failed = pnstrdup(record->id.data, record->id.len);
}

/* A call about the records of the plan, by their ids. */
static HubspotPipeline
make_pipeline(const Applying *applying, HubspotOperation operation)
{
	const HubspotPlan *plan = applying->plan;
	HubspotPipeline pipeline = {
		.client = plan->client,.operation = operation,
		.from_type = {.name = plan->from_type.name},.to_type = {.name = plan->to_type.name},
		.raise = plan->raise
	};

	return pipeline;
}

/* Read the records of the slice once more. */
static void
read_again(Applying *applying)
{
	HubspotChangeSlice *slice = &applying->slice;
	HubspotPipeline pipeline = make_pipeline(applying, HUBSPOT_BATCH_READ);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc records read again",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotRun *run = hubspot_run_begin(&pipeline,
										hubspot_source_made(make_record, applying), false);
	HubspotOutcome outcome;

	applying->position = 0;
	while (hubspot_run_next(run, &outcome))
	{
		HubspotSliceRecord *record = &slice->records[outcome.input_no];

		if (outcome.error)
			fail_record(applying, record, outcome.error);
		else
			hubspot_slice_note(slice, record, outcome.association);
	}
	end_run(applying, run);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Callback: the next record of the slice. */
static bool
make_record(void *state, HubspotInput *input, const HubspotError **error)
{
	Applying   *applying = state;

	if (applying->position == applying->slice.nrecords)
		return false;
	input->no = applying->position;
	input->from_id = applying->slice.records[applying->position++].id;
	input->to_id.data = "";
	return true;
}

/* A record cannot be read any more: nothing is done to it. */
static void
fail_record(Applying *applying, const HubspotSliceRecord *record, const HubspotError *error)
{
	const HubspotError *before;
	MemoryContext old;

	MemoryContextReset(applying->input_context);
	old = MemoryContextSwitchTo(applying->input_context);
	before = hubspot_error_before(error, "could not read the record again");
	MemoryContextSwitchTo(old);
	for (int i = record->first; i < record->end; i++)
		give(applying, i, HUBSPOT_FATE_FAILED, before, 0);
}

/* Skip what somebody else has done. */
static void
skip_needless(Applying *applying)
{
	HubspotChangeSlice *slice = &applying->slice;

	for (int i = 0; i < slice->nchanges; i++)
	{
		HubspotSliceChange *change = slice->changes[i];

		if (change->step == HUBSPOT_STEP_NONE || hubspot_slice_is_needed(slice, change))
			continue;
		change->unpacked.change.action = HUBSPOT_ACTION_SKIPPED;
		give(applying, i, HUBSPOT_FATE_DONE, NULL, 0);
	}
}

/* Send the changes of a step. */
static void
send(Applying *applying, HubspotStep step, HubspotOperation operation)
{
	HubspotChangeSlice *slice = &applying->slice;
	HubspotPipeline pipeline = make_pipeline(applying, operation);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc changes that are sent",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotRun *run;
	HubspotOutcome outcome;

	pipeline.keep_labels = (operation == HUBSPOT_BATCH_CREATE && applying->plan->symmetric);
	applying->step = step;
	applying->position = 0;
	run = hubspot_run_begin(&pipeline, hubspot_source_made(make_change, applying), false);

	while (hubspot_run_next(run, &outcome))
	{
		HubspotSliceChange *change = slice->changes[outcome.input_no];

		if (outcome.error == NULL)
			change->done = true;
		else if (step == HUBSPOT_STEP_REMOVE)
			slice->records[change->record].failed = true;
		give(applying, outcome.input_no,
			 outcome.error ? HUBSPOT_FATE_FAILED : HUBSPOT_FATE_DONE, outcome.error,
			 outcome.http_status);
	}
	end_run(applying, run);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Callback: the next change of the step. */
static bool
make_change(void *state, HubspotInput *input, const HubspotError **error)
{
	Applying   *applying = state;
	const HubspotPlan *plan = applying->plan;
	HubspotChangeSlice *slice = &applying->slice;
	const HubspotSliceChange *change;
	const HubspotPlanChange *planned;

	while (applying->position < slice->nchanges &&
		   slice->changes[applying->position]->step != applying->step)
		applying->position++;
	if (applying->position == slice->nchanges)
		return false;
	change = slice->changes[applying->position];
	planned = &change->unpacked.change;
	input->no = applying->position++;
	input->from_id = planned->from;
	input->to_id = planned->to;
	if (plan->typed)
	{
		MemoryContext old;

		MemoryContextReset(applying->input_context);
		old = MemoryContextSwitchTo(applying->input_context);
		input->types = hubspot_slice_types(slice, change, !plan->symmetric);
		MemoryContextSwitchTo(old);
	}
	return true;
}

/* Do without the additions of records of which a removal was not confirmed. */
static void
fail_additions(Applying *applying)
{
	HubspotChangeSlice *slice = &applying->slice;
	MemoryContext old = MemoryContextSwitchTo(slice->context);
	const HubspotError *error =
	hubspot_make_error(HUBSPOT_VERDICT_NOT_SENT, ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
					   "a removal of the same record was not confirmed");

	MemoryContextSwitchTo(old);
	for (int i = 0; i < slice->nchanges; i++)
	{
		const HubspotSliceChange *change = slice->changes[i];

		if (change->step == HUBSPOT_STEP_ADD && slice->records[change->record].failed)
			give(applying, i, HUBSPOT_FATE_FAILED, error, 0);
	}
}

/* Nothing more is sent. */
static void
fail_all(Applying *applying)
{
	for (int i = 0; i < applying->slice.nchanges; i++)
	{
		if (applying->slice.changes[i]->step != HUBSPOT_STEP_NONE)
			give(applying, i, HUBSPOT_FATE_FAILED, applying->stopped, 0);
	}
}

/* End a run; if it was stopped, so are those that would follow. */
static void
end_run(Applying *applying, HubspotRun *run)
{
	if (applying->stopped == NULL)
		applying->stopped = hubspot_run_stopped(run, applying->context);
	hubspot_run_end(run);
}

/* Of what was to be added or removed, count only what was. */
static void
count(HubspotPlanCounts *counts, const HubspotSliceChange *change, HubspotFate fate)
{
	bool		skipped = (change->unpacked.change.action == HUBSPOT_ACTION_SKIPPED);

	if (!skipped && fate == HUBSPOT_FATE_DONE)
		return;
	if (change->step == HUBSPOT_STEP_REMOVE)
		counts->removed--;
	else
		counts->added--;
	if (skipped)
		counts->skipped++;
	else
		counts->failed++;
}

/* Give a change, with what has become of it, which is final. */
static void
give(Applying *applying, int i, HubspotFate fate, const HubspotError *error, int http_status)
{
	HubspotSliceChange *change = applying->slice.changes[i];

	if (change->step != HUBSPOT_STEP_NONE)
		count(&applying->plan->counts, change, fate);
	change->step = HUBSPOT_STEP_NONE;
	change->unpacked.change.error = error;
	change->unpacked.change.http_status = http_status;
	applying->take(applying->state, applying->slice.first_no + i, &change->unpacked.change,
				   fate);
}
