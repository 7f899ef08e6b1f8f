/*-------------------------------------------------------------------------
 *
 * definition_functions.c
 *	  The SQL functions for labels, limits and the high-usage report.
 *
 * Each function describes its call as a task (task.c), has it carried out, and reads the
 * answer.
 *
 * IDENTIFICATION
 *	  src/sql/definition_functions.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "api/association_type.h"
#include "api/definition.h"
#include "api/endpoint.h"
#include "api/error.h"
#include "api/request.h"
#include "base/iso_time.h"
#include "base/shown.h"
#include "sql/argument.h"
#include "sql/task.h"

PG_FUNCTION_INFO_V1(hs_assoc_labels);
PG_FUNCTION_INFO_V1(hs_assoc_label_create);
PG_FUNCTION_INFO_V1(hs_assoc_label_update);
PG_FUNCTION_INFO_V1(hs_assoc_label_delete);
PG_FUNCTION_INFO_V1(hs_assoc_limits);
PG_FUNCTION_INFO_V1(hs_assoc_limit_create);
PG_FUNCTION_INFO_V1(hs_assoc_limit_update);
PG_FUNCTION_INFO_V1(hs_assoc_limit_purge);
PG_FUNCTION_INFO_V1(hs_assoc_high_usage_report);

static char *optional_label(FunctionCallInfo fcinfo, int argument,
							const char *name);
static bool is_empty(FunctionCallInfo fcinfo, int argument);
static void change_limit(FunctionCallInfo fcinfo, HubspotOperation operation,
						 const char *verb);
static List *read_definitions(const HubspotTask *task);
static void put_labels(FunctionCallInfo fcinfo, const List *definitions);

/*
 * hs_assoc_labels(from_type, to_type, server): GET .../labels
 *
 * Returns an hs_assoc_type for each association type of the direction.  All
 * functions of this file share these arguments; every failure is an ERROR with
 * the SQLSTATE of its cause.
 */
Datum
hs_assoc_labels(PG_FUNCTION_ARGS)
{
	HubspotTask task;

	InitMaterializedSRF(fcinfo, 0);
	hubspot_task_begin(fcinfo, &task, HUBSPOT_LABELS, 2);
	hubspot_task_set_direction(fcinfo, &task);
	task.failure = psprintf("could not read the labels %s", task.direction);
	hubspot_task_perform(&task);
	put_labels(fcinfo, read_definitions(&task));
	hubspot_task_end(&task);
	return (Datum) 0;
}

/*
 * hs_assoc_label_create(from_type, to_type, label, name, inverse_label,
 * server): POST .../labels
 *
 * Defines a label, or, if label is null or empty, the type without a label, which custom
 * objects may lack.  Returns the new types, one for each direction or one for both.  Sent
 * again only if HubSpot cannot have acted; an answer that names no type is an ERROR (08P01),
 * because HubSpot may have acted then.
 */
Datum
hs_assoc_label_create(PG_FUNCTION_ARGS)
{
	HubspotTask task;
	bool		unlabelled = is_empty(fcinfo, 2);
	const char *label = "";
	char	   *name;
	char	   *inverse_label = NULL;
	List	   *definitions;

	InitMaterializedSRF(fcinfo, 0);
	hubspot_task_begin(fcinfo, &task, HUBSPOT_LABEL_CREATE, 5);
	hubspot_task_set_direction(fcinfo, &task);
	if (!unlabelled)
		label = hubspot_label_argument(fcinfo, 2, "label");
	name = hubspot_label_argument(fcinfo, 3, "name");
	if (!unlabelled || !is_empty(fcinfo, 4))
		inverse_label = optional_label(fcinfo, 4, "inverse_label");
	if (unlabelled && inverse_label)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" needs argument \"%s\"", "inverse_label", "label"),
				 errdetail("Without a label, the type has none in either direction.")));
	task.body = hubspot_encode_label_create(label, name, inverse_label);
	task.failure = psprintf("could not create label \"%s\" %s", hubspot_shown(label), task.direction);
	if (unlabelled)
	{
		task.failure = psprintf("could not create the type without a label %s", task.direction);
		task.sight = "See hs_assoc_labels for the types that there are. The one without a label can be created only for a custom object, and once.";
	}
	hubspot_task_perform(&task);
	definitions = read_definitions(&task);
	if (definitions == NIL)
		hubspot_task_fail_unreadable(&task, "the answer names no association type");
	put_labels(fcinfo, definitions);
	hubspot_task_end(&task);
	return (Datum) 0;
}

/*
 * hs_assoc_label_update(from_type, to_type, type_id, label, inverse_label,
 * server): PUT .../labels
 *
 * Renames a label.
 */
Datum
hs_assoc_label_update(PG_FUNCTION_ARGS)
{
	HubspotTask task;
	int32		type_id;
	char	   *label;

	hubspot_task_begin(fcinfo, &task, HUBSPOT_LABEL_UPDATE, 5);
	hubspot_task_set_direction(fcinfo, &task);
	type_id = hubspot_int_argument(fcinfo, 2, "type_id");
	label = hubspot_label_argument(fcinfo, 3, "label");
	task.body = hubspot_encode_label_update(type_id, label,
											optional_label(fcinfo, 4, "inverse_label"));
	task.failure = psprintf("could not rename label %d %s", type_id,
							task.direction);
	hubspot_task_perform(&task);
	hubspot_task_end(&task);
	PG_RETURN_VOID();
}

/*
 * hs_assoc_label_delete(from_type, to_type, type_id, server):
 * DELETE .../labels/{associationTypeId}
 *
 * Deletes a label, in both directions and from all pairs that have it.
 */
Datum
hs_assoc_label_delete(PG_FUNCTION_ARGS)
{
	HubspotTask task;
	int32		type_id;

	hubspot_task_begin(fcinfo, &task, HUBSPOT_LABEL_DELETE, 3);
	hubspot_task_set_direction(fcinfo, &task);
	type_id = hubspot_int_argument(fcinfo, 2, "type_id");
	task.arguments[2] = psprintf("%d", type_id);
	task.failure = psprintf("could not delete label %d %s", type_id,
							task.direction);
	hubspot_task_perform(&task);
	hubspot_task_end(&task);
	PG_RETURN_VOID();
}

/*
 * hs_assoc_limits(from_type, to_type, server):
 * GET .../definitions/configurations/{from}/{to} or .../all
 *
 * Returns an hs_assoc_limit for each limit of the direction, or, if both object types are
 * null, for each that there is; of these, HubSpot does not tell the object types.
 */
Datum
hs_assoc_limits(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		all = hubspot_all_directions(fcinfo, "limits");
	HubspotTask task;
	ListCell   *lc;
	Datum		values[6] = {0};
	bool		isnull[6] = {false};

	InitMaterializedSRF(fcinfo, 0);
	hubspot_task_begin(fcinfo, &task, all ? HUBSPOT_LIMITS_ALL : HUBSPOT_LIMITS, 2);
	if (!all)
	{
		hubspot_task_set_direction(fcinfo, &task);
		values[0] = CStringGetTextDatum(task.from_type);
		values[1] = CStringGetTextDatum(task.to_type);
	}
	isnull[0] = isnull[1] = all;
	task.failure = all ? "could not read the limits" :
		psprintf("could not read the limits %s", task.direction);
	hubspot_task_perform(&task);

	foreach(lc, read_definitions(&task))
	{
		const HubspotDefinition *definition = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		values[2] = CStringGetTextDatum(definition->type.category);
		values[3] = Int32GetDatum(definition->type.type_id);
		isnull[4] = (definition->type.label == NULL);
		if (definition->type.label)
			values[4] = CStringGetTextDatum(definition->type.label);
		values[5] = Int32GetDatum(definition->max_to_ids);
		isnull[5] = !definition->has_limit;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	hubspot_task_end(&task);
	return (Datum) 0;
}

/*
 * hs_assoc_limit_create(from_type, to_type, category, type_id, max_to_ids,
 * server): POST .../definitions/configurations/{from}/{to}/batch/create
 *
 * Sets a limit on how many records may be associated to one.  Sent again only if HubSpot
 * cannot have acted; an answer that doesn't confirm it is an ERROR (08P01), because HubSpot
 * may have acted then.
 */
Datum
hs_assoc_limit_create(PG_FUNCTION_ARGS)
{
	change_limit(fcinfo, HUBSPOT_LIMIT_CREATE, "set");
	PG_RETURN_VOID();
}

/*
 * hs_assoc_limit_update(from_type, to_type, category, type_id, max_to_ids,
 * server): POST .../batch/update
 *
 * Changes a limit.
 */
Datum
hs_assoc_limit_update(PG_FUNCTION_ARGS)
{
	change_limit(fcinfo, HUBSPOT_LIMIT_UPDATE, "change");
	PG_RETURN_VOID();
}

/*
 * hs_assoc_limit_purge(from_type, to_type, category, type_id, server):
 * POST .../batch/purge
 *
 * Removes a limit.
 */
Datum
hs_assoc_limit_purge(PG_FUNCTION_ARGS)
{
	change_limit(fcinfo, HUBSPOT_LIMIT_PURGE, "remove");
	PG_RETURN_VOID();
}

/*
 * hs_assoc_high_usage_report(INOUT user_id, server, OUT user_email,
 * OUT enqueue_time): POST .../usage/high-usage-report/{userId}
 *
 * Has HubSpot send a user the report on records that are close to their
 * limits.  Sent again only if HubSpot cannot have acted.
 */
Datum
hs_assoc_high_usage_report(PG_FUNCTION_ARGS)
{
	HubspotTask task;
	HubspotReport report;
	TupleDesc	tupdesc;
	Datum		values[3];
	bool		isnull[3] = {false};
	TimestampTz time;
	Datum		result;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	hubspot_task_begin(fcinfo, &task, HUBSPOT_HIGH_USAGE_REPORT, 1);
	task.arguments[0] = psprintf(INT64_FORMAT,
								 hubspot_bigint_argument(fcinfo, 0, "user_id"));
	task.failure = psprintf("could not request the high-usage report for user %s",
							task.arguments[0]);
	hubspot_task_perform(&task);
	if (!hubspot_read_report(task.call.reply, &report))
		hubspot_task_fail_unreadable(&task, "the answer does not name a report");

	values[0] = Int64GetDatum(report.user_id);
	isnull[1] = (report.user_email == NULL);
	values[1] = isnull[1] ? (Datum) 0 : CStringGetTextDatum(report.user_email);
	/* it was requested, whether or not the time can be read */
	isnull[2] = !hubspot_read_iso_time(report.enqueue_time, &time);
	values[2] = isnull[2] ? (Datum) 0 : TimestampTzGetDatum(time);
	MemoryContextSwitchTo(task.old_context);
	result = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
											   values, isnull));
	hubspot_task_end(&task);
	PG_RETURN_DATUM(result);
}

static char *
optional_label(FunctionCallInfo fcinfo, int argument, const char *name)
{
	return PG_ARGISNULL(argument) ? NULL :
		hubspot_label_argument(fcinfo, argument, name);
}

/* Is a text null or empty? */
static bool
is_empty(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ||
		VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(argument)) == 0;
}

/* Set, change or remove a limit.  Removing it takes no max_to_ids. */
static void
change_limit(FunctionCallInfo fcinfo, HubspotOperation operation,
			 const char *verb)
{
	bool		removes = (operation == HUBSPOT_LIMIT_PURGE);
	HubspotTask task;
	char	   *category;
	int32		type_id;
	int32		max_to_ids = 0;

	hubspot_task_begin(fcinfo, &task, operation, removes ? 4 : 5);
	hubspot_task_set_direction(fcinfo, &task);
	category = hubspot_category_argument(fcinfo, 2, "category");
	type_id = hubspot_int_argument(fcinfo, 3, "type_id");
	if (!removes)
		max_to_ids = hubspot_int_argument(fcinfo, 4, "max_to_ids");
	task.body = hubspot_encode_limit(category, type_id, max_to_ids);
	task.failure = psprintf("could not %s the limit of %s %d %s", verb,
							category, type_id, task.direction);
	hubspot_task_perform(&task);
	hubspot_task_end(&task);
}

/* The association types that the answer lists; ERROR if it is not a list. */
static List *
read_definitions(const HubspotTask *task)
{
	List	   *definitions;

	if (!hubspot_read_definitions(task->call.reply, &definitions))
		hubspot_task_fail_unreadable(task, "the answer is not a list of association types");
	return definitions;
}

/* Put rows of hs_assoc_type into the result. */
static void
put_labels(FunctionCallInfo fcinfo, const List *definitions)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const ListCell *lc;

	foreach(lc, definitions)
	{
		const HubspotAssociationType *type = &((HubspotDefinition *) lfirst(lc))->type;
		Datum		values[4] = {0};
		bool		isnull[4] = {false};

		CHECK_FOR_INTERRUPTS();
		values[0] = CStringGetTextDatum(type->category);
		values[1] = Int32GetDatum(type->type_id);
		isnull[2] = (type->label == NULL);
		if (type->label)
			values[2] = CStringGetTextDatum(type->label);
		values[3] = BoolGetDatum(hubspot_is_primary(type));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
}
