/*-------------------------------------------------------------------------
 *
 * batch_request.c
 *	  One request of a batch: some units of a chunk, sent together.
 *
 * Here units become a call, and the reply to a call becomes what is known of its
 * units.  When a request is sent, and what follows from its reply for the chunk
 * and the batch, is for batch.c to say.
 *
 * IDENTIFICATION
 *	  src/call/batch_request.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/request.h"
#include "call/batch_request.h"
#include "call/match.h"

/*
 * A request for units, with the chunk, endpoint and pairs of another one, ready
 * for hubspot_calls_start(); palloc'd.
 */
HubspotBatchRequest *
hubspot_batch_request_create(const HubspotBatchScope *scope,
							 const HubspotBatchRequest *like,
							 HubspotUnit **units, int nunits)
{
	HubspotBatchRequest *request = palloc0(sizeof(HubspotBatchRequest));
	HubspotBody body;

	request->chunk = like->chunk;
	request->endpoint = like->endpoint;
	request->pairs = like->pairs;
	request->units = units;
	request->nunits = nunits;
	for (int i = 0; i < nunits; i++)
		units[i]->sent_with = request;
	request->call.method = request->endpoint->method;
	request->call.path = hubspot_request_path(request->endpoint,
											  scope->api_version,
											  scope->from_type, scope->to_type,
											  &units[0]->input,
											  hubspot_unit_next_page(units[0]));
	request->call.repeatable = request->endpoint->repeatable;
	request->call.max_reply = hubspot_max_reply(request->endpoint, nunits);
	request->call.owner = request;
	hubspot_body_begin(&body, request->endpoint, nunits);
	for (int i = 0; i < nunits; i++)
		hubspot_body_add(&body, &units[i]->input, hubspot_unit_next_page(units[i]));
	request->call.body = hubspot_body_end(&body, &request->call.body_len);
	return request;
}

/*
 * Settle the units that the reply decides.  Those that it does not, which are to
 * be sent again, then come first: *nunsettled of them, and so many of these in a
 * request of their own, as is returned (see hubspot_match_reply()).
 */
int
hubspot_batch_request_match(HubspotBatchRequest *request,
							const HubspotBatchScope *scope, int *nunsettled)
{
	HubspotMatch match;
	int			split;

	match.units = request->units;
	match.nunits = request->nunits;
	match.pairs = request->pairs;
	match.sent_with = request;
	match.from_type = scope->from_type;
	match.to_type = scope->to_type;
	match.symmetric = scope->symmetric;
	match.shape = request->endpoint->reply_shape;
	match.types = scope->types;
	match.many = request->endpoint->batch_limit > 0;
	split = hubspot_match_reply(&match, request->call.reply,
								request->call.attempts);

	*nunsettled = 0;
	while (*nunsettled < request->nunits &&
		   !hubspot_unit_is_settled(request->units[*nunsettled]))
		(*nunsettled)++;
	return split;
}

/* Settle units with one error. */
void
hubspot_units_set_error(HubspotUnit **units, int nunits, const HubspotError *error)
{
	for (int i = 0; i < nunits; i++)
	{
		units[i]->error = error;
		units[i]->http_status = error->http_status;
		units[i]->correlation_id = error->correlation_id;
	}
}
