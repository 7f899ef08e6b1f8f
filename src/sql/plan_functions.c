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
#include "rows/report.h"
#include "schema/origin.h"
#include "sql/argument.h"
#include "sql/change_row.h"

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

#define MANAGED_HINT	"Its elements are labels, or types such as \"USER_DEFINED:17\"."

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
	hubspot_plan_guard(&plan.counts, max_removals, "hs_assoc_plan");
	hubspot_apply(&plan, put_row, rows);
	hubspot_plan_tell(&plan, true);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}

static void
set_plan(FunctionCallInfo fcinfo, HubspotPlan *plan)
{
	hubspot_record_type_argument(fcinfo, ARGUMENT_FROM_TYPE, "from_type", &plan->from_type);
	hubspot_record_type_argument(fcinfo, ARGUMENT_TO_TYPE, "to_type", &plan->to_type);
	plan->wanted_query = hubspot_query_argument(fcinfo, ARGUMENT_WANTED, "wanted", NULL);
	if (!PG_ARGISNULL(ARGUMENT_SCOPE))
		plan->scope_query = hubspot_query_argument(fcinfo, ARGUMENT_SCOPE, "scope", NULL);
	plan->mirrors = hubspot_mode_argument(fcinfo, ARGUMENT_MODE);
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
					 errmsg("argument \"%s\" contains a null", "managed"),
					 errhint(MANAGED_HINT)));
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
				 errdetail("%s", hubspot_error_detail(error)),
				 errhint(MANAGED_HINT)));
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
	if (rows->tupdesc->natts != HUBSPOT_CHANGE_NCOLUMNS)
		elog(ERROR, "unexpected row type of %d columns", rows->tupdesc->natts);
	return rows;
}

/* Put a change into the result, with what has become of it; the row context is reset. */
static void
put_row(void *state, int64 no, const HubspotPlanChange *change, HubspotFate fate)
{
	ChangeRows *rows = state;
	MemoryContext old = MemoryContextSwitchTo(rows->row_context);
	Datum		values[HUBSPOT_CHANGE_NCOLUMNS];
	bool		isnull[HUBSPOT_CHANGE_NCOLUMNS];

	hubspot_change_row(rows->plan, no, hubspot_action_name(change->action), change, fate,
					   values, isnull);
	tuplestore_putvalues(rows->tupstore, rows->tupdesc, values, isnull);
	MemoryContextSwitchTo(old);
	MemoryContextReset(rows->row_context);
}
