/*-------------------------------------------------------------------------
 *
 * key_ring_test.c
 *	  Keys of all lengths into src/call/key_ring.c, until many have gone.
 *
 * Each key that is there has to be as it was made, whatever came and went around it.
 *
 * Prints a line "ok" or "not ok", a tab and a name for each test; a seed for
 * the random ones is the only argument.
 *
 * IDENTIFICATION
 *	  test/unit/key_ring_test.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "call/key_ring.h"

/* the server's own are in a library that isn't linked */
#undef printf

#define NKEYS		400000
#define MAX_LEN		900
#define GUARD		32			/* bytes behind each piece of memory */

/* What is known of a key, by its number, which its answer has. */
typedef struct Known
{
	HubspotKey *key;			/* NULL: it is gone */
	bool		needed;
} Known;

static Known known[NKEYS];
static int	nthere;				/* keys */
static int	ndamaged;
static int	nguards;			/* that were written to */

MemoryContext CurrentMemoryContext;

/* stands in for the server's, which a build with assertions would call */
void		failed_assertion(void);

void
failed_assertion(void)
{
	abort();
}

/*
 * Memory and lists, which the ring needs of the server
 */

void *
palloc(Size size)
{
	char	   *piece = malloc(sizeof(int64) + size + GUARD);

	if (piece == NULL)
		abort();
	*(Size *) piece = size;
	memset(piece + sizeof(int64) + size, 0xA5, GUARD);
	return piece + sizeof(int64);
}

void
pfree(void *pointer)
{
	char	   *piece = (char *) pointer - sizeof(int64);
	unsigned char *guard = (unsigned char *) pointer + *(Size *) piece;

	for (int i = 0; i < GUARD; i++)
		nguards += (guard[i] != 0xA5);
	free(piece);
}

void *
MemoryContextAllocZero(MemoryContext context, Size size)
{
	return memset(palloc(size), 0, size);
}

List *
list_insert_nth(List *list, int n, void *datum)
{
	if (list == NIL)
	{
		list = MemoryContextAllocZero(NULL, sizeof(List));
		list->type = T_List;
	}
	list->elements = realloc(list->elements, sizeof(ListCell) * (list->length + 1));
	memmove(&list->elements[n + 1], &list->elements[n], sizeof(ListCell) * (list->length - n));
	list->elements[n].ptr_value = datum;
	list->length++;
	return list;
}

List *
list_delete_nth_cell(List *list, int n)
{
	list->length--;
	memmove(&list->elements[n], &list->elements[n + 1], sizeof(ListCell) * (list->length - n));
	return list;
}

/*
 * Keys
 */

static void
check(bool passed, const char *name)
{
	printf("%s\t%s\n", passed ? "ok" : "not ok", name);
}

/* What a key of that number and length looks like. */
static void
fill(HubspotKey *key, int number, int len)
{
	memset(key, 0, offsetof(HubspotKey, text));
	key->nrows = number % 60000;
	key->found = number % 50021;
	key->len = len;
	key->state = number % (HUBSPOT_KEY_FAILED + 1);
	key->id_len = number % 17;
	key->statement = number % 4096;
	memcpy(key->answer.short_id, &number, sizeof(number));
	memset(key->text, number % 255 + 1, len);
}

static int
number_of(const HubspotKey *key)
{
	int			number;

	memcpy(&number, key->answer.short_id, sizeof(number));
	return number;
}

/* Is the key as it was made? */
static bool
is_whole(const HubspotKey *key)
{
	union
	{
		HubspotKey	key;
		char		space[offsetof(HubspotKey, text) + MAX_LEN];
	}			made;
	int			number = number_of(key);

	if (number < 0 || number >= NKEYS || known[number].key != key || key->len > MAX_LEN)
		return false;
	fill(&made.key, number, key->len);
	return memcmp(&made.key, key, offsetof(HubspotKey, text) + key->len) == 0;
}

/* The owner's callback. */
static bool
let_go(void *owner, HubspotKey *key)
{
	if (!is_whole(key))
	{
		ndamaged++;
		return true;
	}
	if (known[number_of(key)].needed)
		return false;
	known[number_of(key)].key = NULL;
	nthere--;
	return true;
}

/* Walk through all keys: they are those that are there, and whole. */
static void
walk(const HubspotKeyRing *ring)
{
	HubspotKeyPlace place = {0};
	HubspotKey *key;
	int			nfound = 0;

	while (ndamaged == 0 && (key = hubspot_key_ring_next(ring, &place)) != NULL)
	{
		nfound++;
		ndamaged += !is_whole(key);
	}
	ndamaged += (nfound != nthere);
}

/* Keys come and go; every so many one is needed, for a while. */
static void
pass_keys(HubspotKeyRing *ring, int one_in, int while_keys)
{
	memset(known, 0, sizeof(known));
	nthere = ndamaged = 0;
	for (int i = 0; i < NKEYS && ndamaged == 0; i++)
	{
		int			len = 1 + random() % (random() % 4 == 0 ? MAX_LEN : 30);

		known[i].key = hubspot_key_ring_add(ring, len);
		known[i].needed = (random() % one_in == 0);
		fill(known[i].key, i, len);
		nthere++;
		if (i >= while_keys)
			known[i - while_keys].needed = false;
		if (random() % 10000 == 0)
			(void) hubspot_key_ring_drop_oldest(ring);
		if (i % 20000 == 0)
			walk(ring);
	}
}

/* All keys go, and the blocks with them, but the last one. */
static void
drop_all(HubspotKeyRing *ring)
{
	for (int i = 0; i < NKEYS; i++)
		known[i].needed = false;
	while (ndamaged == 0 && hubspot_key_ring_drop_oldest(ring))
		;
}

int
main(int argc, char **argv)
{
	HubspotKeyRing *ring;

	srandom(argc > 1 ? atoi(argv[1]) : 1);

	ring = hubspot_key_ring_create(NULL, let_go, NULL);
	pass_keys(ring, NKEYS, 1);
	check(ndamaged == 0, "keys that nobody needs are whole until they go");
	check(nthere < NKEYS / 2 && hubspot_key_ring_size(ring) < 9 * 1024 * 1024, "their memory has a bound");
	drop_all(ring);
	check(ndamaged == 0 && nguards == 0, "and stays within it");

	ring = hubspot_key_ring_create(NULL, let_go, NULL);
	pass_keys(ring, 7, 100000);
	check(ndamaged == 0, "keys are whole around those that are needed");
	check(hubspot_key_ring_size(ring) < 17 * 1024 * 1024, "their memory has a bound, too");
	drop_all(ring);
	check(ndamaged == 0 && nguards == 0, "and stays within it");
	return 0;
}
