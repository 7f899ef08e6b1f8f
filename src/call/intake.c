/*-------------------------------------------------------------------------
 *
 * intake.c
 *	  Inputs into chunks: which one takes an input, and when it is closed.
 *
 * Rows of a pair that is already in the open chunk are merged into it, and the
 * chunk stays open until a pair comes that it has no room for, so that rows of
 * a pair which follow each other are never sent apart.
 *
 * Where no pair may go with its reverse, a second chunk is open beside the first, and
 * takes only reverses of its pairs.  So it never has more than the first, never makes that
 * wait, and goes after it; any number of rows (a, b) and (b, a) in turn make two requests,
 * not one each.  If it has few units when the first is full, it becomes the open one and
 * takes what comes, rather than cost a request of its own.
 *
 * Where records are called by keys, inputs wait for these (resolver.c) before they go
 * into chunks.
 *
 * IDENTIFICATION
 *	  src/call/intake.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "api/association_type.h"
#include "api/error.h"
#include "call/intake.h"

/* The most inputs that may be put before asking again whether there is room. */
#define MAX_ROOM		256

/* Units that a chunk has room for at first, if the one before was small. */
#define FIRST_UNITS		16

static int	chunk_room(const HubspotIntake *intake);
static void finish(HubspotIntake *intake);
static void put_input(HubspotIntake *intake, const HubspotInput *input,
					  const HubspotError *error);
static void put_done(HubspotIntake *intake, const HubspotInput *input);
static HubspotChunk *place_input(HubspotIntake *intake, const HubspotInput *input,
								 HubspotUnit *chain, HubspotUnit **unit);
static HubspotUnit *add_unit(HubspotIntake *intake, HubspotChunk *chunk,
							 const HubspotInput *input, const HubspotError *error,
							 char *problem);
static void open_chunk(HubspotIntake *intake);
static HubspotChunk *create_chunk(HubspotIntake *intake);
static void close_chunk(HubspotIntake *intake);

/*
 * Begin an intake in a memory context, of which the chunks' contexts are children.  A
 * request holds at most limit inputs, or as many as the evidence of such requests allows.
 */
void
hubspot_intake_begin(HubspotIntake *intake, MemoryContext context,
					 const HubspotEndpoint *endpoint, int limit,
					 HubspotEvidence *evidence)
{
	memset(intake, 0, sizeof(HubspotIntake));
	intake->endpoint = endpoint;
	intake->limit = intake->max_limit = limit;
	intake->evidence = evidence;
	intake->pairs = hubspot_pairs_create(context);
	intake->memory.parent = context;
	dlist_init(&intake->closed);
}

/* How many inputs may be put before this is asked again; 0: none before the next wait. */
int
hubspot_intake_room(const HubspotIntake *intake)
{
	if (intake->ended)
		return 0;
	return intake->resolver ? hubspot_resolver_room(intake->resolver) : chunk_room(intake);
}

/* How many inputs may go into chunks; 0: none before some chunks are gone. */
static int
chunk_room(const HubspotIntake *intake)
{
	int			room = intake->limit;

	/* inputs that could not go together may have made more chunks than that */
	if (intake->nchunks > intake->max_chunks)
		return 0;
	if (intake->open && intake->open->ninputs < intake->limit)
		room -= intake->open->ninputs;
	else if (intake->nchunks == intake->max_chunks)
		return 0;

	/* if chunks were closed early, each input may make another one */
	if (intake->last_nunits > 0)
		room = Min(room, intake->last_nunits);
	return Min(room, MAX_ROOM);
}

/* Put an input, which is copied, and so is its error, if it has one. */
void
hubspot_intake_put(HubspotIntake *intake, const HubspotInput *input,
				   const HubspotError *error)
{
	Assert(!intake->ended);
	if (intake->resolver == NULL)
	{
		put_input(intake, input, error);
		return;
	}
	hubspot_resolver_put(intake->resolver, input, error);
	hubspot_intake_take_resolved(intake);
}

/* Put the inputs whose records are known by now into chunks, as far as there is room. */
void
hubspot_intake_take_resolved(HubspotIntake *intake)
{
	int			room = intake->finished ? 0 : chunk_room(intake);

	if (intake->ended)
		(void) hubspot_resolver_catch_up(intake->resolver);
	while (room > 0)
	{
		HubspotInput input;
		const HubspotError *error;

		switch (hubspot_resolver_next(intake->resolver, &input, &error))
		{
			case HUBSPOT_RESOLVED_NONE:
				if (intake->ended && hubspot_resolver_is_empty(intake->resolver))
					finish(intake);
				return;
			case HUBSPOT_RESOLVED_DONE:
				put_done(intake, &input);
				break;
			case HUBSPOT_RESOLVED_SEND:
			case HUBSPOT_RESOLVED_REFUSE:
				put_input(intake, &input, error);
				break;
		}
		if (--room == 0)
			room = chunk_room(intake);
	}
}

/* No more inputs will be put. */
void
hubspot_intake_finish(HubspotIntake *intake)
{
	intake->ended = true;
	if (intake->resolver)
		hubspot_intake_take_resolved(intake);
	else
		finish(intake);
}

/* No more inputs go into chunks. */
static void
finish(HubspotIntake *intake)
{
	intake->finished = true;
	hubspot_intake_close(intake);
}

static void
put_input(HubspotIntake *intake, const HubspotInput *input, const HubspotError *error)
{
	HubspotUnit *chain = NULL;
	HubspotUnit *unit;
	HubspotChunk *chunk;
	char	   *problem = NULL;
	uint32		hash = 0;
	MemoryContext old;

	if (error == NULL && !hubspot_pairs_ascend(intake->pairs, input))
	{
		hash = hubspot_pair_hash(input);
		chain = hubspot_pairs_chain(intake->pairs, input, hash);
		if (chain && intake->open)
			problem = hubspot_chunk_types_problem(intake->open, input, chain);
	}
	chunk = place_input(intake, input, error || problem ? NULL : chain, &unit);

	old = MemoryContextSwitchTo(chunk->context);
	if (unit)
	{
		unit->input.types = hubspot_merge_types(unit->input.types, input->types);
		chunk->nasked++;
		if (hubspot_unit_add_row(unit, input->no))
			chunk->nrows++;
	}
	else
	{
		unit = add_unit(intake, chunk, input, error, problem);
		if (unit->error == NULL)
		{
			unit->hash = hash;
			hubspot_pairs_add(intake->pairs, unit);
			if (intake->endpoint->input_shape == HUBSPOT_INPUT_TYPED_PAIR &&
				unit->older)
				hubspot_chunk_follow(chunk, unit, intake->follows_reverses);
		}
	}
	MemoryContextSwitchTo(old);
}

/* Put an input for which nothing has to be done: it is confirmed. */
static void
put_done(HubspotIntake *intake, const HubspotInput *input)
{
	HubspotUnit *unit;
	HubspotChunk *chunk = place_input(intake, input, NULL, &unit);
	MemoryContext old = MemoryContextSwitchTo(chunk->context);

	unit = hubspot_chunk_add(chunk, input, false);
	unit->confirmed = true;
	MemoryContextSwitchTo(old);
}

/* The chunk that an input goes into, as part of *unit if that is not NULL. */
static HubspotChunk *
place_input(HubspotIntake *intake, const HubspotInput *input,
			HubspotUnit *chain, HubspotUnit **unit)
{
	*unit = NULL;
	while (intake->open)
	{
		HubspotChunk *open = intake->open;

		switch (hubspot_chunk_find_place(open, input, chain, intake->limit,
										 intake->parts_reverses, unit))
		{
			case HUBSPOT_PLACE_CHUNK:
				return open;
			case HUBSPOT_PLACE_REVERSES:
				if (open->reverses == NULL)
					open->reverses = create_chunk(intake);
				return open->reverses;
			case HUBSPOT_PLACE_UNIT:
				return (*unit)->chunk;
			case HUBSPOT_PLACE_NONE:
				*unit = NULL;
				close_chunk(intake);
		}
	}
	open_chunk(intake);
	return intake->open;
}

static HubspotUnit *
add_unit(HubspotIntake *intake, HubspotChunk *chunk, const HubspotInput *input,
		 const HubspotError *error, char *problem)
{
	HubspotUnit *unit = hubspot_chunk_add(chunk, input, !error && !problem);

	if (error)
	{
		unit->error = hubspot_share_error(&chunk->last_error, error);
		unit->http_status = error->http_status;
		unit->correlation_id = unit->error->correlation_id;
	}
	else if (problem)
		unit->error = hubspot_make_error(HUBSPOT_VERDICT_INVALID,
										 ERRCODE_INVALID_PARAMETER_VALUE, problem);
	return unit;
}

/*
 * Is an outcome not that of its row yet, because the row is put once more?  Then the row
 * has not failed.  See hubspot_resolver_again().
 */
bool
hubspot_intake_again(HubspotIntake *intake, const HubspotOutcome *outcome, int64 *failed)
{
	if (!hubspot_resolver_again(intake->resolver, outcome))
		return false;
	*failed -= (outcome->error != NULL);
	intake->finished = false;
	return true;
}

/* Put a record again, for its next page. */
void
hubspot_intake_continue(HubspotIntake *intake, const HubspotUnit *unit)
{
	uint32		hash = hubspot_pair_hash(&unit->input);
	HubspotUnit *next = hubspot_pairs_chain(intake->pairs, &unit->input, hash);

	if (intake->open &&
		((next && next->chunk == intake->open) ||
		 !hubspot_chunk_has_room(intake->open, &unit->input, intake->limit)))
		close_chunk(intake);
	if (intake->open == NULL)
		open_chunk(intake);
	next = hubspot_chunk_continue(intake->open, unit);
	next->hash = hash;
	hubspot_pairs_add(intake->pairs, next);
}

static void
open_chunk(HubspotIntake *intake)
{
	HubspotChunk *chunk = intake->open = create_chunk(intake);

	/* a group is one input of any number of units */
	if (intake->endpoint->input_shape == HUBSPOT_INPUT_GROUP)
		chunk->most_units = hubspot_evidence_limit(intake->evidence,
												   chunk->most_units, chunk);
	else
		intake->limit = hubspot_evidence_limit(intake->evidence,
											   intake->max_limit, chunk);
}

static HubspotChunk *
create_chunk(HubspotIntake *intake)
{
	MemoryContext context = hubspot_chunk_take_context(&intake->memory,
													   intake->last_nunits);

	HubspotChunk *chunk = hubspot_chunk_create(context, intake->endpoint->input_shape,
											   Min(Max(intake->last_nunits, FIRST_UNITS),
												   intake->limit));

	intake->nchunks++;
	chunk->tells_ends = (intake->resolver != NULL || intake->tells_ends);
	return chunk;
}

/* Close all open chunks: they get no more units. */
void
hubspot_intake_close(HubspotIntake *intake)
{
	while (intake->open)
		close_chunk(intake);
}

/* Close the open chunk; that of reverses is closed, too, or becomes the open one. */
static void
close_chunk(HubspotIntake *intake)
{
	HubspotChunk *chunk = intake->open;
	HubspotChunk *reverses = chunk->reverses;

	intake->open = chunk->reverses = NULL;
	intake->last_nunits = chunk->nunits;
	dlist_push_tail(&intake->closed, &chunk->node);
	if (reverses && reverses->nunits < chunk->nunits / 2)
		intake->open = reverses;
	else if (reverses)
		dlist_push_tail(&intake->closed, &reverses->node);
}

/* Free a chunk, with all that it holds. */
void
hubspot_intake_free(HubspotIntake *intake, HubspotChunk *chunk)
{
	intake->nchunks--;
	hubspot_chunk_free(&intake->memory, chunk);
}
