/*-------------------------------------------------------------------------
 *
 * seen_pairs.c
 *	  Which pairs have been read of some records, and with which types.
 *
 * Whether a DELETE takes all types of a pair away is told by an answer, which has them
 * together.  If a pair comes again, apart from that or on another page, with other types, it
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
};

static uint32 types_hash(const HubspotAssociation *types, int ntypes);

/* None so far, in the current memory context. */
HubspotSeenPairs *
hubspot_seen_pairs_create(void)
{
	HubspotSeenPairs *seen = palloc(sizeof(HubspotSeenPairs));
	HASHCTL		hash = {.keysize = sizeof(int64),.entrysize = sizeof(RecordEntry),
	.hcxt = CurrentMemoryContext};

	seen->context = CurrentMemoryContext;
	seen->records = hash_create("hubspot_assoc seen pairs", FIRST_RECORDS, &hash,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return seen;
}

/*
 * Take note of a pair of a record, with the types that an answer has together.  False: it has
 * come before, with others.
 */
bool
hubspot_seen_pair_note(HubspotSeenPairs *seen, int64 record, const HubspotAssociation *types,
					   int ntypes)
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
						hash_bytes_extended((const unsigned char *) other.data, other.len, 0),
						&found);
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
			hash = hash_combine(hash, hash_bytes((const unsigned char *) type->category,
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
