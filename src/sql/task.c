/*-------------------------------------------------------------------------
 *
 * task.c
 *	  One call of a SQL function to HubSpot, and an ERROR if it fails.
 *
 * Only operations on records have rows that tell of failures.  Each other
 * function describes its call as a task, has it performed, and reads the
 * answer; every failure is an ERROR with the SQLSTATE of its cause.
 *
 * IDENTIFICATION
 *	  src/sql/task.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "account/client.h"
#include "api/definition.h"
#include "api/error.h"
#include "api/object_type.h"
#include "api/response.h"
#include "call/perform.h"
#include "rows/report.h"
#include "schema/origin.h"
#include "sql/argument.h"
#include "sql/task.h"

static const char *where_to_look(HubspotOperation operation);

/*
 * Begin a task.  All that it allocates is in a context of its own, until
 * hubspot_task_end().  server is the number of that argument.
 */
void
hubspot_task_begin(FunctionCallInfo fcinfo, HubspotTask *task,
				   HubspotOperation operation, int server)
{
	memset(task, 0, sizeof(HubspotTask));
	task->context = AllocSetContextCreate(CurrentMemoryContext,
										  "hubspot_assoc task",
										  ALLOCSET_SMALL_SIZES);
	task->old_context = MemoryContextSwitchTo(task->context);
	task->operation = operation;
	task->sight = where_to_look(operation);
	task->server = hubspot_server_argument(fcinfo, server);
}

/* Set the object types, which come first among the arguments and in the path. */
void
hubspot_task_set_direction(FunctionCallInfo fcinfo, HubspotTask *task)
{
	task->from_type = hubspot_object_type_argument(fcinfo, 0, "from_type");
	task->to_type = hubspot_object_type_argument(fcinfo, 1, "to_type");
	task->direction = psprintf("from %s to %s", task->from_type, task->to_type);
	task->arguments[0] = task->from_type;
	task->arguments[1] = task->to_type;
}

void
hubspot_task_end(HubspotTask *task)
{
	MemoryContextSwitchTo(task->old_context);
	MemoryContextDelete(task->context);
}

/*
 * Send the task's call and wait until it has come back.  ERROR if it is not a
 * success, or is one that tells of a failure.
 */
void
hubspot_task_perform(HubspotTask *task)
{
	const HubspotEndpoint *endpoint = hubspot_endpoint(task->operation);
	const HubspotError *error = hubspot_task_try(task);
	HubspotError *told;
	HubspotDone done;

	if (error)
	{
		/* an earlier attempt removed it, and its answer was lost */
		if (task->call.own_connection && task->call.may_have_acted && error->not_found)
			return;
		hubspot_task_fail(task, error);
	}

	done = hubspot_read_done(task->call.reply, &told);
	if (told)
		hubspot_task_fail(task, told);

	/* an operation that can be repeated needs no confirmation but the status */
	if (endpoint->reply_shape == HUBSPOT_REPLY_SILENT &&
		(done == HUBSPOT_NOT_DONE ||
		 (done == HUBSPOT_DONE_OR_NOT && !endpoint->repeatable)))
		hubspot_task_fail_unreadable(task, "the answer does not confirm it");
}

/* Likewise, but what HubSpot or the network answers instead of a success is returned. */
const HubspotError *
hubspot_task_try(HubspotTask *task)
{
	/* after a first attempt, "not found" may mean that it was removed */
	bool		removes = (task->operation == HUBSPOT_LABEL_DELETE ||
						   task->operation == HUBSPOT_LIMIT_PURGE);

	if (!hubspot_endpoint_reads(hubspot_endpoint(task->operation)))
		hubspot_origin_require();
	return hubspot_call_operation(hubspot_connect(task->server), task->operation,
								  task->arguments, task->body, removes,
								  &task->call);
}

void
hubspot_task_fail(const HubspotTask *task, const HubspotError *error)
{
	HubspotDoubt doubt = hubspot_call_doubt(&task->call);
	const char *hint = hubspot_error_hint(error, doubt);
	const char *sight = task->sight;

	if (error->sqlstate == ERRCODE_INVALID_PARAMETER_VALUE &&
		hubspot_unknown_object_type(error->message) == NULL)
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
void
hubspot_task_fail_unreadable(const HubspotTask *task, const char *reason)
{
	hubspot_task_fail(task, hubspot_unreadable_reply(task->call.reply, reason));
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
		case HUBSPOT_LABEL_USAGE:
		case HUBSPOT_RECORD_USAGE:
			return "See hs_assoc_object_types for the object types that there are.";
		default:
			return NULL;
	}
}
