/*-------------------------------------------------------------------------
 *
 * keys.h
 *	  Keys of one object type, and the records that they mean.
 *
 * IDENTIFICATION
 *	  src/call/keys.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_KEYS_H
#define HUBSPOT_CALL_KEYS_H

#include "api/key.h"
#include "call/known_key.h"
#include "hubspot.h"

/* A key that is going to be needed. */
typedef struct HubspotKeyWanted
{
	HubspotSlice text;			/* its normal form */
	uint32		hash;
	HubspotKey *seen;			/* a key with that hash, or NULL */
	uint64		ngone;			/* keys.c's: it is still there if no other one
								 * has gone */
} HubspotKeyWanted;

/* See keys.c. */
typedef struct HubspotKeys HubspotKeys;

extern HubspotKeys *hubspot_keys_create(MemoryContext context,
										const HubspotObjectType *type);
extern void hubspot_keys_begin(HubspotKeys *keys, MemoryContext context, int max_age);
extern Size hubspot_keys_size(const HubspotKeys *keys);
extern void hubspot_keys_shrink(HubspotKeys *keys, Size most);
extern const HubspotObjectType *hubspot_keys_type(const HubspotKeys *keys);
extern void hubspot_keys_expect(const HubspotKeys *keys, HubspotSlice text,
								HubspotKeyWanted *wanted);
extern void hubspot_keys_approach(const HubspotKeys *keys, HubspotKeyWanted *wanted);
extern HubspotKey *hubspot_keys_get_expected(HubspotKeys *keys,
											 const HubspotKeyWanted *wanted);
extern HubspotKey *hubspot_keys_get(HubspotKeys *keys, HubspotSlice given);
extern void hubspot_keys_expect_found(const HubspotKeys *keys, HubspotKey *const *expected,
									  int nexpected);
extern HubspotKey *hubspot_keys_find(HubspotKeys *keys, HubspotSlice value);
extern void hubspot_key_set_found(HubspotKeys *keys, HubspotKey *key, HubspotSlice id);
extern void hubspot_key_set_candidates(HubspotKeys *keys, HubspotKey *key,
									   HubspotKeyState state,
									   const HubspotCandidates *candidates);
extern void hubspot_key_set_failed(HubspotKeys *keys, HubspotKey **failed, int nfailed,
								   const HubspotError *error);
extern bool hubspot_key_is_earlier(const HubspotKeys *keys, const HubspotKey *key);
extern void hubspot_keys_forget_earlier(HubspotKeys *keys, HubspotSlice given);
extern HubspotSlice hubspot_key_record(const HubspotKey *key);
extern const HubspotError *hubspot_key_failure(const HubspotKey *key);
extern void hubspot_key_release(HubspotKeys *keys, HubspotKey *key);

#endif							/* HUBSPOT_CALL_KEYS_H */
