/*-------------------------------------------------------------------------
 *
 * batch_request.c
 *	  One request of a batch: some units of a chunk, sent together.
 *
 * Here units become a call, and the reply to a call becomes what is known of its units.
 * batch.c says what is sent when, and whose rows can be got.
 *
 * IDENTIFICATION
 *	  src/call/batch_request.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "api/error.h"
#include "api/object_type.h"
#include "api/request.h"
#include "api/verdict.h"
#include "call/batch_request.h"
#include "call/keep_labels.h"
#include "call/match.h"
#include "call/token_fetch.h"

/* The end of a body has no more bytes than this. */
#define BODY_END	4

static void start_part(HubspotBatchScope *scope, const HubspotBatchRequest *like,
					   const HubspotPart *part);
static HubspotSearch *search_of(HubspotBatchScope *scope, const HubspotBatchRequest *like);
static void match_reply(HubspotBatchRequest *request, const HubspotBatchScope *scope,
						HubspotPartAnswer *answer);
static HubspotBatchRequest *make_request(const HubspotBatchScope *scope,
										 const HubspotBatchRequest *like,
										 const HubspotPart *part);

/* Begin a scope, which is all zeros, in a memory context; to_type may be NULL. */
void
hubspot_batch_scope_begin(HubspotBatchScope *scope, MemoryContext context,
						  const HubspotClient *client, const char *from_type,
						  const char *to_type)
{
	scope->api_version = client->options->api_version;
	scope->from_type = from_type;
	scope->to_type = to_type;
	scope->symmetric = to_type && hubspot_same_object_type(from_type, to_type);
	scope->types = hubspot_types_create(context);
	scope->calls = hubspot_authorized_calls_create(context, client);
	scope->client = client;
	scope->context = context;
}

/* The most inputs of a request. */
int
hubspot_batch_request_limit(const HubspotClient *client, const HubspotEndpoint *endpoint)
{
	int			limit = Max(endpoint->batch_limit, 1);
	int			batch_size = client->policy.batch_size;

	return batch_size > 0 ? Min(limit, batch_size) : limit;
}

/*
 * Begin the evidence of the requests to an endpoint, for an impatient client with what
 * earlier batches have shown.
 */
HubspotEvidence *
hubspot_batch_evidence(const HubspotBatchScope *scope, const HubspotEndpoint *endpoint)
{
	HubspotEvidence *evidence = hubspot_evidence_create(scope->context);
	HubspotEvidenceKey key = {
		.server = scope->client->options->server,
		.user = scope->client->options->user,
		.mapping = scope->client->options->mapping,
		.endpoint = endpoint,
		.from_type = scope->from_type,
		.to_type = scope->to_type
	};

	if (scope->client->policy.impatient)
		hubspot_evidence_recall(evidence, &key);
	return evidence;
}

/*
 * Send units in a request with the chunk, endpoint, pairs and evidence of like.  The
 * chunk's search sends those that would make it too large.  If all inputs like some of
 * these are known to be refused, all of them are left to the search, which may send none.
 */
void
hubspot_batch_request_start(HubspotBatchScope *scope, const HubspotBatchRequest *like,
							HubspotUnit **units, int nunits)
{
	HubspotPart part = {.units = units,.nunits = nunits};

	if (!hubspot_evidence_meets(like->evidence, units, nunits))
	{
		start_part(scope, like, &part);
		return;
	}
	hubspot_search_meet(search_of(scope, like), units, nunits);
	hubspot_batch_requests_start(scope, like);
}

/* Send what the chunk's search wants to be sent now. */
void
hubspot_batch_requests_start(HubspotBatchScope *scope, const HubspotBatchRequest *like)
{
	HubspotPart part;

	while (hubspot_search_next(like->chunk->search, scope->client->policy.concurrency, &part))
		start_part(scope, like, &part);
}

/* Is nothing of a chunk in flight, or still to be sent? */
bool
hubspot_batch_requests_over(const HubspotChunk *chunk)
{
	return chunk->nrequests == 0 &&
		(chunk->search == NULL || hubspot_search_is_done(chunk->search));
}

/* The search of a request's chunk, which is created if there is none. */
static HubspotSearch *
search_of(HubspotBatchScope *scope, const HubspotBatchRequest *like)
{
	HubspotChunk *chunk = like->chunk;

	if (chunk->search == NULL)
	{
		chunk->search = hubspot_search_create(chunk->context, like->evidence);
		scope->nsearches++;
		if (scope->put_off)
			hubspot_search_end(chunk->search, scope->put_off);
	}
	return chunk->search;
}

static void
start_part(HubspotBatchScope *scope, const HubspotBatchRequest *like,
		   const HubspotPart *part)
{
	HubspotChunk *chunk = like->chunk;
	MemoryContext old = MemoryContextSwitchTo(chunk->context);
	HubspotBatchRequest *request = make_request(scope, like, part);

	if (request->part.nunits < part->nunits)
		hubspot_search_put_back(search_of(scope, like), part,
								request->part.nunits);
	chunk->nrequests++;
	hubspot_calls_start(scope->calls, &request->call);
	MemoryContextSwitchTo(old);
}

/*
 * Make a request for the units of a part, or for as many of them as are not too large
 * together; palloc'd.
 */
static HubspotBatchRequest *
make_request(const HubspotBatchScope *scope, const HubspotBatchRequest *like,
			 const HubspotPart *part)
{
	HubspotBatchRequest *request = palloc0(sizeof(HubspotBatchRequest));
	HubspotUnit **units = part->units;
	Size		max_size = hubspot_evidence_max_size(like->evidence);
	int			nunits = part->nunits;
	HubspotChunk *chunk = like->chunk;
	HubspotBody body;

	request->chunk = chunk;
	request->endpoint = like->endpoint;
	request->pairs = like->pairs;
	request->evidence = like->evidence;
	request->part = *part;
	request->call.method = request->endpoint->method;
	request->call.operation = hubspot_endpoint_operation(request->endpoint);
	request->call.path = hubspot_request_path(request->endpoint,
											  scope->api_version,
											  scope->from_type, scope->to_type,
											  &units[0]->input,
											  hubspot_unit_next_page(units[0]));
	request->call.repeatable = request->endpoint->repeatable;
	request->call.owner = request;
	if (chunk->first_call == NULL && chunk->keep == NULL)
	{
		chunk->first_call = &request->call;
		request->call.inputs = chunk->nasked;
	}
	hubspot_body_begin(&body, request->endpoint, nunits);
	for (int i = 0; i < nunits; i++)
	{
		int			len = body.text.len;
		HubspotSlice group = body.group;

		hubspot_body_add(&body, &units[i]->input, hubspot_unit_next_page(units[i]));
		if (max_size > 0 && i > 0 && (Size) body.text.len + BODY_END > max_size)
		{
			body.text.len = len;
			body.group = group;
			nunits = i;
		}
		else
			units[i]->sent_with = request;
	}
	request->part.nunits = nunits;
	request->call.max_reply = hubspot_max_reply(request->endpoint, nunits);
	request->call.body = hubspot_body_end(&body, &request->call.body_len);
	return request;
}

/*
 * Settle the units that the reply to a request decides, and leave the others to the
 * chunk's search.
 */
void
hubspot_batch_request_settle(HubspotBatchScope *scope, HubspotBatchRequest *request)
{
	const HubspotUnit *first = request->part.units[0];
	HubspotPartAnswer answer = {0};

	if (request->call.attempts == 0)
		hubspot_units_set_error(request->part.units, request->part.nunits, scope->not_sent);
	else
	{
		match_reply(request, scope, &answer);
		if (answer.nunsettled == 0 && first->error &&
			hubspot_ends_sending(first->error->verdict))
			hubspot_batch_stop(scope, first->error);

		/* the answer to what is read next will be as long */
		if (request->call.reply->failure == HUBSPOT_HTTP_TOO_LARGE && answer.split > 0)
			hubspot_evidence_refuse_units(request->evidence, answer.split);
		if (answer.too_large)
			hubspot_evidence_keep_sizes(request->evidence);
	}
	if (request->chunk->search == NULL && answer.nunsettled == 0)
		return;
	hubspot_search_answer(search_of(scope, request), &request->part, &answer);
	scope->nfound += (answer.nunsettled < request->part.nunits);
}

/* Send nothing of what the searches of chunks still have to send, for that reason. */
void
hubspot_batch_requests_put_off(HubspotBatchScope *scope, dlist_head *chunks,
							   const char *reason)
{
	MemoryContext old = MemoryContextSwitchTo(scope->context);
	dlist_iter	iter;

	scope->put_off = hubspot_make_error(HUBSPOT_VERDICT_NOT_SENT,
										ERRCODE_INVALID_PARAMETER_VALUE, pstrdup(reason));
	dlist_foreach(iter, chunks)
	{
		HubspotChunk *chunk = dlist_container(HubspotChunk, node, iter.cur);

		if (chunk->search)
			hubspot_search_end(chunk->search, scope->put_off);
	}
	MemoryContextSwitchTo(old);
}

/* Send nothing more, because of an error that all of it would meet.  The first one counts. */
void
hubspot_batch_stop(HubspotBatchScope *scope, const HubspotError *error)
{
	MemoryContext old;
	HubspotError *copy;

	if (scope->stopped)
		return;
	old = MemoryContextSwitchTo(scope->context);
	copy = hubspot_copy_error(error);
	scope->stopped = copy;
	scope->not_sent = hubspot_error_after(error);
	if (error->verdict != HUBSPOT_VERDICT_NO_TOKEN)
		copy->correlation_id = NULL;	/* its rows have it */
	hubspot_calls_stop(scope->calls, scope->not_sent);
	MemoryContextSwitchTo(old);
}

/*
 * Settle the units that the reply decides.  The others, which are to be sent again, then
 * come first.  What the reply shows about inputs like these goes into the evidence.
 */
static void
match_reply(HubspotBatchRequest *request, const HubspotBatchScope *scope,
			HubspotPartAnswer *answer)
{
	HubspotUnit **units = request->part.units;
	int			nunits = request->part.nunits;
	HubspotMatch match;

	match.units = units;
	match.nunits = nunits;
	match.pairs = request->pairs;
	match.sent_with = request;
	match.from_type = scope->from_type;
	match.to_type = scope->to_type;
	match.symmetric = scope->symmetric;
	match.shape = request->endpoint->reply_shape;
	match.types = scope->types;
	match.many = request->endpoint->batch_limit > 0;
	answer->split = hubspot_match_reply(&match, request->call.reply,
										request->call.attempts, &answer->refusal);
	answer->nunsettled = 0;
	while (answer->nunsettled < nunits &&
		   !hubspot_unit_is_settled(units[answer->nunsettled]))
		answer->nunsettled++;

	answer->too_large = answer->refusal &&
		hubspot_reply_is_too_large(request->call.reply) &&
		hubspot_evidence_refuse_size(request->evidence, request->call.body_len);
	if (hubspot_reply_is_success(request->call.reply))
	{
		hubspot_evidence_pass_size(request->evidence, request->call.body_len, nunits);
		hubspot_evidence_accept(request->evidence, units, nunits);
	}
}

/*
 * Take a page of the labels that a chunk's pairs have.  There may be any number of pages,
 * so what is not kept of a page is freed at once.
 */
void
hubspot_batch_request_take_labels(HubspotBatchScope *scope,
								  HubspotBatchRequest *request, HubspotPairs *pairs)
{
	HubspotChunk *chunk = request->chunk;
	MemoryContext context = AllocSetContextCreate(chunk->context,
												  "hubspot_assoc page",
												  ALLOCSET_DEFAULT_SIZES);

	MemoryContextSwitchTo(context);
	hubspot_batch_request_settle(scope, request);
	MemoryContextSwitchTo(chunk->context);
	hubspot_keep_take(chunk->keep, request->part.units, request->part.nunits,
					  pairs);
	MemoryContextDelete(context);
}

/* End the search of a chunk, if there is one. */
void
hubspot_batch_search_end(HubspotBatchScope *scope, HubspotChunk *chunk)
{
	if (chunk->search == NULL)
		return;
	hubspot_search_close(chunk->search);
	scope->nsearches--;
	chunk->search = NULL;
}
