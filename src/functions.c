/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  The SQL functions that associate: arguments in, rows or an ERROR out.
 *
 * All functions that associate are one loop (run_batch) over a source of
 * inputs, with an operation of the API and a sink for the outcomes: a single
 * call is a batch of one, sent to the endpoint for one.
 *
 * IDENTIFICATION
 *	  src/functions.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "batch.h"
#include "connection.h"
#include "result.h"
#include "source.h"
#include "transport.h"

/* What a call of one of the functions asks for, apart from its inputs. */
typedef struct Task
{
	const HubspotConnection *connection;
	HubspotOperation operation;
	char	   *from_type;
	char	   *to_type;
	bool		raise;			/* on_error => 'raise' */
} Task;

/* Where the outcomes go. */
typedef struct Sink
{
	HubspotResultRow *row;
	Tuplestorestate *tupstore;	/* of a set */
	TupleDesc	tupdesc;
	Datum		result;			/* of a single call */
} Sink;

/* What a single call's FmgrInfo keeps from one call to the next. */
typedef struct SingleState
{
	TupleDesc	tupdesc;
	HubspotResultRow *row;
} SingleState;

/* When a statement's progress is to be told next. */
typedef struct Progress
{
	const HubspotBatch *batch;
	int64		started;
	int64		interval;		/* microseconds, 0: off */
	int64		next;
} Progress;

PG_FUNCTION_INFO_V1(hs_assoc_create_default);
PG_FUNCTION_INFO_V1(hs_assoc_create_default_bigint);
PG_FUNCTION_INFO_V1(hs_assoc_create);
PG_FUNCTION_INFO_V1(hs_assoc_create_bigint);
PG_FUNCTION_INFO_V1(hs_assoc_batch_create_default);
PG_FUNCTION_INFO_V1(hs_assoc_batch_create_default_array);
PG_FUNCTION_INFO_V1(hs_assoc_batch_create);
PG_FUNCTION_INFO_V1(hs_assoc_batch_create_array);

static Datum create_single(FunctionCallInfo fcinfo, HubspotOperation operation,
						   bool bigint_ids);
static Datum create_batch(FunctionCallInfo fcinfo, HubspotOperation operation,
						  bool query);
static void set_task(FunctionCallInfo fcinfo, Task *task,
					 HubspotOperation operation, int to_type,
					 int on_error);
static char *object_type(FunctionCallInfo fcinfo, int argument,
						 const char *name);
static bool raises(FunctionCallInfo fcinfo, int argument);
static const char *server_name(FunctionCallInfo fcinfo, int argument);
static HubspotSlice id_argument(FunctionCallInfo fcinfo, int argument,
								bool bigint_id);
static SingleState *single_state(FunctionCallInfo fcinfo);
static void run_batch(const Task *task, HubspotSource *source, Sink *sink);
static void sink_outcome(const Task *task, Sink *sink,
						 const HubspotOutcome *outcome);
static void warn_stopped(const HubspotError *error);
static void start_progress(Progress *progress, const HubspotBatch *batch);
static void tell_progress(void *state);

/*
 * hs_assoc_create_default(from_type, from_id, to_type, to_id, on_error,
 * server): PUT .../associations/default/...
 *
 * Associates two records with the default type of their object types.  Returns
 * one hs_assoc_result, whose ok is true only if HubSpot confirmed it.  Misuse
 * is an ERROR, and with on_error 'raise' every failure is.  All functions that
 * associate share these arguments, results and errors.
 */
Datum
hs_assoc_create_default(PG_FUNCTION_ARGS)
{
	return create_single(fcinfo, HUBSPOT_CREATE_DEFAULT, false);
}

Datum
hs_assoc_create_default_bigint(PG_FUNCTION_ARGS)
{
	return create_single(fcinfo, HUBSPOT_CREATE_DEFAULT, true);
}

/*
 * hs_assoc_create(from_type, from_id, to_type, to_id, type_ids, category,
 * on_error, server): PUT .../associations/{toType}/{toId}
 *
 * Associates two records with types of one category, in place of the
 * USER_DEFINED ones that the pair has.
 */
Datum
hs_assoc_create(PG_FUNCTION_ARGS)
{
	return create_single(fcinfo, HUBSPOT_CREATE, false);
}

Datum
hs_assoc_create_bigint(PG_FUNCTION_ARGS)
{
	return create_single(fcinfo, HUBSPOT_CREATE, true);
}

/*
 * hs_assoc_batch_create_default(from_type, to_type, query | inputs, on_error,
 * server): POST .../batch/associate/default
 *
 * Associates the pairs of a query (from_id, to_id) or of an hs_assoc_input[]
 * with the default type.  Returns one hs_assoc_result for each input.
 */
Datum
hs_assoc_batch_create_default(PG_FUNCTION_ARGS)
{
	return create_batch(fcinfo, HUBSPOT_BATCH_CREATE_DEFAULT, true);
}

Datum
hs_assoc_batch_create_default_array(PG_FUNCTION_ARGS)
{
	return create_batch(fcinfo, HUBSPOT_BATCH_CREATE_DEFAULT, false);
}

/*
 * hs_assoc_batch_create(from_type, to_type, query | inputs, on_error, server):
 * POST .../batch/create
 *
 * Associates the pairs of a query (from_id, to_id, type_id or type_ids,
 * category) or of an hs_assoc_input[] with these types, in place of the
 * USER_DEFINED ones that each pair has.  Returns one hs_assoc_result for each
 * input.
 */
Datum
hs_assoc_batch_create(PG_FUNCTION_ARGS)
{
	return create_batch(fcinfo, HUBSPOT_BATCH_CREATE, true);
}

Datum
hs_assoc_batch_create_array(PG_FUNCTION_ARGS)
{
	return create_batch(fcinfo, HUBSPOT_BATCH_CREATE, false);
}

static Datum
create_single(FunctionCallInfo fcinfo, HubspotOperation operation,
			  bool bigint_ids)
{
	bool		takes_types = hubspot_endpoint(operation)->takes_types;
	int			on_error = takes_types ? 6 : 4;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc call",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SingleState *state = single_state(fcinfo);
	Sink		sink = {0};
	Task		task;
	HubspotInput ids = {0};
	ArrayType  *type_ids = NULL;
	char	   *category = NULL;

	sink.row = state->row;
	sink.tupdesc = state->tupdesc;
	set_task(fcinfo, &task, operation, 2, on_error);
	ids.from_id = id_argument(fcinfo, 1, bigint_ids);
	ids.to_id = id_argument(fcinfo, 3, bigint_ids);
	if (takes_types && !PG_ARGISNULL(4))
		type_ids = PG_GETARG_ARRAYTYPE_P(4);
	if (takes_types && !PG_ARGISNULL(5))
		category = text_to_cstring(PG_GETARG_TEXT_PP(5));

	run_batch(&task,
			  hubspot_source_single(&ids, takes_types, type_ids, category),
			  &sink);
	MemoryContextSwitchTo(old);
	sink.result = datumCopy(sink.result, false, -1);
	MemoryContextDelete(context);
	return sink.result;
}

static Datum
create_batch(FunctionCallInfo fcinfo, HubspotOperation operation, bool query)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		takes_types = hubspot_endpoint(operation)->takes_types;
	Task		task;
	Sink		sink = {0};
	HubspotSource *source;
	MemoryContext context;
	MemoryContext old;

	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null",
						query ? "query" : "inputs")));
	InitMaterializedSRF(fcinfo, 0);
	sink.tupstore = rsinfo->setResult;
	sink.tupdesc = rsinfo->setDesc;

	context = AllocSetContextCreate(CurrentMemoryContext, "hubspot_assoc call",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	sink.row = hubspot_result_create(context, sink.tupdesc);
	set_task(fcinfo, &task, operation, 1, 3);
	if (query)
		source = hubspot_source_query(text_to_cstring(PG_GETARG_TEXT_PP(2)),
									  takes_types);
	else
		source = hubspot_source_array(PG_GETARG_ARRAYTYPE_P(2), takes_types);
	run_batch(&task, source, &sink);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}

/* The arguments that all functions have; server follows on_error. */
static void
set_task(FunctionCallInfo fcinfo, Task *task, HubspotOperation operation,
		 int to_type, int on_error)
{
	task->operation = operation;
	task->from_type = object_type(fcinfo, 0, "from_type");
	task->to_type = object_type(fcinfo, to_type, "to_type");
	task->raise = raises(fcinfo, on_error);
	task->connection = hubspot_connect(server_name(fcinfo, on_error + 1));
}

static char *
object_type(FunctionCallInfo fcinfo, int argument, const char *name)
{
	char	   *type;
	char	   *problem;

	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name),
				 errhint("It is an object type, such as \"contacts\", \"0-1\" or \"2-12345\".")));
	type = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	problem = hubspot_id_problem(type, strlen(type));
	if (problem)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid object type \"%s\" in argument \"%s\": %s",
						type, name, problem),
				 errhint("It is an object type, such as \"contacts\", \"0-1\" or \"2-12345\".")));
	return type;
}

static bool
raises(FunctionCallInfo fcinfo, int argument)
{
	char	   *on_error = PG_ARGISNULL(argument) ? "" :
	text_to_cstring(PG_GETARG_TEXT_PP(argument));

	if (strcmp(on_error, "raise") != 0 && strcmp(on_error, "row") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"on_error\": \"%s\"", on_error),
				 errhint("It must be \"row\" (a row tells of the failure) or \"raise\" (an error does).")));
	return on_error[1] == 'a';
}

static const char *
server_name(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : NameStr(*PG_GETARG_NAME(argument));
}

static HubspotSlice
id_argument(FunctionCallInfo fcinfo, int argument, bool bigint_id)
{
	HubspotSlice id = {NULL, 0};

	if (PG_ARGISNULL(argument))
		return id;
	if (bigint_id)
	{
		char	   *digits = palloc(MAXINT8LEN + 1);

		id.len = pg_lltoa(PG_GETARG_INT64(argument), digits);
		id.data = digits;
	}
	else
	{
		text	   *packed = PG_GETARG_TEXT_PP(argument);

		id.data = VARDATA_ANY(packed);
		id.len = VARSIZE_ANY_EXHDR(packed);
	}
	return id;
}

/* What the result type means doesn't change between calls of one statement. */
static SingleState *
single_state(FunctionCallInfo fcinfo)
{
	SingleState *state = fcinfo->flinfo->fn_extra;

	if (state == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		TupleDesc	tupdesc;

		if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		state = palloc(sizeof(SingleState));
		state->tupdesc = BlessTupleDesc(CreateTupleDescCopy(tupdesc));
		state->row = hubspot_result_create(CurrentMemoryContext, tupdesc);
		fcinfo->flinfo->fn_extra = state;
		MemoryContextSwitchTo(old);
	}
	return state;
}

/* From the source into the batch, and from there into the sink. */
static void
run_batch(const Task *task, HubspotSource *source, Sink *sink)
{
	HubspotBatch *batch = hubspot_batch_create(task->connection, task->operation,
											   task->from_type, task->to_type);
	bool		warned = false;
	HubspotOutcome outcome;
	Progress	progress;

	start_progress(&progress, batch);
	hubspot_source_fill(source, batch, tell_progress, &progress);
	while (hubspot_batch_wait(batch, progress.next))
	{
		while (hubspot_batch_get(batch, &outcome))
		{
			sink_outcome(task, sink, &outcome);
			if (!warned && outcome.error &&
				strcmp(outcome.error->category, HUBSPOT_NOT_SENT) == 0)
			{
				warn_stopped(hubspot_batch_stopped(batch));
				warned = true;
			}
		}
		hubspot_source_fill(source, batch, tell_progress, &progress);
		tell_progress(&progress);
	}
	hubspot_source_close(source);
}

static void
sink_outcome(const Task *task, Sink *sink, const HubspotOutcome *outcome)
{
	Datum	   *values;
	bool	   *isnull;

	CHECK_FOR_INTERRUPTS();
	if (outcome->error && task->raise)
		hubspot_throw_error(outcome->error,
							psprintf("could not associate %s %s with %s %s",
									 task->from_type,
									 outcome->from_id.data ?
									 pnstrdup(outcome->from_id.data, outcome->from_id.len) : "NULL",
									 task->to_type,
									 outcome->to_id.data ?
									 pnstrdup(outcome->to_id.data, outcome->to_id.len) : "NULL"),
							true);
	hubspot_result_fill(sink->row, outcome, &values, &isnull);
	if (sink->tupstore)
		tuplestore_putvalues(sink->tupstore, sink->tupdesc, values, isnull);
	else
		sink->result = HeapTupleGetDatum(heap_form_tuple(sink->tupdesc,
														 values, isnull));
}

/* Once a statement, if inputs were not sent: the rows say so one by one. */
static void
warn_stopped(const HubspotError *error)
{
	ereport(WARNING,
			(errcode(error->sqlstate),
			 errmsg("HubSpot refuses the account's requests, nothing more is sent"),
			 errdetail("%s", hubspot_error_detail(error)),
			 errhint("%s The inputs that were not sent have the error category %s.",
					 hubspot_error_hint(error, true), HUBSPOT_NOT_SENT)));
}

static void
start_progress(Progress *progress, const HubspotBatch *batch)
{
	progress->batch = batch;
	progress->started = hubspot_now();
	progress->interval = (int64) hubspot_progress_interval * 1000;
	progress->next = progress->interval > 0 ?
		progress->started + progress->interval : HUBSPOT_NEVER;
}

/* Called often; tells it when it is time. */
static void
tell_progress(void *state)
{
	Progress   *progress = state;
	int64		now = hubspot_now();
	HubspotBatchCounts counts;

	if (now < progress->next)
		return;
	hubspot_batch_counts(progress->batch, &counts);
	ereport(NOTICE,
			(errmsg("%lld inputs read, %lld confirmed, %lld failed; %lld requests, %lld retries, %lld rate-limited; %.0f inputs/s",
					(long long) counts.read, (long long) counts.confirmed,
					(long long) counts.failed, (long long) counts.requests,
					(long long) counts.retries, (long long) counts.rate_limited,
					(counts.confirmed + counts.failed) * 1e6 / (now - progress->started))));
	progress->next = now + progress->interval;
}
