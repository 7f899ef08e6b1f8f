/*-------------------------------------------------------------------------
 *
 * spared.c
 *	  Records that lose nothing.
 *
 * Where it is not known what a wanted row means, it may mean any association of its record,
 * so that record loses none.  A record is known by its id, and, where rows have keys, by
 * these as well: the look-up of a key may fail for one row, and not for the next.
 *
 * Records and keys are kept by a hash, so that they take no space to speak of; of two that
 * have the same one, both are spared.  There may be more than are kept: then nothing is
 * removed at all.
 *
 * IDENTIFICATION
 *	  src/plan/spared.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/text_hash.h"
#include "plan/spared.h"

/* So many are kept, in a few megabytes. */
#define MAX_SPARED	100000

/* Room at first. */
#define FIRST_SPARED	64

/* What is mixed into the hash of an id, and of a key. */
#define RECORD_SEED		1
#define KEY_SEED		2

typedef struct SparedEntry
{
	uint64		hash;
	char		status;
} SparedEntry;

#define SH_PREFIX spared
#define SH_ELEMENT_TYPE SparedEntry
#define SH_KEY_TYPE uint64
#define SH_KEY hash
#define SH_HASH_KEY(table, key) ((uint32) (key))
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct HubspotSpared
{
	spared_hash *hashes;
	bool		all;
};

static void add(HubspotSpared *spared, uint64 hash);
static uint64 record_hash(HubspotSlice id);

/* Nobody, at first; palloc'd. */
HubspotSpared *
hubspot_spared_create(void)
{
	HubspotSpared *spared = palloc0(sizeof(HubspotSpared));

	spared->hashes = spared_create(CurrentMemoryContext, FIRST_SPARED, NULL);
	return spared;
}

void
hubspot_spare_record(HubspotSpared *spared, HubspotSlice id)
{
	add(spared, record_hash(id));
}

/* Spare the record of a key, whose hash is hubspot_spared_key()'s. */
void
hubspot_spare_key(HubspotSpared *spared, uint64 hash)
{
	add(spared, hash);
}

static void
add(HubspotSpared *spared, uint64 hash)
{
	bool		found;

	if (spared->all)
		return;
	(void) spared_insert(spared->hashes, hash, &found);
	if (spared->hashes->members > MAX_SPARED)
		spared->all = true;
}

/* Spare each record: it is not known whose a row is. */
void
hubspot_spare_all(HubspotSpared *spared)
{
	spared->all = true;
}

bool
hubspot_is_record_spared(const HubspotSpared *spared, HubspotSlice id)
{
	return spared->all ||
		(spared->hashes->members > 0 && spared_lookup(spared->hashes, record_hash(id)));
}

bool
hubspot_is_key_spared(const HubspotSpared *spared, uint64 hash)
{
	return spared->all ||
		(spared->hashes->members > 0 && spared_lookup(spared->hashes, hash));
}

bool
hubspot_are_all_spared(const HubspotSpared *spared)
{
	return spared->all;
}

static uint64
record_hash(HubspotSlice id)
{
	return hubspot_mix_hash(hubspot_long_text_hash(id.data, id.len), RECORD_SEED);
}

/* The hash of a key that has no problem: of its normal form. */
uint64
hubspot_spared_key(const HubspotObjectType *type, HubspotSlice key)
{
	char		buffer[HUBSPOT_NORMAL_SIZE];
	HubspotSlice normal = hubspot_key_normalize(type, key, buffer);

	return hubspot_mix_hash(hubspot_long_text_hash(normal.data, normal.len), KEY_SEED);
}
