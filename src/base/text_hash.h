/*-------------------------------------------------------------------------
 *
 * text_hash.h
 *	  A hash value of a short text, for tables in memory.
 *
 * Each row's ids and keys are looked for in such tables, so eight bytes are taken
 * at a time.  The texts are other people's, and nobody must be able to choose
 * many that have the same hash.  So the value depends on random numbers of this
 * process (or of the postmaster, if that has the library), and means nothing
 * outside of it.
 *
 * IDENTIFICATION
 *	  src/base/text_hash.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_TEXT_HASH_H
#define HUBSPOT_BASE_TEXT_HASH_H

typedef struct HubspotHashSecret
{
	uint64		start;
	uint64		factor;
} HubspotHashSecret;

extern HubspotHashSecret hubspot_hash_secret;

extern void hubspot_make_hash_secret(void);

/* Mix eight bytes into a value: both halves of a product that nobody can foresee. */
static inline uint64
hubspot_mix_hash(uint64 hash, uint64 bytes)
{
#ifdef HAVE_INT128
	uint128		product = (uint128) (hash ^ bytes) * hubspot_hash_secret.factor;

	return (uint64) product ^ (uint64) (product >> 64);
#else
	hash = (hash ^ bytes) * hubspot_hash_secret.factor;
	hash = (hash ^ (hash >> 32)) * hubspot_hash_secret.factor;
	return hash ^ (hash >> 29);
#endif
}

/* The hash value of a text.  Its last eight bytes may overlap with those before. */
static inline uint64
hubspot_long_text_hash(const char *text, int len)
{
	uint64		hash = hubspot_hash_secret.start ^ (uint64) len;
	uint64		bytes = 0;

	if (len < 8)
	{
		for (int i = 0; i < len; i++)
			bytes = (bytes << 8) | (unsigned char) text[i];
		return hubspot_mix_hash(hash, bytes);
	}
	for (int i = 0; i < len - 8; i += 8)
	{
		memcpy(&bytes, text + i, 8);
		hash = hubspot_mix_hash(hash, bytes);
	}
	memcpy(&bytes, text + len - 8, 8);
	return hubspot_mix_hash(hash, bytes);
}

static inline uint32
hubspot_text_hash(const char *text, int len)
{
	return (uint32) hubspot_long_text_hash(text, len);
}

#endif							/* HUBSPOT_BASE_TEXT_HASH_H */
