/*-------------------------------------------------------------------------
 *
 * blame.c
 *	  Which of the inputs that were sent an error is about.
 *
 * What an error means is decided by what it names: pairs of ids, ids of one side, or
 * association types.  If the request was refused, an id that may be on either side makes
 * suspects, not offenders: they are sent again, apart from the others.
 *
 * An error may name each id that was sent, and a million others, so the units
 * are found by a hash table of their ids, made once for all errors of a reply.
 *
 * IDENTIFICATION
 *	  src/call/blame.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"

#include "api/endpoint.h"
#include "api/object_type.h"
#include "api/error_names.h"
#include "base/text_hash.h"
#include "call/blame.h"

/* The sides of a pair that an id may be on. */
typedef enum Side
{
	FROM,
	TO
} Side;

#define NSIDES	2

/* What was done with the units of an id, on one of its sides. */
typedef enum Done
{
	SETTLED,
	SUSPECTED
} Done;

#define NDONE	2

/*
 * An id that was sent, and its units.  Contexts and errors are numbered; each member below
 * is the number of the last one that said so.
 */
typedef struct SentId
{
	HubspotSlice id;
	struct SentUnit *units[NSIDES];
	int64		done[NSIDES][NDONE];	/* error */
	int64		listed[NSIDES]; /* context: among the ids of that side */
	int64		meant[NSIDES];	/* context: named, and certainly of that side */
	int64		ambiguous;		/* context: named, of whichever side */
} SentId;

/* A unit, in the lists of both of its ids. */
typedef struct SentUnit
{
	HubspotUnit *unit;
	SentId	   *ids[NSIDES];
	struct SentUnit *next[NSIDES];
} SentUnit;

/* An association type that was sent. */
typedef struct SentType
{
	HubspotAssociationType type;	/* must be first */
	int64		named;			/* context */
	int64		done;			/* error */
} SentType;

struct HubspotBlame
{
	const HubspotMatch *match;
	bool		refused;
	SentUnit   *units;			/* in the match's order at the beginning */
	SentId	   *ids;
	SentId	  **table;			/* the ids by their hashes */
	uint32		mask;			/* of a place in the table */
	int			nids;
	SentType   *types;			/* sorted; made when they are needed */
	int			ntypes;

	const HubspotError *error;	/* the error that is being read */
	int64		nerrors;
	int64		ncontexts;
	List	   *named;			/* of SentId *: ids that may be of either
								 * side, or whose object type tells */
	int			nnamed;			/* units that were named so far */
};

static void add_unit(HubspotBlame *blame, HubspotUnit *unit, int n);
static SentId **find_place(const HubspotBlame *blame, HubspotSlice id);
static void blame_context(void *state, const HubspotNames *names);
static void *sent_id(void *state, HubspotSlice id);
static void id_named(void *state, void *id, const char *object_type);
static const char *sent_object_type(void *state, HubspotSlice object_type);
static HubspotAssociationType *sent_type(void *state, HubspotSlice category,
										 int32 type_id);
static void make_types(HubspotBlame *blame);
static int	compare_types(const void *a, const void *b);
static int	settle_sides(HubspotBlame *blame, const HubspotNames *names);
static int	settle_pair(HubspotBlame *blame, const SentId *from, const SentId *to);
static int	settle_pairs(HubspotBlame *blame, const HubspotNames *names);
static int	settle_units(HubspotBlame *blame, SentId *id, Side side, Done done);
static int	settle_ids(HubspotBlame *blame);
static int	settle_types(HubspotBlame *blame, const List *named);

/* The unit of a match that has the pair of ids, or NULL. */
HubspotUnit *
hubspot_match_unit(const HubspotMatch *match, HubspotSlice from_id, HubspotSlice to_id)
{
	HubspotInput key = {.from_id = from_id,.to_id = to_id};
	HubspotUnit *unit = hubspot_pairs_chain(match->pairs, &key,
											hubspot_pair_hash(&key));

	while (unit && !(unit->sent_with == match->sent_with &&
					 hubspot_same_pair(&unit->input, &key)))
		unit = unit->older;
	return unit;
}

/*
 * Settle a unit with an error; but if that says only that there is nothing to remove, or
 * nothing to read, the unit is confirmed.
 */
void
hubspot_settle(const HubspotMatch *match, HubspotUnit *unit, const HubspotError *error)
{
	bool		nothing_to_do =
	(match->shape == HUBSPOT_REPLY_SILENT && error->not_found) ||
	(hubspot_match_reads(match) && error->no_associations);

	unit->confirmed = nothing_to_do;
	unit->types = NULL;
	unit->labels = NULL;
	if (unit->page)
	{
		unit->page->associations = NULL;
		unit->page->nassociations = 0;
		unit->page->nlisted = 0;
		unit->page->after.data = NULL;
	}
	unit->error = nothing_to_do ? NULL : error;
	unit->http_status = error->http_status;
	unit->correlation_id = nothing_to_do && match->many ? NULL :
		error->correlation_id;
}

/*
 * Begin to look for the units that the errors of one reply are about; palloc'd.  refused:
 * the reply has refused the whole request.
 */
HubspotBlame *
hubspot_blame_begin(const HubspotMatch *match, bool refused)
{
	HubspotBlame *blame = palloc0(sizeof(HubspotBlame));
	uint32		size = 16;

	while (size < 4 * (uint32) match->nunits)
		size *= 2;
	blame->match = match;
	blame->refused = refused;
	blame->units = palloc(sizeof(SentUnit) * match->nunits);
	blame->ids = palloc0(sizeof(SentId) * NSIDES * match->nunits);
	blame->table = palloc0(sizeof(SentId *) * size);
	blame->mask = size - 1;
	for (int i = 0; i < match->nunits; i++)
		add_unit(blame, match->units[i], i);
	return blame;
}

static void
add_unit(HubspotBlame *blame, HubspotUnit *unit, int n)
{
	SentUnit   *sent = &blame->units[n];

	sent->unit = unit;
	for (int side = FROM; side <= TO; side++)
	{
		HubspotSlice id = (side == FROM) ? unit->input.from_id : unit->input.to_id;
		SentId	  **place = find_place(blame, id);

		if (*place == NULL)
		{
			*place = &blame->ids[blame->nids++];
			(*place)->id = id;
		}
		sent->ids[side] = *place;
		sent->next[side] = (*place)->units[side];
		(*place)->units[side] = sent;
	}
}

/* The place of an id in the table, or the place where it is to go. */
static SentId **
find_place(const HubspotBlame *blame, HubspotSlice id)
{
	uint32		place = hubspot_text_hash(id.data, id.len);

	for (;; place++)
	{
		SentId	  **entry = &blame->table[place & blame->mask];

		if (*entry == NULL || hubspot_same_id((*entry)->id, id))
			return entry;
	}
}

/*
 * Settle the units that an error names.  If the whole request was refused, those that it
 * may only have named become suspects instead.  Returns how many it named, without the
 * suspects.
 *
 * An error may name anything, any number of times, in any number of contexts: the units of
 * an id or type are gone through once.
 */
int
hubspot_blame(HubspotBlame *blame, const HubspotError *error)
{
	HubspotSent sent = {blame, sent_id, id_named, sent_type, sent_object_type};

	CHECK_FOR_INTERRUPTS();
	blame->error = error;
	blame->nerrors++;
	blame->ncontexts++;
	blame->nnamed = 0;
	hubspot_each_context(error, &sent, blame, blame_context);
	return blame->nnamed;
}

static void
blame_context(void *state, const HubspotNames *names)
{
	HubspotBlame *blame = state;
	int			n = 0;

	if (names->from_ids || names->to_ids)
		n = settle_sides(blame, names);
	if (n == 0 && blame->named)
		n = settle_ids(blame);
	if (n == 0 && names->types)
		n = settle_types(blame, names->types);
	blame->nnamed += n;

	/* for the next context */
	list_free(blame->named);
	blame->named = NIL;
	blame->ncontexts++;
}

static void *
sent_id(void *state, HubspotSlice id)
{
	return *find_place(state, id);
}

/*
 * Note an id that may be of either side.  Its object type may tell which; a type that is
 * neither side's, or both sides', tells nothing.
 */
static void
id_named(void *state, void *id, const char *object_type)
{
	HubspotBlame *blame = state;
	const HubspotMatch *match = blame->match;
	SentId	   *named = id;
	bool		from = object_type && hubspot_same_object_type(match->from_type, object_type);
	bool		to = object_type && hubspot_same_object_type(match->to_type, object_type);

	if (named->ambiguous != blame->ncontexts &&
		named->meant[FROM] != blame->ncontexts && named->meant[TO] != blame->ncontexts)
		blame->named = lappend(blame->named, named);
	if (from != to)
		named->meant[from ? FROM : TO] = blame->ncontexts;
	else
		named->ambiguous = blame->ncontexts;
}

static const char *
sent_object_type(void *state, HubspotSlice object_type)
{
	const HubspotMatch *match = ((HubspotBlame *) state)->match;
	char	   *text = pnstrdup(object_type.data, object_type.len);
	const char *known = "";

	if (hubspot_same_object_type(match->from_type, text))
		known = match->from_type;
	else if (hubspot_same_object_type(match->to_type, text))
		known = match->to_type;
	pfree(text);
	return known;
}

/*
 * The type of that number, if it was sent and the context has not named it before; or
 * NULL.
 */
static HubspotAssociationType *
sent_type(void *state, HubspotSlice category, int32 type_id)
{
	HubspotBlame *blame = state;
	SentType	key = {.type.type_id = type_id};
	SentType   *found;
	char	   *text = pnstrdup(category.data, category.len);

	if (blame->types == NULL)
		make_types(blame);
	key.type.category = text;
	found = bsearch(&key, blame->types, blame->ntypes, sizeof(SentType), compare_types);
	pfree(text);
	if (found == NULL || found->named == blame->ncontexts)
		return NULL;
	found->named = blame->ncontexts;
	return &found->type;
}

/* The types of all units, each once.  Many units share a list. */
static void
make_types(HubspotBlame *blame)
{
	const HubspotTypeList *last = NULL;
	int			max = 16;
	int			n = 0;

	blame->types = palloc(sizeof(SentType) * max);
	for (int i = 0; i < blame->match->nunits; i++)
	{
		const HubspotTypeList *types = blame->match->units[i]->input.types;

		if (types == NULL || types == last)
			continue;
		last = types;
		for (int j = 0; j < types->ntypes; j++)
		{
			if (n == max)
				blame->types = repalloc(blame->types, sizeof(SentType) * (max *= 2));
			blame->types[n].type = types->types[j];
			blame->types[n].named = blame->types[n].done = 0;
			n++;
		}
	}
	qsort(blame->types, n, sizeof(SentType), compare_types);
	for (int i = 0; i < n; i++)
	{
		if (i == 0 || compare_types(&blame->types[blame->ntypes - 1], &blame->types[i]) != 0)
			blame->types[blame->ntypes++] = blame->types[i];
	}
}

static int
compare_types(const void *a, const void *b)
{
	const HubspotAssociationType *left = &((const SentType *) a)->type;
	const HubspotAssociationType *right = &((const SentType *) b)->type;

	if (left->type_id != right->type_id)
		return left->type_id < right->type_id ? -1 : 1;
	return strcmp(left->category, right->category);
}

/*
 * Settle the units of a from id, of a to id, or of both.  Only both together are as
 * certain as a result that says otherwise.
 */
static int
settle_sides(HubspotBlame *blame, const HubspotNames *names)
{
	const HubspotMatch *match = blame->match;
	bool		exact = (names->from_ids && names->to_ids);
	const List *lists[NSIDES] = {names->from_ids, names->to_ids};
	int			n = 0;

	if (list_length(names->from_ids) == 1 &&
		(list_length(names->to_ids) == 1 || hubspot_match_reads(match)))
	{
		const HubspotSlice none = {"", 0};
		const SentId *from = linitial(names->from_ids);
		const SentId *to = hubspot_match_reads(match) ? NULL : linitial(names->to_ids);
		HubspotUnit *unit;

		if (from == NULL || (to == NULL && !hubspot_match_reads(match)))
			return 0;
		unit = hubspot_match_unit(match, from->id, to ? to->id : none);
		if (unit == NULL)
			return 0;

		/* a result disproves that there is nothing */
		if (!(blame->error->no_associations && hubspot_unit_is_settled(unit)))
			hubspot_settle(match, unit, blame->error);
		return 1;
	}
	if (exact)
		n = settle_pairs(blame, names);

	/*
	 * lists of both sides that do not make pairs: each may name units of its
	 * own
	 */
	if (exact && (n > 0 || !blame->refused))
		return n;
	for (int side = FROM; side <= TO; side++)
	{
		ListCell   *lc;

		foreach(lc, lists[side])
		{
			CHECK_FOR_INTERRUPTS();
			if (lfirst(lc))
				n += settle_units(blame, lfirst(lc), side,
								  exact ? SUSPECTED : SETTLED);
		}
	}
	return n;
}

/*
 * Settle the pairs of a context with ids of both sides: one by one if there are as many of
 * each, otherwise each with each.
 */
static int
settle_pairs(HubspotBlame *blame, const HubspotNames *names)
{
	int			n = 0;
	ListCell   *from_cell;
	ListCell   *to_cell;

	if (list_length(names->from_ids) == list_length(names->to_ids))
	{
		forboth(from_cell, names->from_ids, to_cell, names->to_ids)
		{
			CHECK_FOR_INTERRUPTS();
			if (lfirst(from_cell) && lfirst(to_cell))
				n += settle_pair(blame, lfirst(from_cell), lfirst(to_cell));
		}
		return n;
	}
	foreach(to_cell, names->to_ids)
	{
		if (lfirst(to_cell))
			((SentId *) lfirst(to_cell))->listed[TO] = blame->ncontexts;
	}
	foreach(from_cell, names->from_ids)
	{
		SentId	   *from = lfirst(from_cell);

		CHECK_FOR_INTERRUPTS();
		if (from == NULL || from->listed[FROM] == blame->ncontexts)
			continue;
		from->listed[FROM] = blame->ncontexts;
		for (SentUnit *sent = from->units[FROM]; sent; sent = sent->next[FROM])
		{
			if (sent->ids[TO]->listed[TO] != blame->ncontexts)
				continue;
			hubspot_settle(blame->match, sent->unit, blame->error);
			n++;
		}
	}
	return n;
}

/* Settle the units of a pair: there may be several, with different types. */
static int
settle_pair(HubspotBlame *blame, const SentId *from, const SentId *to)
{
	const HubspotMatch *match = blame->match;
	int			n = 0;

	for (HubspotUnit *unit = hubspot_match_unit(match, from->id, to->id); unit;
		 unit = unit->older)
	{
		if (unit->sent_with != match->sent_with ||
			!hubspot_same_id(unit->input.from_id, from->id) ||
			!hubspot_same_id(unit->input.to_id, to->id))
			continue;
		hubspot_settle(match, unit, blame->error);
		n++;
	}
	return n;
}

/*
 * Settle the units that have an id on a side, or suspect them, if the error may not mean
 * them.  Returns how many it names for certain.
 */
static int
settle_units(HubspotBlame *blame, SentId *id, Side side, Done done)
{
	int			n = 0;

	/* an error that says it again says nothing new */
	if (id->done[side][done] == blame->nerrors)
		return done == SETTLED && id->units[side] ? 1 : 0;
	id->done[side][done] = blame->nerrors;
	for (SentUnit *sent = id->units[side]; sent; sent = sent->next[side])
	{
		CHECK_FOR_INTERRUPTS();
		if (done == SUSPECTED)
			sent->unit->suspect = true;
		else
		{
			n++;
			if (!hubspot_unit_is_settled(sent->unit))
				hubspot_settle(blame->match, sent->unit, blame->error);
		}
	}
	return n;
}

/*
 * Settle or suspect the units of ids that may be of either side.  Which side is meant is
 * certain if the object type tells, if both sides have one type, or if the id was sent on
 * one side only; and where the request was not refused, it does not matter.
 */
static int
settle_ids(HubspotBlame *blame)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, blame->named)
	{
		SentId	   *id = lfirst(lc);
		bool		meant[NSIDES];
		bool		sure = true;

		CHECK_FOR_INTERRUPTS();
		meant[FROM] = (id->meant[FROM] == blame->ncontexts);
		meant[TO] = (id->meant[TO] == blame->ncontexts);
		if (!meant[FROM] && !meant[TO])
		{
			meant[FROM] = meant[TO] = true;
			sure = !blame->refused || blame->match->symmetric ||
				id->units[FROM] == NULL || id->units[TO] == NULL;
		}
		for (int side = FROM; side <= TO; side++)
		{
			if (meant[side])
				n += settle_units(blame, id, side, sure ? SETTLED : SUSPECTED);
		}
	}
	return n;
}

/* Settle the units that ask for a type which the error refuses. */
static int
settle_types(HubspotBlame *blame, const List *named)
{
	const HubspotMatch *match = blame->match;
	const HubspotError *error = blame->error;
	bool		again = true;
	int			n = 0;
	ListCell   *lc;

	/* an error that says it again says nothing new */
	foreach(lc, named)
	{
		SentType   *type = lfirst(lc);

		again &= (type->done == blame->nerrors);
		type->done = blame->nerrors;
	}
	if (again)
		return list_length(named);

	/* that a type does not exist does not mean that a pair is gone */
	if (error->not_found)
	{
		HubspotError *copy = palloc(sizeof(HubspotError));

		*copy = *error;
		copy->not_found = false;
		error = copy;
	}
	for (int i = 0; i < match->nunits; i++)
	{
		HubspotUnit *unit = match->units[i];
		const HubspotTypeList *types = unit->input.types;

		CHECK_FOR_INTERRUPTS();
		for (int j = 0; types && j < types->ntypes; j++)
		{
			SentType	key = {.type = types->types[j]};
			const SentType *type = bsearch(&key, blame->types, blame->ntypes,
										   sizeof(SentType), compare_types);

			if (type == NULL || type->named != blame->ncontexts)
				continue;
			if (!hubspot_unit_is_settled(unit))
				hubspot_settle(match, unit, error);
			n++;
		}
	}
	return n;
}
