/*-------------------------------------------------------------------------
 *
 * sample.c
 *	  Units by their types: in order, in two parts, and a sample of them.
 *
 * IDENTIFICATION
 *	  src/call/sample.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"

#include "call/sample.h"

/* A sample while it is taken. */
typedef struct Sample
{
	HubspotUnit *const *units;
	bool	   *taken;			/* which units are in it */
	HubspotUnit **sample;
	int			n;
	int			most;
} Sample;

static int	count_lists(HubspotUnit *const *units, int nunits);
static bool is_border(HubspotUnit *const *units, int i);
static int	compare_units(const void *a, const void *b);
static int	compare_lists(const HubspotTypeList *a, const HubspotTypeList *b);
static int	random_position(int from, int to);
static void add(Sample *sample, int position);

/*
 * Bring units with equal types together; returns how many different lists of types they
 * have.
 */
int
hubspot_sort_by_types(HubspotUnit **units, int nunits)
{
	int			nlists = count_lists(units, nunits);

	if (nlists == 1)
		return nlists;
	qsort(units, nunits, sizeof(HubspotUnit *), compare_units);
	return count_lists(units, nunits);
}

static int
count_lists(HubspotUnit *const *units, int nunits)
{
	int			nlists = 1;

	for (int i = 1; i < nunits; i++)
		nlists += is_border(units, i);
	return nlists;
}

/* Does the unit have other types than the one before it? */
static bool
is_border(HubspotUnit *const *units, int i)
{
	return compare_lists(units[i - 1]->input.types, units[i]->input.types) != 0;
}

/* Order units by their types, and then as their inputs. */
static int
compare_units(const void *a, const void *b)
{
	const HubspotUnit *one = *(HubspotUnit *const *) a;
	const HubspotUnit *other = *(HubspotUnit *const *) b;
	int			order = compare_lists(one->input.types, other->input.types);

	if (order != 0)
		return order;
	return one->rows.first < other->rows.first ? -1 : one->rows.first > other->rows.first;
}

static int
compare_lists(const HubspotTypeList *a, const HubspotTypeList *b)
{
	if (a == b || a == NULL || b == NULL)
		return a == b ? 0 : a == NULL ? -1 : 1;
	if (a->ntypes != b->ntypes)
		return a->ntypes < b->ntypes ? -1 : 1;
	for (int i = 0; i < a->ntypes; i++)
	{
		int			order = strcmp(a->types[i].category, b->types[i].category);

		if (a->types[i].type_id != b->types[i].type_id)
			return a->types[i].type_id < b->types[i].type_id ? -1 : 1;
		if (order != 0)
			return order;
	}
	return 0;
}

/*
 * Where the second half of sorted units begins: between two types, if they have several.
 */
int
hubspot_middle_by_types(HubspotUnit *const *units, int nunits)
{
	int			half = (nunits + 1) / 2;

	for (int distance = 0; distance < nunits; distance++)
	{
		int			before = half - distance;
		int			after = half + distance;

		if (before > 0 && before < nunits && is_border(units, before))
			return before;
		if (after < nunits && is_border(units, after))
			return after;
	}
	return half;
}

/*
 * Take a sample of at most that many sorted units; returns how many it has.  Any first few
 * of it are spread over all units: the first unit of each type, the last one, and then one
 * of each half, quarter, eighth.  Which unit of each is chosen at random, since the good
 * and the bad may alternate.
 */
int
hubspot_take_sample(HubspotUnit *const *units, int nunits, HubspotUnit **sample, int most)
{
	Sample		taking = {.units = units,.sample = sample,.most = most};

	taking.taken = palloc0(nunits);
	for (int i = 0; i < nunits; i++)
	{
		if (i == 0 || is_border(units, i))
			add(&taking, i);
	}
	add(&taking, nunits - 1);
	for (int parts = 2; parts <= most; parts *= 2)
	{
		for (int i = 1; i < parts; i += 2)
			add(&taking, random_position((int64) nunits * i / parts, (int64) nunits * (i + 1) / parts));
	}
	for (int i = 0; i < nunits; i++)
		add(&taking, i);
	pfree(taking.taken);
	return taking.n;
}

/* The place of a unit that is chosen at random. */
HubspotUnit **
hubspot_take_one(HubspotUnit **units, int nunits)
{
	return &units[random_position(0, nunits)];
}

/* A random position, from from on and before to. */
static int
random_position(int from, int to)
{
	return to <= from + 1 ? from :
		(int) pg_prng_uint64_range(&pg_global_prng_state, from, to - 1);
}

static void
add(Sample *sample, int position)
{
	if (sample->taken[position] || sample->n == sample->most)
		return;
	sample->taken[position] = true;
	sample->sample[sample->n++] = sample->units[position];
}
