/*-------------------------------------------------------------------------
 *
 * page.c
 *	  A page of a record's associations, each of which is given once.
 *
 * An answer may have a pair twice, together or apart, with the same types or others; and
 * where associations are made or removed meanwhile, the pages move, and what was the end of
 * one is the beginning of the next.  A caller gets each type of a pair once, and the types
 * of a pair together.
 *
 * A record may have any number of pages, so only one of them is remembered: what comes again
 * on the next page is recognized, and what comes again later is given again.
 *
 * IDENTIFICATION
 *	  src/call/page.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/text_hash.h"
#include "call/page.h"

/*
 * After so many pages in a row without anything new, or so many that come again, a record is
 * taken to have no last one.
 */
#define MAX_IDLE_PAGES	100

/*
 * An association of the page before.  Its id is known by a hash, which nobody can foresee:
 * that of another record is the same once in 2^64 times.
 */
struct HubspotFormer
{
	uint64		pair;
	uint32		category;		/* a hash */
	int32		type_id;
};

/* An association of a page while it is sorted. */
typedef struct Entry
{
	uint64		pair;
	const HubspotAssociation *association;
	int			position;		/* of the association in the page */
	int			first;			/* of the first one of its pair */
	bool		repeated;		/* the type has come before */
} Entry;

static uint32 hash_ends(const HubspotPage *page);
static bool ascends(const HubspotPage *page);
static bool is_less(HubspotSlice a, HubspotSlice b);
static Entry *sort_pairs(const HubspotPage *page);
static bool same_pair(const Entry *a, const Entry *b);
static int	compare_pairs(const void *a, const void *b);
static int	compare_types(const Entry *a, const Entry *b);
static const char *category_of(const HubspotAssociationType *type);
static int	compare_places(const void *a, const void *b);
static struct HubspotFormer former_of(const HubspotAssociation *association);
static int	compare_formers(const void *a, const void *b);
static bool is_former(const HubspotPage *page, const Entry *entry);

/*
 * Bring the types of each pair together, and behind all others those that are there twice,
 * or were on the page before, which are not given.  In the current memory context.
 */
void
hubspot_page_sort_out(HubspotPage *page)
{
	int			n = page->nassociations;
	HubspotAssociation *sorted;
	Entry	   *entries;
	int			nkept = 0;

	page->nlisted = n;
	page->last_id.data = NULL;
	if (n > 0)
		page->last_id = page->associations[n - 1].to_id;
	if (n == 0 || (page->nformers == 0 && ascends(page)))
		return;
	entries = sort_pairs(page);
	qsort(entries, n, sizeof(Entry), compare_places);
	sorted = palloc_extended(sizeof(HubspotAssociation) * n, MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
	{
		if (!entries[i].repeated)
			sorted[nkept++] = *entries[i].association;
	}
	page->nassociations = nkept;
	for (int i = 0; i < n; i++)
	{
		if (entries[i].repeated)
			sorted[nkept++] = *entries[i].association;
	}
	pfree(unconstify(HubspotAssociation *, page->associations));
	page->associations = sorted;
	pfree(entries);
}

/*
 * Why a page that was sorted out cannot be followed by another one, though it says so; NULL:
 * it can, or says that it is the last one.  The places of pages tell whether they go in a
 * circle, unless each place is a new one; so do pages that have nothing, or the same again, or
 * come again after others.  For these one page is marked, until twice as many were read.
 */
const char *
hubspot_page_problem(HubspotPage *page)
{
	uint32		before = page->ends;

	if (page->after.data == NULL)
		return NULL;
	page->ends = hash_ends(page);
	if (page->nlisted == 0 || page->ends == before)
		page->nidle++;
	else
		page->nidle = 0;
	if (page->nlisted > 0)
	{
		if (page->ends == page->marked_ends)
			page->nrounds++;
		if ((page->npages & (page->npages - 1)) == 0)
			page->marked_ends = page->ends;
	}
	if (page->nidle >= MAX_IDLE_PAGES || page->nrounds >= MAX_IDLE_PAGES)
		return "there are pages without further associations, and no end of them";
	return NULL;
}

/* A hash of how many associations the answer has, and of the first and the last one. */
static uint32
hash_ends(const HubspotPage *page)
{
	uint32		hash = (uint32) page->nlisted;

	if (page->nlisted == 0)
		return 0;
	hash = hash * 31 + hubspot_text_hash(page->associations[0].to_id.data,
										 page->associations[0].to_id.len);
	return hash * 31 + hubspot_text_hash(page->last_id.data, page->last_id.len);
}

/* Do the pairs ascend, as HubSpot sorts them, so that none comes twice, nor a type of one? */
static bool
ascends(const HubspotPage *page)
{
	int			first = 0;		/* association of the pair */

	for (int i = 1; i < page->nassociations; i++)
	{
		const HubspotAssociation *association = &page->associations[i];

		if (is_less(association[-1].to_id, association->to_id))
		{
			first = i;
			continue;
		}
		if (!hubspot_same_id(association[-1].to_id, association->to_id))
			return false;
		/* few types are compared with each other, and many are sorted */
		if (i - first == HUBSPOT_MAX_TYPES)
			return false;
		for (int j = first; j < i; j++)
		{
			const Entry a = {.association = &page->associations[j]};
			const Entry b = {.association = association};

			if (compare_types(&a, &b) == 0)
				return false;
		}
	}
	return true;
}

/* In any order of ids, of which that of numbers is one. */
static bool
is_less(HubspotSlice a, HubspotSlice b)
{
	if (a.len != b.len)
		return a.len < b.len;
	return memcmp(a.data, b.data, a.len) < 0;
}

/*
 * The associations by their pairs and types.  It is found out of each where its pair is first,
 * and whether it is repeated.
 */
static Entry *
sort_pairs(const HubspotPage *page)
{
	int			n = page->nassociations;
	Entry	   *entries = palloc_extended(sizeof(Entry) * n, MCXT_ALLOC_HUGE);
	int			end;

	for (int i = 0; i < n; i++)
	{
		const HubspotAssociation *association = &page->associations[i];

		entries[i].association = association;
		entries[i].pair = hubspot_long_text_hash(association->to_id.data, association->to_id.len);
		entries[i].position = i;
	}
	qsort(entries, n, sizeof(Entry), compare_pairs);
	for (int i = 0; i < n; i = end)
	{
		int			first = entries[i].position;

		CHECK_FOR_INTERRUPTS();
		for (end = i; end < n && same_pair(&entries[i], &entries[end]); end++)
			first = Min(first, entries[end].position);
		for (int j = i; j < end; j++)
		{
			entries[j].first = first;
			entries[j].repeated = (j > i && compare_types(&entries[j - 1], &entries[j]) == 0) ||
				is_former(page, &entries[j]);
		}
	}
	return entries;
}

static bool
same_pair(const Entry *a, const Entry *b)
{
	return hubspot_same_id(a->association->to_id, b->association->to_id);
}

/* By pairs, their types, and the order in which these stand. */
static int
compare_pairs(const void *a, const void *b)
{
	const Entry *x = a;
	const Entry *y = b;
	int			order;

	if (x->pair != y->pair)
		return x->pair < y->pair ? -1 : 1;
	if (!same_pair(x, y))
		return is_less(x->association->to_id, y->association->to_id) ? -1 : 1;
	order = compare_types(x, y);
	return order != 0 ? order : x->position - y->position;
}

/* By types, whatever their labels. */
static int
compare_types(const Entry *a, const Entry *b)
{
	const HubspotAssociationType *x = a->association->type;
	const HubspotAssociationType *y = b->association->type;

	if (x == y)
		return 0;
	if (x == NULL || y == NULL)
		return x == NULL ? -1 : 1;
	if (x->type_id != y->type_id)
		return x->type_id < y->type_id ? -1 : 1;
	return strcmp(category_of(x), category_of(y));
}

static const char *
category_of(const HubspotAssociationType *type)
{
	return type && type->category ? type->category : "";
}

/* By the places of their pairs, and their own. */
static int
compare_places(const void *a, const void *b)
{
	const Entry *x = a;
	const Entry *y = b;

	return x->first != y->first ? x->first - y->first : x->position - y->position;
}

/*
 * Remember a page while the next one of its record is read, in the current memory context.
 */
void
hubspot_page_remember(HubspotPage *next, const HubspotPage *page)
{
	struct HubspotFormer *formers;

	if (page->nlisted == 0)
		return;
	formers = palloc_extended(sizeof(struct HubspotFormer) * page->nlisted, MCXT_ALLOC_HUGE);
	for (int i = 0; i < page->nlisted; i++)
		formers[i] = former_of(&page->associations[i]);
	qsort(formers, page->nlisted, sizeof(struct HubspotFormer), compare_formers);
	next->formers = formers;
	next->nformers = page->nlisted;
}

static struct HubspotFormer
former_of(const HubspotAssociation *association)
{
	const char *category = category_of(association->type);
	struct HubspotFormer former = {
		.pair = hubspot_long_text_hash(association->to_id.data, association->to_id.len),
		.type_id = association->type ? association->type->type_id : 0,
		.category = hubspot_text_hash(category, strlen(category))
	};

	return former;
}

static int
compare_formers(const void *a, const void *b)
{
	const struct HubspotFormer *x = a;
	const struct HubspotFormer *y = b;

	if (x->pair != y->pair)
		return x->pair < y->pair ? -1 : 1;
	if (x->type_id != y->type_id)
		return x->type_id < y->type_id ? -1 : 1;
	if (x->category != y->category)
		return x->category < y->category ? -1 : 1;
	return 0;
}

/* Was an association on the page before? */
static bool
is_former(const HubspotPage *page, const Entry *entry)
{
	struct HubspotFormer former;

	if (page->nformers == 0)
		return false;
	former = former_of(entry->association);
	return bsearch(&former, page->formers, page->nformers, sizeof(former), compare_formers) != NULL;
}

/* Was the pair of an association on the page before, with other types? */
bool
hubspot_page_repeats(const HubspotPage *page, const HubspotAssociation *association)
{
	uint64		pair;
	int			low = 0;
	int			high = page->nformers;

	if (high == 0)
		return false;
	pair = hubspot_long_text_hash(association->to_id.data, association->to_id.len);
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (page->formers[middle].pair < pair)
			low = middle + 1;
		else
			high = middle;
	}
	return low < page->nformers && page->formers[low].pair == pair;
}
