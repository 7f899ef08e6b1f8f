/*-------------------------------------------------------------------------
 *
 * association_type.c
 *	  Association types: those of a pair, and those that answers name.
 *
 * IDENTIFICATION
 *	  src/api/association_type.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/association_type.h"
#include "api/object_type.h"
#include "json/text.h"

/*
 * How many types are searched before a new one is made: two object types have
 * at most some 50 labels.
 */
#define MAX_KNOWN_TYPES		256

/* A type as it came, in UTF-8, and what it is here. */
typedef struct KnownType
{
	HubspotSlice category;
	HubspotSlice label;
	HubspotAssociationType type;
} KnownType;

/* The categories that nearly all types have. */
const char	hubspot_defined_category[] = HUBSPOT_DEFINED_CATEGORY;
static const char *const known_categories[] = {
	hubspot_defined_category, "USER_DEFINED", "INTEGRATOR_DEFINED"
};

struct HubspotTypeSet
{
	MemoryContext context;
	int			last;			/* the last one found: the next is likely to
								 * be near it */
	int			ntypes;
	KnownType  *types[MAX_KNOWN_TYPES];
};

/*
 * The types by which a company is the primary one of a record, for each
 * direction.  Their labels differ between the two directions, and have
 * changed; the numbers have not, and are the same in all accounts.
 * HUBSPOT_PRIMARY_DIRECTIONS puts them into words.
 */
static const struct
{
	const char *from_type;
	const char *to_type;
	int32		type_id;
}			primary_types[] = {
	{"contacts", "companies", 1},
	{"companies", "contacts", 2},
	{"deals", "companies", 5},
	{"companies", "deals", 6},
	{"tickets", "companies", 26},
	{"companies", "tickets", 25}
};

static bool is_type(const KnownType *known, HubspotSlice category,
					int32 type_id, HubspotSlice label);
static KnownType *make_type(HubspotSlice category, int32 type_id,
							HubspotSlice label);
static HubspotSlice copy_slice(HubspotSlice slice);
static inline bool same_category(const char *a, const char *b);
static const char *copy_category(const char *category);

/*
 * The constant of a known category, always the same one, so that it need not be
 * copied, and can be compared by its address; NULL: the category is not known.
 */
const char *
hubspot_known_category(const char *text, int len)
{
	for (size_t i = 0; i < lengthof(known_categories); i++)
	{
		if (strncmp(known_categories[i], text, len) == 0 && known_categories[i][len] == '\0')
			return known_categories[i];
	}
	return NULL;
}

/* A set of types that lives in context. */
HubspotTypeSet *
hubspot_types_create(MemoryContext context)
{
	HubspotTypeSet *set = MemoryContextAllocZero(context, sizeof(HubspotTypeSet));

	set->context = context;
	return set;
}

/*
 * The type that an answer names, the same pointer each time, unless there are very many or
 * its texts are long; the texts given are in UTF-8, and may have no data.  Answers tend to
 * repeat a few types in the same order.
 */
const HubspotAssociationType *
hubspot_types_get(HubspotTypeSet *set, HubspotSlice category, int32 type_id,
				  HubspotSlice label)
{
	MemoryContext old;
	KnownType  *known;

	for (int i = 0, n = set->last; i < set->ntypes; i++)
	{
		known = set->types[n];
		if (is_type(known, category, type_id, label))
		{
			set->last = n;
			return &known->type;
		}
		if (++n == set->ntypes)
			n = 0;
	}
	/* the set outlives the answer, so it has none of a size that no type has */
	if (set->ntypes == MAX_KNOWN_TYPES ||
		category.len > HUBSPOT_MAX_TEXT || label.len > HUBSPOT_MAX_TEXT)
		return &make_type(category, type_id, label)->type;

	old = MemoryContextSwitchTo(set->context);
	known = make_type(category, type_id, label);
	MemoryContextSwitchTo(old);
	set->last = set->ntypes;
	set->types[set->ntypes++] = known;
	return &known->type;
}

static inline bool
same_slice(HubspotSlice a, HubspotSlice b)
{
	if (a.data == NULL || b.data == NULL)
		return a.data == b.data;
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static bool
is_type(const KnownType *known, HubspotSlice category, int32 type_id,
		HubspotSlice label)
{
	return known->type.type_id == type_id &&
		same_slice(known->category, category) && same_slice(known->label, label);
}

static KnownType *
make_type(HubspotSlice category, int32 type_id, HubspotSlice label)
{
	KnownType  *known = palloc0(sizeof(KnownType));

	known->category = copy_slice(category);
	known->label = copy_slice(label);
	known->type.type_id = type_id;
	if (category.data)
		known->type.category = hubspot_text_from_utf8(category.data, category.len);
	if (label.data)
		known->type.label = hubspot_text_from_utf8(label.data, label.len);
	return known;
}

static HubspotSlice
copy_slice(HubspotSlice slice)
{
	if (slice.data)
		slice.data = pnstrdup(slice.data, slice.len);
	return slice;
}

/*
 * The number of the primary type from one object type to another, of the category
 * HUBSPOT_DEFINED_CATEGORY; 0: there is none, as far as we know.
 */
int32
hubspot_primary_type(const char *from_type, const char *to_type)
{
	for (size_t i = 0; i < lengthof(primary_types); i++)
	{
		if (hubspot_same_object_type(primary_types[i].from_type, from_type) &&
			hubspot_same_object_type(primary_types[i].to_type, to_type))
			return primary_types[i].type_id;
	}
	return 0;
}

/* Is it the primary type of its direction?  No two directions share a number. */
bool
hubspot_is_primary(const HubspotAssociationType *type)
{
	for (size_t i = 0; i < lengthof(primary_types); i++)
	{
		if (primary_types[i].type_id == type->type_id)
			return type->category &&
				strcmp(type->category, HUBSPOT_DEFINED_CATEGORY) == 0;
	}
	return false;
}

/* Is the type in the list, which may be NULL? */
bool
hubspot_has_type(const HubspotTypeList *types, const HubspotAssociationType *type)
{
	for (int i = 0; types && i < types->ntypes; i++)
	{
		if (types->types[i].type_id == type->type_id &&
			same_category(types->types[i].category, type->category))
			return true;
	}
	return false;
}

static inline bool
same_category(const char *a, const char *b)
{
	return a == b || strcmp(a, b) == 0;
}

/* The types of both lists, each once; palloc'd if there are more than types. */
const HubspotTypeList *
hubspot_merge_types(const HubspotTypeList *types, const HubspotTypeList *more)
{
	HubspotTypeList *merged;
	int			ntypes = types ? types->ntypes : 0;

	if (more == NULL || hubspot_has_types(types, more))
		return types;
	merged = palloc(offsetof(HubspotTypeList, types) +
					sizeof(HubspotAssociationType) * (ntypes + more->ntypes));
	merged->ntypes = ntypes;
	if (ntypes > 0)
		memcpy(merged->types, types->types,
			   sizeof(HubspotAssociationType) * ntypes);
	for (int i = 0; i < more->ntypes; i++)
	{
		HubspotAssociationType *type = &merged->types[merged->ntypes];

		if (hubspot_has_type(merged, &more->types[i]))
			continue;
		type->category = copy_category(more->types[i].category);
		type->type_id = more->types[i].type_id;
		type->label = NULL;
		merged->ntypes++;
	}
	return merged;
}

static const char *
copy_category(const char *category)
{
	const char *known = hubspot_known_category(category, strlen(category));

	return known ? known : pstrdup(category);
}

/* Does a list have all types of another one? */
bool
hubspot_has_types(const HubspotTypeList *types, const HubspotTypeList *others)
{
	for (int i = 0; i < others->ntypes; i++)
	{
		if (!hubspot_has_type(types, &others->types[i]))
			return false;
	}
	return true;
}

/* Are two lists the same, in the same order? */
bool
hubspot_same_types(const HubspotTypeList *types, const HubspotTypeList *others)
{
	if (types->ntypes != others->ntypes)
		return false;
	for (int i = 0; i < types->ntypes; i++)
	{
		if (types->types[i].type_id != others->types[i].type_id ||
			!same_category(types->types[i].category, others->types[i].category))
			return false;
	}
	return true;
}
