/*-------------------------------------------------------------------------
 *
 * definition_functions.c
 *	  The SQL functions for labels, limits and the high-usage report.
 *
 * What they have in common: one call to HubSpot, and an ERROR if it is not a
 * success.  (Only operations on records have rows that tell of failures.)
 * Each function describes its call as a task, which perform() carries out, and
 * reads the answer.
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
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "account/client.h"
#include "api/association_type.h"
#include "api/definition.h"
#include "api/endpoint.h"
#include "api/error.h"
#include "api/request.h"
#include "base/iso_time.h"
#include "base/shown.h"
#include "call/call.h"
#include "call/perform.h"
#include "rows/report.h"
#include "sql/argument.h"

/* The most arguments that a path has. */
#define MAX_ARGUMENTS	3

/* What one of the functions asks of HubSpot. */
typedef struct Task
{
	HubspotOperation operation;
	const char *server;			/* or NULL */
	const char *from_type;		/* NULL: it has no object types */
	const char *to_type;
	const char *direction;		/* the object types in words */
	const char *arguments[MAX_ARGUMENTS];	/* of the path */
	const char *body;			/* or NULL */
	const char *failure;		/* the message of an ERROR */
	const char *sight;			/* where to see whether HubSpot acted, or why
								 * it refused; NULL: nowhere */

	MemoryContext context;		/* of all that the call takes */
	MemoryContext old_context;
	HubspotCall call;
} Task;

PG_FUNCTION_INFO_V1(hs_assoc_labels);
PG_FUNCTION_INFO_V1(hs_assoc_label_create);
PG_FUNCTION_INFO_V1(hs_assoc_label_update);
PG_FUNCTION_INFO_V1(hs_assoc_label_delete);
PG_FUNCTION_INFO_V1(hs_assoc_limits);
PG_FUNCTION_INFO_V1(hs_assoc_limit_create);
PG_FUNCTION_INFO_V1(hs_assoc_limit_update);
PG_FUNCTION_INFO_V1(hs_assoc_limit_purge);
PG_FUNCTION_INFO_V1(hs_assoc_high_usage_report);

static void begin_task(FunctionCallInfo fcinfo, Task *task,
					   HubspotOperation operation, int server);
static void set_direction(FunctionCallInfo fcinfo, Task *task);
static void end_task(Task *task);
static char *optional_label(FunctionCallInfo fcinfo, int argument,
							const char *name);
static bool is_empty(FunctionCallInfo fcinfo, int argument);
static void change_limit(FunctionCallInfo fcinfo, HubspotOperation operation,
						 const char *verb);
static void perform(Task *task);
static void send_task(Task *task, const HubspotClient *client, const char *path);
static void fail(const Task *task, const HubspotError *error) pg_attribute_noreturn();
static void fail_unreadable(const Task *task, const char *reason) pg_attribute_noreturn();
static const char *where_to_look(HubspotOperation operation);
static List *read_definitions(const Task *task);
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
	Task		task;

	InitMaterializedSRF(fcinfo, 0);
	begin_task(fcinfo, &task, HUBSPOT_LABELS, 2);
	set_direction(fcinfo, &task);
	task.failure = psprintf("could not read the labels %s", task.direction);
	perform(&task);
	put_labels(fcinfo, read_definitions(&task));
	end_task(&task);
	return (Datum) 0;
}

/*
 * hs_assoc_label_create(from_type, to_type, label, name, inverse_label,
 * server): POST .../labels
 *
 * Defines a label, or, if label is null or empty, the type without a label,
 * which custom objects may lack.  Returns the new types, one for each
 * direction or one for both.  Sent again only if HubSpot cannot have acted; an
 * answer that names no type is an ERROR (08P01), because it may have acted
 * then.
 */
Datum
hs_assoc_label_create(PG_FUNCTION_ARGS)
{
	Task		task;
	bool		unlabelled = is_empty(fcinfo, 2);
	const char *label = "";
	char	   *name;
	char	   *inverse_label = NULL;
	List	   *definitions;

	InitMaterializedSRF(fcinfo, 0);
	begin_task(fcinfo, &task, HUBSPOT_LABEL_CREATE, 5);
	set_direction(fcinfo, &task);
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
	perform(&task);
	definitions = read_definitions(&task);
	if (definitions == NIL)
		fail_unreadable(&task, "the answer names no association type");
	put_labels(fcinfo, definitions);
	end_task(&task);
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
	Task		task;
	int32		type_id;
	char	   *label;

	begin_task(fcinfo, &task, HUBSPOT_LABEL_UPDATE, 5);
	set_direction(fcinfo, &task);
	type_id = hubspot_int_argument(fcinfo, 2, "type_id");
	label = hubspot_label_argument(fcinfo, 3, "label");
	task.body = hubspot_encode_label_update(type_id, label,
											optional_label(fcinfo, 4, "inverse_label"));
	task.failure = psprintf("could not rename label %d %s", type_id,
							task.direction);
	perform(&task);
	end_task(&task);
	PG_RETURN_VOID();
}

/*
 * hs_assoc_label_delete(from_type, to_type, type_id, server):
 * DELETE .../labels/{associationTypeId}
 *
 * Deletes a label, of both directions and from all pairs that have it.
 */
Datum
hs_assoc_label_delete(PG_FUNCTION_ARGS)
{
	Task		task;
	int32		type_id;

	begin_task(fcinfo, &task, HUBSPOT_LABEL_DELETE, 3);
	set_direction(fcinfo, &task);
	type_id = hubspot_int_argument(fcinfo, 2, "type_id");
	task.arguments[2] = psprintf("%d", type_id);
	task.failure = psprintf("could not delete label %d %s", type_id,
							task.direction);
	perform(&task);
	end_task(&task);
	PG_RETURN_VOID();
}

/*
 * hs_assoc_limits(from_type, to_type, server):
 * GET .../definitions/configurations/{from}/{to} or .../all
 *
 * Returns an hs_assoc_limit for each limit of the direction, or of all, of
 * which HubSpot doesn't tell the object types, if both are null.
 */
Datum
hs_assoc_limits(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		all = PG_ARGISNULL(0) && PG_ARGISNULL(1);
	Task		task;
	ListCell   *lc;
	Datum		values[6] = {0};
	bool		isnull[6] = {false};

	if (PG_ARGISNULL(0) != PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null if \"%s\" is not",
						PG_ARGISNULL(0) ? "from_type" : "to_type",
						PG_ARGISNULL(0) ? "to_type" : "from_type"),
				 errhint("Give both object types, or neither for all limits.")));
	InitMaterializedSRF(fcinfo, 0);
	begin_task(fcinfo, &task, all ? HUBSPOT_LIMITS_ALL : HUBSPOT_LIMITS, 2);
	if (!all)
	{
		set_direction(fcinfo, &task);
		values[0] = CStringGetTextDatum(task.from_type);
		values[1] = CStringGetTextDatum(task.to_type);
	}
	isnull[0] = isnull[1] = all;
	task.failure = all ? "could not read the limits" :
		psprintf("could not read the limits %s", task.direction);
	perform(&task);

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
	end_task(&task);
	return (Datum) 0;
}

/*
 * hs_assoc_limit_create(from_type, to_type, category, type_id, max_to_ids,
 * server): POST .../definitions/configurations/{from}/{to}/batch/create
 *
 * Sets a limit on how many records may be associated to one.  Sent again only
 * if HubSpot cannot have acted; an answer that doesn't confirm it is an ERROR
 * (08P01), because it may have acted then.
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
	Task		task;
	HubspotReport report;
	TupleDesc	tupdesc;
	Datum		values[3];
	bool		isnull[3] = {false};
	TimestampTz time;
	Datum		result;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	begin_task(fcinfo, &task, HUBSPOT_HIGH_USAGE_REPORT, 1);
	task.arguments[0] = psprintf(INT64_FORMAT,
								 hubspot_bigint_argument(fcinfo, 0, "user_id"));
	task.failure = psprintf("could not request the high-usage report for user %s",
							task.arguments[0]);
	perform(&task);
	if (!hubspot_read_report(task.call.reply, &report))
		fail_unreadable(&task, "the answer does not name a report");

	values[0] = Int64GetDatum(report.user_id);
	isnull[1] = (report.user_email == NULL);
	values[1] = isnull[1] ? (Datum) 0 : CStringGetTextDatum(report.user_email);
	/* it was requested, whether or not the time can be read */
	isnull[2] = !hubspot_read_iso_time(report.enqueue_time, &time);
	values[2] = isnull[2] ? (Datum) 0 : TimestampTzGetDatum(time);
	MemoryContextSwitchTo(task.old_context);
	result = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
											   values, isnull));
	end_task(&task);
	PG_RETURN_DATUM(result);
}

/*
 * Begin a task.  All that it allocates is in a context of its own, until
 * end_task().
 */
static void
begin_task(FunctionCallInfo fcinfo, Task *task, HubspotOperation operation,
		   int server)
{
	memset(task, 0, sizeof(Task));
	task->context = AllocSetContextCreate(CurrentMemoryContext,
										  "hubspot_assoc definition",
										  ALLOCSET_SMALL_SIZES);
	task->old_context = MemoryContextSwitchTo(task->context);
	task->operation = operation;
	task->sight = where_to_look(operation);
	task->server = hubspot_server_argument(fcinfo, server);
}

/* Set the object types, which come first among the arguments and in the path. */
static void
set_direction(FunctionCallInfo fcinfo, Task *task)
{
	task->from_type = hubspot_object_type_argument(fcinfo, 0, "from_type");
	task->to_type = hubspot_object_type_argument(fcinfo, 1, "to_type");
	task->direction = psprintf("from %s to %s", task->from_type, task->to_type);
	task->arguments[0] = task->from_type;
	task->arguments[1] = task->to_type;
}

static void
end_task(Task *task)
{
	MemoryContextSwitchTo(task->old_context);
	MemoryContextDelete(task->context);
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
	Task		task;
	char	   *category;
	int32		type_id;
	int32		max_to_ids = 0;

	begin_task(fcinfo, &task, operation, removes ? 4 : 5);
	set_direction(fcinfo, &task);
	category = hubspot_category_argument(fcinfo, 2, "category");
	type_id = hubspot_int_argument(fcinfo, 3, "type_id");
	if (!removes)
		max_to_ids = hubspot_int_argument(fcinfo, 4, "max_to_ids");
	task.body = hubspot_encode_limit(category, type_id, max_to_ids);
	task.failure = psprintf("could not %s the limit of %s %d %s", verb,
							category, type_id, task.direction);
	perform(&task);
	end_task(&task);
}

/*
 * Send the task's call and wait until it has come back.  ERROR if it is not a
 * success, or is one that tells of a failure.
 */
static void
perform(Task *task)
{
	const HubspotEndpoint *endpoint = hubspot_endpoint(task->operation);
	const HubspotClient *client = hubspot_connect(task->server);
	const HubspotError *error;
	HubspotError *told;
	HubspotDone done;
	StringInfoData path;

	initStringInfo(&path);
	hubspot_append_path(&path, endpoint, client->options->api_version,
						task->arguments);
	send_task(task, client, path.data);
	error = hubspot_call_error(&task->call);

	/*
	 * the answer is not about what was asked, such as that of a path that
	 * leads nowhere
	 */
	initStringInfo(&path);
	if (error && error->verdict == HUBSPOT_VERDICT_FOREIGN &&
		hubspot_append_other_path(&path, endpoint, client->options->api_version,
								  task->arguments))
	{
		send_task(task, client, path.data);
		error = hubspot_call_error(&task->call);
	}
	if (error)
	{
		/* an earlier attempt removed it, and its answer was lost */
		if (task->call.own_connection && task->call.may_have_acted && error->not_found)
			return;
		fail(task, error);
	}

	done = hubspot_read_done(task->call.reply, &told);
	if (told)
		fail(task, told);

	/* an operation that can be repeated needs no confirmation but the status */
	if (endpoint->reply_shape == HUBSPOT_REPLY_SILENT &&
		(done == HUBSPOT_NOT_DONE ||
		 (done == HUBSPOT_DONE_OR_NOT && !endpoint->repeatable)))
		fail_unreadable(task, "the answer does not confirm it");
}

/* Send a task's call to a path, and wait until it has come back. */
static void
send_task(Task *task, const HubspotClient *client, const char *path)
{
	const HubspotEndpoint *endpoint = hubspot_endpoint(task->operation);

	memset(&task->call, 0, sizeof(HubspotCall));
	task->call.method = endpoint->method;
	task->call.path = path;
	task->call.body = task->body;
	task->call.body_len = task->body ? strlen(task->body) : 0;
	task->call.repeatable = endpoint->repeatable;

	/* after a first attempt, "not found" may mean that it was removed */
	task->call.own_connection = (task->operation == HUBSPOT_LABEL_DELETE ||
								 task->operation == HUBSPOT_LIMIT_PURGE);
	hubspot_call_perform(client, &task->call);
}

static void
fail(const Task *task, const HubspotError *error)
{
	HubspotDoubt doubt = hubspot_call_doubt(&task->call);
	const char *hint = hubspot_error_hint(error, doubt);
	const char *sight = task->sight;

	if (error->sqlstate == ERRCODE_INVALID_PARAMETER_VALUE)
		hint = sight ? sight : "Correct the arguments.";
	else if (doubt == HUBSPOT_MAYBE_DONE && sight &&
			 hubspot_is_unconfirmed(error->verdict))
		hint = psprintf("%s %s", hint, sight);
	ereport(ERROR,
			(errcode(error->sqlstate),
			 errmsg("%s", task->failure),
			 errdetail("%s", hubspot_error_detail(error)),
			 errhint("%s", hint)));
}

/* ERROR: a success that cannot be read. */
static void
fail_unreadable(const Task *task, const char *reason)
{
	fail(task, hubspot_unconfirmed(task->call.reply, reason));
}

/*
 * What shows whether HubSpot acted, or why it refused; NULL if nothing does.
 */
static const char *
where_to_look(HubspotOperation operation)
{
	switch (operation)
	{
		case HUBSPOT_LABEL_UPDATE:
			return "See hs_assoc_labels for the labels that there are. If the other direction has a label of its own, give inverse_label, too.";
		case HUBSPOT_LABEL_CREATE:
		case HUBSPOT_LABEL_DELETE:
			return "See hs_assoc_labels for the labels that there are.";
		case HUBSPOT_LIMIT_CREATE:
		case HUBSPOT_LIMIT_UPDATE:
		case HUBSPOT_LIMIT_PURGE:
			return "See hs_assoc_limits for the limits that there are, and hs_assoc_labels for the association types.";
		default:
			return NULL;
	}
}

/* The association types that the answer lists; ERROR if it is not a list. */
static List *
read_definitions(const Task *task)
{
	List	   *definitions;

	if (!hubspot_read_definitions(task->call.reply, &definitions))
		fail_unreadable(task, "the answer is not a list of association types");
	return definitions;
}

/* Rows of hs_assoc_type. */
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
