/*-------------------------------------------------------------------------
 *
 * association_functions.c
 *	  The SQL functions on associations: arguments in, rows or an ERROR out.
 *
 * IDENTIFICATION
 *	  src/sql/association_functions.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "base/shown.h"
#include "rows/pipeline.h"
#include "rows/stream.h"
#include "schema/origin.h"
#include "sql/argument.h"

/* What a function's FmgrInfo keeps from one call to the next. */
typedef struct CallState
{
	/* labels that were looked up for an earlier call of the same statement */
	MemoryContext labels_context;
	HubspotLabels *labels;		/* or NULL */
	TimestampTz labels_statement;	/* when the statement began */

	HubspotResultRow *row;		/* of a function that returns one row; or NULL */
	HubspotStream *stream;		/* of a function whose rows are being fetched;
								 * or NULL */
} CallState;

PG_FUNCTION_INFO_V1(hs_assoc_create_default);
PG_FUNCTION_INFO_V1(hs_assoc_create_default_bigint);
PG_FUNCTION_INFO_V1(hs_assoc_create_default_to_bigint);
PG_FUNCTION_INFO_V1(hs_assoc_create_default_from_bigint);
PG_FUNCTION_INFO_V1(hs_assoc_create);
PG_FUNCTION_INFO_V1(hs_assoc_create_bigint);
PG_FUNCTION_INFO_V1(hs_assoc_create_to_bigint);
PG_FUNCTION_INFO_V1(hs_assoc_create_from_bigint);
PG_FUNCTION_INFO_V1(hs_assoc_archive);
PG_FUNCTION_INFO_V1(hs_assoc_archive_bigint);
PG_FUNCTION_INFO_V1(hs_assoc_archive_to_bigint);
PG_FUNCTION_INFO_V1(hs_assoc_archive_from_bigint);
PG_FUNCTION_INFO_V1(hs_assoc_list);
PG_FUNCTION_INFO_V1(hs_assoc_list_bigint);
PG_FUNCTION_INFO_V1(hs_assoc_batch_create_default);
PG_FUNCTION_INFO_V1(hs_assoc_batch_create_default_array);
PG_FUNCTION_INFO_V1(hs_assoc_batch_create);
PG_FUNCTION_INFO_V1(hs_assoc_batch_create_array);
PG_FUNCTION_INFO_V1(hs_assoc_batch_archive);
PG_FUNCTION_INFO_V1(hs_assoc_batch_archive_array);
PG_FUNCTION_INFO_V1(hs_assoc_batch_archive_labels);
PG_FUNCTION_INFO_V1(hs_assoc_batch_archive_labels_array);
PG_FUNCTION_INFO_V1(hs_assoc_batch_read);
PG_FUNCTION_INFO_V1(hs_assoc_batch_read_array);
PG_FUNCTION_INFO_V1(hs_assoc_scan);
PG_FUNCTION_INFO_V1(hs_assoc_resolve);
PG_FUNCTION_INFO_V1(hs_assoc_resolve_array);

static Datum run_single(FunctionCallInfo fcinfo, HubspotOperation operation, bool bigint_from_id,
						bool bigint_to_id);
static Datum run_list(FunctionCallInfo fcinfo, bool bigint_id);
static Datum run_batch(FunctionCallInfo fcinfo, HubspotOperation operation,
					   const char *inputs);
static void set_pipeline(FunctionCallInfo fcinfo, HubspotPipeline *pipeline,
						 HubspotOperation operation, int to_type,
						 int on_error);
static HubspotLabels *pipeline_labels(FunctionCallInfo fcinfo,
									  const HubspotPipeline *pipeline);
static HubspotDirection pipeline_direction(FunctionCallInfo fcinfo,
										   const HubspotPipeline *pipeline);
static HubspotSlice id_argument(FunctionCallInfo fcinfo, int argument,
								bool bigint_id);
static MemoryContext begin_set(FunctionCallInfo fcinfo, HubspotSink *sink);
static Datum return_rows(FunctionCallInfo fcinfo, const HubspotPipeline *pipeline,
						 HubspotSource *source, HubspotSink *sink,
						 MemoryContext old);
static Datum next_row(FunctionCallInfo fcinfo);
static CallState *call_state(FunctionCallInfo fcinfo);
static CallState *single_state(FunctionCallInfo fcinfo);
static TupleDesc result_tupdesc(FunctionCallInfo fcinfo);

/*
 * hs_assoc_create_default(from_type, from_id, to_type, to_id, on_error,
 * server): PUT .../associations/default/...
 *
 * Associates two records with the default type of their object types.  Returns
 * one hs_assoc_result, whose ok is true only if HubSpot confirmed it.  Misuse
 * is an ERROR, and so is every failure with on_error 'raise'.  All functions
 * here share these arguments, results and errors.
 */
Datum
hs_assoc_create_default(PG_FUNCTION_ARGS)
{
	return run_single(fcinfo, HUBSPOT_CREATE_DEFAULT, false, false);
}

Datum
hs_assoc_create_default_bigint(PG_FUNCTION_ARGS)
{
	return run_single(fcinfo, HUBSPOT_CREATE_DEFAULT, true, true);
}

Datum
hs_assoc_create_default_to_bigint(PG_FUNCTION_ARGS)
{
	return run_single(fcinfo, HUBSPOT_CREATE_DEFAULT, false, true);
}

Datum
hs_assoc_create_default_from_bigint(PG_FUNCTION_ARGS)
{
	return run_single(fcinfo, HUBSPOT_CREATE_DEFAULT, true, false);
}

/*
 * hs_assoc_create(from_type, from_id, to_type, to_id, type_ids, category,
 * labels, on_error, keep_labels, is_primary, server):
 * PUT .../associations/{toType}/{toId}
 *
 * Associates two records with types, by their numbers or labels, or with the
 * primary one, in place of the USER_DEFINED ones that the pair has; with
 * keep_labels, besides these.
 */
Datum
hs_assoc_create(PG_FUNCTION_ARGS)
{
	return run_single(fcinfo, HUBSPOT_CREATE, false, false);
}

Datum
hs_assoc_create_bigint(PG_FUNCTION_ARGS)
{
	return run_single(fcinfo, HUBSPOT_CREATE, true, true);
}

Datum
hs_assoc_create_to_bigint(PG_FUNCTION_ARGS)
{
	return run_single(fcinfo, HUBSPOT_CREATE, false, true);
}

Datum
hs_assoc_create_from_bigint(PG_FUNCTION_ARGS)
{
	return run_single(fcinfo, HUBSPOT_CREATE, true, false);
}

/*
 * hs_assoc_archive(from_type, from_id, to_type, to_id, on_error, server):
 * DELETE .../associations/{toType}/{toId}
 *
 * Removes all associations of two records.  It is ok if there are none.
 */
Datum
hs_assoc_archive(PG_FUNCTION_ARGS)
{
	return run_single(fcinfo, HUBSPOT_ARCHIVE, false, false);
}

Datum
hs_assoc_archive_bigint(PG_FUNCTION_ARGS)
{
	return run_single(fcinfo, HUBSPOT_ARCHIVE, true, true);
}

Datum
hs_assoc_archive_to_bigint(PG_FUNCTION_ARGS)
{
	return run_single(fcinfo, HUBSPOT_ARCHIVE, false, true);
}

Datum
hs_assoc_archive_from_bigint(PG_FUNCTION_ARGS)
{
	return run_single(fcinfo, HUBSPOT_ARCHIVE, true, false);
}

/*
 * hs_assoc_list(from_type, from_id, to_type, server):
 * GET .../associations/{toType}
 *
 * Reads all associations of a record.  Returns one hs_assoc_association for
 * each record and type; every failure is an ERROR.
 */
Datum
hs_assoc_list(PG_FUNCTION_ARGS)
{
	return run_list(fcinfo, false);
}

Datum
hs_assoc_list_bigint(PG_FUNCTION_ARGS)
{
	return run_list(fcinfo, true);
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
	return run_batch(fcinfo, HUBSPOT_BATCH_CREATE_DEFAULT, NULL);
}

Datum
hs_assoc_batch_create_default_array(PG_FUNCTION_ARGS)
{
	return run_batch(fcinfo, HUBSPOT_BATCH_CREATE_DEFAULT, "inputs");
}

/*
 * hs_assoc_batch_create(from_type, to_type, query | inputs, on_error,
 * keep_labels, is_primary, server): POST .../batch/create
 *
 * Associates the pairs of a query (from_id, to_id, type_id or type_ids, label
 * or labels, is_primary, category) or of an hs_assoc_input[] with these types, or
 * all with the primary one, in place of the USER_DEFINED ones that each pair has;
 * with keep_labels, besides these.
 * Returns one hs_assoc_result for each input.
 */
Datum
hs_assoc_batch_create(PG_FUNCTION_ARGS)
{
	return run_batch(fcinfo, HUBSPOT_BATCH_CREATE, NULL);
}

Datum
hs_assoc_batch_create_array(PG_FUNCTION_ARGS)
{
	return run_batch(fcinfo, HUBSPOT_BATCH_CREATE, "inputs");
}

/*
 * hs_assoc_batch_archive(from_type, to_type, query | inputs, on_error,
 * server): POST .../batch/archive
 *
 * Removes all associations of the pairs of a query (from_id, to_id) or of an
 * hs_assoc_input[].  Returns one hs_assoc_result for each input.
 */
Datum
hs_assoc_batch_archive(PG_FUNCTION_ARGS)
{
	return run_batch(fcinfo, HUBSPOT_BATCH_ARCHIVE, NULL);
}

Datum
hs_assoc_batch_archive_array(PG_FUNCTION_ARGS)
{
	return run_batch(fcinfo, HUBSPOT_BATCH_ARCHIVE, "inputs");
}

/*
 * hs_assoc_batch_archive_labels(from_type, to_type, query | inputs, on_error,
 * is_primary, server): POST .../batch/labels/archive
 *
 * Removes types from the pairs of a query (columns as for the batch create) or
 * of an hs_assoc_input[].  Returns one hs_assoc_result for each input.
 */
Datum
hs_assoc_batch_archive_labels(PG_FUNCTION_ARGS)
{
	return run_batch(fcinfo, HUBSPOT_BATCH_ARCHIVE_LABELS, NULL);
}

Datum
hs_assoc_batch_archive_labels_array(PG_FUNCTION_ARGS)
{
	return run_batch(fcinfo, HUBSPOT_BATCH_ARCHIVE_LABELS, "inputs");
}

/*
 * hs_assoc_batch_read(from_type, to_type, query | from_ids, on_error, server):
 * POST .../batch/read
 *
 * Reads all associations of the records of a query (from_id) or of an array of
 * ids.  Returns one hs_assoc_association for each input, record and type, and
 * one for each input that could not be read.
 */
Datum
hs_assoc_batch_read(PG_FUNCTION_ARGS)
{
	return run_batch(fcinfo, HUBSPOT_BATCH_READ, NULL);
}

Datum
hs_assoc_batch_read_array(PG_FUNCTION_ARGS)
{
	return run_batch(fcinfo, HUBSPOT_BATCH_READ, "from_ids");
}

/*
 * hs_assoc_scan(from_type, to_type, on_error, server):
 * GET .../{fromType}, POST .../batch/read
 *
 * Reads all associations of all records of an object type.  Returns one
 * hs_assoc_association for each record and type, and one for each record that could not be
 * read; records that cannot be listed are an ERROR.
 */
Datum
hs_assoc_scan(PG_FUNCTION_ARGS)
{
	HubspotSink sink = {0};
	HubspotPipeline pipeline;
	MemoryContext old;

	if (call_state(fcinfo)->stream)
		return next_row(fcinfo);
	old = begin_set(fcinfo, &sink);
	set_pipeline(fcinfo, &pipeline, HUBSPOT_BATCH_READ, 1, 2);
	pipeline.lists = true;
	return return_rows(fcinfo, &pipeline, NULL, &sink, old);
}

/*
 * hs_assoc_resolve(object_type, query | keys, on_error, server):
 * POST .../{objectType}/batch/read, or .../search
 *
 * Finds the records of the keys of a query (key) or of an array; of an object type
 * without a property, the records of these ids.  Returns one hs_assoc_record for each.
 */
Datum
hs_assoc_resolve(PG_FUNCTION_ARGS)
{
	return run_batch(fcinfo, HUBSPOT_RECORDS_READ, NULL);
}

Datum
hs_assoc_resolve_array(PG_FUNCTION_ARGS)
{
	return run_batch(fcinfo, HUBSPOT_RECORDS_READ, "keys");
}

/* A pair: (from_type, from_id, to_type, to_id, [types,] on_error, ...). */
static Datum
run_single(FunctionCallInfo fcinfo, HubspotOperation operation, bool bigint_from_id,
		   bool bigint_to_id)
{
	HubspotInputShape shape = hubspot_endpoint(operation)->input_shape;
	bool		takes_types = (shape == HUBSPOT_INPUT_TYPED_PAIR);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc call",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CallState  *state = single_state(fcinfo);
	HubspotSink sink = {.row = state->row};
	HubspotPipeline pipeline;
	HubspotDirection direction;
	HubspotLabels *labels = NULL;
	HubspotInput ids = {0};
	ArrayType  *type_ids = NULL;
	char	   *category = NULL;
	ArrayType  *label_array = NULL;

	set_pipeline(fcinfo, &pipeline, operation, 2, takes_types ? 7 : 4);
	direction = pipeline_direction(fcinfo, &pipeline);
	ids.from_id = id_argument(fcinfo, 1, bigint_from_id);
	ids.to_id = id_argument(fcinfo, 3, bigint_to_id);
	if (takes_types && !PG_ARGISNULL(4))
		type_ids = PG_GETARG_ARRAYTYPE_P(4);
	if (takes_types && !PG_ARGISNULL(5))
		category = text_to_cstring(PG_GETARG_TEXT_PP(5));
	if (takes_types && !PG_ARGISNULL(6))
		label_array = PG_GETARG_ARRAYTYPE_P(6);
	if (label_array)
		labels = pipeline_labels(fcinfo, &pipeline);

	hubspot_pipeline_run(&pipeline,
						 hubspot_source_single(&ids, shape, &direction, labels,
											   type_ids, category, label_array),
						 &sink);
	MemoryContextSwitchTo(old);
	sink.result = datumCopy(sink.result, false, -1);
	MemoryContextDelete(context);
	return sink.result;
}

/* A record: (from_type, from_id, to_type, server). */
static Datum
run_list(FunctionCallInfo fcinfo, bool bigint_id)
{
	HubspotSink sink = {0};
	MemoryContext old;
	HubspotPipeline pipeline;
	HubspotDirection direction;
	HubspotInput id = {0};

	if (call_state(fcinfo)->stream)
		return next_row(fcinfo);
	old = begin_set(fcinfo, &sink);
	set_pipeline(fcinfo, &pipeline, HUBSPOT_LIST, 2, -1);
	direction = pipeline_direction(fcinfo, &pipeline);
	id.from_id = id_argument(fcinfo, 1, bigint_id);
	return return_rows(fcinfo, &pipeline,
					   hubspot_source_single(&id, HUBSPOT_INPUT_RECORD, &direction, NULL,
											 NULL, NULL, NULL),
					   &sink, old);
}

/*
 * Many: (from_type, to_type, query or array, on_error, ...), without to_type where
 * there is no to side.  inputs is the name of the array, or NULL if it is a query.
 */
static Datum
run_batch(FunctionCallInfo fcinfo, HubspotOperation operation,
		  const char *inputs)
{
	HubspotInputShape shape = hubspot_endpoint(operation)->input_shape;
	const char *array_type = (shape == HUBSPOT_INPUT_RECORD || shape == HUBSPOT_INPUT_KEY) ?
	"text[]" : "hs_assoc_input[]";
	int			first = (shape == HUBSPOT_INPUT_KEY) ? 1 : 2;
	HubspotSink sink = {0};
	HubspotPipeline pipeline;
	HubspotDirection direction;
	HubspotLabels *labels = NULL;
	HubspotSource *source;
	MemoryContext old;

	if (call_state(fcinfo)->stream)
		return next_row(fcinfo);
	old = begin_set(fcinfo, &sink);
	set_pipeline(fcinfo, &pipeline, operation, first - 1, first + 1);
	direction = pipeline_direction(fcinfo, &pipeline);
	if (shape == HUBSPOT_INPUT_TYPED_PAIR)
		labels = pipeline_labels(fcinfo, &pipeline);
	if (inputs)
		source = hubspot_source_array(hubspot_array_argument(fcinfo, first, inputs),
									  shape, &direction, labels);
	else
		source = hubspot_source_query(hubspot_query_argument(fcinfo, first, "query", array_type),
									  shape, &direction, labels);
	return return_rows(fcinfo, &pipeline, source, &sink, old);
}

/*
 * Read the arguments that all functions have: object types, on_error (at -1:
 * every failure is an ERROR), keep_labels after it where labels may be
 * replaced, and server as the last one.  (pipeline_direction() reads
 * is_primary.)
 */
static void
set_pipeline(FunctionCallInfo fcinfo, HubspotPipeline *pipeline,
			 HubspotOperation operation, int to_type, int on_error)
{
	pipeline->operation = operation;
	pipeline->missing_ok = false;
	pipeline->tells_ends = false;
	pipeline->lists = false;
	memset(&pipeline->to_type, 0, sizeof(HubspotObjectType));
	hubspot_record_type_argument(fcinfo, 0, to_type > 0 ? "from_type" : "object_type",
								 &pipeline->from_type);
	if (to_type > 0)
		hubspot_record_type_argument(fcinfo, to_type, "to_type", &pipeline->to_type);
	pipeline->raise = (on_error < 0 || hubspot_on_error_argument(fcinfo, on_error));
	pipeline->keep_labels = (operation == HUBSPOT_CREATE ||
							 operation == HUBSPOT_BATCH_CREATE) &&
		hubspot_bool_argument(fcinfo, on_error + 1, "keep_labels");
	if (!hubspot_endpoint_reads(hubspot_endpoint(operation)))
		hubspot_origin_require();
	pipeline->client =
		hubspot_connect(hubspot_server_argument(fcinfo, PG_NARGS() - 1));
}

/* The direction; where types are taken, is_primary is the last argument but one. */
static HubspotDirection
pipeline_direction(FunctionCallInfo fcinfo, const HubspotPipeline *pipeline)
{
	HubspotDirection direction = {pipeline->from_type, pipeline->to_type, false};

	if (hubspot_endpoint(pipeline->operation)->input_shape == HUBSPOT_INPUT_TYPED_PAIR)
		direction.all_primary = hubspot_flag_argument(fcinfo, PG_NARGS() - 2);
	return direction;
}

/*
 * The labels of the pipeline.  Those that were looked up for earlier calls are
 * good for this one, too, as long as all are made by one statement of the
 * client.
 */
static HubspotLabels *
pipeline_labels(FunctionCallInfo fcinfo, const HubspotPipeline *pipeline)
{
	CallState  *state = call_state(fcinfo);
	TimestampTz now = GetCurrentStatementStartTimestamp();
	MemoryContext old;

	if (state->labels && state->labels_statement == now &&
		hubspot_labels_serve(state->labels, pipeline->client,
							 pipeline->from_type.name, pipeline->to_type.name))
		return state->labels;

	state->labels = NULL;
	MemoryContextReset(state->labels_context);
	old = MemoryContextSwitchTo(state->labels_context);
	state->labels = hubspot_labels_create(pipeline->client,
										  pipeline->from_type.name,
										  pipeline->to_type.name);
	state->labels_statement = now;
	MemoryContextSwitchTo(old);
	return state->labels;
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

/*
 * Begin the result of a function that returns a set, and a memory context for
 * the call, or for all calls of a stream, which becomes the current one.
 * Returns the former one.
 */
static MemoryContext
begin_set(FunctionCallInfo fcinfo, HubspotSink *sink)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		streams = hubspot_may_stream(rsinfo);
	MemoryContext context;
	MemoryContext old;
	TupleDesc	tupdesc;

	if (!streams)
	{
		InitMaterializedSRF(fcinfo, 0);
		sink->tupstore = rsinfo->setResult;
	}
	context = AllocSetContextCreate(streams ? fcinfo->flinfo->fn_mcxt : CurrentMemoryContext,
									"hubspot_assoc call", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	if (streams)
		tupdesc = result_tupdesc(fcinfo);
	else
		tupdesc = rsinfo->setDesc;
	sink->row = hubspot_result_create(context, tupdesc);
	return old;
}

/*
 * Run a call that has begun with begin_set(): put all of its rows into the
 * sink, or return the first one of a stream.
 */
static Datum
return_rows(FunctionCallInfo fcinfo, const HubspotPipeline *pipeline,
			HubspotSource *source, HubspotSink *sink, MemoryContext old)
{
	MemoryContext context = CurrentMemoryContext;

	if (sink->tupstore == NULL)
	{
		hubspot_stream_begin(&call_state(fcinfo)->stream,
							 (ReturnSetInfo *) fcinfo->resultinfo,
							 pipeline, source, sink->row);
		MemoryContextSwitchTo(old);
		return next_row(fcinfo);
	}
	hubspot_pipeline_run(pipeline, source, sink);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}

/* The next row of a stream, or its end. */
static Datum
next_row(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		row;

	if (hubspot_stream_next(call_state(fcinfo)->stream, &row))
	{
		rsinfo->isDone = ExprMultipleResult;
		return row;
	}
	rsinfo->isDone = ExprEndResult;
	PG_RETURN_NULL();
}

static CallState *
call_state(FunctionCallInfo fcinfo)
{
	CallState  *state = fcinfo->flinfo->fn_extra;

	if (state == NULL)
	{
		MemoryContext context = fcinfo->flinfo->fn_mcxt;

		state = MemoryContextAllocZero(context, sizeof(CallState));
		state->labels_context = AllocSetContextCreate(context,
													  "hubspot_assoc labels",
													  ALLOCSET_SMALL_SIZES);
		fcinfo->flinfo->fn_extra = state;
	}
	return state;
}

/*
 * The state for calls that return one row.  The result type does not change
 * between the calls of one statement.
 */
static CallState *
single_state(FunctionCallInfo fcinfo)
{
	CallState  *state = call_state(fcinfo);

	if (state->row == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		state->row = hubspot_result_create(CurrentMemoryContext,
										   result_tupdesc(fcinfo));
		MemoryContextSwitchTo(old);
	}
	return state;
}

/* The columns of a function that returns rows as values, palloc'd. */
static TupleDesc
result_tupdesc(FunctionCallInfo fcinfo)
{
	TupleDesc	tupdesc;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return BlessTupleDesc(tupdesc);
}
