/*-------------------------------------------------------------------------
 *
 * text_hash.c
 *	  The random numbers that hash values depend on.
 *
 * IDENTIFICATION
 *	  src/base/text_hash.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/text_hash.h"

/* Good enough for test programs, which nobody attacks. */
HubspotHashSecret hubspot_hash_secret = {0, UINT64CONST(0x9E3779B97F4A7C15)};

/* For _PG_init, before anything is hashed. */
void
hubspot_make_hash_secret(void)
{
	if (!pg_strong_random(&hubspot_hash_secret, sizeof(hubspot_hash_secret)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random numbers for hash tables")));
	hubspot_hash_secret.factor |= 1;
}
