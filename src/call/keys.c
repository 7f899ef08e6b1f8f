/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  Keys of one object type, and the records that they mean.
 *
 * A million rows may have a hundred thousand keys.  Each is asked for once, as long
 * as it is remembered: keys lie in blocks, one after the other, and when there are
 * MAX_BLOCKS of these, the oldest block goes with all of its keys.  A key that a row
 * needs, or that HubSpot is being asked for, stays, and so does its block.
 *
 * What is made of an answer goes with the block of its key.  A failure is that of all
 * keys that were asked for together, and goes with the last of their rows: the next
 * row asks again.
 *
 * IDENTIFICATION
 *	  src/call/keys.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "api/error.h"
#include "base/prefetch.h"
#include "call/keys.h"

typedef struct KeyEntry
{
	HubspotKey *key;
	uint32		hash;
	char		status;
} KeyEntry;

static inline bool same_key(const HubspotKey *a, const HubspotKey *b);

#define SH_PREFIX			keys
#define SH_ELEMENT_TYPE		KeyEntry
#define SH_KEY_TYPE			HubspotKey *
#define SH_KEY				key
#define SH_HASH_KEY(tb, k)	key_hash(k)
#define SH_EQUAL(tb, a, b)	same_key(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, entry)	(entry)->hash
#define SH_SCOPE			static inline
#define SH_DECLARE
#define SH_DEFINE

static inline uint32
text_hash(HubspotSlice text)
{
	return hash_bytes((const unsigned char *) text.data, text.len);
}

static inline uint32
key_hash(const HubspotKey *key)
{
	return text_hash(hubspot_key_text(key));
}

static inline bool
same_key(const HubspotKey *a, const HubspotKey *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

#include "lib/simplehash.h"

/* Bytes of a block, and so many of them: 8 MB of keys. */
#define BLOCK_SIZE		(64 * 1024)
#define MAX_BLOCKS		128

#define FIRST_KEYS		64

/* What a record is shown by that has no value. */
static const HubspotSlice nothing = {"", 0};

typedef struct Block
{
	MemoryContext context;		/* of longer answers, or NULL */
	Size		used;
	char		space[BLOCK_SIZE];
} Block;

struct HubspotKeys
{
	HubspotObjectType type;
	MemoryContext context;
	keys_hash  *table;
	List	   *blocks;			/* the oldest first */
	Block	   *last;			/* of them, or NULL */
	HubspotKey *probe;			/* a key that is looked for */
};

/* Why keys could not be asked for. */
typedef struct HubspotKeyFailure
{
	MemoryContext context;
	int			nkeys;			/* whose rows have not all gone */
	const HubspotError *error;
} HubspotKeyFailure;

static const HubspotError *lookup_error(const HubspotKeys *keys, const HubspotError *error);
static HubspotKey *add_key(HubspotKeys *keys, uint32 hash);
static void make_room(HubspotKeys *keys);
static bool is_needed(const Block *block);
static void drop_block(HubspotKeys *keys, Block *block);
static Block *block_of(const HubspotKeys *keys, const HubspotKey *key);
static MemoryContext answer_context(HubspotKeys *keys, const HubspotKey *key);

static inline Size
key_size(int len)
{
	return MAXALIGN(offsetof(HubspotKey, text) + len);
}

/* The type, which is not copied, has to live as long. */
HubspotKeys *
hubspot_keys_create(MemoryContext context, const HubspotObjectType *type)
{
	HubspotKeys *keys = MemoryContextAllocZero(context, sizeof(HubspotKeys));

	keys->type = *type;
	keys->context = context;
	keys->table = keys_create(context, FIRST_KEYS, NULL);
	keys->probe = MemoryContextAllocZero(context, key_size(HUBSPOT_NORMAL_SIZE));
	return keys;
}

const HubspotObjectType *
hubspot_keys_type(const HubspotKeys *keys)
{
	return &keys->type;
}

/*
 * A key, of which the text is given, is going to be got: fetch its place in the table
 * while there is something else to do.  Keys come in no order, so without that, most
 * of the time goes into waiting for memory.
 */
void
hubspot_keys_expect(const HubspotKeys *keys, HubspotKeyWanted *wanted)
{
	wanted->hash = text_hash(wanted->text);
	HUBSPOT_PREFETCH(&keys->table->data[wanted->hash & keys->table->sizemask]);
}

/* Likewise, some time later: fetch what is most likely the key itself. */
void
hubspot_keys_approach(const HubspotKeys *keys, const HubspotKeyWanted *wanted)
{
	HUBSPOT_PREFETCH(keys->table->data[wanted->hash & keys->table->sizemask].key);
}

/* A key that was expected.  A row needs it until release. */
HubspotKey *
hubspot_keys_get_expected(HubspotKeys *keys, const HubspotKeyWanted *wanted)
{
	HubspotKey *probe = keys->probe;
	KeyEntry   *entry;
	HubspotKey *key;

	memcpy(probe->text, wanted->text.data, wanted->text.len);
	probe->len = wanted->text.len;
	entry = keys_lookup_hash(keys->table, probe, wanted->hash);
	key = entry ? entry->key : add_key(keys, wanted->hash);
	if (key->nrows < PG_UINT16_MAX)
		key->nrows++;
	return key;
}

/* The key that somebody gives, which has no problem, and needs until release. */
HubspotKey *
hubspot_keys_get(HubspotKeys *keys, HubspotSlice given)
{
	char		buffer[HUBSPOT_NORMAL_SIZE];
	HubspotKeyWanted wanted;

	wanted.text = hubspot_key_normalize(&keys->type, given, buffer);
	wanted.hash = text_hash(wanted.text);
	return hubspot_keys_get_expected(keys, &wanted);
}

/* The key with that value of HubSpot's, or NULL. */
HubspotKey *
hubspot_keys_find(HubspotKeys *keys, HubspotSlice value)
{
	HubspotKey *probe = keys->probe;
	HubspotSlice normal = hubspot_value_normalize(&keys->type, value, probe->text);
	KeyEntry   *entry;

	if (normal.data == NULL)
		return NULL;
	if (normal.data != probe->text)
		memcpy(probe->text, normal.data, normal.len);
	probe->len = normal.len;
	entry = keys_lookup(keys->table, probe);
	return entry ? entry->key : NULL;
}

/* Add the key that is looked for. */
static HubspotKey *
add_key(HubspotKeys *keys, uint32 hash)
{
	Size		size = key_size(keys->probe->len);
	HubspotKey *key;
	bool		found;

	if (keys->last == NULL || keys->last->used + size > BLOCK_SIZE)
		make_room(keys);
	key = (HubspotKey *) (keys->last->space + keys->last->used);
	keys->last->used += size;
	memset(key, 0, offsetof(HubspotKey, text));
	key->len = keys->probe->len;
	memcpy(key->text, keys->probe->text, key->len);
	keys_insert_hash(keys->table, key, hash, &found);
	Assert(!found);
	return key;
}

/* Begin a block, in place of the oldest one if there are enough. */
static void
make_room(HubspotKeys *keys)
{
	MemoryContext old;

	while (list_length(keys->blocks) >= MAX_BLOCKS &&
		   !is_needed(linitial(keys->blocks)))
		drop_block(keys, linitial(keys->blocks));
	old = MemoryContextSwitchTo(keys->context);
	keys->last = palloc(sizeof(Block));
	keys->last->context = NULL;
	keys->last->used = 0;
	keys->blocks = lappend(keys->blocks, keys->last);
	MemoryContextSwitchTo(old);
}

/* Has somebody to get to know what becomes of a key of the block? */
static bool
is_needed(const Block *block)
{
	Size		position = 0;

	while (position < block->used)
	{
		const HubspotKey *key = (const HubspotKey *) (block->space + position);

		if (key->nrows > 0 || key->state == HUBSPOT_KEY_ASKED)
			return true;
		position += key_size(key->len);
	}
	return false;
}

static void
drop_block(HubspotKeys *keys, Block *block)
{
	Size		position = 0;

	while (position < block->used)
	{
		HubspotKey *key = (HubspotKey *) (block->space + position);

		keys_delete(keys->table, key);
		position += key_size(key->len);
	}
	keys->blocks = list_delete_first(keys->blocks);
	if (block->context)
		MemoryContextDelete(block->context);
	pfree(block);
}

/* There are few, and this is for what is seldom. */
static Block *
block_of(const HubspotKeys *keys, const HubspotKey *key)
{
	ListCell   *lc;

	foreach(lc, keys->blocks)
	{
		Block	   *block = lfirst(lc);

		if ((const char *) key >= block->space &&
			(const char *) key < block->space + BLOCK_SIZE)
			return block;
	}
	elog(ERROR, "key is in no block");
}

/* What is allocated there goes with the key. */
static MemoryContext
answer_context(HubspotKeys *keys, const HubspotKey *key)
{
	Block	   *block = block_of(keys, key);

	if (block->context == NULL)
		block->context = AllocSetContextCreate(keys->context,
											   "hubspot_assoc answers about keys",
											   ALLOCSET_SMALL_SIZES);
	return block->context;
}

/*
 * It is the key of one record, whose id is copied; or of one that is shown by what is
 * given, which may be nothing.
 */
void
hubspot_key_set_found(HubspotKeys *keys, HubspotKey *key, HubspotSlice id)
{
	key->state = HUBSPOT_KEY_FOUND;
	key->id_len = 0;
	if (id.len == 0)
		key->answer.id = &nothing;
	else if (id.len <= HUBSPOT_SHORT_ID)
	{
		memcpy(key->answer.short_id, id.data, id.len);
		key->id_len = id.len;
	}
	else
	{
		HubspotSlice *copy = MemoryContextAlloc(answer_context(keys, key),
												sizeof(HubspotSlice) + id.len);

		copy->data = memcpy(copy + 1, id.data, id.len);
		copy->len = id.len;
		key->answer.id = copy;
	}
}

/*
 * It is MISSING, NOT_INDEXED or AMBIGUOUS; the candidates, which are copied, or NULL, are
 * the records that may have been meant.
 */
void
hubspot_key_set_candidates(HubspotKeys *keys, HubspotKey *key, HubspotKeyState state,
						   const HubspotCandidates *candidates)
{
	HubspotCandidates *copy = NULL;

	if (candidates)
	{
		MemoryContext old = MemoryContextSwitchTo(answer_context(keys, key));

		copy = palloc(offsetof(HubspotCandidates, ids) +
					  sizeof(HubspotSlice) * candidates->nids);
		memcpy(copy, candidates, offsetof(HubspotCandidates, ids));
		for (int i = 0; i < candidates->nids; i++)
		{
			copy->ids[i].len = candidates->ids[i].len;
			copy->ids[i].data = pnstrdup(candidates->ids[i].data, candidates->ids[i].len);
		}
		MemoryContextSwitchTo(old);
	}
	key->state = state;
	key->id_len = 0;
	key->answer.candidates = copy;
}

/*
 * Keys could not be asked for, because of the error, which is copied.  Who needs none of
 * them forgets it.
 */
void
hubspot_key_set_failed(HubspotKeys *keys, HubspotKey **failed, int nfailed,
					   const HubspotError *error)
{
	MemoryContext context = AllocSetContextCreate(keys->context,
												  "hubspot_assoc failed look-up",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotKeyFailure *failure = palloc(sizeof(HubspotKeyFailure));

	failure->context = context;
	failure->nkeys = 0;
	failure->error = hubspot_copy_error(lookup_error(keys, error));
	MemoryContextSwitchTo(old);
	for (int i = 0; i < nfailed; i++)
	{
		failed[i]->state = HUBSPOT_KEY_UNKNOWN;
		if (failed[i]->nrows == 0)
			continue;
		failed[i]->state = HUBSPOT_KEY_FAILED;
		failed[i]->answer.failure = failure;
		failure->nkeys++;
	}
	if (failure->nkeys == 0)
		MemoryContextDelete(context);
}

/* The error of inputs that are not sent because their keys could not be looked up. */
static const HubspotError *
lookup_error(const HubspotKeys *keys, const HubspotError *error)
{
	const HubspotObjectType *type = &keys->type;
	HubspotError *made;

	if (strcmp(error->category, HUBSPOT_NOT_SENT) == 0)
		return error;
	made = hubspot_error_before(error, type->property ?
								psprintf("could not look up %s by %s", type->name,
										 type->property) :
								psprintf("could not look up %s", type->name));
	made->category = HUBSPOT_NOT_SENT;
	return made;
}

/* The id of the record of a key that is found, as long as the key. */
HubspotSlice
hubspot_key_record(const HubspotKey *key)
{
	HubspotSlice id;

	Assert(key->state == HUBSPOT_KEY_FOUND);
	if (key->id_len == 0)
		return *key->answer.id;
	id.data = key->answer.short_id;
	id.len = key->id_len;
	return id;
}

/* Why a key could not be asked for, until it is released. */
const HubspotError *
hubspot_key_failure(const HubspotKey *key)
{
	Assert(key->state == HUBSPOT_KEY_FAILED);
	return key->answer.failure->error;
}

/* A row doesn't need the key any more. */
void
hubspot_key_release(HubspotKey *key)
{
	Assert(key->nrows > 0);
	if (key->nrows == PG_UINT16_MAX || --key->nrows > 0 || key->state != HUBSPOT_KEY_FAILED)
		return;
	key->state = HUBSPOT_KEY_UNKNOWN;
	if (--key->answer.failure->nkeys == 0)
		MemoryContextDelete(key->answer.failure->context);
}
