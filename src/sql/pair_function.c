/*-------------------------------------------------------------------------
 *
 * pair_function.c
 *	  A hash that tells which operations of the outbox are on the same pair.
 *
 * Object types have several names: contacts, contact and 0-1 are the same.
 * For those that are listed here, all names are known.  All others (custom
 * objects, what HubSpot has added since) count as one type, because two names
 * that we do not know may stand for the same one: at worst, operations on
 * different pairs with the same ids wait for each other.
 *
 * IDENTIFICATION
 *	  src/sql/pair_function.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"

#include "base/compat.h"

PG_FUNCTION_INFO_V1(hs_assoc_pair);

/* Object types by all of their names in lower case, and their numbers (0-n). */
typedef struct StandardType
{
	const char *name;
	int			number;
} StandardType;

/*
 * In the order of strcmp().  Indexes hold the results: whoever changes these
 * has to rebuild the indexes in the extension's update script.
 */
static const StandardType standard_types[] = {
	{"0-1", 1},
	{"0-101", 101},
	{"0-116", 116},
	{"0-123", 123},
	{"0-136", 136},
	{"0-14", 14},
	{"0-162", 162},
	{"0-18", 18},
	{"0-19", 19},
	{"0-2", 2},
	{"0-27", 27},
	{"0-3", 3},
	{"0-410", 410},
	{"0-420", 420},
	{"0-421", 421},
	{"0-46", 46},
	{"0-47", 47},
	{"0-48", 48},
	{"0-49", 49},
	{"0-5", 5},
	{"0-53", 53},
	{"0-69", 69},
	{"0-7", 7},
	{"0-8", 8},
	{"appointment", 421},
	{"appointments", 421},
	{"call", 48},
	{"calls", 48},
	{"communication", 18},
	{"communications", 18},
	{"companies", 2},
	{"company", 2},
	{"contact", 1},
	{"contacts", 1},
	{"course", 410},
	{"courses", 410},
	{"deal", 3},
	{"deals", 3},
	{"email", 49},
	{"emails", 49},
	{"feedback_submission", 19},
	{"feedback_submissions", 19},
	{"invoice", 53},
	{"invoices", 53},
	{"lead", 136},
	{"leads", 136},
	{"line_item", 8},
	{"line_items", 8},
	{"listing", 420},
	{"listings", 420},
	{"meeting", 47},
	{"meeting_event", 47},
	{"meeting_events", 47},
	{"meetings", 47},
	{"note", 46},
	{"notes", 46},
	{"order", 123},
	{"orders", 123},
	{"payment", 101},
	{"payments", 101},
	{"postal_mail", 116},
	{"postal_mails", 116},
	{"product", 7},
	{"products", 7},
	{"quote", 14},
	{"quotes", 14},
	{"service", 162},
	{"services", 162},
	{"subscription", 69},
	{"subscriptions", 69},
	{"task", 27},
	{"tasks", 27},
	{"ticket", 5},
	{"tickets", 5}
};

/* All of the names are shorter than this. */
#define MAX_NAME	32

static uint64 hash_side(const text * type, const text * id);
static int	type_number(const text * type);
static int	compare_names(const void *a, const void *b);

/*
 * hs_assoc_pair(server, from_type, from_id, to_type, to_id)
 *
 * A hash of a server and a pair of records, the same in either direction and for
 * all names of an object type.
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
	return hash_bytes_extended((const unsigned char *) VARDATA_ANY(id),
							   VARSIZE_ANY_EXHDR(id),
							   (uint64) type_number(type));
}

/* The number of an object type, or 0: it is not listed. */
static int
type_number(const text * type)
{
	Size		len = VARSIZE_ANY_EXHDR(type);
	char		name[MAX_NAME];
	StandardType key = {0};
	const StandardType *found;

	if (len >= MAX_NAME)
		return 0;
	for (Size i = 0; i < len; i++)
		name[i] = pg_ascii_tolower((unsigned char) VARDATA_ANY(type)[i]);
	name[len] = '\0';
	key.name = name;
	found = bsearch(&key, standard_types, lengthof(standard_types),
					sizeof(StandardType), compare_names);
	return found ? found->number : 0;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(((const StandardType *) a)->name, ((const StandardType *) b)->name);
}
