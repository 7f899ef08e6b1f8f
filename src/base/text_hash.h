/*-------------------------------------------------------------------------
 *
 * text_hash.h
 *	  A hash value of a short text, for tables in memory.
 *
 * Each row's ids and keys are looked for in such tables, so eight bytes are taken
 * at a time.  The value may be another one on another machine, or in the next
 * release: it is never stored.
 *
 * IDENTIFICATION
 *	  src/base/text_hash.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_TEXT_HASH_H
#define HUBSPOT_BASE_TEXT_HASH_H

/* Mix eight bytes into a value; two values remain two. */
static inline uint64
hubspot_mix_hash(uint64 hash, uint64 bytes)
{
	hash = (hash ^ bytes) * UINT64CONST(0x9E3779B97F4A7C15);
	return hash ^ (hash >> 32);
}

/* The last eight bytes may have been taken in part before. */
static inline uint32
hubspot_text_hash(const char *text, int len)
{
	uint64		hash = (uint64) len;
	uint64		bytes = 0;

	if (len < 8)
	{
		for (int i = 0; i < len; i++)
			bytes = (bytes << 8) | (unsigned char) text[i];
		return (uint32) hubspot_mix_hash(hash, bytes);
	}
	for (int i = 0; i < len - 8; i += 8)
	{
		memcpy(&bytes, text + i, 8);
		hash = hubspot_mix_hash(hash, bytes);
	}
	memcpy(&bytes, text + len - 8, 8);
	return (uint32) hubspot_mix_hash(hash, bytes);
}

#endif							/* HUBSPOT_BASE_TEXT_HASH_H */
