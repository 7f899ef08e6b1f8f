/*-------------------------------------------------------------------------
 *
 * wanted.c
 *	  What is wanted, and of which records: the rows of two queries.
 *
 * Both queries see the same snapshot: what is moved from one record to another in between
 * would be wanted of neither.
 *
 * Where a side has keys, rows go through a batch that only resolves them, and come back in
 * their order; meanwhile the types that each is about wait in a list.
 *
 * What is wrong with a row makes it unresolved, and has its record spared, which is known in
 * one of these ways:
 *
 * - the row has the record's id, or its key was found;
 * - it has a key that was not found: whatever other row finds the record by that key tells,
 *   and so do the candidates;
 * - its key was not looked up, since something else is wrong with the row: then it is, after
 *   all other rows;
 * - its key could not be looked up: it may be anybody's, so all are spared.
 *
 * IDENTIFICATION
 *	  src/plan/wanted.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "api/association_type.h"
#include "api/endpoint.h"
#include "api/error.h"
#include "api/record.h"
#include "call/keys.h"
#include "plan/plan_change.h"
#include "plan/entry.h"
#include "plan/wanted.h"
#include "rows/pipeline.h"
#include "rows/report.h"
#include "rows/source.h"

/* How many rows are read at a time. */
#define FETCH	1000

/* The types of a row that is on its way through the batch. */
typedef struct Waiting
{
	dlist_node	node;
	int64		no;
	HubspotTypeList types;		/* must be last */
} Waiting;

/* One of the queries while it is read. */
typedef struct Reader
{
	HubspotPlan *plan;
	HubspotEntryKind kind;
	HubspotSource *source;
	HubspotRun *run;			/* that looks its keys up, or NULL */
	HubspotLastTypes last_types;
	dlist_head	waiting;		/* Waiting, in order */

	/* the row that goes into the batch next */
	bool		taken;
	HubspotInput input;
	const HubspotError *error;
	StringInfoData ids[2];
} Reader;

/* Keys of one side that were not looked up, since something else is wrong with their rows. */
typedef struct LateKeys
{
	const HubspotObjectType *type;
	HubspotPackedSort *sort;	/* NULL: there are none */
	int64		no;				/* of the one that was looked up last */
} LateKeys;

static HubspotSource *open_query(const char *argument, const char *query,
								 HubspotInputShape shape,
								 const HubspotDirection *direction,
								 Snapshot snapshot);
static void tell_argument(void *arg);
static void read_query(HubspotPlan *plan, HubspotSource *source, HubspotEntryKind kind,
					   LateKeys *late);
static void read_plain(Reader *reader);
static void take_plain(void *state, const HubspotRawInput *raw);
static void read_keyed(Reader *reader, LateKeys *late);
static bool make_input(void *state, HubspotInput *input, const HubspotError **error);
static void take_keyed(void *state, const HubspotRawInput *raw);
static HubspotSlice keep_id(StringInfo space, HubspotSlice id);
static void make_types(Reader *reader, HubspotRawInput *raw);
static const HubspotError *why_stopped(const Reader *reader);
static void wait_for_row(Reader *reader);
static void take_outcome(Reader *reader, const HubspotOutcome *outcome, LateKeys *late);
static void put_wanted(Reader *reader, HubspotEntry *entry, const HubspotTypeList *types);
static void put_one(HubspotPlan *plan, const HubspotEntry *entry);
static void put_unresolved(Reader *reader, const HubspotPlanChange *change);
static void spare_key(HubspotPlan *plan, HubspotSlice key, HubspotSlice record,
					  const HubspotError *error, LateKeys *late);
static void spare_candidates(HubspotPlan *plan, const HubspotError *error);
static void look_up_late(HubspotPlan *plan, LateKeys *late);
static bool make_late_key(void *state, HubspotInput *input, const HubspotError **error);

/*
 * Read what is wanted and the scope into a plan: its entries, sorted, and as changes the
 * rows that are not resolved.
 */
void
hubspot_read_wanted(HubspotPlan *plan)
{
	HubspotDirection direction = {plan->from_type, plan->to_type, false};
	HubspotSource *wanted;
	HubspotSource *scope = NULL;
	LateKeys	late[] = {{.type = &plan->from_type}, {.type = &plan->to_type}};
	Snapshot	snapshot;

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	wanted = plan->wanted_rows ? plan->wanted_rows :
		open_query("wanted", plan->wanted_query, HUBSPOT_INPUT_ANY_PAIR, &direction, snapshot);
	if (plan->scope_query)
		scope = open_query("scope", plan->scope_query, HUBSPOT_INPUT_RECORD, &direction, snapshot);
	UnregisterSnapshot(snapshot);
	plan->typed = hubspot_source_is_typed(wanted);
	if (plan->managed && !plan->typed)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" is given, but the query of wanted rows names no types",
						"managed"),
				 errhint("Add a column type_id, label or is_primary to it, or leave managed out: then pairs are removed with all of their types.")));

	plan->wanted = hubspot_packed_sort_create(plan->context);
	read_query(plan, wanted, HUBSPOT_ENTRY_WANTED, late);
	if (scope)
		read_query(plan, scope, HUBSPOT_ENTRY_SCOPE, late);
	for (size_t i = 0; i < lengthof(late); i++)
	{
		if (late[i].sort)
			look_up_late(plan, &late[i]);
	}
	hubspot_packed_sort_perform(plan->wanted);
}

/* The rows of the query in an argument.  An ERROR says which argument, since there may be two. */
static HubspotSource *
open_query(const char *argument, const char *query, HubspotInputShape shape,
		   const HubspotDirection *direction, Snapshot snapshot)
{
	ErrorContextCallback callback;
	HubspotSource *source;

	callback.callback = tell_argument;
	callback.arg = unconstify(char *, argument);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	source = hubspot_source_query_at(query, shape, direction, snapshot);
	error_context_stack = callback.previous;
	return source;
}

static void
tell_argument(void *arg)
{
	errcontext("query of argument \"%s\"", (const char *) arg);
}

static void
read_query(HubspotPlan *plan, HubspotSource *source, HubspotEntryKind kind,
		   LateKeys *late)
{
	Reader		reader = {.plan = plan,.kind = kind,.source = source};

	reader.last_types.context = AllocSetContextCreate(CurrentMemoryContext,
													  "hubspot_assoc types",
													  ALLOCSET_SMALL_SIZES);
	if (plan->from_type.property ||
		(kind == HUBSPOT_ENTRY_WANTED && plan->to_type.property))
		read_keyed(&reader, late);
	else
		read_plain(&reader);
	hubspot_source_close(source);
}

static void
read_plain(Reader *reader)
{
	bool		more;

	do
	{
		CHECK_FOR_INTERRUPTS();
		more = hubspot_source_read(reader->source, FETCH, take_plain, reader);
	} while (more);
}

static void
take_plain(void *state, const HubspotRawInput *raw)
{
	Reader	   *reader = state;
	HubspotRawInput row = *raw;
	HubspotEntry entry;

	make_types(reader, &row);
	if (row.error)
	{
		HubspotPlanChange change = {
			.action = HUBSPOT_ACTION_UNRESOLVED,.row_no = row.input.no,
			.from_given = row.input.from_id,.to_given = row.input.to_id,.error = row.error
		};

		if (reader->kind == HUBSPOT_ENTRY_SCOPE)
			change.to_given.data = NULL;
		if (row.input.from_id.data &&
			hubspot_id_problem(row.input.from_id.data, row.input.from_id.len) == NULL)
			change.from = row.input.from_id;
		put_unresolved(reader, &change);
		return;
	}
	memset(&entry, 0, offsetof(HubspotEntry, digits));
	entry.from = row.input.from_id;
	entry.to = row.input.to_id;
	put_wanted(reader, &entry, row.input.types);
}

/*
 * Give a row of typed pairs its types, or an error.  Labels are not looked up once nothing
 * more is sent; and nothing is, if the account is refused when they are.
 */
static void
make_types(Reader *reader, HubspotRawInput *raw)
{
	HubspotPlan *plan = reader->plan;
	const HubspotError *refusal;

	if (!plan->typed || reader->kind != HUBSPOT_ENTRY_WANTED)
		return;
	if (raw->nlabels > 0 && raw->error == NULL && hubspot_labels_refusal(plan->labels) == NULL)
		raw->error = why_stopped(reader);
	hubspot_raw_input_make_types(raw, plan->labels, &reader->last_types);
	refusal = hubspot_plan_take_labels(plan);
	if (refusal && reader->run)
		hubspot_run_refuse(reader->run, refusal);
}

/* Why nothing more is sent; or NULL. */
static const HubspotError *
why_stopped(const Reader *reader)
{
	if (reader->plan->stopped || reader->run == NULL)
		return reader->plan->stopped;
	return hubspot_run_stopped(reader->run, CurrentMemoryContext);
}

static void
read_keyed(Reader *reader, LateKeys *late)
{
	HubspotPlan *plan = reader->plan;
	HubspotPipeline pipeline = {
		.client = plan->client,.operation = HUBSPOT_RECORDS_READ,
		.from_type = plan->from_type
	};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc wanted rows",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	MemoryContext row_context = AllocSetContextCreate(context, "hubspot_assoc resolved row",
													  ALLOCSET_SMALL_SIZES);
	HubspotOutcome outcome;
	HubspotRun *run;

	if (reader->kind == HUBSPOT_ENTRY_WANTED)
		pipeline.to_type = plan->to_type;
	dlist_init(&reader->waiting);
	initStringInfo(&reader->ids[0]);
	initStringInfo(&reader->ids[1]);
	run = reader->run = hubspot_run_begin(&pipeline, hubspot_source_made(make_input, reader), false);
	while (hubspot_run_next(run, &outcome))
	{
		MemoryContextSwitchTo(row_context);
		take_outcome(reader, &outcome, late);
		MemoryContextSwitchTo(context);
		MemoryContextReset(row_context);
	}
	if (plan->stopped == NULL)
		plan->stopped = hubspot_run_stopped(run, plan->context);
	hubspot_run_end(run);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Callback: the next row, on its way into the batch. */
static bool
make_input(void *state, HubspotInput *input, const HubspotError **error)
{
	Reader	   *reader = state;

	reader->taken = false;
	(void) hubspot_source_read(reader->source, 1, take_keyed, reader);
	if (!reader->taken)
		return false;
	*input = reader->input;
	*error = reader->error ? reader->error : reader->plan->stopped;
	wait_for_row(reader);
	return true;
}

static void
take_keyed(void *state, const HubspotRawInput *raw)
{
	Reader	   *reader = state;
	HubspotRawInput row = *raw;

	make_types(reader, &row);
	reader->taken = true;
	reader->error = row.error;
	reader->input = row.input;
	reader->input.from_id = keep_id(&reader->ids[0], row.input.from_id);
	reader->input.to_id = keep_id(&reader->ids[1], row.input.to_id);
}

static HubspotSlice
keep_id(StringInfo space, HubspotSlice id)
{
	if (id.data == NULL)
		return id;
	resetStringInfo(space);
	appendBinaryStringInfo(space, id.data, id.len);
	id.data = space->data;
	return id;
}

/* Remember the types of the row that goes into the batch, until it comes back. */
static void
wait_for_row(Reader *reader)
{
	const HubspotTypeList *types = reader->input.types;
	int			ntypes = types ? types->ntypes : 0;
	Waiting    *waiting = palloc(offsetof(Waiting, types) + offsetof(HubspotTypeList, types) +
								 sizeof(HubspotAssociationType) * ntypes);

	waiting->no = reader->input.no;
	waiting->types.ntypes = ntypes;
	for (int i = 0; i < ntypes; i++)
	{
		const char *category = types->types[i].category;
		const char *known = hubspot_known_category(category, strlen(category));

		waiting->types.types[i] = types->types[i];
		waiting->types.types[i].category = known ? known : pstrdup(category);
	}
	reader->input.types = NULL;
	dlist_push_tail(&reader->waiting, &waiting->node);
}

static void
take_outcome(Reader *reader, const HubspotOutcome *outcome, LateKeys *late)
{
	HubspotPlan *plan = reader->plan;
	Waiting    *waiting = dlist_container(Waiting, node, dlist_pop_head_node(&reader->waiting));
	bool		from_keys = (plan->from_type.property != NULL);
	bool		to_keys = (reader->kind == HUBSPOT_ENTRY_WANTED && plan->to_type.property);
	HubspotSlice from = from_keys ? outcome->from_record : outcome->from_id;
	HubspotSlice to = to_keys ? outcome->to_record : outcome->to_id;

	if (waiting->no != outcome->input_no)
		elog(ERROR, "row " INT64_FORMAT " has come instead of row " INT64_FORMAT,
			 outcome->input_no, waiting->no);
	if (outcome->error)
	{
		HubspotPlanChange change = {
			.action = HUBSPOT_ACTION_UNRESOLVED,.row_no = outcome->input_no,
			.from = from_keys ? from : (HubspotSlice) {NULL, 0},
			.to = to_keys ? to : (HubspotSlice) {NULL, 0},
			.from_given = outcome->from_id,.to_given = outcome->to_id,.error = outcome->error
		};

		if (reader->kind == HUBSPOT_ENTRY_SCOPE)
			change.to_given.data = NULL;
		if (reader->kind == HUBSPOT_ENTRY_WANTED && from_keys)
			spare_key(plan, outcome->from_id, from, outcome->error, &late[0]);
		if (to_keys && plan->symmetric)
			spare_key(plan, outcome->to_id, to, outcome->error, &late[1]);
		put_unresolved(reader, &change);
	}
	else
	{
		HubspotEntry entry;

		memset(&entry, 0, offsetof(HubspotEntry, digits));
		entry.from = from;
		entry.to = to;
		if (from_keys)
		{
			entry.from_given = outcome->from_id;
			entry.key_hash = hubspot_spared_key(&plan->from_type, outcome->from_id);
		}
		if (to_keys)
			entry.to_given = outcome->to_id;
		put_wanted(reader, &entry, &waiting->types);
	}
	for (int i = 0; i < waiting->types.ntypes; i++)
	{
		const char *category = waiting->types.types[i].category;

		if (hubspot_known_category(category, strlen(category)) == NULL)
			pfree(unconstify(char *, category));
	}
	pfree(waiting);
}

/* Put a resolved row: an entry for each of its types. */
static void
put_wanted(Reader *reader, HubspotEntry *entry, const HubspotTypeList *types)
{
	HubspotPlan *plan = reader->plan;

	entry->kind = reader->kind;
	if (reader->kind == HUBSPOT_ENTRY_SCOPE)
	{
		entry->to.data = NULL;
		put_one(plan, entry);
		return;
	}
	plan->counts.wanted++;
	if (!plan->typed)
		put_one(plan, entry);
	for (int i = 0; plan->typed && i < types->ntypes; i++)
	{
		entry->type = types->types[i];
		put_one(plan, entry);
	}
	if (plan->symmetric)
	{
		HubspotEntry reverse = {.from = entry->to,.to = entry->from,
		.kind = HUBSPOT_ENTRY_REVERSE};

		put_one(plan, &reverse);
	}
}

static void
put_one(HubspotPlan *plan, const HubspotEntry *entry)
{
	hubspot_put_entry(plan, plan->wanted, entry);
}

/*
 * Put a row that is not resolved, and spare the records that it is about, as far as they
 * are known by their ids.
 */
static void
put_unresolved(Reader *reader, const HubspotPlanChange *change)
{
	HubspotPlan *plan = reader->plan;
	HubspotSlice from = plan->from_type.property ? change->from : change->from_given;
	HubspotSlice to = plan->to_type.property ? change->to : change->to_given;

	if (plan->raise)
		hubspot_throw_error(change->error,
							psprintf("could not resolve row %lld of the query of %s",
									 (long long) change->row_no,
									 reader->kind == HUBSPOT_ENTRY_SCOPE ?
									 "the scope" : "wanted rows"),
							HUBSPOT_NOTHING_DONE);
	if (reader->kind == HUBSPOT_ENTRY_WANTED && from.data)
		hubspot_spare_record(plan->spared, from);
	if (reader->kind == HUBSPOT_ENTRY_WANTED && plan->symmetric && to.data)
		hubspot_spare_record(plan->spared, to);
	plan->counts.unresolved++;
	hubspot_put_change(plan, change);
}

/*
 * Spare the record of a key whose row has an error, as far as it is not known by its id.
 */
static void
spare_key(HubspotPlan *plan, HubspotSlice key, HubspotSlice record,
		  const HubspotError *error, LateKeys *late)
{
	char	   *room;

	if (record.data || key.data == NULL || hubspot_key_problem(key))
		return;
	hubspot_spare_key(plan->spared, hubspot_spared_key(late->type, key));
	switch (error->verdict)
	{
		case HUBSPOT_VERDICT_NO_RECORD:
		case HUBSPOT_VERDICT_MANY_RECORDS:
			spare_candidates(plan, error);
			break;
		case HUBSPOT_VERDICT_INVALID:
			if (late->sort == NULL)
				late->sort = hubspot_packed_sort_create(plan->context);
			room = hubspot_packed_sort_room(late->sort, hubspot_packed_text_size(key));
			hubspot_packed_sort_put(late->sort, hubspot_pack_text(room, key));
			break;
		default:
			hubspot_spare_all(plan->spared);
			break;
	}
}

/* Spare those who may have been meant; if these are not all, spare everybody. */
static void
spare_candidates(HubspotPlan *plan, const HubspotError *error)
{
	List	   *candidates = hubspot_error_candidates(error);
	ListCell   *lc;

	if (list_length(candidates) >= HUBSPOT_MAX_CANDIDATES)
		hubspot_spare_all(plan->spared);
	foreach(lc, candidates)
		hubspot_spare_record(plan->spared, hubspot_slice(lfirst(lc)));
	list_free(candidates);
}

/* Spare the records of keys that were not looked up. */
static void
look_up_late(HubspotPlan *plan, LateKeys *late)
{
	HubspotPipeline pipeline = {
		.client = plan->client,.operation = HUBSPOT_RECORDS_READ,
		.from_type = *late->type
	};
	HubspotRun *run;
	HubspotOutcome outcome;

	if (plan->stopped)
	{
		hubspot_spare_all(plan->spared);
		hubspot_packed_sort_end(late->sort);
		return;
	}
	hubspot_packed_sort_perform(late->sort);
	run = hubspot_run_begin(&pipeline, hubspot_source_made(make_late_key, late), false);
	while (hubspot_run_next(run, &outcome))
	{
		if (outcome.error == NULL)
			hubspot_spare_record(plan->spared, outcome.from_record);
		else if (outcome.error->verdict == HUBSPOT_VERDICT_NO_RECORD ||
				 outcome.error->verdict == HUBSPOT_VERDICT_MANY_RECORDS)
			spare_candidates(plan, outcome.error);
		else
			hubspot_spare_all(plan->spared);
	}
	plan->stopped = hubspot_run_stopped(run, plan->context);
	hubspot_run_end(run);
	hubspot_packed_sort_end(late->sort);
}

/* Callback: the next of these keys. */
static bool
make_late_key(void *state, HubspotInput *input, const HubspotError **error)
{
	LateKeys   *keys = state;
	HubspotSlice row;

	if (!hubspot_packed_sort_next(keys->sort, &row))
		return false;
	input->no = ++keys->no;
	(void) hubspot_unpack_text(row.data, &input->from_id);
	input->to_id.data = "";
	return true;
}
