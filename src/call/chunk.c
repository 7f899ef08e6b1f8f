/*-------------------------------------------------------------------------
 *
 * chunk.c
 *	  Inputs that go together: what a request may hold, and their rows.
 *
 * IDENTIFICATION
 *	  src/call/chunk.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "api/association_type.h"
#include "call/call.h"
#include "call/chunk.h"
#include "call/page.h"

/*
 * Ids have some ten digits.  Those that are too long to be sent must not make
 * a chunk grow without a bound.
 */
#define MAX_CHUNK_BYTES	(1024 * 1024)

/*
 * A record that is to be parted from many others, which HubSpot counts as one
 * input, must not make a chunk grow without a bound either.
 */
#define MAX_GROUP_UNITS	20000

/*
 * Inputs that are not sent take memory, too: how many units there may be for each input of
 * a request.
 */
#define UNITS_PER_INPUT	2

/*
 * Rows of pairs that were put before cost memory if they are not adjacent: how many of
 * these there may be for each unit.
 */
#define ROWS_PER_UNIT	16

/* Units are made in pieces of memory of this size, if they fit. */
#define UNITS_PIECE		8192

/* From this many units on, it pays to use a chunk's memory again. */
#define LARGE_CHUNK		500

/* About how many bytes of it a unit takes, with its ids. */
#define UNIT_SPACE		224

static inline bool is_open(const HubspotChunk *chunk, const HubspotUnit *unit);
static inline bool has_room(const HubspotChunk *chunk,
							const HubspotInput *input, int limit);
static int	max_units(const HubspotChunk *chunk, int limit);
static bool same_group(const HubspotChunk *chunk, const HubspotInput *input);
static HubspotUnit *make_unit(HubspotChunk *chunk, const HubspotInput *input);
static void *take_space(HubspotChunk *chunk, Size size);
static HubspotSlice copy_id(HubspotSlice id, char *place);
static const HubspotTypeList *share_types(HubspotChunk *chunk,
										  const HubspotTypeList *types);
static const HubspotRowRange *current_rows(const HubspotChunk *chunk,
										   const HubspotUnit *unit);
static void next_row_of_unit(HubspotChunk *chunk, HubspotUnit *unit);
static inline void set_outcome(const HubspotChunk *chunk, const HubspotUnit *unit,
							   HubspotOutcome *outcome);
static uint64 kind_of(HubspotChunk *chunk, const HubspotOutcome *outcome);

/*
 * A memory context for a chunk, which may come to have as many units as the one
 * before it, nunits.  The contexts of large chunks keep a block that holds all
 * units when they are reset, and are used again.
 */
MemoryContext
hubspot_chunk_take_context(HubspotChunkMemory *memory, int nunits)
{
	MemoryContext context = memory->spare;

	if (context)
	{
		memory->spare = NULL;
		return context;
	}
	if (nunits < LARGE_CHUNK)
		return AllocSetContextCreate(memory->parent, "hubspot_assoc chunk",
									 ALLOCSET_DEFAULT_SIZES);
	return AllocSetContextCreate(memory->parent, "hubspot_assoc chunk",
								 nunits * UNIT_SPACE,
								 ALLOCSET_DEFAULT_INITSIZE,
								 ALLOCSET_DEFAULT_MAXSIZE);
}

/* Create an empty chunk in a context of its own, with room for maxunits at first. */
HubspotChunk *
hubspot_chunk_create(MemoryContext context, HubspotInputShape shape,
					 int maxunits)
{
	HubspotChunk *chunk = MemoryContextAllocZero(context, sizeof(HubspotChunk));

	chunk->context = context;
	chunk->shape = shape;
	chunk->maxunits = maxunits;
	chunk->most_units = MAX_GROUP_UNITS;
	chunk->units = MemoryContextAlloc(context, sizeof(HubspotUnit *) * maxunits);
	return chunk;
}

/* End a chunk; its context may serve another one. */
void
hubspot_chunk_free(HubspotChunkMemory *memory, HubspotChunk *chunk)
{
	MemoryContext context = chunk->context;

	if (memory->spare == NULL && chunk->nunits >= LARGE_CHUNK)
	{
		MemoryContextReset(context);
		memory->spare = context;
	}
	else
		MemoryContextDelete(context);
}

/*
 * Where an input goes, if a request holds no more than limit inputs.  chain has the units
 * of its pair and of the reverse pair, in all chunks (see HubspotPairs).  *unit is the one
 * of its pair in the chunk, or in the chunk of reverses; NULL: there is none.
 *
 * With parts_reverses, the reverse of a pair that the chunk has must go with another
 * request: the answer to the one could be taken for an answer to the other,
 * or the labels that the one adds are to be kept by the other.
 */
HubspotPlace
hubspot_chunk_find_place(const HubspotChunk *chunk, const HubspotInput *input,
						 HubspotUnit *chain, int limit, bool parts_reverses,
						 HubspotUnit **unit)
{
	bool		has_reverse = false;

	*unit = NULL;
	for (; chain && is_open(chunk, chain); chain = chain->older)
	{
		if (hubspot_same_pair(&chain->input, input))
		{
			const HubspotChunk *of = chain->chunk;

			*unit = chain;

			/* a record is read one page at a time */
			if (hubspot_unit_next_page(chain).data)
				return HUBSPOT_PLACE_NONE;
			return of->nrows < max_units(of, limit) * ROWS_PER_UNIT ||
				hubspot_unit_is_next_row(chain, input->no) ?
				HUBSPOT_PLACE_UNIT : HUBSPOT_PLACE_NONE;
		}
		has_reverse = true;
	}
	if (has_reverse && parts_reverses)
		return HUBSPOT_PLACE_REVERSES;
	return has_room(chunk, input, limit) ? HUBSPOT_PLACE_CHUNK : HUBSPOT_PLACE_NONE;
}

/* Is a unit part of the chunk, or of the one that takes reverses of its pairs? */
static inline bool
is_open(const HubspotChunk *chunk, const HubspotUnit *unit)
{
	return unit->chunk == chunk || unit->chunk == chunk->reverses;
}

/* May an input be added, where a request holds no more than limit? */
bool
hubspot_chunk_has_room(const HubspotChunk *chunk, const HubspotInput *input,
					   int limit)
{
	return has_room(chunk, input, limit);
}

static inline bool
has_room(const HubspotChunk *chunk, const HubspotInput *input, int limit)
{
	return (chunk->ninputs < limit || same_group(chunk, input)) &&
		chunk->nunits < max_units(chunk, limit) &&
		chunk->bytes < MAX_CHUNK_BYTES;
}

static int
max_units(const HubspotChunk *chunk, int limit)
{
	return chunk->shape == HUBSPOT_INPUT_GROUP ?
		chunk->most_units : limit * UNITS_PER_INPUT;
}

/* Is an input part of the chunk's last one, as HubSpot counts inputs? */
static bool
same_group(const HubspotChunk *chunk, const HubspotInput *input)
{
	return chunk->shape == HUBSPOT_INPUT_GROUP && chunk->group.data &&
		input->from_id.data && hubspot_same_id(chunk->group, input->from_id);
}

/*
 * Why one more row cannot join its pair in the chunk, or in the chunk of reverses,
 * palloc'd, or NULL if it can: a pair's types are not added up without a bound.  chain is
 * as for hubspot_chunk_find_place().
 */
char *
hubspot_chunk_types_problem(const HubspotChunk *chunk, const HubspotInput *input,
							const HubspotUnit *chain)
{
	for (; chain && is_open(chunk, chain); chain = chain->older)
	{
		if (hubspot_same_pair(&chain->input, input) && input->types &&
			chain->input.types->ntypes + input->types->ntypes > HUBSPOT_MAX_TYPES &&
			!hubspot_has_types(chain->input.types, input->types))
			return psprintf("with the rows before it, the pair has more than %d types",
							HUBSPOT_MAX_TYPES);
	}
	return NULL;
}

/* Add an input, which is copied; if it is not sendable, it takes no room in a request. */
HubspotUnit *
hubspot_chunk_add(HubspotChunk *chunk, const HubspotInput *input, bool sendable)
{
	MemoryContext old = MemoryContextSwitchTo(chunk->context);
	HubspotUnit *unit;

	if (chunk->nunits == chunk->maxunits)
	{
		chunk->maxunits *= 2;
		chunk->units = repalloc(chunk->units,
								sizeof(HubspotUnit *) * chunk->maxunits);
	}
	unit = make_unit(chunk, input);
	chunk->nasked++;
	if (sendable && !same_group(chunk, input))
		chunk->ninputs++;
	if (sendable)
	{
		chunk->nsendable++;
		chunk->group = unit->input.from_id;
	}
	chunk->units[chunk->nunits++] = unit;
	chunk->bytes += input->from_id.len + input->to_id.len;
	MemoryContextSwitchTo(old);
	return unit;
}

/* Add a record again, for its next page: another chunk has read the one before. */
HubspotUnit *
hubspot_chunk_continue(HubspotChunk *chunk, const HubspotUnit *unit)
{
	MemoryContext old = MemoryContextSwitchTo(chunk->context);
	HubspotUnit *next = hubspot_chunk_add(chunk, &unit->input, true);
	const HubspotPage *page = unit->page;

	next->page->after.data = pnstrdup(page->after.data, page->after.len);
	next->page->after.len = page->after.len;
	next->page->npages = page->npages;
	next->page->nidle = page->nidle;
	next->page->ends = page->ends;
	next->page->marked_ends = page->marked_ends;
	next->page->nrounds = page->nrounds;
	if (page->mark.data)
	{
		next->page->mark.data = pnstrdup(page->mark.data, page->mark.len);
		next->page->mark.len = page->mark.len;
	}
	hubspot_page_remember(next->page, page);
	hubspot_unit_copy_rows(next, unit);
	chunk->nasked += hubspot_unit_row_count(next) - 1;
	MemoryContextSwitchTo(old);
	return next;
}

static HubspotUnit *
make_unit(HubspotChunk *chunk, const HubspotInput *input)
{
	HubspotUnit *unit = take_space(chunk, sizeof(HubspotUnit) +
								   input->from_id.len + input->to_id.len);
	char	   *ids = (char *) (unit + 1);

	memset(unit, 0, sizeof(HubspotUnit));
	unit->input.from_id = copy_id(input->from_id, ids);
	unit->input.to_id = copy_id(input->to_id, ids + input->from_id.len);
	unit->input.types = share_types(chunk, input->types);
	unit->chunk = chunk;
	unit->rows.first = input->no;
	unit->rows.count = 1;
	if (chunk->shape == HUBSPOT_INPUT_RECORD)
	{
		unit->page = take_space(chunk, sizeof(HubspotPage));
		memset(unit->page, 0, sizeof(HubspotPage));
	}
	return unit;
}

/*
 * Memory that lives as long as the chunk.  One palloc for each unit would cost
 * more time, and half as much memory again.
 */
static void *
take_space(HubspotChunk *chunk, Size size)
{
	void	   *place;

	size = MAXALIGN(size);
	if (size > UNITS_PIECE)
		return palloc(size);
	if (size > chunk->space_left)
	{
		chunk->space = palloc(UNITS_PIECE);
		chunk->space_left = UNITS_PIECE;
	}
	place = chunk->space;
	chunk->space += size;
	chunk->space_left -= size;
	return place;
}

static HubspotSlice
copy_id(HubspotSlice id, char *place)
{
	if (id.data)
	{
		(void) hubspot_copy_bytes(place, id.data, id.len);
		id.data = place;
	}
	return id;
}

/* A copy of the types, or the last unit's if they are the same. */
static const HubspotTypeList *
share_types(HubspotChunk *chunk, const HubspotTypeList *types)
{
	if (types == NULL)
		return NULL;
	if (chunk->last_types == NULL ||
		!hubspot_same_types(chunk->last_types, types))
		chunk->last_types = hubspot_merge_types(NULL, types);
	return chunk->last_types;
}

/* The units of a chunk that are not settled, before any are sent; palloc'd. */
HubspotUnit **
hubspot_chunk_sendable(const HubspotChunk *chunk, int *nunits)
{
	HubspotUnit **units = palloc(sizeof(HubspotUnit *) * Max(chunk->nsendable, 1));

	*nunits = 0;
	if (chunk->nsendable == chunk->nunits)
	{
		memcpy(units, chunk->units, sizeof(HubspotUnit *) * chunk->nunits);
		*nunits = chunk->nunits;
		return units;
	}
	for (int i = 0; i < chunk->nunits; i++)
	{
		if (!hubspot_unit_is_settled(chunk->units[i]))
			units[(*nunits)++] = chunk->units[i];
	}
	return units;
}

/*
 * Let a chunk wait for the last chunk before it that has the pair of its unit or, if
 * both_ways, the reverse pair.  That chunk waits for those before it in turn.
 */
void
hubspot_chunk_follow(HubspotChunk *chunk, const HubspotUnit *unit, bool both_ways)
{
	const HubspotUnit *older = unit->older;
	HubspotChunk *earlier;
	MemoryContext old;

	while (older && (older->chunk == chunk ||
					 !(both_ways || hubspot_same_pair(&older->input, &unit->input))))
		older = older->older;
	if (older == NULL)
		return;
	earlier = older->chunk;
	if (earlier->followers != NIL && llast(earlier->followers) == chunk)
		return;
	old = MemoryContextSwitchTo(earlier->context);
	earlier->followers = lappend(earlier->followers, chunk);
	MemoryContextSwitchTo(old);
	chunk->nwaits_for++;
}

/*
 * The next row of a chunk, or false if there are no more: one for each row that was put
 * and whose unit is settled, or for each of its associations.  Once all are settled, there
 * is one for each row.  If the chunk tells ends, one more, without an association, follows
 * those of each row that is read.
 */
bool
hubspot_chunk_next_row(HubspotChunk *chunk, HubspotOutcome *outcome)
{
	bool		reads = (chunk->shape == HUBSPOT_INPUT_RECORD);

	while (chunk->unit_position < chunk->nunits)
	{
		HubspotUnit *unit = chunk->units[chunk->unit_position];
		const HubspotAssociation *association = NULL;
		const struct HubspotKey *name = NULL;

		if (unit->given || !hubspot_unit_is_settled(unit))
		{
			chunk->unit_position++;
			continue;
		}
		if (reads && unit->error == NULL)
		{
			if (chunk->association_position < unit->page->nassociations)
			{
				if (unit->page->names)
					name = unit->page->names[chunk->association_position];
				association = &unit->page->associations[chunk->association_position++];
			}
			else if (!chunk->tells_ends || hubspot_unit_next_page(unit).data)
			{
				/* the record has nothing, however many rows ask for it */
				if (unit->page->nassociations == 0)
				{
					chunk->unit_position++;
					continue;
				}
				chunk->association_position = 0;
				next_row_of_unit(chunk, unit);
				continue;
			}
			else
				chunk->association_position = 0;
		}
		set_outcome(chunk, unit, outcome);
		outcome->association = association;
		if (association)
		{
			outcome->nbefore = association - unit->page->associations;
			outcome->nafter = unit->page->nassociations - outcome->nbefore - 1;
			outcome->repeats = hubspot_page_repeats(unit->page, association);
		}
		outcome->name = name;
		outcome->ended = (reads && association == NULL);
		outcome->kind = kind_of(chunk, outcome);
		if (association == NULL)
			next_row_of_unit(chunk, unit);
		return true;
	}
	chunk->unit_position = 0;	/* others may be settled when this is asked
								 * again */
	return false;
}

/* Set what is the same for all outcomes of a unit. */
static inline void
set_outcome(const HubspotChunk *chunk, const HubspotUnit *unit, HubspotOutcome *outcome)
{
	outcome->input_no = current_rows(chunk, unit)->first + chunk->row_position;
	outcome->from_id = unit->input.from_id;
	outcome->to_id = unit->input.to_id;
	outcome->from_record.data = outcome->to_record.data = NULL;
	outcome->error = unit->error;
	outcome->http_status = unit->http_status;
	outcome->correlation_id = unit->correlation_id;
	outcome->types = unit->types;
	outcome->labels = unit->labels;
	outcome->doubtful = unit->doubtful;
	outcome->repeats = false;
}

/*
 * The kind of the last row, if this one has the same in all but its number and ids.
 * Pointers are compared, which point to the same thing as long as the chunk lives.
 * Otherwise a new kind, which no row of any chunk has.
 */
static uint64
kind_of(HubspotChunk *chunk, const HubspotOutcome *outcome)
{
	HubspotOutcome *last = &chunk->last;
	const HubspotAssociation *one = outcome->association;
	const HubspotAssociation *other = last->association;

	if (last->kind == 0 || last->error != outcome->error ||
		last->http_status != outcome->http_status ||
		last->correlation_id != outcome->correlation_id ||
		last->types != outcome->types || last->labels != outcome->labels ||
		(one ? !other || other->type != one->type : other != NULL))
	{
		static uint64 last_kind = 0;

		*last = *outcome;
		last->kind = ++last_kind;
	}
	return last->kind;
}

static const HubspotRowRange *
current_rows(const HubspotChunk *chunk, const HubspotUnit *unit)
{
	return chunk->rows_position == 0 ? &unit->rows :
		&unit->more_rows[chunk->rows_position - 1];
}

static void
next_row_of_unit(HubspotChunk *chunk, HubspotUnit *unit)
{
	if (++chunk->row_position < current_rows(chunk, unit)->count)
		return;
	chunk->row_position = 0;
	if (++chunk->rows_position <= unit->nmore_rows)
		return;
	chunk->rows_position = 0;
	chunk->unit_position++;
	unit->given = true;
}

/*
 * Count the rows of a chunk that are settled and were not counted before, for the tally and
 * in *confirmed and *failed; *in_doubt, which has what was sent and not settled, is reduced
 * by them.  A record counts with its last page.
 */
void
hubspot_chunk_count(const HubspotChunk *chunk, const HubspotTally *tally,
					int64 *confirmed, int64 *failed, int64 *in_doubt)
{
	const char *category = NULL;
	int64		rows = 0;		/* rows that failed with it, one after the
								 * other */
	int64		nconfirmed = 0;
	int64		nfailed = 0;

	for (int i = 0; i < chunk->nunits; i++)
	{
		HubspotUnit *unit = chunk->units[i];
		int64		count;

		if (unit->counted || !hubspot_unit_is_settled(unit))
			continue;
		unit->counted = true;
		if (unit->error == NULL)
		{
			if (hubspot_unit_next_page(unit).data == NULL)
				nconfirmed += hubspot_unit_row_count(unit);
			continue;
		}
		count = hubspot_unit_row_count(unit);
		nfailed += count;
		if (category && strcmp(category, unit->error->category) != 0)
		{
			hubspot_account_count_error(tally, category, rows);
			rows = 0;
		}
		category = unit->error->category;
		rows += count;
	}
	if (category)
		hubspot_account_count_error(tally, category, rows);
	hubspot_account_count_inputs(tally, nconfirmed + nfailed, nconfirmed);
	*confirmed += nconfirmed;
	*failed += nfailed;
	if (chunk->first_call && chunk->first_call->sent != 0)
		*in_doubt -= nconfirmed + nfailed;
}
