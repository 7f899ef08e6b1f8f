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
 * Every row that was put comes back from get exactly once, whatever happens
 * on the way.  Outcomes come in the order in which requests are settled.
 *
 * Inputs are cut into chunks of as many pairs as a request may hold:
 *
 *		open --> waiting, in flight --> ready --> gone
 *
 * A chunk is sent as one request.  If that is refused because of some of its
 * inputs, requests with the others follow (match.c says which); the chunk is
 * ready when all of its pairs are settled.  Rows of a pair that is already in
 * the open chunk are merged into it, and the chunk stays open until a pair
 * comes that it has no room for, so that rows of a pair which follow each
 * other are never sent apart.
 *
 * Where types are given, HubSpot replaces the labels of a pair.  So a chunk
 * with a pair that an earlier one has, too, waits for that one: the later row
 * wins, not the faster request.
 *
 * A chunk has a memory context of its own for its inputs, requests and
 * results.  There are at most two chunks more than may be in flight (one
 * being filled, and one that goes as soon as there is a place), so memory
 * doesn't grow with the number of inputs.  (There may be some more, and smaller
 * ones, if inputs cannot go together.)
 *
 * IDENTIFICATION
 *	  src/batch.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "batch.h"
#include "call.h"
#include "match.h"
#include "request.h"
#include "response.h"

/* Chunks beyond those in flight; see above. */
#define SPARE_CHUNKS	2

/*
 * Rows of pairs that were put before cost memory if they don't follow each
 * other; a chunk takes no more of them than this many times its pairs.
 */
#define ROWS_PER_PAIR	16

/*
 * Ids have some ten digits.  Those that are too long to be sent must not make
 * a chunk grow without a bound either.
 */
#define MAX_CHUNK_BYTES	(1024 * 1024)

/* So many inputs may be put without asking again whether there is room. */
#define MAX_ROOM		256

/* From so many units on, it pays to use a chunk's memory again. */
#define LARGE_CHUNK		500

/* What a unit takes of it, about, with its ids. */
#define UNIT_SPACE		256

/* Units that a chunk has room for at first, if the one before was small. */
#define FIRST_UNITS		16

typedef struct Chunk
{
	dlist_node	node;			/* in the batch's chunks or ready */
	MemoryContext context;
	HubspotUnit **units;
	int			nunits;
	int			maxunits;		/* that there is room for, so far */
	int			nsendable;		/* of these, not settled when put */
	Size		bytes;			/* of the ids */
	int			nrows;			/* entries of more_rows, of all units */
	const HubspotTypeList *last_types;	/* of the last unit, to be shared */
	int			nrequests;		/* that are not settled */
	int			nwaits_for;		/* earlier chunks with a pair of ours */
	List	   *followers;		/* chunks that wait for this one */

	/* the next row to get */
	int			unit_position;
	int			rows_position;
	int64		row_position;
} Chunk;

typedef struct Request
{
	HubspotCall call;			/* owner is the request */
	Chunk	   *chunk;
	HubspotUnit **units;
	int			nunits;
} Request;

struct HubspotBatch
{
	MemoryContext context;
	const HubspotConnection *connection;
	const HubspotEndpoint *endpoint;
	const char *from_type;
	const char *to_type;
	bool		symmetric;		/* both sides have one object type */
	int			limit;			/* pairs of a chunk */
	HubspotCalls *calls;
	HubspotPairs *pairs;		/* of all units that are to be sent */
	Chunk	   *open;			/* or NULL */
	int			last_nunits;	/* of the last chunk that was closed */
	MemoryContext spare_context;	/* of a chunk that is gone, or NULL */
	dlist_head	chunks;			/* neither open nor ready */
	dlist_head	ready;
	int			nchunks;		/* all that are not gone */
	bool		finished;
	const HubspotError *stopped;	/* why nothing more is sent, or NULL */
	const HubspotError *not_sent;	/* the error of what isn't */
	HubspotBatchCounts counts;
};

static char *types_problem(const HubspotBatch *batch,
						   const HubspotInput *input,
						   const HubspotUnit *chain);
static bool find_place(const HubspotBatch *batch, const HubspotInput *input,
					   HubspotUnit *chain, HubspotUnit **unit);
static MemoryContext chunk_context(HubspotBatch *batch);
static void open_chunk(HubspotBatch *batch);
static void close_chunk(HubspotBatch *batch);
static HubspotUnit *add_unit(Chunk *chunk, const HubspotInput *input,
							 int64 input_no);
static HubspotSlice copy_id(HubspotSlice id, char *place);
static const HubspotTypeList *share_types(Chunk *chunk,
										  const HubspotTypeList *types);
static void follow_older(HubspotBatch *batch, const HubspotUnit *unit);
static void start_chunk(HubspotBatch *batch, Chunk *chunk);
static void start_request(HubspotBatch *batch, Chunk *chunk,
						  HubspotUnit **units, int nunits);
static const char *request_path(const HubspotBatch *batch,
								const HubspotInput *first);
static void encode_body(const HubspotBatch *batch, Request *request);
static void settle_request(HubspotBatch *batch, HubspotCall *call);
static void match_reply(HubspotBatch *batch, Request *request);
static void finish_chunk(HubspotBatch *batch, Chunk *chunk);
static void stop(HubspotBatch *batch, const HubspotError *error);
static void set_not_sent(HubspotBatch *batch, HubspotUnit **units, int nunits);
static void give_context(HubspotBatch *batch, Chunk *chunk);
static bool next_row(Chunk *chunk, HubspotOutcome *outcome);

/*
 * Begin a batch in the current memory context; deleting that ends it, and
 * whatever it has in flight.  The object types must live as long.
 */
HubspotBatch *
hubspot_batch_create(const HubspotConnection *connection,
					 HubspotOperation operation,
					 const char *from_type, const char *to_type)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc batch",
												  ALLOCSET_DEFAULT_SIZES);
	HubspotBatch *batch = MemoryContextAllocZero(context, sizeof(HubspotBatch));
	int			batch_size = connection->options->batch_size;

	batch->context = context;
	batch->connection = connection;
	batch->endpoint = hubspot_endpoint(operation);
	batch->from_type = from_type;
	batch->to_type = to_type;
	batch->symmetric = (pg_strcasecmp(from_type, to_type) == 0);
	batch->limit = Max(batch->endpoint->batch_limit, 1);
	if (batch_size > 0)
		batch->limit = Min(batch->limit, batch_size);
	batch->calls = hubspot_calls_create(context, connection);
	batch->pairs = hubspot_pairs_create(context);
	dlist_init(&batch->chunks);
	dlist_init(&batch->ready);
	return batch;
}

/*
 * How many inputs may be put before this is asked again; 0: none before the
 * next wait.
 */
int
hubspot_batch_room(const HubspotBatch *batch)
{
	int			max_chunks = batch->connection->options->concurrency + SPARE_CHUNKS;
	int			room = batch->limit;

	/* inputs that could not go together may have made more than these */
	if (batch->finished || batch->nchunks > max_chunks)
		return 0;
	if (batch->open && batch->open->nunits < batch->limit)
		room -= batch->open->nunits;
	else if (batch->nchunks == max_chunks)
		return 0;

	/* if chunks were closed early, each input may make another one */
	if (batch->last_nunits > 0)
		room = Min(room, batch->last_nunits);
	return Min(room, MAX_ROOM);
}

/*
 * Put an input, which is copied.  If it has a problem, it is not sent, and its
 * outcome is the error INVALID_INPUT with that text.
 */
void
hubspot_batch_put(HubspotBatch *batch, const HubspotInput *input,
				  const char *problem)
{
	int64		input_no = ++batch->counts.read;
	HubspotUnit *chain = NULL;
	HubspotUnit *unit = NULL;
	uint32		hash = 0;
	MemoryContext old;

	Assert(hubspot_batch_room(batch) > 0);
	if (problem == NULL)
	{
		hash = hubspot_pair_hash(input);
		chain = hubspot_pairs_chain(batch->pairs, input, hash);
		problem = types_problem(batch, input, chain);
	}
	if (batch->open && !find_place(batch, input, problem ? NULL : chain, &unit))
	{
		close_chunk(batch);
		unit = NULL;
	}
	if (batch->open == NULL)
		open_chunk(batch);

	old = MemoryContextSwitchTo(batch->open->context);
	if (unit)
	{
		unit->input.types = hubspot_merge_types(unit->input.types, input->types);
		if (hubspot_unit_add_row(unit, input_no))
			batch->open->nrows++;
	}
	else
	{
		unit = add_unit(batch->open, input, input_no);
		if (problem)
			unit->error = hubspot_make_error(ERRCODE_INVALID_PARAMETER_VALUE,
											 HUBSPOT_INVALID_INPUT,
											 pstrdup(problem));
		else
		{
			unit->hash = hash;
			hubspot_pairs_add(batch->pairs, unit);
			batch->open->nsendable++;
			if (batch->endpoint->takes_types && unit->older)
				follow_older(batch, unit);
		}
	}
	MemoryContextSwitchTo(old);
}

/*
 * What is wrong with one more row of a pair that the open chunk has, palloc'd,
 * or NULL: a pair's types are not added up without a bound.
 */
static char *
types_problem(const HubspotBatch *batch, const HubspotInput *input,
			  const HubspotUnit *chain)
{
	for (; chain && chain->chunk == batch->open; chain = chain->older)
	{
		if (hubspot_same_pair(&chain->input, input) && input->types &&
			chain->input.types->ntypes + input->types->ntypes > HUBSPOT_MAX_TYPES &&
			!hubspot_has_types(chain->input.types, input->types))
			return psprintf("with the rows before it, the pair has more than %d types",
							HUBSPOT_MAX_TYPES);
	}
	return NULL;
}

/* There are no more inputs. */
void
hubspot_batch_finish(HubspotBatch *batch)
{
	batch->finished = true;
	if (batch->open)
		close_chunk(batch);
}

/*
 * Wait until there is something to get, or room to put, or the time is until.
 * False: all is done.
 */
bool
hubspot_batch_wait(HubspotBatch *batch, int64 until)
{
	if (batch->nchunks == 0)
		return !batch->finished;
	if (!dlist_is_empty(&batch->ready) || hubspot_batch_room(batch) > 0)
		return true;
	(void) hubspot_calls_wait(batch->calls, until);
	return true;
}

/*
 * Let what is in flight move on, without waiting.  For a source that takes its
 * time between two inputs.
 */
void
hubspot_batch_drive(HubspotBatch *batch)
{
	hubspot_calls_drive(batch->calls);
}

/*
 * Get the outcome of a row, which is valid until the next get.  False: there
 * is none without waiting.
 */
bool
hubspot_batch_get(HubspotBatch *batch, HubspotOutcome *outcome)
{
	for (;;)
	{
		HubspotCall *call;

		if (!dlist_is_empty(&batch->ready))
		{
			Chunk	   *chunk = dlist_head_element(Chunk, node, &batch->ready);

			if (next_row(chunk, outcome))
			{
				if (outcome->error)
					batch->counts.failed++;
				else
					batch->counts.confirmed++;
				return true;
			}
			dlist_delete(&chunk->node);
			give_context(batch, chunk);
			batch->nchunks--;
			continue;
		}
		call = hubspot_calls_next(batch->calls);
		if (call == NULL)
			return false;
		settle_request(batch, call);
	}
}

/* Free a chunk; its context may serve another one. */
static void
give_context(HubspotBatch *batch, Chunk *chunk)
{
	MemoryContext context = chunk->context;

	if (batch->spare_context == NULL && chunk->nunits >= LARGE_CHUNK)
	{
		MemoryContextReset(context);
		batch->spare_context = context;
	}
	else
		MemoryContextDelete(context);
}

/* Why nothing more is sent: the account was refused, or its quota is gone. */
const HubspotError *
hubspot_batch_stopped(const HubspotBatch *batch)
{
	return batch->stopped;
}

void
hubspot_batch_counts(const HubspotBatch *batch, HubspotBatchCounts *counts)
{
	const HubspotCallCounts *calls = hubspot_calls_counts(batch->calls);

	*counts = batch->counts;
	counts->requests = calls->requests;
	counts->retries = calls->retries;
	counts->rate_limited = calls->rate_limited;
}

/*
 * Is there a place for an input in the open chunk?  *unit is the one to merge
 * it into, if its pair is there.  The reverse of a pair that the chunk has
 * must wait for another one: the answer to the one could be taken for an
 * answer to the other.
 */
static bool
find_place(const HubspotBatch *batch, const HubspotInput *input,
		   HubspotUnit *chain, HubspotUnit **unit)
{
	const Chunk *chunk = batch->open;

	for (; chain && chain->chunk == chunk; chain = chain->older)
	{
		if (hubspot_same_pair(&chain->input, input))
		{
			*unit = chain;
			return chunk->nrows < batch->limit * ROWS_PER_PAIR ||
				hubspot_unit_is_next_row(chain, batch->counts.read);
		}
		if (!batch->symmetric)
			return false;
	}
	return chunk->nunits < batch->limit && chunk->bytes < MAX_CHUNK_BYTES;
}

/*
 * A memory context for a chunk.  Those of full batches keep a block that holds
 * a chunk's units when they are reset, and are used again.
 */
static MemoryContext
chunk_context(HubspotBatch *batch)
{
	MemoryContext context = batch->spare_context;

	if (context)
	{
		batch->spare_context = NULL;
		return context;
	}
	if (batch->last_nunits < LARGE_CHUNK)
		return AllocSetContextCreate(batch->context, "hubspot_assoc chunk",
									 ALLOCSET_DEFAULT_SIZES);
	return AllocSetContextCreate(batch->context, "hubspot_assoc chunk",
								 batch->last_nunits * UNIT_SPACE,
								 ALLOCSET_DEFAULT_INITSIZE,
								 ALLOCSET_DEFAULT_MAXSIZE);
}

static void
open_chunk(HubspotBatch *batch)
{
	MemoryContext context = chunk_context(batch);
	Chunk	   *chunk = MemoryContextAllocZero(context, sizeof(Chunk));

	chunk->context = context;
	chunk->maxunits = Min(Max(batch->last_nunits, FIRST_UNITS), batch->limit);
	chunk->units = MemoryContextAlloc(context,
									  sizeof(HubspotUnit *) * chunk->maxunits);
	batch->open = chunk;
	batch->nchunks++;
}

/* No more units: send the chunk, or let it wait for those it follows. */
static void
close_chunk(HubspotBatch *batch)
{
	Chunk	   *chunk = batch->open;

	batch->open = NULL;
	batch->last_nunits = chunk->nunits;
	dlist_push_tail(&batch->chunks, &chunk->node);
	if (chunk->nwaits_for == 0)
		start_chunk(batch, chunk);
}

static HubspotUnit *
add_unit(Chunk *chunk, const HubspotInput *input, int64 input_no)
{
	HubspotUnit *unit;
	char	   *ids;

	if (chunk->nunits == chunk->maxunits)
	{
		chunk->maxunits *= 2;
		chunk->units = repalloc(chunk->units,
								sizeof(HubspotUnit *) * chunk->maxunits);
	}
	unit = palloc(sizeof(HubspotUnit) + input->from_id.len + input->to_id.len);
	memset(unit, 0, sizeof(HubspotUnit));
	ids = (char *) (unit + 1);
	unit->input.from_id = copy_id(input->from_id, ids);
	unit->input.to_id = copy_id(input->to_id, ids + input->from_id.len);
	unit->input.types = share_types(chunk, input->types);
	unit->chunk = chunk;
	unit->rows.first = input_no;
	unit->rows.count = 1;
	chunk->units[chunk->nunits++] = unit;
	chunk->bytes += input->from_id.len + input->to_id.len;
	return unit;
}

static HubspotSlice
copy_id(HubspotSlice id, char *place)
{
	if (id.data)
		id.data = memcpy(place, id.data, id.len);
	return id;
}

/* A copy of the types, or the last unit's if they are the same. */
static const HubspotTypeList *
share_types(Chunk *chunk, const HubspotTypeList *types)
{
	if (types == NULL)
		return NULL;
	if (chunk->last_types == NULL ||
		!hubspot_has_types(chunk->last_types, types) ||
		!hubspot_has_types(types, chunk->last_types))
		chunk->last_types = hubspot_merge_types(NULL, types);
	return chunk->last_types;
}

/*
 * Let the open chunk wait for the last one before it that has the unit's pair,
 * which waits for those before it.
 */
static void
follow_older(HubspotBatch *batch, const HubspotUnit *unit)
{
	const HubspotUnit *older = unit->older;
	Chunk	   *earlier;
	MemoryContext old;

	while (older && (older->chunk == batch->open ||
					 !(batch->symmetric ||
					   hubspot_same_pair(&older->input, &unit->input))))
		older = older->older;
	if (older == NULL)
		return;
	earlier = older->chunk;
	if (earlier->followers != NIL && llast(earlier->followers) == batch->open)
		return;
	old = MemoryContextSwitchTo(earlier->context);
	earlier->followers = lappend(earlier->followers, batch->open);
	MemoryContextSwitchTo(old);
	batch->open->nwaits_for++;
}

/* Send all units of a closed chunk that are not settled. */
static void
start_chunk(HubspotBatch *batch, Chunk *chunk)
{
	MemoryContext old = MemoryContextSwitchTo(chunk->context);
	HubspotUnit **units = palloc(sizeof(HubspotUnit *) * Max(chunk->nsendable, 1));
	int			nunits = 0;

	for (int i = 0; i < chunk->nunits; i++)
	{
		if (!hubspot_unit_is_settled(chunk->units[i]))
			units[nunits++] = chunk->units[i];
	}
	if (batch->stopped)
	{
		set_not_sent(batch, units, nunits);
		nunits = 0;
	}
	if (nunits > 0)
		start_request(batch, chunk, units, nunits);
	else
		finish_chunk(batch, chunk);
	MemoryContextSwitchTo(old);
}

static void
start_request(HubspotBatch *batch, Chunk *chunk, HubspotUnit **units, int nunits)
{
	MemoryContext old = MemoryContextSwitchTo(chunk->context);
	Request    *request = palloc0(sizeof(Request));

	request->chunk = chunk;
	request->units = units;
	request->nunits = nunits;
	for (int i = 0; i < nunits; i++)
		units[i]->sent_with = request;
	request->call.method = batch->endpoint->method;
	request->call.path = request_path(batch, &units[0]->input);
	request->call.repeatable = batch->endpoint->repeatable;
	request->call.owner = request;
	encode_body(batch, request);
	chunk->nrequests++;
	hubspot_calls_start(batch->calls, &request->call);
	MemoryContextSwitchTo(old);
}

/* The ids of a single pair stand in the path, those of a batch in the body. */
static const char *
request_path(const HubspotBatch *batch, const HubspotInput *first)
{
	const char *version = batch->connection->options->api_version;
	const char *arguments[4] = {batch->from_type, batch->to_type};
	StringInfoData path;

	if (batch->endpoint->batch_limit == 0)
	{
		arguments[1] = pnstrdup(first->from_id.data, first->from_id.len);
		arguments[2] = batch->to_type;
		arguments[3] = pnstrdup(first->to_id.data, first->to_id.len);
	}
	initStringInfo(&path);
	hubspot_append_path(&path, batch->endpoint, version, arguments);
	return path.data;
}

static void
encode_body(const HubspotBatch *batch, Request *request)
{
	HubspotEncoder encoder;

	if (batch->endpoint->batch_limit == 0)
	{
		if (!batch->endpoint->takes_types)
			return;
		initStringInfo(&encoder.body);
		hubspot_encode_types(&encoder.body, request->units[0]->input.types);
	}
	else
	{
		hubspot_encode_begin(&encoder, request->nunits);
		for (int i = 0; i < request->nunits; i++)
			hubspot_encode_input(&encoder, &request->units[i]->input);
		hubspot_encode_end(&encoder);
	}
	request->call.body = encoder.body.data;
	request->call.body_len = encoder.body.len;
}

/* A call has come back: settle its units, or send some of them again. */
static void
settle_request(HubspotBatch *batch, HubspotCall *call)
{
	Request    *request = call->owner;
	Chunk	   *chunk = request->chunk;
	MemoryContext old = MemoryContextSwitchTo(chunk->context);

	if (call->attempts == 0)
		set_not_sent(batch, request->units, request->nunits);
	else
		match_reply(batch, request);
	hubspot_call_free(call);
	if (call->body)
		pfree(unconstify(char *, call->body));

	if (--chunk->nrequests == 0)
		finish_chunk(batch, chunk);
	MemoryContextSwitchTo(old);
}

static void
match_reply(HubspotBatch *batch, Request *request)
{
	HubspotMatch match;
	int			split;
	int			nunsettled = 0;

	match.units = request->units;
	match.nunits = request->nunits;
	match.pairs = batch->pairs;
	match.sent_with = request;
	match.from_type = batch->from_type;
	match.to_type = batch->to_type;
	match.shape = batch->endpoint->reply_shape;
	match.many = batch->endpoint->batch_limit > 0;
	split = hubspot_match_reply(&match, request->call.reply,
								request->call.attempts);

	/* the unsettled ones come first */
	while (nunsettled < request->nunits &&
		   !hubspot_unit_is_settled(request->units[nunsettled]))
		nunsettled++;
	if (nunsettled == 0 && batch->stopped == NULL &&
		request->units[0]->error &&
		request->units[0]->error->ends_sending)
		stop(batch, request->units[0]->error);

	if (split > 0)
		start_request(batch, request->chunk, request->units, split);
	if (nunsettled > split)
		start_request(batch, request->chunk, request->units + split,
					  nunsettled - split);
}

/* All of a chunk's units are settled. */
static void
finish_chunk(HubspotBatch *batch, Chunk *chunk)
{
	ListCell   *lc;

	dlist_delete(&chunk->node);
	dlist_push_tail(&batch->ready, &chunk->node);
	for (int i = 0; i < chunk->nunits; i++)
	{
		if (chunk->units[i]->listed)
			hubspot_pairs_remove(batch->pairs, chunk->units[i]);
	}
	foreach(lc, chunk->followers)
	{
		Chunk	   *follower = lfirst(lc);

		if (--follower->nwaits_for == 0 && follower != batch->open)
			start_chunk(batch, follower);
	}
}

/* Send nothing more, because of an error that all of it would meet. */
static void
stop(HubspotBatch *batch, const HubspotError *error)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	HubspotError *copy = hubspot_make_error(error->sqlstate,
											pstrdup(error->category),
											pstrdup(error->message));

	copy->http_status = error->http_status;
	batch->stopped = copy;
	batch->not_sent = hubspot_make_error(error->sqlstate, HUBSPOT_NOT_SENT,
										 psprintf("not sent after HubSpot refused the account's requests: %s",
												  error->message));
	MemoryContextSwitchTo(old);
}

static void
set_not_sent(HubspotBatch *batch, HubspotUnit **units, int nunits)
{
	for (int i = 0; i < nunits; i++)
		units[i]->error = batch->not_sent;
}

/* The next row of a ready chunk, or false if there are no more. */
static bool
next_row(Chunk *chunk, HubspotOutcome *outcome)
{
	const HubspotUnit *unit;
	const HubspotRows *rows;

	if (chunk->unit_position == chunk->nunits)
		return false;
	unit = chunk->units[chunk->unit_position];
	rows = chunk->rows_position == 0 ? &unit->rows :
		&unit->more_rows[chunk->rows_position - 1];

	Assert(hubspot_unit_is_settled(unit));
	outcome->input_no = rows->first + chunk->row_position;
	outcome->from_id = unit->input.from_id;
	outcome->to_id = unit->input.to_id;
	outcome->error = unit->error;
	outcome->http_status = unit->http_status;
	outcome->correlation_id = unit->correlation_id;
	outcome->types = unit->types;
	outcome->labels = unit->labels;

	if (++chunk->row_position == rows->count)
	{
		chunk->row_position = 0;
		if (++chunk->rows_position > unit->nmore_rows)
		{
			chunk->rows_position = 0;
			chunk->unit_position++;
		}
	}
	return true;
}
