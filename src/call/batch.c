/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  Many inputs: cut into requests, kept in flight, answered one by one.
 *
 * The caller drives it, with whatever source and sink it has:
 *
 *		put while there is room; at the end of the source, finish
 *		while wait(batch)				the only line that waits
 *			while get(batch, &outcome)	decodes replies
 *				give the outcome to the sink
 *			put while there is room; ...
 *
 * Every row that was put comes back from get exactly once; where associations are read,
 * once for each of them, and once if it failed.  Outcomes come as requests are settled.
 *
 * Inputs are cut into chunks of as many pairs as a request may hold (intake.c):
 *
 *		open --> waiting, in flight --> ready --> gone
 *
 * A chunk is sent as one request (batch_request.c).  If that is refused because of some of its
 * inputs, requests with the others follow, and if it is too large, smaller ones do (match.c and
 * search.c say which).  Rows that are settled can be got before the rest of the chunk is, and the
 * chunk is ready when all of its pairs are settled.
 *
 * Where types are given, HubSpot replaces the labels of a pair.  So a chunk with a pair that an
 * earlier one has, too, waits for that one: the later row wins, not the faster request.  If labels
 * are to be kept, a chunk's first requests read those that its pairs have (keep_labels.c).
 *
 * The associations of a record come in pages.  When the rows of a page have been got, the record
 * is put again, for its next page, into the open chunk: further pages share requests with records
 * that come for the first time.
 *
 * A chunk has a memory context of its own for its inputs, requests and results.  There are at most
 * two full chunks more than may be in flight (one being filled, and one that goes as soon as there
 * is a place), so memory doesn't grow with the number of inputs.  Inputs that cannot go together
 * make more, smaller chunks, but at most MAX_ROOM (intake.c) before the next wait; and a chunk's
 * next pages take its place.
 *
 * IDENTIFICATION
 *	  src/call/batch.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "api/association_type.h"
#include "api/error.h"
#include "call/batch.h"
#include "call/batch_request.h"
#include "call/call.h"
#include "call/chunk.h"
#include "call/intake.h"
#include "call/keep_labels.h"
#include "call/namer.h"
#include "call/resolver.h"
#include "call/search.h"

/* Chunks beyond those in flight; see above. */
#define SPARE_CHUNKS	2

struct HubspotBatch
{
	MemoryContext context;
	const HubspotClient *client;
	HubspotTally tally;
	const HubspotEndpoint *endpoint;
	HubspotBatchScope scope;
	bool		keep_labels;
	HubspotEvidence *evidence;
	HubspotEvidence *keep_evidence; /* of the requests that read labels */
	int			keep_limit;		/* how many records' labels are read at once */
	HubspotIntake intake;
	dlist_head	chunks;			/* neither open nor ready */
	dlist_head	ready;
	dlist_head	naming;			/* ready but for the names of their records */
	HubspotNamer *namer;		/* of what is read, or NULL */
	HubspotChunk *partly;		/* the one whose rows are got early, or NULL */
	bool		awaits;			/* nothing is put before something comes back */
	HubspotBatchCounts counts;
};

static void take_lookups(HubspotBatch *batch);
static bool has_to_wait(HubspotBatch *batch);
static void name_chunk(HubspotBatch *batch, HubspotChunk *chunk);
static bool must_wait_for_keys(HubspotBatch *batch);
static bool get_outcome(HubspotBatch *batch, HubspotOutcome *outcome);
static void start_closed(HubspotBatch *batch);
static bool must_wait(HubspotBatch *batch);
static void start_chunk(HubspotBatch *batch, HubspotChunk *chunk);
static void read_labels(HubspotBatch *batch, HubspotChunk *chunk);
static void start_units(HubspotBatch *batch, HubspotChunk *chunk,
						HubspotUnit **units, int nunits);
static void settle_request(HubspotBatch *batch, HubspotCall *call);
static void go_on(HubspotBatch *batch, HubspotChunk *chunk);
static void go_on_with_others(HubspotBatch *batch);
static bool finish_requests(HubspotBatch *batch, HubspotChunk *chunk);
static HubspotBatchRequest like_others(HubspotBatch *batch, HubspotChunk *chunk);
static void give_settled(HubspotBatch *batch, HubspotChunk *chunk);
static void finish_chunk(HubspotBatch *batch, HubspotChunk *chunk);
static void free_chunk(HubspotBatch *batch, HubspotChunk *chunk);
static void continue_records(HubspotBatch *batch, const HubspotChunk *chunk);

/*
 * Begin a batch in the current memory context, whose deletion ends it and breaks off what
 * is in flight.  The names of the object types must live as long; without pairs, the
 * second one may be NULL.  keep_labels is for HUBSPOT_CREATE and HUBSPOT_BATCH_CREATE.
 */
HubspotBatch *
hubspot_batch_create(const HubspotClient *client,
					 HubspotOperation operation,
					 const HubspotObjectType *from_type,
					 const HubspotObjectType *to_type, bool keep_labels)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc batch",
												  ALLOCSET_DEFAULT_SIZES);
	HubspotBatch *batch = MemoryContextAllocZero(context, sizeof(HubspotBatch));
	const HubspotEndpoint *reading = hubspot_endpoint(HUBSPOT_BATCH_READ);

	batch->context = context;
	batch->client = client;
	batch->tally.account = client->policy.is_preparation ? NULL : client->account;
	batch->tally.operation = operation;
	batch->endpoint = hubspot_endpoint(operation);
	batch->keep_labels = keep_labels;
	hubspot_batch_scope_begin(&batch->scope, context, client, from_type->name, to_type->name);
	batch->evidence = hubspot_batch_evidence(&batch->scope, batch->endpoint);
	batch->keep_evidence = hubspot_batch_evidence(&batch->scope, reading);
	batch->keep_limit = hubspot_batch_request_limit(client, reading);
	hubspot_intake_begin(&batch->intake, context, batch->endpoint,
						 hubspot_batch_request_limit(client, batch->endpoint),
						 batch->evidence);
	batch->intake.parts_reverses = keep_labels ||
		(batch->endpoint->reply_shape == HUBSPOT_REPLY_ENVELOPE &&
		 !batch->scope.symmetric);
	batch->intake.follows_reverses = keep_labels || batch->scope.symmetric;
	hubspot_batch_take_places(batch);
	if (batch->endpoint->input_shape == HUBSPOT_INPUT_RECORD)
		batch->namer = hubspot_namer_create(context, client, batch->scope.calls, to_type);
	batch->intake.resolver = hubspot_resolver_create(context, client, batch->scope.calls,
													 batch->endpoint, from_type, to_type);
	dlist_init(&batch->chunks);
	dlist_init(&batch->ready);
	dlist_init(&batch->naming);
	return batch;
}

/* Give one more outcome, marked as ended, when a record has been read to its end. */
void
hubspot_batch_tell_ends(HubspotBatch *batch)
{
	batch->intake.tells_ends = true;
}

/* The calls of a batch, which wait and are counted together. */
HubspotCalls *
hubspot_batch_calls(const HubspotBatch *batch)
{
	return batch->scope.calls;
}

/* Let as many calls be in flight as the client's policy allows by now. */
void
hubspot_batch_take_places(HubspotBatch *batch)
{
	batch->intake.max_chunks = batch->client->policy.concurrency + SPARE_CHUNKS;
}

/* How many inputs may be put before this is asked again; 0: none before the next wait. */
int
hubspot_batch_room(const HubspotBatch *batch)
{
	return hubspot_intake_room(&batch->intake);
}

/*
 * Put an input, which is copied.  If it has an error, which is copied, too, it
 * is not sent, and that is its outcome.
 */
void
hubspot_batch_put(HubspotBatch *batch, const HubspotInput *input,
				  const HubspotError *error)
{
	batch->counts.read++;
	hubspot_intake_put(&batch->intake, input, error);
	start_closed(batch);
}

/* No more inputs will be put. */
void
hubspot_batch_finish(HubspotBatch *batch)
{
	hubspot_intake_finish(&batch->intake);
	start_closed(batch);
}

/* Wait next for what is under way, even if there is room; if flush, for all that was put. */
void
hubspot_batch_await(HubspotBatch *batch, bool flush)
{
	batch->awaits = true;
	if (flush)
		hubspot_intake_close(&batch->intake);
	start_closed(batch);
}

/* Is nothing under way, nor to be got?  Some inputs may wait for others to go with. */
bool
hubspot_batch_is_idle(const HubspotBatch *batch)
{
	return batch->intake.nchunks == (batch->intake.open ? 1 : 0);
}

/* Take what look-ups of keys, or of names, may have found out. */
static void
take_lookups(HubspotBatch *batch)
{
	const HubspotError *stopped = NULL;
	dlist_mutable_iter iter;

	if (batch->intake.resolver)
		stopped = hubspot_resolver_stopped(batch->intake.resolver);
	if (batch->namer && stopped == NULL)
		stopped = hubspot_namer_stopped(batch->namer);
	if (stopped)
		hubspot_batch_stop(&batch->scope, stopped);
	if (batch->intake.resolver)
		hubspot_intake_take_resolved(&batch->intake);
	start_closed(batch);
	dlist_foreach_modify(iter, &batch->naming)
	{
		if (!hubspot_namer_is_done(batch->namer, dlist_container(HubspotChunk, node, iter.cur)))
			continue;
		dlist_delete(iter.cur);
		dlist_push_tail(&batch->ready, iter.cur);
	}
}

/* Send the chunks that were closed, or let them wait for those that they follow. */
static void
start_closed(HubspotBatch *batch)
{
	while (!dlist_is_empty(&batch->intake.closed))
	{
		HubspotChunk *chunk = dlist_container(HubspotChunk, node,
											  dlist_pop_head_node(&batch->intake.closed));

		dlist_push_tail(&batch->chunks, &chunk->node);
		chunk->complete = true;
		if (chunk->nwaits_for == 0)
			start_chunk(batch, chunk);
	}
}

/* Wait until something can be got or put, or the time until has come.  False: all is done. */
bool
hubspot_batch_wait(HubspotBatch *batch, int64 until)
{
	if (hubspot_batch_is_over(batch))
		return false;
	if (must_wait(batch))
		(void) hubspot_calls_wait(batch->scope.calls, until);
	batch->awaits = false;
	return true;
}

/* Can nothing be got or put before something has come back? */
static bool
must_wait(HubspotBatch *batch)
{
	if (!has_to_wait(batch))
		return false;

	/* chunks under way may read more records: name all at once */
	if (batch->namer && dlist_is_empty(&batch->chunks))
		hubspot_namer_ask(batch->namer);
	return true;
}

static bool
has_to_wait(HubspotBatch *batch)
{
	if (batch->intake.resolver && !batch->intake.finished)
		return must_wait_for_keys(batch);
	if (batch->awaits || !dlist_is_empty(&batch->ready))
		return dlist_is_empty(&batch->ready);
	if (batch->intake.nchunks == 0 || hubspot_batch_room(batch) > 0)
		return false;

	/* next pages wait for those of other records, while there may be some */
	if (!batch->intake.open || !batch->intake.finished || !dlist_is_empty(&batch->chunks))
		return true;
	hubspot_intake_close(&batch->intake);
	start_closed(batch);
	return false;
}

/* Likewise, while inputs wait for their keys, or for room in chunks; keys are asked for. */
static bool
must_wait_for_keys(HubspotBatch *batch)
{
	if (!dlist_is_empty(&batch->ready) || hubspot_batch_room(batch) > 0)
		return false;
	return hubspot_resolver_ask(batch->intake.resolver, !batch->intake.ended);
}

/* Let what is in flight move on, without waiting.  True: there may be something to get. */
bool
hubspot_batch_drive(HubspotBatch *batch)
{
	int64		wake;

	return hubspot_calls_drive(batch->scope.calls, &wake) || !dlist_is_empty(&batch->ready);
}

/*
 * For a caller that waits for several batches at once: can nothing be got or put now?
 * Then *wake is when to look again, if nothing comes back before.
 */
bool
hubspot_batch_waits(HubspotBatch *batch, int64 *wake)
{
	return must_wait(batch) && !hubspot_calls_drive(batch->scope.calls, wake);
}

/* Has all been put, and got? */
bool
hubspot_batch_is_over(const HubspotBatch *batch)
{
	return batch->intake.nchunks == 0 && batch->intake.finished;
}

/* Wait until something has come back, for this batch or for another one. */
void
hubspot_batch_wait_for_any(HubspotBatch *batch, int64 until)
{
	hubspot_calls_wait_for_any(batch->scope.calls, until);
}

/* Get a row's outcome, valid until the next get.  False: there is none without waiting. */
bool
hubspot_batch_get(HubspotBatch *batch, HubspotOutcome *outcome)
{
	while (get_outcome(batch, outcome))
	{
		if (outcome->name)
			hubspot_namer_name(outcome);
		if (batch->intake.resolver == NULL)
			return true;
		if (hubspot_intake_again(&batch->intake, outcome, &batch->counts.failed))
			continue;
		hubspot_resolver_name(batch->intake.resolver, outcome,
							  outcome->association == NULL);
		if (!outcome->ended || outcome->error || batch->intake.tells_ends)
			return true;
	}
	return false;
}

/* Likewise, as the chunks have the row: without names, and it may be put again. */
static bool
get_outcome(HubspotBatch *batch, HubspotOutcome *outcome)
{
	for (;;)
	{
		HubspotCall *call;

		if (batch->partly && hubspot_chunk_next_row(batch->partly, outcome))
			return true;
		batch->partly = NULL;
		if (!dlist_is_empty(&batch->ready))
		{
			HubspotChunk *chunk = dlist_head_element(HubspotChunk, node, &batch->ready);

			if (hubspot_chunk_next_row(chunk, outcome))
				return true;
			continue_records(batch, chunk);
			free_chunk(batch, chunk);
			continue;
		}
		call = hubspot_calls_next(batch->scope.calls);
		if (call == NULL)
			break;
		settle_request(batch, call);
	}
	if (batch->intake.resolver || batch->namer)
		take_lookups(batch);
	return false;
}

/* Put the records of a chunk again that have a next page. */
static void
continue_records(HubspotBatch *batch, const HubspotChunk *chunk)
{
	for (int i = 0; i < chunk->nunits; i++)
	{
		const HubspotUnit *unit = chunk->units[i];

		if (unit->error || hubspot_unit_next_page(unit).data == NULL)
			continue;
		hubspot_intake_continue(&batch->intake, unit);
		start_closed(batch);
	}
}

/* Free a chunk, with all that it holds. */
static void
free_chunk(HubspotBatch *batch, HubspotChunk *chunk)
{
	ListCell   *lc;

	dlist_delete(&chunk->node);
	if (batch->namer)
		hubspot_namer_release(batch->namer, chunk);
	foreach(lc, chunk->replies)
		hubspot_call_free(lfirst(lc));
	hubspot_intake_free(&batch->intake, chunk);
}

/* Send nothing more, since another call has met an error that all of them would meet. */
void
hubspot_batch_refuse(HubspotBatch *batch, const HubspotError *error)
{
	hubspot_batch_stop(&batch->scope, error);
}

/* Why nothing more is sent: the account was refused, or its quota is gone; or NULL. */
const HubspotError *
hubspot_batch_stopped(const HubspotBatch *batch)
{
	return batch->scope.stopped;
}

void
hubspot_batch_counts(const HubspotBatch *batch, HubspotBatchCounts *counts)
{
	*counts = batch->counts;
	counts->calls = *hubspot_calls_counts(batch->scope.calls);
	counts->in_doubt += counts->calls.inputs;
}

/*
 * Search no further for the inputs that are to blame for refusals, if that has settled some.
 * The others get an error with that reason, which hubspot_batch_is_put_off() recognizes.
 */
void
hubspot_batch_put_off(HubspotBatch *batch, const char *reason)
{
	if (batch->scope.put_off || batch->scope.nfound == 0)
		return;
	hubspot_batch_requests_put_off(&batch->scope, &batch->chunks, reason);
	go_on_with_others(batch);
}

bool
hubspot_batch_is_put_off(const HubspotBatch *batch, const HubspotError *error)
{
	return error == batch->scope.put_off;
}

/* Send all units of a closed chunk that are not settled. */
static void
start_chunk(HubspotBatch *batch, HubspotChunk *chunk)
{
	MemoryContext old = MemoryContextSwitchTo(chunk->context);
	int			nunits;
	HubspotUnit **units = hubspot_chunk_sendable(chunk, &nunits);

	if (batch->keep_labels)
		nunits = hubspot_evidence_pass_over(batch->evidence, units, nunits);
	if (batch->keep_labels && nunits > 0)
	{
		chunk->keep = hubspot_keep_create(units, nunits);
		read_labels(batch, chunk);
	}
	else
		start_units(batch, chunk, units, nunits);
	MemoryContextSwitchTo(old);
}

/* Read the labels that a chunk's pairs have; once they are known, send the pairs. */
static void
read_labels(HubspotBatch *batch, HubspotChunk *chunk)
{
	int			nrecords;
	HubspotUnit **records = hubspot_keep_unread(chunk->keep, &nrecords);
	HubspotBatchRequest like = like_others(batch, chunk);
	int			limit = hubspot_evidence_limit(batch->keep_evidence, batch->keep_limit, NULL);

	if (batch->scope.stopped)
	{
		hubspot_units_set_error(records, nrecords, batch->scope.not_sent);
		hubspot_keep_take(chunk->keep, records, nrecords, batch->intake.pairs);
		nrecords = 0;
	}
	if (nrecords == 0)
	{
		int			nunits;
		HubspotUnit **units = hubspot_keep_finish(chunk->keep, &nunits);

		chunk->keep = NULL;
		hubspot_batch_search_end(&batch->scope, chunk);
		start_units(batch, chunk, units, nunits);
	}
	for (int i = 0; i < nrecords; i += limit)
		hubspot_batch_request_start(&batch->scope, &like, records + i,
									Min(limit, nrecords - i));
	if (nrecords > 0 && hubspot_batch_requests_over(chunk))
		read_labels(batch, chunk);
}

/* Send some units of a chunk, which is ready if there are none. */
static void
start_units(HubspotBatch *batch, HubspotChunk *chunk, HubspotUnit **units,
			int nunits)
{
	HubspotBatchRequest like = like_others(batch, chunk);

	if (batch->scope.stopped)
		hubspot_units_set_error(units, nunits, batch->scope.not_sent);
	if (nunits > 0 && !batch->scope.stopped)
		hubspot_batch_request_start(&batch->scope, &like, units, nunits);
	if (hubspot_batch_requests_over(chunk))
		finish_chunk(batch, chunk);
}

/* A call has come back: settle its units, or send some of them again. */
static void
settle_request(HubspotBatch *batch, HubspotCall *call)
{
	HubspotBatchRequest *request = call->owner;
	HubspotChunk *chunk = request->chunk;
	MemoryContext old = MemoryContextSwitchTo(chunk->context);
	const HubspotError *unsent = hubspot_call_unsent(batch->scope.calls, call);

	if (unsent)
		hubspot_batch_stop(&batch->scope, unsent);
	for (int i = 0; i < request->part.nunits && call->may_have_acted; i++)
		request->part.units[i]->doubtful = true;
	if (chunk->keep)
		hubspot_batch_request_take_labels(&batch->scope, request, batch->intake.pairs);
	else
		hubspot_batch_request_settle(&batch->scope, request);
	if (call->body)
		pfree(unconstify(char *, call->body));

	/* the units of records that are read point into the replies */
	if (request->endpoint->input_shape == HUBSPOT_INPUT_RECORD && !chunk->keep &&
		call->reply && hubspot_reply_is_success(call->reply))
		chunk->replies = lappend(chunk->replies, call);
	else
		hubspot_call_free(call);

	chunk->nrequests--;
	go_on(batch, chunk);
	MemoryContextSwitchTo(old);
}

/* Go on with a chunk after an answer, and with those that wait for what its search finds out. */
static void
go_on(HubspotBatch *batch, HubspotChunk *chunk)
{
	if (!finish_requests(batch, chunk))
		give_settled(batch, chunk);
	go_on_with_others(batch);
}

/* Go on with the chunks that have waited, and have nothing in flight. */
static void
go_on_with_others(HubspotBatch *batch)
{
	bool		again;

	do
	{
		dlist_iter	iter;

		again = false;
		dlist_foreach(iter, &batch->chunks)
		{
			HubspotChunk *other;

			if (batch->scope.nsearches == 0)
				return;
			other = dlist_container(HubspotChunk, node, iter.cur);
			if (other->search && other->nrequests == 0 &&
				finish_requests(batch, other))
			{
				/* the list has changed */
				again = true;
				break;
			}
		}
	} while (again);
}

/*
 * Send what is to be sent of a chunk now.  True: nothing was left, and the chunk has gone
 * on to its next stage.
 */
static bool
finish_requests(HubspotBatch *batch, HubspotChunk *chunk)
{
	HubspotBatchRequest like = like_others(batch, chunk);
	MemoryContext old;

	if (chunk->search)
		hubspot_batch_requests_start(&batch->scope, &like);
	if (!hubspot_batch_requests_over(chunk))
		return false;

	/* the answer that has led here may be another chunk's */
	old = MemoryContextSwitchTo(chunk->context);
	if (chunk->keep)
		read_labels(batch, chunk);
	else
		finish_chunk(batch, chunk);
	MemoryContextSwitchTo(old);
	return true;
}

/* What the requests of a chunk have in common: those that read labels, or the others. */
static HubspotBatchRequest
like_others(HubspotBatch *batch, HubspotChunk *chunk)
{
	HubspotBatchRequest like = {.chunk = chunk,.endpoint = batch->endpoint,
	.pairs = batch->intake.pairs,.evidence = batch->evidence};

	if (chunk->keep)
	{
		like.endpoint = hubspot_endpoint(HUBSPOT_BATCH_READ);
		like.pairs = hubspot_keep_pairs(chunk->keep);
		like.evidence = batch->keep_evidence;
	}
	return like;
}

/*
 * Let the settled rows of a chunk be got.  Records that are read wait for the others of
 * their chunk, since their next pages go together.
 */
static void
give_settled(HubspotBatch *batch, HubspotChunk *chunk)
{
	if (chunk->search == NULL || chunk->keep || chunk->shape == HUBSPOT_INPUT_RECORD)
		return;
	hubspot_chunk_count(chunk, &batch->tally, &batch->counts.confirmed,
						&batch->counts.failed, &batch->counts.in_doubt);
	batch->partly = chunk;
}

/* Look up the names of the records that a chunk has read, before it is ready. */
static void
name_chunk(HubspotBatch *batch, HubspotChunk *chunk)
{
	MemoryContext old = MemoryContextSwitchTo(chunk->context);

	hubspot_namer_add(batch->namer, chunk);
	MemoryContextSwitchTo(old);
	dlist_push_tail(hubspot_namer_is_done(batch->namer, chunk) ?
					&batch->ready : &batch->naming, &chunk->node);
}

/* All of a chunk's units are settled. */
static void
finish_chunk(HubspotBatch *batch, HubspotChunk *chunk)
{
	ListCell   *lc;

	dlist_delete(&chunk->node);
	if (batch->namer)
		name_chunk(batch, chunk);
	else
		dlist_push_tail(&batch->ready, &chunk->node);
	hubspot_batch_search_end(&batch->scope, chunk);
	if (batch->partly == chunk)
		batch->partly = NULL;
	if (batch->evidence->larger == chunk)
		batch->evidence->larger = NULL;
	hubspot_pairs_remove(batch->intake.pairs, chunk->units, chunk->nunits);

	/*
	 * count now, since the caller may end the statement with the first
	 * failure that it gets
	 */
	hubspot_chunk_count(chunk, &batch->tally, &batch->counts.confirmed,
						&batch->counts.failed, &batch->counts.in_doubt);
	foreach(lc, chunk->followers)
	{
		HubspotChunk *follower = lfirst(lc);

		if (--follower->nwaits_for == 0 && follower->complete)
			start_chunk(batch, follower);
	}
}
