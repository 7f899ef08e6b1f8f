/*-------------------------------------------------------------------------
 *
 * perform.c
 *	  One call, from start to end.
 *
 * IDENTIFICATION
 *	  src/call/perform.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/error.h"
#include "base/clock.h"
#include "call/perform.h"

/*
 * Start one call and wait until it has come back.  Its reply lives as long as
 * the current memory context, if it isn't freed before.
 */
void
hubspot_call_perform(const HubspotClient *client, HubspotCall *call)
{
	HubspotCalls *calls = hubspot_calls_create(CurrentMemoryContext, client);

	hubspot_calls_start(calls, call);
	(void) hubspot_calls_wait(calls, HUBSPOT_NEVER);
	(void) hubspot_calls_next(calls);
}

/*
 * The error with which a call that has come back has failed, or NULL: its reply is a
 * success.  The error lives as long as the reply.
 */
const HubspotError *
hubspot_call_error(const HubspotCall *call)
{
	if (call->error)
		return call->error;
	if (hubspot_reply_is_success(call->reply))
		return NULL;
	return hubspot_reply_error(call->reply, call->attempts);
}
