/*-------------------------------------------------------------------------
 *
 * plan_functions.c
 *	  The SQL functions that plan, and make HubSpot hold what a query says.
 *
 * IDENTIFICATION
 *	  src/sql/plan_functions.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "api/association_type.h"
#include "api/endpoint.h"
#include "api/error.h"
#include "base/shown.h"
#include "plan/apply.h"
#include "plan/plan_change.h"
#include "plan/plan.h"
#include "schema/origin.h"
#include "sql/argument.h"

/* The columns of hs_assoc_change. */
enum
{
	CHANGE_NO,
	CHANGE_ACTION,
	CHANGE_FROM_ID,
	CHANGE_TO_ID,
	CHANGE_FROM_RECORD,
	CHANGE_TO_RECORD,
	CHANGE_CATEGORY,
	CHANGE_TYPE_ID,
	CHANGE_LABEL,
	CHANGE_OK,
	CHANGE_HTTP_STATUS,
	CHANGE_ERROR_CATEGORY,
	CHANGE_ERROR_MESSAGE,
	CHANGE_CORRELATION_ID,
	CHANGE_ERROR,
	CHANGE_NCOLUMNS
};

/* The arguments that both functions have, by their places. */
enum
{
	ARGUMENT_FROM_TYPE,
	ARGUMENT_TO_TYPE,
	ARGUMENT_WANTED,
	ARGUMENT_SCOPE,
	ARGUMENT_MODE,
	ARGUMENT_MANAGED,
	ARGUMENT_MAX_REMOVALS,		/* of hs_assoc_apply, and the next one */
	ARGUMENT_ON_ERROR
};

/* Where rows of changes go. */
typedef struct ChangeRows
{
	const HubspotPlan *plan;
	Tuplestorestate *tupstore;
	TupleDesc	tupdesc;
	MemoryContext row_context;
} ChangeRows;

PG_FUNCTION_INFO_V1(hs_assoc_plan);
PG_FUNCTION_INFO_V1(hs_assoc_apply);

static void set_plan(FunctionCallInfo fcinfo, HubspotPlan *plan);
static void set_managed(FunctionCallInfo fcinfo, HubspotPlan *plan);
static HubspotAssociationType managed_type(HubspotPlan *plan, const char *text);
static bool parse_type(const char *text, HubspotAssociationType *type);
static ChangeRows *begin_rows(FunctionCallInfo fcinfo, const HubspotPlan *plan);
static void put_row(void *state, int64 no, const HubspotPlanChange *change, HubspotFate fate);

/*
 * hs_assoc_plan(from_type, to_type, wanted, scope, mode, managed, server)
 *
 * Reads what the records of the scope are associated to, and returns what would have to
 * change so that it is what the query of wanted rows says.  Nothing is changed.
 */
Datum
hs_assoc_plan(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "hubspot_assoc plan",
												  ALLOCSET_DEFAULT_SIZES);
	HubspotPlan plan = {0};
	ChangeRows *rows = begin_rows(fcinfo, &plan);
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotSlice row;
	int64		no = 0;

	set_plan(fcinfo, &plan);
	hubspot_plan_make(&plan);
	while (hubspot_packed_sort_next(plan.changes, &row))
	{
		HubspotUnpackedChange unpacked;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(rows->row_context);
		hubspot_unpack_change(row, &unpacked);
		put_row(rows, ++no, &unpacked.change, HUBSPOT_FATE_PLANNED);
		MemoryContextSwitchTo(context);
	}
	hubspot_packed_sort_end(plan.changes);
	hubspot_plan_tell(&plan, false);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}

/*
 * hs_assoc_apply(from_type, to_type, wanted, scope, mode, managed, max_removals, on_error,
 * server): POST .../batch/read, .../batch/archive, .../batch/labels/archive,
 * .../batch/associate/default, .../batch/create
 *
 * Makes such a plan, and carries it out, unless it removes more than max_removals.
 * Returns its changes, with what has become of each.
 */
Datum
hs_assoc_apply(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "hubspot_assoc plan",
												  ALLOCSET_DEFAULT_SIZES);
	HubspotPlan plan = {0};
	ChangeRows *rows = begin_rows(fcinfo, &plan);
	MemoryContext old = MemoryContextSwitchTo(context);
	int64		max_removals = HUBSPOT_USUAL_REMOVALS;

	if (!PG_ARGISNULL(ARGUMENT_MAX_REMOVALS))
		max_removals = hubspot_count_argument(fcinfo, ARGUMENT_MAX_REMOVALS, "max_removals");
	plan.raise = hubspot_on_error_argument(fcinfo, ARGUMENT_ON_ERROR);
	hubspot_origin_require();
	set_plan(fcinfo, &plan);
	hubspot_plan_make(&plan);
	hubspot_plan_guard(&plan, max_removals);
	hubspot_apply(&plan, put_row, rows);
	hubspot_plan_tell(&plan, true);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}

static void
set_plan(FunctionCallInfo fcinfo, HubspotPlan *plan)
{
	char	   *mode;

	hubspot_record_type_argument(fcinfo, ARGUMENT_FROM_TYPE, "from_type", &plan->from_type);
	hubspot_record_type_argument(fcinfo, ARGUMENT_TO_TYPE, "to_type", &plan->to_type);
	plan->wanted_query = hubspot_query_argument(fcinfo, ARGUMENT_WANTED, "wanted", NULL);
	if (!PG_ARGISNULL(ARGUMENT_SCOPE))
		plan->scope_query = hubspot_query_argument(fcinfo, ARGUMENT_SCOPE, "scope", NULL);
	mode = PG_ARGISNULL(ARGUMENT_MODE) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(ARGUMENT_MODE));
	if (strcmp(mode, "mirror") != 0 && strcmp(mode, "add") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": \"%s\"", "mode", hubspot_shown(mode)),
				 errhint("It must be \"mirror\" (what is not wanted is removed) or \"add\" (nothing is removed).")));
	plan->mirrors = (mode[0] == 'm');
	plan->client = hubspot_connect(hubspot_server_argument(fcinfo, PG_NARGS() - 1));
	plan->labels = hubspot_labels_create(plan->client, plan->from_type.name, plan->to_type.name);
	if (!PG_ARGISNULL(ARGUMENT_MANAGED))
		set_managed(fcinfo, plan);
}

/* Read the types that may be removed: labels, or "CATEGORY:type_id". */
static void
set_managed(FunctionCallInfo fcinfo, HubspotPlan *plan)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(ARGUMENT_MANAGED);
	HubspotTypeList *managed;
	Datum	   *elements;
	bool	   *isnull;
	int			nelements = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	if (nelements > HUBSPOT_MAX_TYPES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" has more than %d elements", "managed",
						HUBSPOT_MAX_TYPES)));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &isnull, &nelements);
	managed = palloc(offsetof(HubspotTypeList, types) +
					 sizeof(HubspotAssociationType) * nelements);
	managed->ntypes = nelements;
	for (int i = 0; i < nelements; i++)
	{
		if (isnull[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" contains a null", "managed")));
		managed->types[i] = managed_type(plan, TextDatumGetCString(elements[i]));
	}
	plan->managed = managed;
}

static HubspotAssociationType
managed_type(HubspotPlan *plan, const char *text)
{
	const HubspotAssociationType *found;
	const HubspotError *error;
	HubspotAssociationType type = {0};

	if (parse_type(text, &type))
		return type;
	if (strlen(text) > HUBSPOT_MAX_TEXT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an element of argument \"%s\" is longer than %d bytes", "managed",
						HUBSPOT_MAX_TEXT)));
	found = hubspot_labels_find(plan->labels, text, NULL, &error);
	if (found == NULL)
		ereport(ERROR,
				(errcode(error->sqlstate),
				 errmsg("could not find the type \"%s\" of argument \"%s\"",
						hubspot_shown(text), "managed"),
				 errdetail("%s.", error->message),
				 errhint("Its elements are labels, or types such as \"USER_DEFINED:17\".")));
	return *found;
}

/* Is it "CATEGORY:type_id"? */
static bool
parse_type(const char *text, HubspotAssociationType *type)
{
	const char *colon = strrchr(text, ':');
	char	   *category;
	char	   *end;
	long		type_id;

	if (colon == NULL || colon[1] < '1' || colon[1] > '9')
		return false;
	errno = 0;
	type_id = strtol(colon + 1, &end, 10);
	if (errno != 0 || *end != '\0' || type_id > PG_INT32_MAX)
		return false;
	category = pnstrdup(text, colon - text);
	if (!hubspot_is_category(category))
		return false;
	type->category = category;
	type->type_id = type_id;
	return true;
}

/* Begin the result; its rows live as long as the call. */
static ChangeRows *
begin_rows(FunctionCallInfo fcinfo, const HubspotPlan *plan)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ChangeRows *rows = palloc0(sizeof(ChangeRows));

	InitMaterializedSRF(fcinfo, 0);
	rows->plan = plan;
	rows->tupstore = rsinfo->setResult;
	rows->tupdesc = rsinfo->setDesc;
	rows->row_context = AllocSetContextCreate(CurrentMemoryContext,
											  "hubspot_assoc row of a plan",
											  ALLOCSET_DEFAULT_SIZES);
	if (rows->tupdesc->natts != CHANGE_NCOLUMNS)
		elog(ERROR, "unexpected row type of %d columns", rows->tupdesc->natts);
	return rows;
}

static Datum
slice_datum(HubspotSlice text)
{
	return PointerGetDatum(cstring_to_text_with_len(text.data, text.len));
}

#define SET(column, condition, datum) \
	do { \
		if (condition) \
		{ \
			values[column] = (datum); \
			isnull[column] = false; \
		} \
	} while (0)

/* Put a change into the result, with what has become of it; the row context is reset. */
static void
put_row(void *state, int64 no, const HubspotPlanChange *change, HubspotFate fate)
{
	ChangeRows *rows = state;
	const HubspotPlan *plan = rows->plan;
	const HubspotError *error = change->error;
	bool		from_keys = (plan->from_type.property != NULL);
	bool		to_keys = (plan->to_type.property != NULL);
	HubspotSlice from = change->from_given.data || from_keys ? change->from_given : change->from;
	HubspotSlice to = change->to_given.data || to_keys ? change->to_given : change->to;
	MemoryContext old = MemoryContextSwitchTo(rows->row_context);
	Datum		values[CHANGE_NCOLUMNS] = {0};
	bool		isnull[CHANGE_NCOLUMNS];

	memset(isnull, true, sizeof(isnull));
	SET(CHANGE_NO, true, Int64GetDatum(no));
	SET(CHANGE_ACTION, true, CStringGetTextDatum(hubspot_action_name(change->action)));
	SET(CHANGE_FROM_ID, from.data, slice_datum(from));
	SET(CHANGE_TO_ID, to.data, slice_datum(to));
	SET(CHANGE_FROM_RECORD, from_keys && change->from.data, slice_datum(change->from));
	SET(CHANGE_TO_RECORD, to_keys && change->to.data, slice_datum(change->to));
	SET(CHANGE_CATEGORY, change->type.category, CStringGetTextDatum(change->type.category));
	SET(CHANGE_TYPE_ID, change->type.type_id != 0, Int32GetDatum(change->type.type_id));
	SET(CHANGE_LABEL, change->type.label, CStringGetTextDatum(change->type.label));
	SET(CHANGE_OK, fate != HUBSPOT_FATE_PLANNED, BoolGetDatum(fate == HUBSPOT_FATE_DONE));
	SET(CHANGE_HTTP_STATUS, change->http_status != 0, Int32GetDatum(change->http_status));
	if (error)
	{
		Jsonb	   *object = hubspot_error_object(error);

		SET(CHANGE_HTTP_STATUS, error->http_status != 0, Int32GetDatum(error->http_status));
		SET(CHANGE_ERROR_CATEGORY, error->category, CStringGetTextDatum(error->category));
		SET(CHANGE_ERROR_MESSAGE, error->message, CStringGetTextDatum(error->message));
		SET(CHANGE_CORRELATION_ID, error->correlation_id,
			CStringGetTextDatum(error->correlation_id));
		SET(CHANGE_ERROR, object, JsonbPGetDatum(object));
	}
	tuplestore_putvalues(rows->tupstore, rows->tupdesc, values, isnull);
	MemoryContextSwitchTo(old);
	MemoryContextReset(rows->row_context);
}

#undef SET
