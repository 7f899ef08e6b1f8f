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
#include "call/token_fetch.h"

static const HubspotError *send_to(const HubspotClient *client,
								   const HubspotEndpoint *endpoint, const char *path,
								   const char *body, bool own_connection,
								   HubspotCall *call);

/*
 * Start one call and wait until it has come back.  Its reply lives as long as
 * the current memory context, if it isn't freed before.
 */
void
hubspot_call_perform(const HubspotClient *client, HubspotCall *call)
{
	HubspotCalls *calls = hubspot_authorized_calls_create(CurrentMemoryContext, client);

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

/*
 * Perform an operation that has no inputs, with the arguments of its path and a
 * body (or NULL), and tell with which error it has failed, as
 * hubspot_call_error() does.  own_connection: as in HubspotCall.
 */
const HubspotError *
hubspot_call_operation(const HubspotClient *client, HubspotOperation operation,
					   const char *const *arguments, const char *body,
					   bool own_connection, HubspotCall *call)
{
	const HubspotEndpoint *endpoint = hubspot_endpoint(operation);
	const HubspotError *error;
	StringInfoData path;

	initStringInfo(&path);
	hubspot_append_path(&path, endpoint, client->options->api_version, arguments);
	error = send_to(client, endpoint, path.data, body, own_connection, call);

	/*
	 * the answer is not about what was asked, such as that of a path that
	 * leads nowhere
	 */
	initStringInfo(&path);
	if (error && error->verdict == HUBSPOT_VERDICT_FOREIGN &&
		hubspot_append_other_path(&path, endpoint, client->options->api_version,
								  arguments))
		error = send_to(client, endpoint, path.data, body, own_connection, call);
	return error;
}

static const HubspotError *
send_to(const HubspotClient *client, const HubspotEndpoint *endpoint,
		const char *path, const char *body, bool own_connection, HubspotCall *call)
{
	memset(call, 0, sizeof(HubspotCall));
	call->method = endpoint->method;
	call->operation = hubspot_endpoint_operation(endpoint);
	call->path = path;
	call->body = body;
	call->body_len = body ? strlen(body) : 0;
	call->repeatable = endpoint->repeatable;
	call->own_connection = own_connection;
	hubspot_call_perform(client, call);
	return hubspot_call_error(call);
}
