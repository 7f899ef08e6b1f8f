/*-------------------------------------------------------------------------
 *
 * pair_function.c
 *	  A hash that tells which operations of the outbox are on the same pair.
 *
 * For standard object types, all names are known (api/object_type.c).  All others (custom
 * objects, what HubSpot has added since) count as one type, because two names
 * that we do not know may stand for the same one: at worst, operations on
 * different pairs with the same ids wait for each other.
 *
 * Until their records are known, operations that name records by keys are of one pair if
 * the normal forms of their keys are the same.
 *
 * On a machine of another byte order, the hash is another one.  So it is kept in indexes,
 * and in tables that pg_dump leaves out, and nowhere else.
 *
 * IDENTIFICATION
 *	  src/sql/pair_function.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "api/key.h"
#include "api/object_type.h"
#include "base/compat.h"
#include "json/text.h"

PG_FUNCTION_INFO_V1(hs_assoc_pair);
PG_FUNCTION_INFO_V1(hs_assoc_normal_key);

static uint64 hash_side(const text * type, const text * id);
static uint64 hash_keyed_side(HubspotSlice type, HubspotSlice key);
static HubspotSlice normal_key(HubspotSlice type, HubspotSlice key);
static HubspotSlice slice_of(const text * value);

/*
 * hs_assoc_pair(server, from_type, from_id, to_type, to_id)
 *
 * A hash of a server and a pair of records, the same in either direction, for
 * all names of an object type, and for all spellings of a key.
 */
Datum
hs_assoc_pair(PG_FUNCTION_ARGS)
{
	text	   *server = PG_GETARG_TEXT_PP(0);
	uint64		from = hash_side(PG_GETARG_TEXT_PP(1), PG_GETARG_TEXT_PP(2));
	uint64		to = hash_side(PG_GETARG_TEXT_PP(3), PG_GETARG_TEXT_PP(4));
	uint64		hash;

	hash = hash_bytes_extended((unsigned char *) VARDATA_ANY(server),
							   VARSIZE_ANY_EXHDR(server), 0);
	hash = hash_combine64(hash, Min(from, to));
	PG_RETURN_INT64((int64) hash_combine64(hash, Max(from, to)));
}

/* A hash of a record: its object type seeds the hash of its id. */
static uint64
hash_side(const text * type, const text * id)
{
	HubspotSlice name = slice_of(type);

	if (memchr(name.data, ':', name.len))
		return hash_keyed_side(name, slice_of(id));
	return hash_bytes_extended((const unsigned char *) VARDATA_ANY(id),
							   VARSIZE_ANY_EXHDR(id),
							   (uint64) hubspot_standard_number(name));
}

/*
 * Likewise of a record that is named by a key.  The property of a type that is not listed
 * does not count, as its name does not.
 */
static uint64
hash_keyed_side(HubspotSlice type, HubspotSlice key)
{
	HubspotSlice name = type;
	HubspotSlice normal = normal_key(type, key);
	uint64		seed;

	name.len = (const char *) memchr(type.data, ':', type.len) - type.data;
	seed = (uint64) hubspot_standard_number(name);
	if (seed != 0)
		seed = hash_bytes_extended((const unsigned char *) type.data + name.len,
								   type.len - name.len, seed);
	return hash_bytes_extended((const unsigned char *) normal.data, normal.len, seed);
}

/*
 * hs_assoc_normal_key(object_type, key)
 *
 * The normal form of a key: two keys are the same if it is.  What is not a key of the object
 * type stays as it is, and so do ids.
 */
Datum
hs_assoc_normal_key(PG_FUNCTION_ARGS)
{
	HubspotSlice type = slice_of(PG_GETARG_TEXT_PP(0));
	HubspotSlice key = slice_of(PG_GETARG_TEXT_PP(1));
	HubspotSlice normal = normal_key(type, key);
	HubspotSlice again;
	char	   *text;

	if (hubspot_same_id(normal, key))
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	text = hubspot_text_from_utf8(normal.data, normal.len);
	/* the database's encoding may have a letter, but not its small one */
	if (!hubspot_text_to_utf8(text, strlen(text), &again.data, &again.len) ||
		!hubspot_same_id(again, normal))
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	PG_RETURN_TEXT_P(cstring_to_text(text));
}

/* The normal form of a key, in UTF-8; what is not a key of the object type is given back. */
static HubspotSlice
normal_key(HubspotSlice type, HubspotSlice key)
{
	HubspotObjectType parsed;
	char	   *hint;

	if (hubspot_parse_object_type(pnstrdup(type.data, type.len), &parsed, &hint) ||
		parsed.property == NULL || hubspot_key_problem(key))
		return key;
	return hubspot_key_normalize(&parsed, key, palloc(HUBSPOT_NORMAL_SIZE));
}

static HubspotSlice
slice_of(const text * value)
{
	HubspotSlice slice = {VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};

	return slice;
}
