/*-------------------------------------------------------------------------
 *
 * unit.c
 *	  A pair of records in a batch, and the rows that ask for it.
 *
 * Rows of one pair are one unit, so that HubSpot sees the pair once, with all
 * of the rows' types.  Rows that follow each other cost no memory of their own.
 *
 * IDENTIFICATION
 *	  src/call/unit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "call/unit.h"

/* The first of a chain; the key is its input, which is its first member. */
typedef struct PairEntry
{
	const HubspotInput *input;
	uint32		hash;
	char		status;
} PairEntry;

#define SH_PREFIX			pairs
#define SH_ELEMENT_TYPE		PairEntry
#define SH_KEY_TYPE			const HubspotInput *
#define SH_KEY				input
#define SH_HASH_KEY(tb, key)	hubspot_pair_hash(key)
#define SH_EQUAL(tb, a, b)	((a) == (b) || hubspot_same_pair(a, b) || hubspot_reverse_pair(a, b))
#define SH_STORE_HASH
#define SH_GET_HASH(tb, entry)	(entry)->hash
#define SH_SCOPE			static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct HubspotPairs
{
	pairs_hash *table;
};

/* It grows to what a batch has in flight. */
#define FIRST_PAIRS		64

#if defined(__GNUC__) || defined(__clang__)
#define PREFETCH(address)	__builtin_prefetch(address)
#else
#define PREFETCH(address)	((void) (address))
#endif

static HubspotRowRange *last_rows(HubspotUnit *unit);

HubspotPairs *
hubspot_pairs_create(MemoryContext context)
{
	HubspotPairs *pairs = MemoryContextAlloc(context, sizeof(HubspotPairs));

	pairs->table = pairs_create(context, FIRST_PAIRS, NULL);
	return pairs;
}

/* The same for both directions of a pair. */
uint32
hubspot_pair_hash(const HubspotInput *input)
{
	return murmurhash32(hash_bytes((const unsigned char *) input->from_id.data,
								   input->from_id.len) +
						hash_bytes((const unsigned char *) input->to_id.data,
								   input->to_id.len));
}

/*
 * A pair of that hash is about to be looked up or removed: fetch its place in
 * the table while there is something else to do.  Places follow no order, so
 * without that, most of the time goes into waiting for memory.
 */
void
hubspot_pairs_expect(const HubspotPairs *pairs, uint32 hash)
{
	PREFETCH(&pairs->table->data[hash & pairs->table->sizemask]);
}

/*
 * The newest unit of the pair of ids or its reverse, or NULL; its older ones
 * follow.
 */
HubspotUnit *
hubspot_pairs_chain(const HubspotPairs *pairs, const HubspotInput *input,
					uint32 hash)
{
	PairEntry  *entry = pairs_lookup_hash(pairs->table, input, hash);

	return entry ? (HubspotUnit *) entry->input : NULL;
}

void
hubspot_pairs_add(HubspotPairs *pairs, HubspotUnit *unit)
{
	bool		found;
	PairEntry  *entry = pairs_insert_hash(pairs->table, &unit->input,
										  unit->hash, &found);

	unit->older = found ? (HubspotUnit *) entry->input : NULL;
	entry->input = &unit->input;
	unit->listed = true;
}

/* Remove a unit that was added. */
void
hubspot_pairs_remove(HubspotPairs *pairs, HubspotUnit *unit)
{
	PairEntry  *entry = pairs_lookup_hash(pairs->table, &unit->input, unit->hash);
	HubspotUnit *newer;

	Assert(entry != NULL);
	newer = (HubspotUnit *) entry->input;
	if (newer == unit && unit->older == NULL)
		pairs_delete_item(pairs->table, entry);
	else if (newer == unit)
		entry->input = &unit->older->input;
	else
	{
		while (newer->older != unit)
			newer = newer->older;
		newer->older = unit->older;
	}
	unit->listed = false;
}

/* The last rows of a unit's pair. */
static HubspotRowRange *
last_rows(HubspotUnit *unit)
{
	return unit->nmore_rows > 0 ?
		&unit->more_rows[unit->nmore_rows - 1] : &unit->rows;
}

/* Does a row of a unit's pair follow the last one? */
bool
hubspot_unit_is_next_row(HubspotUnit *unit, int64 input_no)
{
	const HubspotRowRange *last = last_rows(unit);

	return last->first + last->count == input_no;
}

/*
 * Add another row of the unit's pair.  False: it follows the last one, and so
 * took no memory.
 */
bool
hubspot_unit_add_row(HubspotUnit *unit, int64 input_no)
{
	int			n = unit->nmore_rows;

	if (hubspot_unit_is_next_row(unit, input_no))
	{
		last_rows(unit)->count++;
		return false;
	}
	/* the array has room for a power of two */
	if (n == 0)
		unit->more_rows = palloc(sizeof(HubspotRowRange));
	else if ((n & (n - 1)) == 0)
		unit->more_rows = repalloc(unit->more_rows, sizeof(HubspotRowRange) * n * 2);
	unit->more_rows[n].first = input_no;
	unit->more_rows[n].count = 1;
	unit->nmore_rows++;
	return true;
}

/* Give a unit the rows of another one, which are copied. */
void
hubspot_unit_copy_rows(HubspotUnit *unit, const HubspotUnit *other)
{
	int			room = 1;

	unit->rows = other->rows;
	unit->nmore_rows = other->nmore_rows;
	if (other->nmore_rows == 0)
		return;
	while (room < other->nmore_rows)
		room *= 2;
	unit->more_rows = palloc(sizeof(HubspotRowRange) * room);
	memcpy(unit->more_rows, other->more_rows,
		   sizeof(HubspotRowRange) * other->nmore_rows);
}

/* How many rows ask for the unit? */
int64
hubspot_unit_row_count(const HubspotUnit *unit)
{
	int64		count = unit->rows.count;

	for (int i = 0; i < unit->nmore_rows; i++)
		count += unit->more_rows[i].count;
	return count;
}
