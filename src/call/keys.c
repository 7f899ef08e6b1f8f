/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  Keys of one object type, and the records that they mean.
 *
 * A million rows may have a hundred thousand keys.  Each is asked for once, as long
 * as it is remembered: new keys take the memory of the oldest ones (key_ring.c), but not
 * that of a key that a row needs, or that HubSpot is being asked for.
 *
 * The parts of an answer that do not fit into the key lie beside it, and are freed with
 * it; if they are long, or many keys have some, with the last row that needs the key.  A
 * failure is one for all keys that were asked for together, and is freed with the last of
 * their rows: the next row asks again.
 *
 * Keys may serve several statements, one after the other (key_cache.c).  Statements are
 * numbered, and a key has the number of the one that last changed it: what an earlier one
 * found is void, unless it is one record, found not too long ago, whose id lies in the
 * key.  So nothing has to be done at the end of a statement; but before numbers or times
 * wrap around, void keys are marked as such.
 *
 * IDENTIFICATION
 *	  src/call/keys.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "api/error.h"
#include "base/clock.h"
#include "base/prefetch.h"
#include "base/text_hash.h"
#include "call/key_ring.h"
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
	return hubspot_text_hash(text.data, text.len);
}

static inline uint32
key_hash(const HubspotKey *key)
{
	return text_hash(hubspot_key_text(key));
}

static inline bool
same_key(const HubspotKey *a, const HubspotKey *b)
{
	return hubspot_same_id(hubspot_key_text(a), hubspot_key_text(b));
}

#include "lib/simplehash.h"

/*
 * An answer longer than LONG_ANSWER is not kept for later rows, nor is any while there are
 * more than MAX_ANSWERS bytes of them.
 */
#define LONG_ANSWER		1024
#define MAX_ANSWERS		(8 * 1024 * 1024)

#define FIRST_KEYS		64

/* How many entries of the table are looked at for a key that is fetched beforehand. */
#define MAX_PROBES		4

/* About how long the text of a key is. */
#define USUAL_LEN		24

/*
 * Times are kept in eighths of a second, modulo 2 to the 16th: two of them can be compared
 * if there is no more than half of that between them.  Keys are kept for an hour at
 * most.
 */
#define UNIT			(1000 * 1000 / 8)
#define HOUR_OF_UNITS	(60 * 60 * 8)
#define MAX_APART		PG_INT16_MAX

#define MAX_STATEMENT	((1 << 12) - 1)

/* What a record without a value is shown by. */
static const HubspotSlice nothing = {"", 0};

struct HubspotKeys
{
	HubspotObjectType type;
	MemoryContext answers;		/* of the statement: of what doesn't fit into
								 * keys; NULL: the statement is over */
	Size		answer_size;	/* bytes of these answers */
	uint32		statement;
	bool		takes_earlier;	/* what earlier statements found since
								 * earliest counts */
	uint16		earliest;		/* a time, in units */
	int64		marked;			/* when void keys were last marked, in units */
	keys_hash  *table;
	uint64		ngone;			/* keys that have been let go */
	HubspotKeyRing *ring;		/* where they lie */
	HubspotKey *probe;			/* to look for a key with its text */
};

/* Why keys could not be asked for. */
typedef struct HubspotKeyFailure
{
	MemoryContext context;
	int			nkeys;			/* keys whose rows have not all gone */
	const HubspotError *error;
} HubspotKeyFailure;

static const HubspotError *lookup_error(const HubspotKeys *keys, const HubspotError *error);
static void mark_void(HubspotKeys *keys, int64 now);
static bool let_go(void *owner, HubspotKey *key);
static bool is_valid(const HubspotKeys *keys, const HubspotKey *key);
static HubspotKey *find_or_add(HubspotKeys *keys, const HubspotKeyWanted *wanted);
static HubspotKey *add_key(HubspotKeys *keys, uint32 hash);
static void *make_answer(HubspotKeys *keys, Size size);
static void *answer_of(const HubspotKeys *keys, const HubspotKey *key);
static void free_answer(HubspotKeys *keys, HubspotKey *key);

/* Does a row need the key, or is HubSpot being asked for it? */
static inline bool
is_needed(const HubspotKeys *keys, const HubspotKey *key)
{
	return key->nrows > 0 ||
		(key->state == HUBSPOT_KEY_ASKED && key->statement == keys->statement);
}

/* Create keys of an object type, whose names are not copied and must live as long. */
HubspotKeys *
hubspot_keys_create(MemoryContext context, const HubspotObjectType *type)
{
	HubspotKeys *keys = MemoryContextAllocZero(context, sizeof(HubspotKeys));

	StaticAssertStmt(HUBSPOT_NORMAL_SIZE < (1 << 11), "keys are longer than can be said");

	keys->type = *type;
	keys->answers = context;
	keys->ring = hubspot_key_ring_create(context, let_go, keys);
	keys->statement = 1;
	keys->table = keys_create(context, FIRST_KEYS, NULL);
	keys->probe = MemoryContextAllocZero(context, hubspot_key_size(HUBSPOT_NORMAL_SIZE));
	return keys;
}

/*
 * Begin a statement, in which what earlier ones have found in the last max_age
 * milliseconds is still known.  No row of an earlier statement may still need a key.
 */
void
hubspot_keys_begin(HubspotKeys *keys, MemoryContext context, int max_age)
{
	int64		now = hubspot_now() / UNIT;
	int			age = max_age / (UNIT / 1000);	/* rounded down */

	if (keys->statement == MAX_STATEMENT || now - keys->marked > MAX_APART / 2)
		mark_void(keys, now);
	keys->statement++;
	keys->answers = context;
	keys->answer_size = 0;
	keys->takes_earlier = age > 0;
	keys->earliest = (uint16) (now - age + 1);
}

/*
 * Mark what is void, before statements or times wrap around: later, it could be mistaken
 * for what is known.
 */
static void
mark_void(HubspotKeys *keys, int64 now)
{
	bool		all = now - keys->marked > MAX_APART;
	HubspotKeyPlace place = {0};
	HubspotKey *key;

	while ((key = hubspot_key_ring_next(keys->ring, &place)) != NULL)
	{
		if (all || key->state != HUBSPOT_KEY_FOUND || key->id_len == 0 ||
			(int16) (key->found - (uint16) (now - HOUR_OF_UNITS)) < 0)
			key->state = HUBSPOT_KEY_UNKNOWN;
		key->statement = 0;
	}
	keys->statement = 0;
	keys->marked = now;
}

/* Bytes of memory that keys take, not counting answers. */
Size
hubspot_keys_size(const HubspotKeys *keys)
{
	return hubspot_key_ring_size(keys->ring) + keys->table->size * sizeof(KeyEntry);
}

/*
 * Drop the oldest keys, after a statement, until they take no more than that many bytes, if
 * possible.
 */
void
hubspot_keys_shrink(HubspotKeys *keys, Size most)
{
	keys->answers = NULL;
	while (hubspot_keys_size(keys) > most &&
		   hubspot_key_ring_drop_oldest(keys->ring))
		;
}

const HubspotObjectType *
hubspot_keys_type(const HubspotKeys *keys)
{
	return &keys->type;
}

/*
 * The caller is going to get a key with that normal form, of which wanted->text will be a
 * copy: fetch its place in the table while there is something else to do.  Keys come in no
 * order, so without that, most of the time goes into waiting for memory.
 */
void
hubspot_keys_expect(const HubspotKeys *keys, HubspotSlice text, HubspotKeyWanted *wanted)
{
	const KeyEntry *entry;

	wanted->hash = text_hash(text);
	wanted->seen = NULL;
	entry = &keys->table->data[wanted->hash & keys->table->sizemask];
	HUBSPOT_PREFETCH(entry);
	HUBSPOT_PREFETCH(entry + MAX_PROBES - 1);
}

/*
 * Some time after a key was expected: fetch what is most likely the key itself, from its
 * first byte to its last.
 */
void
hubspot_keys_approach(const HubspotKeys *keys, HubspotKeyWanted *wanted)
{
	for (int i = 0; i < MAX_PROBES; i++)
	{
		const KeyEntry *entry = &keys->table->data[(wanted->hash + i) & keys->table->sizemask];

		if (entry->status != keys_SH_IN_USE)
			return;
		if (entry->hash == wanted->hash)
		{
			HUBSPOT_PREFETCH(entry->key);
			HUBSPOT_PREFETCH(&entry->key->text[wanted->text.len - 1]);
			wanted->seen = entry->key;
			wanted->ngone = keys->ngone;
			return;
		}
	}
}

/* Get a key that was expected.  A row needs it until hubspot_key_release(). */
HubspotKey *
hubspot_keys_get_expected(HubspotKeys *keys, const HubspotKeyWanted *wanted)
{
	HubspotKey *key = wanted->seen;

	if (key == NULL || wanted->ngone != keys->ngone ||
		!hubspot_same_id(hubspot_key_text(key), wanted->text))
		key = find_or_add(keys, wanted);
	if (!is_valid(keys, key))
		key->state = HUBSPOT_KEY_UNKNOWN;
	if (key->state == HUBSPOT_KEY_UNKNOWN)
		key->statement = keys->statement;
	if (key->nrows < PG_UINT16_MAX)
		key->nrows++;
	return key;
}

static HubspotKey *
find_or_add(HubspotKeys *keys, const HubspotKeyWanted *wanted)
{
	HubspotKey *probe = keys->probe;
	KeyEntry   *entry;

	memcpy(probe->text, wanted->text.data, wanted->text.len);
	probe->len = wanted->text.len;
	entry = keys_lookup_hash(keys->table, probe, wanted->hash);
	return entry ? entry->key : add_key(keys, wanted->hash);
}

/* Does what is known of a key still hold? */
static bool
is_valid(const HubspotKeys *keys, const HubspotKey *key)
{
	if (key->statement == keys->statement)
		return true;
	return keys->takes_earlier && key->state == HUBSPOT_KEY_FOUND && key->id_len > 0 &&
		(int16) (key->found - keys->earliest) >= 0;
}

/* Get the key of a text that was given, and is good for one, likewise. */
HubspotKey *
hubspot_keys_get(HubspotKeys *keys, HubspotSlice given)
{
	char		buffer[HUBSPOT_NORMAL_SIZE];
	HubspotKeyWanted wanted = {.text = hubspot_key_normalize(&keys->type, given, buffer)};

	wanted.hash = text_hash(wanted.text);
	return hubspot_keys_get_expected(keys, &wanted);
}

/* Was the record of a key found by an earlier statement? */
bool
hubspot_key_is_earlier(const HubspotKeys *keys, const HubspotKey *key)
{
	return key->state == HUBSPOT_KEY_FOUND && key->statement != keys->statement;
}

/* Forget what an earlier statement has found for a key, since it may be wrong by now. */
void
hubspot_keys_forget_earlier(HubspotKeys *keys, HubspotSlice given)
{
	HubspotKey *key = hubspot_keys_get(keys, given);

	if (hubspot_key_is_earlier(keys, key))
	{
		key->state = HUBSPOT_KEY_UNKNOWN;
		key->statement = keys->statement;
	}
	hubspot_key_release(keys, key);
}

/*
 * An answer is going to be read whose values are most likely these keys: fetch them, and
 * their places in the table, all at once.
 */
void
hubspot_keys_expect_found(const HubspotKeys *keys, HubspotKey *const *expected, int nexpected)
{
	for (int i = 0; i < nexpected; i++)
	{
		HUBSPOT_PREFETCH(expected[i]);
		HUBSPOT_PREFETCH(&expected[i]->text[USUAL_LEN]);
	}
	for (int i = 0; i < nexpected; i++)
		HUBSPOT_PREFETCH(&keys->table->data[key_hash(expected[i]) & keys->table->sizemask]);
}

/* The key of this statement with that value of HubSpot's, or NULL. */
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
	return entry && entry->key->statement == keys->statement ? entry->key : NULL;
}

/* Add a key with the text of the probe. */
static HubspotKey *
add_key(HubspotKeys *keys, uint32 hash)
{
	HubspotKey *key = hubspot_key_ring_add(keys->ring, keys->probe->len);
	bool		found;

	memset(key, 0, offsetof(HubspotKey, text));
	key->len = keys->probe->len;
	memcpy(key->text, keys->probe->text, key->len);
	keys_insert_hash(keys->table, key, hash, &found);
	Assert(!found);
	return key;
}

/* Forget a key, whose memory is wanted for another one, unless it is needed. */
static bool
let_go(void *owner, HubspotKey *key)
{
	HubspotKeys *keys = owner;

	if (is_needed(keys, key))
		return false;
	keys_delete(keys->table, key);
	keys->ngone++;
	free_answer(keys, key);
	return true;
}

static void *
make_answer(HubspotKeys *keys, Size size)
{
	void	   *answer = MemoryContextAlloc(keys->answers, size);

	keys->answer_size += GetMemoryChunkSpace(answer);
	return answer;
}

/* What this statement has allocated beside a key, or NULL. */
static void *
answer_of(const HubspotKeys *keys, const HubspotKey *key)
{
	if (key->statement != keys->statement || keys->answers == NULL)
		return NULL;
	switch ((HubspotKeyState) key->state)
	{
		case HUBSPOT_KEY_FOUND:
			return key->id_len > 0 || key->answer.id == &nothing ? NULL :
				unconstify(HubspotSlice *, key->answer.id);
		case HUBSPOT_KEY_MISSING:
		case HUBSPOT_KEY_NOT_INDEXED:
		case HUBSPOT_KEY_AMBIGUOUS:
			return unconstify(HubspotCandidates *, key->answer.candidates);
		default:
			return NULL;
	}
}

static void
free_answer(HubspotKeys *keys, HubspotKey *key)
{
	void	   *answer = answer_of(keys, key);

	if (answer == NULL)
		return;
	keys->answer_size -= GetMemoryChunkSpace(answer);
	pfree(answer);
}

/*
 * Settle a key with the id of its one record; or, if keys are ids, with what the record is
 * to be shown by, which may be empty.  The id is copied.
 */
void
hubspot_key_set_found(HubspotKeys *keys, HubspotKey *key, HubspotSlice id)
{
	key->state = HUBSPOT_KEY_FOUND;
	key->found = (uint16) (hubspot_coarse_now() / UNIT);
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
		HubspotSlice *copy = make_answer(keys, sizeof(HubspotSlice) + id.len);

		copy->data = memcpy(copy + 1, id.data, id.len);
		copy->len = id.len;
		key->answer.id = copy;
	}
}

/*
 * Settle a key as MISSING, NOT_INDEXED or AMBIGUOUS.  The candidates, which are copied, or
 * NULL, are the records that may have been meant.
 */
void
hubspot_key_set_candidates(HubspotKeys *keys, HubspotKey *key, HubspotKeyState state,
						   const HubspotCandidates *candidates)
{
	HubspotCandidates *copy = NULL;

	if (candidates)
	{
		Size		size = offsetof(HubspotCandidates, ids) +
		sizeof(HubspotSlice) * candidates->nids;
		char	   *text;

		for (int i = 0; i < candidates->nids; i++)
			size += candidates->ids[i].len;
		copy = make_answer(keys, size);
		memcpy(copy, candidates, offsetof(HubspotCandidates, ids));
		text = (char *) &copy->ids[copy->nids];
		for (int i = 0; i < copy->nids; i++)
		{
			copy->ids[i].len = candidates->ids[i].len;
			copy->ids[i].data = memcpy(text, candidates->ids[i].data, copy->ids[i].len);
			text += copy->ids[i].len;
		}
	}
	key->state = state;
	key->id_len = 0;
	key->answer.candidates = copy;
}

/*
 * Settle keys that could not be asked for because of an error, which is copied, and freed
 * when no row needs any of them.
 */
void
hubspot_key_set_failed(HubspotKeys *keys, HubspotKey **failed, int nfailed,
					   const HubspotError *error)
{
	MemoryContext context = AllocSetContextCreate(keys->answers,
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
		Assert(failed[i]->nrows > 0);
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

/* The id of the record of a key that is found, which lives as long as the key. */
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

/* Why a key could not be asked for; valid until the key is released. */
const HubspotError *
hubspot_key_failure(const HubspotKey *key)
{
	Assert(key->state == HUBSPOT_KEY_FAILED);
	return key->answer.failure->error;
}

/* A row no longer needs the key. */
void
hubspot_key_release(HubspotKeys *keys, HubspotKey *key)
{
	void	   *answer;

	Assert(key->nrows > 0);
	if (key->nrows == PG_UINT16_MAX || --key->nrows > 0)
		return;
	answer = answer_of(keys, key);
	if (key->state == HUBSPOT_KEY_FAILED)
	{
		key->state = HUBSPOT_KEY_UNKNOWN;
		if (--key->answer.failure->nkeys == 0)
			MemoryContextDelete(key->answer.failure->context);
	}
	else if (answer && (keys->answer_size > MAX_ANSWERS ||
						GetMemoryChunkSpace(answer) > LONG_ANSWER))
	{
		free_answer(keys, key);
		key->state = HUBSPOT_KEY_UNKNOWN;
	}
}
