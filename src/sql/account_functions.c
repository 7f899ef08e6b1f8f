/*-------------------------------------------------------------------------
 *
 * account_functions.c
 *	  The SQL functions that tell which account it is, what it has, and how much
 *	  of what it may have is used.
 *
 * Each is one call that changes nothing; every failure is an ERROR (task.c).
 *
 * IDENTIFICATION
 *	  src/sql/account_functions.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "api/endpoint.h"
#include "api/error.h"
#include "api/object_type.h"
#include "api/usage.h"
#include "base/closest.h"
#include "base/iso_time.h"
#include "base/shown.h"
#include "rows/report.h"
#include "sql/argument.h"
#include "sql/task.h"

PG_FUNCTION_INFO_V1(hs_assoc_account);
PG_FUNCTION_INFO_V1(hs_assoc_quota);
PG_FUNCTION_INFO_V1(hs_assoc_object_types);
PG_FUNCTION_INFO_V1(hs_assoc_label_usage);
PG_FUNCTION_INFO_V1(hs_assoc_records_near_limit);

static void set_type_ids(FunctionCallInfo fcinfo, HubspotTask *task);
static bool is_custom_name(const char *type);
static const char *short_name(const char *type);
static List *custom_objects(const HubspotTask *task);
static const char *type_id(const char *type, const List *objects);
static void put_object_type(FunctionCallInfo fcinfo, const char *id,
							const char *name, const char *label);
static void warn_of_missing_objects(const HubspotError *error);
static void put_record(FunctionCallInfo fcinfo, const HubspotRecordUsage *usage,
					   const HubspotFullRecord *record);
static Datum text_datum(const char *text, bool *isnull);
static Datum number_datum(int64 number, bool *isnull);
static Datum time_datum(const char *text, bool *isnull);
static Datum text_array(const List *texts);

/*
 * hs_assoc_account(server, OUT account_id, OUT kind, OUT time_zone):
 * GET /account-info/{version}/details
 *
 * Returns the account that the token is for: the cheapest call that proves the token.
 */
Datum
hs_assoc_account(PG_FUNCTION_ARGS)
{
	HubspotTask task;
	HubspotAccountDetails details;
	TupleDesc	tupdesc;
	Datum		values[3];
	bool		isnull[3] = {false};
	Datum		result;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	hubspot_task_begin(fcinfo, &task, HUBSPOT_ACCOUNT_DETAILS, 0);
	task.failure = "could not ask HubSpot which account this is";
	hubspot_task_perform(&task);
	if (!hubspot_read_account_details(task.call.reply, &details))
		hubspot_task_fail_unreadable(&task, "the answer names no account");

	values[0] = Int64GetDatum(details.account_id);
	values[1] = text_datum(details.kind, &isnull[1]);
	values[2] = text_datum(details.time_zone, &isnull[2]);
	MemoryContextSwitchTo(task.old_context);
	result = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
											   values, isnull));
	hubspot_task_end(&task);
	PG_RETURN_DATUM(result);
}

/*
 * hs_assoc_quota(server): GET /account-info/{version}/api-usage/daily/private-apps
 *
 * Returns a row for each daily limit of private apps and service keys; HubSpot
 * counts the requests of OAuth apps elsewhere.
 */
Datum
hs_assoc_quota(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	HubspotTask task;
	List	   *usages;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	hubspot_task_begin(fcinfo, &task, HUBSPOT_DAILY_USAGE, 0);
	task.failure = "could not ask HubSpot how much of the day's quota is used";
	hubspot_task_perform(&task);
	if (!hubspot_read_daily_usage(task.call.reply, &usages))
		hubspot_task_fail_unreadable(&task, "the answer is not a list of quotas");

	foreach(lc, usages)
	{
		const HubspotDailyUsage *usage = lfirst(lc);
		Datum		values[7];
		bool		isnull[7] = {false};

		CHECK_FOR_INTERRUPTS();
		values[0] = text_datum(usage->name, &isnull[0]);
		values[1] = number_datum(usage->most, &isnull[1]);
		values[2] = number_datum(usage->used, &isnull[2]);
		values[3] = number_datum(isnull[1] || isnull[2] ? HUBSPOT_UNTOLD :
								 Max(usage->most - usage->used, 0), &isnull[3]);
		values[4] = time_datum(usage->resets_at, &isnull[4]);
		values[5] = time_datum(usage->collected_at, &isnull[5]);
		values[6] = text_datum(usage->status, &isnull[6]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	hubspot_task_end(&task);
	return (Datum) 0;
}

/*
 * hs_assoc_object_types(server): GET /crm-object-schemas/{version}/schemas
 *
 * Returns HubSpot's own object types and the account's custom objects.  If the
 * token may not list those, they are missing, and a WARNING says so.
 */
Datum
hs_assoc_object_types(PG_FUNCTION_ARGS)
{
	HubspotTask task;
	const HubspotStandardType *standard;
	const HubspotError *error;
	List	   *objects = NIL;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	hubspot_task_begin(fcinfo, &task, HUBSPOT_CUSTOM_OBJECTS, 0);
	task.failure = "could not list the custom objects";
	error = hubspot_task_try(&task);
	if (error && error->verdict == HUBSPOT_VERDICT_SCOPE)
		warn_of_missing_objects(error);
	else if (error)
		hubspot_task_fail(&task, error);
	else if (!hubspot_read_custom_objects(task.call.reply, &objects))
		hubspot_task_fail_unreadable(&task, "the answer is not a list of object types");

	for (int i = 0; (standard = hubspot_standard_type(i)) != NULL; i++)
		put_object_type(fcinfo, standard->id, standard->plural, NULL);
	foreach(lc, objects)
	{
		const HubspotCustomObject *object = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		put_object_type(fcinfo, object->id, object->name, object->label);
	}
	hubspot_task_end(&task);
	return (Datum) 0;
}

static void
put_object_type(FunctionCallInfo fcinfo, const char *id, const char *name,
				const char *label)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[3];
	bool		isnull[3] = {false};

	values[0] = text_datum(id, &isnull[0]);
	values[1] = text_datum(name, &isnull[1]);
	values[2] = text_datum(label, &isnull[2]);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
}

static void
warn_of_missing_objects(const HubspotError *error)
{
	ereport(WARNING,
			(errcode(error->sqlstate),
			 errmsg("custom objects are not listed, because the token may not read them"),
			 errdetail("%s", hubspot_error_detail(error)),
			 errhint("Give the token's app or service key the scope crm.schemas.custom.read.")));
}

/*
 * hs_assoc_label_usage(from_type, to_type, server):
 * GET /crm/limits/{version}/associations/labels
 *
 * Returns a row for the pair of object types, or, if both are null, for each
 * that HubSpot tells of.
 */
Datum
hs_assoc_label_usage(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		all = hubspot_all_directions(fcinfo, "labels");
	HubspotTask task;
	List	   *usages;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	hubspot_task_begin(fcinfo, &task,
					   all ? HUBSPOT_LABEL_USAGE_ALL : HUBSPOT_LABEL_USAGE, 2);
	if (!all)
		set_type_ids(fcinfo, &task);
	task.failure = all ? "could not read how many labels there may be" :
		psprintf("could not read how many labels there may be %s", task.direction);
	hubspot_task_perform(&task);
	if (!hubspot_read_label_usage(task.call.reply, &usages))
		hubspot_task_fail_unreadable(&task, "the answer is not a list of pairs of object types");

	foreach(lc, usages)
	{
		const HubspotLabelUsage *usage = lfirst(lc);
		Datum		values[5];
		bool		isnull[5] = {false};

		CHECK_FOR_INTERRUPTS();
		values[0] = text_datum(usage->from_id, &isnull[0]);
		values[1] = text_datum(usage->to_id, &isnull[1]);
		values[2] = number_datum(usage->used, &isnull[2]);
		values[3] = number_datum(usage->most, &isnull[3]);
		values[4] = text_array(usage->labels);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	hubspot_task_end(&task);
	return (Datum) 0;
}

/*
 * hs_assoc_records_near_limit(from_type, to_type, server):
 * GET /crm/limits/{version}/associations/records/{from}/{to}
 *
 * Returns some of the records that have as many associations as they may, or
 * nearly, each with how many such records there are; if there are some and
 * HubSpot names none, a row without a record.
 */
Datum
hs_assoc_records_near_limit(PG_FUNCTION_ARGS)
{
	HubspotTask task;
	HubspotRecordUsage usage;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	hubspot_task_begin(fcinfo, &task, HUBSPOT_RECORD_USAGE, 2);
	set_type_ids(fcinfo, &task);
	task.failure = psprintf("could not read which records are near their limit %s",
							task.direction);
	hubspot_task_perform(&task);
	if (!hubspot_read_record_usage(task.call.reply, &usage))
		hubspot_task_fail_unreadable(&task, "the answer does not tell of records at their limit");

	foreach(lc, usage.records)
	{
		CHECK_FOR_INTERRUPTS();
		put_record(fcinfo, &usage, lfirst(lc));
	}
	if (usage.records == NIL && (usage.at_limit > 0 || usage.near_limit > 0))
		put_record(fcinfo, &usage, NULL);
	hubspot_task_end(&task);
	return (Datum) 0;
}

static void
put_record(FunctionCallInfo fcinfo, const HubspotRecordUsage *usage,
		   const HubspotFullRecord *record)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[7];
	bool		isnull[7] = {false};

	values[0] = text_datum(record ? record->id : NULL, &isnull[0]);
	values[1] = text_datum(record ? record->name : NULL, &isnull[1]);
	isnull[2] = (record == NULL);
	values[2] = BoolGetDatum(record && record->at_limit);
	values[3] = number_datum(record == NULL ? HUBSPOT_UNTOLD :
							 record->at_limit && record->used == HUBSPOT_UNTOLD ?
							 usage->most : record->used, &isnull[3]);
	values[4] = number_datum(usage->most, &isnull[4]);
	values[5] = number_datum(usage->at_limit, &isnull[5]);
	values[6] = number_datum(usage->near_limit, &isnull[6]);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
}

/*
 * Set the object types of a task; the path has their ids.  Those of custom objects differ from
 * account to account, so one more request finds those of names.
 */
static void
set_type_ids(FunctionCallInfo fcinfo, HubspotTask *task)
{
	List	   *objects = NIL;

	hubspot_task_set_direction(fcinfo, task);
	if (is_custom_name(task->from_type) || is_custom_name(task->to_type))
		objects = custom_objects(task);
	task->arguments[0] = type_id(task->from_type, objects);
	task->arguments[1] = type_id(task->to_type, objects);
}

/* Is a type the name of a custom object: p, perhaps the account's number, and _? */
static bool
is_custom_name(const char *type)
{
	return short_name(type) != NULL;
}

/* Such a name from its _ on; NULL: it is not one. */
static const char *
short_name(const char *type)
{
	const char *rest = type[0] == 'p' ? type + 1 + strspn(type + 1, "0123456789") : "";

	return rest[0] == '_' ? rest : NULL;
}

/* The account's custom objects: a list of HubspotCustomObject. */
static List *
custom_objects(const HubspotTask *task)
{
	HubspotTask look_up = {
		.operation = HUBSPOT_CUSTOM_OBJECTS,
		.server = task->server,
		.failure = "could not look up the custom objects"
	};
	List	   *objects;

	hubspot_task_perform(&look_up);
	if (!hubspot_read_custom_objects(look_up.call.reply, &objects))
		hubspot_task_fail_unreadable(&look_up, "the answer is not a list of object types");
	return objects;
}

/* The id of an object type; ERROR if it is the name of a custom object that isn't there. */
static const char *
type_id(const char *type, const List *objects)
{
	HubspotClosest closest = {.name = type};
	const ListCell *lc;

	if (!is_custom_name(type))
		return hubspot_object_type_id(type);
	foreach(lc, objects)
	{
		const HubspotCustomObject *object = lfirst(lc);
		const char *own;

		if (object->name == NULL)
			continue;
		own = short_name(object->name);
		/* p_name is p123_name, whatever the account's number */
		if (strcmp(object->name, type) == 0 ||
			(type[1] == '_' && own && strcmp(own, type + 1) == 0))
			return object->id;
		hubspot_closest_try(&closest, object->name);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("custom object \"%s\" does not exist in the account", hubspot_shown(type)),
			 closest.found ? errhint("Perhaps you meant \"%s\".", closest.found) :
			 errhint("hs_assoc_object_types lists those that exist.")));
}

static Datum
text_datum(const char *text, bool *isnull)
{
	*isnull = (text == NULL);
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

static Datum
number_datum(int64 number, bool *isnull)
{
	*isnull = (number == HUBSPOT_UNTOLD);
	return Int64GetDatum(number);
}

/* A time as HubSpot writes it; null for anything else. */
static Datum
time_datum(const char *text, bool *isnull)
{
	TimestampTz time = 0;

	*isnull = (text == NULL || !hubspot_read_iso_time(text, &time));
	return TimestampTzGetDatum(time);
}

static Datum
text_array(const List *texts)
{
	Datum	   *elements = palloc(sizeof(Datum) * (list_length(texts) + 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, texts)
		elements[n++] = CStringGetTextDatum((const char *) lfirst(lc));
	return PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}
