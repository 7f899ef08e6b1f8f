/*-------------------------------------------------------------------------
 *
 * seen_pairs.c
 *	  Which pairs have been read of some records, and the places of their types.
 *
 * Whether a DELETE takes all types of a pair away is told by an answer, whose types of a pair
 * come together (call/page.c).  If a pair comes again on another page, with other types, it
 * is not known any more which it has: what is only one of them would be taken for all.
 *
 * A pair and its types are known by hashes, in some 20 bytes, until the record has been read
 * to its end.
 *
 * IDENTIFICATION
 *	  src/table/seen_pairs.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"

#include "api/association_type.h"
#include "base/text_hash.h"
#include "table/seen_pairs.h"

/* Room at first: for records, and for the pairs of each. */
#define FIRST_RECORDS	64
#define FIRST_PAIRS		8

typedef struct PairEntry
{
	uint64		hash;			/* of the other record's id */
	uint32		types;			/* a hash of these, in their order */
	char		status;
} PairEntry;

#define SH_PREFIX pairs
#define SH_ELEMENT_TYPE PairEntry
#define SH_KEY_TYPE uint64
#define SH_KEY hash
#define SH_HASH_KEY(table, key) ((uint32) (key))
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct RecordEntry
{
	int64		record;			/* its number; must be first: the hash key */
	pairs_hash *pairs;
} RecordEntry;

struct HubspotSeenPairs
{
	MemoryContext context;
	HTAB	   *records;

	/* the last outcome, after which the pair's next type comes */
	int64		last_record;
	const HubspotAssociation *last;
	HubspotTypePlace last_place;
};

static void begin_pair(HubspotSeenPairs *seen, const HubspotOutcome *outcome,
					   HubspotTypePlace *place);
static bool note(HubspotSeenPairs *seen, int64 record, const HubspotAssociation *types,
				 int ntypes);
static uint32 types_hash(const HubspotAssociation *types, int ntypes);

/* None so far, in the current memory context. */
HubspotSeenPairs *
hubspot_seen_pairs_create(void)
{
	HubspotSeenPairs *seen = palloc0(sizeof(HubspotSeenPairs));
	HASHCTL		hash = {.keysize = sizeof(int64),.entrysize = sizeof(RecordEntry),
	.hcxt = CurrentMemoryContext};

	seen->context = CurrentMemoryContext;
	seen->records = hash_create("hubspot_assoc seen pairs", FIRST_RECORDS, &hash,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return seen;
}

/*
 * The place of an outcome's type among those of its pair, which an answer has together.
 * ERROR if the pair has come before, with other types.
 */
void
hubspot_seen_pairs_place(HubspotSeenPairs *seen, const HubspotOutcome *outcome,
						 HubspotTypePlace *place)
{
	const HubspotAssociation *association = outcome->association;
	const HubspotAssociationType *type = association->type;

	if (outcome->nbefore > 0 && seen->last == association - 1 &&
		seen->last_record == outcome->input_no &&
		seen->last_place.number + 1 < seen->last_place.ntypes)
	{
		place->number = seen->last_place.number + 1;
		place->ntypes = seen->last_place.ntypes;
	}
	else
		begin_pair(seen, outcome, place);
	/* an answer may have none */
	place->is_default = type == NULL ||
		((type->label == NULL || type->label[0] == '\0') && !hubspot_is_primary(type));
	seen->last_record = outcome->input_no;
	seen->last = association;
	seen->last_place = *place;
}

/* The first type of a pair, whose others follow. */
static void
begin_pair(HubspotSeenPairs *seen, const HubspotOutcome *outcome, HubspotTypePlace *place)
{
	const HubspotAssociation *association = outcome->association;
	HubspotSlice to = association->to_id;

	place->number = 0;
	place->ntypes = 1;
	while (place->ntypes <= outcome->nafter &&
		   hubspot_same_id(association[place->ntypes].to_id, to))
		place->ntypes++;
	if (!note(seen, outcome->input_no, association, place->ntypes))
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("could not read which types %.*s and %.*s are associated by",
						outcome->from_id.len, outcome->from_id.data, to.len, to.data),
				 errdetail("HubSpot's answers have them twice, with different types."),
				 errhint("Nothing has changed; try it again.")));
}

/* Take note of a pair of a record, with its types.  False: it has come before, with others. */
static bool
note(HubspotSeenPairs *seen, int64 record, const HubspotAssociation *types, int ntypes)
{
	HubspotSlice other = types[0].to_id;
	uint32		hash = types_hash(types, ntypes);
	RecordEntry *entry;
	PairEntry  *pair;
	bool		found;

	entry = hash_search(seen->records, &record, HASH_ENTER, &found);
	if (!found)
		entry->pairs = pairs_create(seen->context, FIRST_PAIRS, NULL);
	pair = pairs_insert(entry->pairs,
						hubspot_long_text_hash(other.data, other.len), &found);
	if (!found)
		pair->types = hash;
	return pair->types == hash;
}

static uint32
types_hash(const HubspotAssociation *types, int ntypes)
{
	uint32		hash = ntypes;

	for (int i = 0; i < ntypes; i++)
	{
		const HubspotAssociationType *type = types[i].type;

		if (type == NULL)
			continue;
		hash = hash_combine(hash, hash_bytes_uint32(type->type_id));
		if (type->category)
			hash = hash_combine(hash, hubspot_text_hash(type->category,
														strlen(type->category)));
	}
	return hash;
}

/* A record has been read to its end. */
void
hubspot_seen_pairs_end(HubspotSeenPairs *seen, int64 record)
{
	RecordEntry *entry = hash_search(seen->records, &record, HASH_FIND, NULL);

	if (entry == NULL)
		return;
	pairs_destroy(entry->pairs);
	(void) hash_search(seen->records, &record, HASH_REMOVE, NULL);
}
