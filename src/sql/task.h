/*-------------------------------------------------------------------------
 *
 * task.h
 *	  One call of a SQL function to HubSpot, and an ERROR if it fails.
 *
 * IDENTIFICATION
 *	  src/sql/task.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SQL_TASK_H
#define HUBSPOT_SQL_TASK_H

#include "fmgr.h"

#include "api/endpoint.h"
#include "base/compat.h"
#include "call/call.h"

/* The most arguments that a path has. */
#define HUBSPOT_MAX_ARGUMENTS	3

/* What a function asks of HubSpot. */
typedef struct HubspotTask
{
	HubspotOperation operation;
	const char *server;			/* or NULL */
	const char *from_type;		/* NULL: it has no object types */
	const char *to_type;
	const char *direction;		/* the object types in words */
	const char *arguments[HUBSPOT_MAX_ARGUMENTS];	/* of the path */
	const char *body;			/* or NULL */
	const char *failure;		/* the message of an ERROR */
	const char *sight;			/* where to see whether HubSpot acted, or why
								 * it refused; NULL: nowhere */

	MemoryContext context;		/* of all that the call takes */
	MemoryContext old_context;
	HubspotCall call;
} HubspotTask;

extern void hubspot_task_begin(FunctionCallInfo fcinfo, HubspotTask *task,
							   HubspotOperation operation, int server);
extern void hubspot_task_set_direction(FunctionCallInfo fcinfo, HubspotTask *task);
extern void hubspot_task_perform(HubspotTask *task);
extern const HubspotError *hubspot_task_try(HubspotTask *task);
extern void hubspot_task_fail(const HubspotTask *task,
							  const HubspotError *error) pg_attribute_noreturn();
extern void hubspot_task_fail_unreadable(const HubspotTask *task,
										 const char *reason) pg_attribute_noreturn();
extern void hubspot_task_end(HubspotTask *task);

#endif							/* HUBSPOT_SQL_TASK_H */
