/*-------------------------------------------------------------------------
 *
 * chunk.c
 *	  Inputs that go together: what a request may hold, and their rows.
 *
 * IDENTIFICATION
 *	  src/chunk.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "chunk.h"
#include "type.h"

/*
 * Ids have some ten digits.  Those that are too long to be sent must not make
 * a chunk grow without a bound.
 */
#define MAX_CHUNK_BYTES	(1024 * 1024)

/*
 * Nor must a record that is to be parted from many others, which HubSpot
 * counts as one input, ...
 */
#define MAX_GROUP_UNITS	20000

/* ... nor inputs that are not sent; so many may there be for each that is, ... */
#define UNITS_PER_INPUT	2

/*
 * ... nor rows of pairs that were put before, which cost memory if they don't
 * follow each other; so many for each pair.
 */
#define ROWS_PER_UNIT	16

static int	max_units(const HubspotChunk *chunk, int limit);
static bool same_group(const HubspotChunk *chunk, const HubspotInput *input);
static HubspotSlice copy_id(HubspotSlice id, char *place);
static const HubspotTypeList *share_types(HubspotChunk *chunk,
										  const HubspotTypeList *types);
static const HubspotRows *current_rows(const HubspotChunk *chunk,
									   const HubspotUnit *unit);
static void next_row_of_unit(HubspotChunk *chunk, const HubspotUnit *unit);

/* An empty chunk in a context of its own, with room for some units. */
HubspotChunk *
hubspot_chunk_create(MemoryContext context, HubspotInputShape shape,
					 int maxunits)
{
	HubspotChunk *chunk = MemoryContextAllocZero(context, sizeof(HubspotChunk));

	chunk->context = context;
	chunk->shape = shape;
	chunk->maxunits = maxunits;
	chunk->units = MemoryContextAlloc(context, sizeof(HubspotUnit *) * maxunits);
	return chunk;
}

/* May an input be added, where a request holds no more than limit? */
bool
hubspot_chunk_has_room(const HubspotChunk *chunk, const HubspotInput *input,
					   int limit)
{
	return (chunk->ninputs < limit || same_group(chunk, input)) &&
		chunk->nunits < max_units(chunk, limit) &&
		chunk->bytes < MAX_CHUNK_BYTES;
}

/* May a row be added to a unit that is there? */
bool
hubspot_chunk_has_row_room(const HubspotChunk *chunk, int limit)
{
	return chunk->nrows < max_units(chunk, limit) * ROWS_PER_UNIT;
}

static int
max_units(const HubspotChunk *chunk, int limit)
{
	return chunk->shape == HUBSPOT_INPUT_GROUP ?
		MAX_GROUP_UNITS : limit * UNITS_PER_INPUT;
}

/* Is it part of the last input, as HubSpot counts them? */
static bool
same_group(const HubspotChunk *chunk, const HubspotInput *input)
{
	return chunk->shape == HUBSPOT_INPUT_GROUP && chunk->group.data &&
		input->from_id.data && hubspot_same_id(chunk->group, input->from_id);
}

/* Add an input, which is copied; not sendable: it takes no room in a request. */
HubspotUnit *
hubspot_chunk_add(HubspotChunk *chunk, const HubspotInput *input, bool sendable)
{
	MemoryContext old = MemoryContextSwitchTo(chunk->context);
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
	unit->rows.first = input->no;
	unit->rows.count = 1;
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

/* Add the next page of a record that another chunk has read one of. */
HubspotUnit *
hubspot_chunk_continue(HubspotChunk *chunk, const HubspotUnit *unit)
{
	MemoryContext old = MemoryContextSwitchTo(chunk->context);
	HubspotUnit *next = hubspot_chunk_add(chunk, &unit->input, true);

	next->hash = unit->hash;
	next->after.data = pnstrdup(unit->after.data, unit->after.len);
	next->after.len = unit->after.len;
	next->npages = unit->npages;
	if (unit->mark.data)
	{
		next->mark.data = pnstrdup(unit->mark.data, unit->mark.len);
		next->mark.len = unit->mark.len;
	}
	hubspot_unit_copy_rows(next, unit);
	MemoryContextSwitchTo(old);
	return next;
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
share_types(HubspotChunk *chunk, const HubspotTypeList *types)
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
 * The next row of a chunk whose units are all settled, or false if there are
 * no more: one for each row that was put, or for each of its associations.
 */
bool
hubspot_chunk_next_row(HubspotChunk *chunk, HubspotOutcome *outcome)
{
	bool		reads = (chunk->shape == HUBSPOT_INPUT_RECORD);

	while (chunk->unit_position < chunk->nunits)
	{
		const HubspotUnit *unit = chunk->units[chunk->unit_position];
		const HubspotAssociation *association = NULL;

		Assert(hubspot_unit_is_settled(unit));
		if (reads && unit->error == NULL)
		{
			/* nothing, for however many rows */
			if (unit->nassociations == 0)
			{
				chunk->unit_position++;
				continue;
			}
			if (chunk->association_position == unit->nassociations)
			{
				chunk->association_position = 0;
				next_row_of_unit(chunk, unit);
				continue;
			}
			association = &unit->associations[chunk->association_position++];
		}
		outcome->input_no = current_rows(chunk, unit)->first + chunk->row_position;
		outcome->from_id = unit->input.from_id;
		outcome->to_id = unit->input.to_id;
		outcome->error = unit->error;
		outcome->http_status = unit->http_status;
		outcome->correlation_id = unit->correlation_id;
		outcome->types = unit->types;
		outcome->labels = unit->labels;
		outcome->association = association;
		if (association == NULL)
			next_row_of_unit(chunk, unit);
		return true;
	}
	return false;
}

static const HubspotRows *
current_rows(const HubspotChunk *chunk, const HubspotUnit *unit)
{
	return chunk->rows_position == 0 ? &unit->rows :
		&unit->more_rows[chunk->rows_position - 1];
}

static void
next_row_of_unit(HubspotChunk *chunk, const HubspotUnit *unit)
{
	if (++chunk->row_position < current_rows(chunk, unit)->count)
		return;
	chunk->row_position = 0;
	if (++chunk->rows_position <= unit->nmore_rows)
		return;
	chunk->rows_position = 0;
	chunk->unit_position++;
}

/*
 * Add the rows of a chunk to those that are confirmed or failed.  A record
 * counts with its last page.
 */
void
hubspot_chunk_count(const HubspotChunk *chunk, int64 *confirmed, int64 *failed)
{
	for (int i = 0; i < chunk->nunits; i++)
	{
		const HubspotUnit *unit = chunk->units[i];

		if (unit->error)
			*failed += hubspot_unit_row_count(unit);
		else if (unit->after.data == NULL)
			*confirmed += hubspot_unit_row_count(unit);
	}
}
