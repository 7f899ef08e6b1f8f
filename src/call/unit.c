/*-------------------------------------------------------------------------
 *
 * unit.c
 *	  A pair of records in a batch, and the rows that ask for it.
 *
 * Rows of one pair are one unit, so that HubSpot sees the pair once, with all
 * of the rows' types.  Rows that follow each other cost no memory of their own.
 *
 * Units are found by their pairs with a hash table, which is a good part of what a row
 * costs.  But most inputs are sorted, by a primary key if by nothing else: then a pair
 * that comes is not among those that there are, and answers come in the same order.  So
 * the units are only a list at first.  The table is made from the list when a pair is
 * first looked for: when one comes that is not the largest, or an answer in another order.
 * From then on there is only the table.
 *
 * IDENTIFICATION
 *	  src/call/unit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "base/prefetch.h"
#include "base/text_hash.h"
#include "call/unit.h"

/* The newest unit of a chain; the key is its input, which is its first member. */
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
	MemoryContext context;
	pairs_hash *table;			/* or NULL: there is the list */
	dlist_head	list;			/* of units, in the order in which they came */
};

/* How many units before its removal one is fetched, which hides the wait for memory. */
#define UNITS_AHEAD		8

/* The first size of the table, which grows to what a batch has in flight. */
#define FIRST_PAIRS		64

static inline int compare_pairs(HubspotSlice from_id, HubspotSlice to_id,
								const HubspotInput *other);
static void make_table(HubspotPairs *pairs);
static void put_unit(pairs_hash * table, HubspotUnit *unit);
static void remove_unit(HubspotPairs *pairs, HubspotUnit *unit);
static HubspotRowRange *last_rows(HubspotUnit *unit);

HubspotPairs *
hubspot_pairs_create(MemoryContext context)
{
	HubspotPairs *pairs = MemoryContextAllocZero(context, sizeof(HubspotPairs));

	pairs->context = context;
	dlist_init(&pairs->list);
	return pairs;
}

/* A hash value that is the same for both directions of a pair. */
uint32
hubspot_pair_hash(const HubspotInput *input)
{
	return murmurhash32(hubspot_text_hash(input->from_id.data, input->from_id.len) +
						hubspot_text_hash(input->to_id.data, input->to_id.len));
}

/*
 * Do the pairs ascend, and does that of the input come after all of them?  Then there is
 * no unit of it or of its reverse, and a new one may be added without a hash; otherwise it
 * has to be looked for, by its hash.
 */
bool
hubspot_pairs_ascend(HubspotPairs *pairs, const HubspotInput *input)
{
	const HubspotUnit *first;
	const HubspotUnit *last;

	if (pairs->table)
		return false;
	if (dlist_is_empty(&pairs->list))
		return true;
	first = dlist_head_element(HubspotUnit, node, &pairs->list);
	last = dlist_tail_element(HubspotUnit, node, &pairs->list);
	return compare_pairs(input->from_id, input->to_id, &last->input) > 0 &&
		(compare_pairs(input->to_id, input->from_id, &last->input) > 0 ||
		 compare_pairs(input->to_id, input->from_id, &first->input) < 0);
}

/* Order ids: numbers by their value, others in any way. */
static inline int
compare_ids(HubspotSlice a, HubspotSlice b)
{
	return a.len != b.len ? a.len - b.len : memcmp(a.data, b.data, a.len);
}

static inline int
compare_pairs(HubspotSlice from_id, HubspotSlice to_id, const HubspotInput *other)
{
	int			order = compare_ids(from_id, other->from_id);

	return order != 0 ? order : compare_ids(to_id, other->to_id);
}

/*
 * The newest unit of the pair of ids or its reverse, or NULL; its older ones
 * follow.
 */
HubspotUnit *
hubspot_pairs_chain(const HubspotPairs *pairs, const HubspotInput *input,
					uint32 hash)
{
	PairEntry  *entry;

	/* a caller cannot notice how they are kept */
	if (pairs->table == NULL)
		make_table(unconstify(HubspotPairs *, pairs));
	entry = pairs_lookup_hash(pairs->table, input, hash);
	return entry ? (HubspotUnit *) entry->input : NULL;
}

static void
make_table(HubspotPairs *pairs)
{
	pairs_hash *table = pairs_create(pairs->context, FIRST_PAIRS, NULL);
	dlist_iter	iter;

	dlist_foreach(iter, &pairs->list)
	{
		HubspotUnit *unit = dlist_container(HubspotUnit, node, iter.cur);

		unit->hash = hubspot_pair_hash(&unit->input);
		put_unit(table, unit);
	}
	pairs->table = table;
}

/* Add a unit, which has its hash, if its pair has been looked for. */
void
hubspot_pairs_add(HubspotPairs *pairs, HubspotUnit *unit)
{
	if (pairs->table)
		put_unit(pairs->table, unit);
	else
		dlist_push_tail(&pairs->list, &unit->node);
	unit->listed = true;
}

static void
put_unit(pairs_hash * table, HubspotUnit *unit)
{
	bool		found;
	PairEntry  *entry = pairs_insert_hash(table, &unit->input, unit->hash, &found);

	unit->older = found ? (HubspotUnit *) entry->input : NULL;
	entry->input = &unit->input;
}

/*
 * Remove those of some units that were added.  The place of each in the table is fetched
 * while there is something else to do: places follow no order, so without that, most of the
 * time goes into waiting for memory.
 */
void
hubspot_pairs_remove(HubspotPairs *pairs, HubspotUnit **units, int nunits)
{
	for (int i = 0; i < nunits; i++)
	{
		if (pairs->table && i + UNITS_AHEAD < nunits)
			HUBSPOT_PREFETCH(&pairs->table->data[units[i + UNITS_AHEAD]->hash &
												 pairs->table->sizemask]);
		if (units[i]->listed)
			remove_unit(pairs, units[i]);
	}
}

static void
remove_unit(HubspotPairs *pairs, HubspotUnit *unit)
{
	PairEntry  *entry;
	HubspotUnit *newer;

	unit->listed = false;
	if (pairs->table == NULL)
	{
		dlist_delete(&unit->node);
		return;
	}
	entry = pairs_lookup_hash(pairs->table, &unit->input, unit->hash);
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
}

/* The last range of a unit's rows. */
static HubspotRowRange *
last_rows(HubspotUnit *unit)
{
	return unit->nmore_rows > 0 ?
		&unit->more_rows[unit->nmore_rows - 1] : &unit->rows;
}

/* Does that row follow the last one of a unit? */
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

/*
 * Settle units, none of which is settled, with one error, which must live as long as they
 * do.
 */
void
hubspot_units_set_error(HubspotUnit **units, int nunits, const HubspotError *error)
{
	for (int i = 0; i < nunits; i++)
	{
		Assert(!hubspot_unit_is_settled(units[i]));
		units[i]->error = error;
		units[i]->http_status = error->http_status;
		units[i]->correlation_id = error->correlation_id;
	}
}
