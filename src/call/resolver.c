/*-------------------------------------------------------------------------
 *
 * resolver.c
 *	  Rows whose records are called by keys, on their way into a batch.
 *
 *		put --> wait for their keys --> next: into the batch --> name its outcomes
 *
 * Rows go into the batch in the order in which they came, with the ids of their
 * records; whatever is decided there (which rows are of one pair, what goes together,
 * which answer means whom) is decided by records, not by names.  A row with a key that
 * has no record, or several, goes into the batch as refused, with that error.
 *
 * Rows are read ahead, up to MAX_AHEAD of them or MAX_BYTES of their texts, so that
 * look-ups are full, and in flight beside what the batch sends.
 *
 * The resolver keeps what a row was given until the row's last outcome has been got.  It
 * numbers the rows, and the batch knows them by these numbers.  Rows lie in blocks; a
 * block is freed when all of its rows are done.
 *
 * IDENTIFICATION
 *	  src/call/resolver.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "api/association_type.h"
#include "api/error.h"
#include "api/record.h"
#include "base/prefetch.h"
#include "call/key_cache.h"
#include "call/key_error.h"
#include "call/lookup.h"
#include "call/resolver.h"

/* Rows that may wait for their keys, and the bytes of their texts. */
#define MAX_AHEAD		16384
#define MAX_BYTES		(4 * 1024 * 1024)

/*
 * The keys of a row are found in two steps, ROWS_BETWEEN and MAX_COMING rows after it: the
 * processor fetches the memory that each step needs meanwhile.
 */
#define ROWS_BETWEEN	8
#define MAX_COMING		(2 * ROWS_BETWEEN)

/* Rows of a block, and bytes of a piece of its texts. */
#define BLOCK_ROWS		256
#define PIECE_SIZE		8192

#define FIRST_BLOCKS	16

/* The two sides of a pair. */
enum
{
	FROM,
	TO,
	NSIDES
};

/* One side of the rows; if that has ids of records, it has neither keys nor lookups. */
typedef struct Side
{
	HubspotKeys *keys;
	HubspotLookups *lookups;
	HubspotCachedKeys *cached;	/* to be given back, or NULL */
} Side;

/* What became of a row with records that an earlier statement had found. */
typedef struct Former
{
	const HubspotError *error;	/* NULL: the record that is read has nothing */
	HubspotSlice ids[NSIDES];
} Former;

typedef struct Row
{
	int64		no;				/* the input's */
	HubspotSlice given[NSIDES];
	HubspotKey *keys[NSIDES];	/* NULL: the side has none, or they are known */
	const HubspotTypeList *types;
	const HubspotError *error;
	const Former *former;		/* NULL: it is tried for the first time */
	bool		is_earlier;		/* an earlier statement has found its records */
	bool		has_some;		/* it has had an association */
} Row;

typedef struct Block
{
	MemoryContext context;
	int			nleft;			/* rows whose outcome was not got */
	char	   *space;			/* for texts */
	Size		space_left;
	const HubspotTypeList *last_types;	/* of the last row, to be shared */
	const HubspotError *last_error;
	Row			rows[BLOCK_ROWS];
} Block;

struct HubspotResolver
{
	MemoryContext context;
	bool		removes;		/* what isn't there need not be removed */
	bool		only_resolves;	/* nothing is done with the records */
	bool		takes_earlier;	/* records that earlier statements have found
								 * count */
	Side		sides[NSIDES];
	Block	  **blocks;			/* NULL: gone; from the first that isn't */
	int64		first_block;	/* number of that */
	int			nblocks;
	int			maxblocks;
	int64		nput;			/* rows; they are numbered from 0 */
	int64		nkeyed;			/* of them, that have their keys */
	int64		nnext;			/* of these, that are in the batch */
	HubspotKeyWanted coming[MAX_COMING][NSIDES];	/* keys that rows wait
													 * for, by the rows'
													 * numbers; no data: the
													 * row has none there */
	Size		bytes;			/* of the texts of rows that are not in the
								 * batch */
	HubspotKey *passed[NSIDES]; /* of the row that went into the batch last */
	Block	   *gone;			/* its rows are done; their last outcome may
								 * still be in use */
	MemoryContextCallback ending;
	MemoryContext row_context;	/* reset for each row */
};

static void make_side(HubspotResolver *resolver, int side, const HubspotClient *client,
					  HubspotCalls *calls, const HubspotObjectType *type);
static void end(void *arg);
static Row *add_row(HubspotResolver *resolver, Block **block);
static Row *find_row(const HubspotResolver *resolver, int64 number, Block **block);
static HubspotSlice keep_text(Block *block, HubspotSlice text);
static const HubspotTypeList *keep_types(Block *block, const HubspotTypeList *types);
static void expect_key(HubspotResolver *resolver, Block *block, int side,
					   HubspotSlice given, HubspotKeyWanted *wanted);
static void take_keys(HubspotResolver *resolver);
static bool is_known(const Row *row);
static bool waits_for_others(const HubspotResolver *resolver);
static HubspotResolved resolve(HubspotResolver *resolver, Row *row,
							   HubspotInput *input, const HubspotError **error);
static bool is_settled_by_former(const Former *former, const HubspotSlice *ids,
								 const HubspotError **error);
static bool may_be_records_fault(const HubspotError *error);
static void forget_row(HubspotResolver *resolver, Block *block);
static void drop_gone(HubspotResolver *resolver);
static void drop_block(HubspotResolver *resolver, Block *block);

/*
 * Begin in a memory context, for an operation; deleting the context ends it.  NULL: the
 * operation's rows have no keys on either side.
 */
HubspotResolver *
hubspot_resolver_create(MemoryContext context, const HubspotClient *client,
						HubspotCalls *calls, const HubspotEndpoint *endpoint,
						const HubspotObjectType *from_type,
						const HubspotObjectType *to_type)
{
	bool		only_resolves = (endpoint->input_shape == HUBSPOT_INPUT_KEY);
	bool		has_to_keys = (endpoint->input_shape != HUBSPOT_INPUT_RECORD &&
							   to_type->property);
	HubspotResolver *resolver;

	if (from_type->property == NULL && !has_to_keys && !only_resolves)
		return NULL;
	resolver = MemoryContextAllocZero(context, sizeof(HubspotResolver));
	resolver->context = context;
	resolver->removes = (endpoint->reply_shape == HUBSPOT_REPLY_SILENT);
	resolver->only_resolves = only_resolves;

	/*
	 * HubSpot's answer to a removal, or to a list, does not say that a key's
	 * record is another one by now, or says it in words that may mean
	 * something else; and whoever only resolves keys wants to know just that
	 */
	resolver->takes_earlier = !resolver->removes && !only_resolves &&
		!(endpoint->input_shape == HUBSPOT_INPUT_RECORD && endpoint->batch_limit == 0);
	resolver->ending.func = end;
	resolver->ending.arg = resolver;
	MemoryContextRegisterResetCallback(context, &resolver->ending);
	resolver->row_context = AllocSetContextCreate(context, "hubspot_assoc resolved row",
												  ALLOCSET_SMALL_SIZES);
	/* what is resolved without a pair may be ids, to be looked up as well */
	if (from_type->property || (only_resolves && !has_to_keys))
		make_side(resolver, FROM, client, calls, from_type);
	if (!has_to_keys)
		return resolver;
	if (from_type->property && strcmp(to_type->property, from_type->property) == 0 &&
		strcmp(to_type->name, from_type->name) == 0)
	{
		resolver->sides[TO] = resolver->sides[FROM];
		resolver->sides[TO].cached = NULL;
	}
	else
		make_side(resolver, TO, client, calls, to_type);
	return resolver;
}

static void
make_side(HubspotResolver *resolver, int side, const HubspotClient *client,
		  HubspotCalls *calls, const HubspotObjectType *type)
{
	Side	   *made = &resolver->sides[side];

	made->keys = hubspot_key_cache_take(resolver->context, client, type,
										resolver->takes_earlier,
										&made->cached);
	made->lookups = hubspot_lookups_create(resolver->context, client, calls, made->keys);
}

/* Reset callback: give the session's keys back.  The context's children are gone by now. */
static void
end(void *arg)
{
	const HubspotResolver *resolver = arg;
	bool		in_order = hubspot_resolver_is_empty(resolver) &&
	resolver->passed[FROM] == NULL && resolver->passed[TO] == NULL;

	for (int side = FROM; side < NSIDES; side++)
	{
		if (resolver->sides[side].cached)
			hubspot_key_cache_give_back(resolver->sides[side].cached, in_order);
	}
}

/* How many rows, with keys as long as HubSpot's, may be put before this is asked again. */
int
hubspot_resolver_room(const HubspotResolver *resolver)
{
	Size		left = MAX_BYTES - Min(resolver->bytes, MAX_BYTES);

	return Min(MAX_AHEAD - (int) (resolver->nput - resolver->nnext),
			   (int) ((left + HUBSPOT_MAX_KEY) / (NSIDES * HUBSPOT_MAX_KEY)));
}

/*
 * Put a row, which is copied.  If it has an error, its keys are not looked at.
 */
void
hubspot_resolver_put(HubspotResolver *resolver, const HubspotInput *input,
					 const HubspotError *error)
{
	const HubspotSlice given[NSIDES] = {input->from_id, input->to_id};
	HubspotKeyWanted *wanted = resolver->coming[resolver->nput % MAX_COMING];
	MemoryContext old;
	Block	   *block;
	Row		   *row = add_row(resolver, &block);

	old = MemoryContextSwitchTo(block->context);
	row->no = input->no;
	row->types = keep_types(block, input->types);
	if (error)
		row->error = hubspot_share_error(&block->last_error, error);
	for (int side = FROM; side < NSIDES; side++)
	{
		row->given[side] = keep_text(block, given[side]);
		resolver->bytes += row->given[side].len;
		wanted[side].text.data = NULL;
		if (resolver->sides[side].keys && error == NULL)
			expect_key(resolver, block, side, row->given[side], &wanted[side]);
	}
	MemoryContextSwitchTo(old);
	if (resolver->nput >= ROWS_BETWEEN)
	{
		wanted = resolver->coming[(resolver->nput - ROWS_BETWEEN) % MAX_COMING];
		for (int side = FROM; side < NSIDES; side++)
		{
			if (wanted[side].text.data)
				hubspot_keys_approach(resolver->sides[side].keys, &wanted[side]);
		}
	}
	if (resolver->nput - resolver->nkeyed == MAX_COMING)
		take_keys(resolver);
}

/* Expect the key of a row that was put.  If its normal form is another text, keep that. */
static void
expect_key(HubspotResolver *resolver, Block *block, int side, HubspotSlice given,
		   HubspotKeyWanted *wanted)
{
	const HubspotObjectType *type = hubspot_keys_type(resolver->sides[side].keys);
	MemoryContext old = MemoryContextSwitchTo(resolver->row_context);
	char		buffer[HUBSPOT_NORMAL_SIZE];
	HubspotSlice normal = hubspot_key_normalize(type, given, buffer);

	MemoryContextSwitchTo(old);
	wanted->text = given;
	if (!hubspot_same_id(normal, given))
		wanted->text = keep_text(block, normal);
	hubspot_keys_expect(resolver->sides[side].keys, wanted);
}

/* Give its keys to the first row without them, and have the unknown ones asked for. */
static void
take_keys(HubspotResolver *resolver)
{
	int64		number = resolver->nkeyed++;
	const HubspotKeyWanted *wanted = resolver->coming[number % MAX_COMING];
	Block	   *block;
	Row		   *row = find_row(resolver, number, &block);

	for (int side = FROM; side < NSIDES; side++)
	{
		if (wanted[side].text.data == NULL)
			continue;
		row->keys[side] = hubspot_keys_get_expected(resolver->sides[side].keys, &wanted[side]);
		if (row->keys[side]->state == HUBSPOT_KEY_UNKNOWN)
			hubspot_lookups_add(resolver->sides[side].lookups, row->keys[side]);
	}
}

/*
 * Give all rows that were put their keys, since no more may come for a while.  False: all
 * had theirs.
 */
bool
hubspot_resolver_catch_up(HubspotResolver *resolver)
{
	bool		any = resolver->nkeyed < resolver->nput;

	while (resolver->nkeyed < resolver->nput)
		take_keys(resolver);
	return any;
}

static Row *
add_row(HubspotResolver *resolver, Block **block)
{
	int			n = resolver->nput % BLOCK_ROWS;

	if (n == 0)
	{
		MemoryContext context = AllocSetContextCreate(resolver->context,
													  "hubspot_assoc keyed rows",
													  ALLOCSET_DEFAULT_SIZES);

		*block = MemoryContextAllocZero(context, sizeof(Block));
		(*block)->context = context;
		if (resolver->nblocks == resolver->maxblocks)
		{
			resolver->maxblocks = Max(2 * resolver->maxblocks, FIRST_BLOCKS);
			if (resolver->blocks == NULL)
				resolver->blocks = MemoryContextAlloc(resolver->context,
													  sizeof(Block *) * resolver->maxblocks);
			else
				resolver->blocks = repalloc(resolver->blocks,
											sizeof(Block *) * resolver->maxblocks);
		}
		resolver->blocks[resolver->nblocks++] = *block;
	}
	*block = resolver->blocks[resolver->nblocks - 1];
	resolver->nput++;
	(*block)->nleft++;
	return &(*block)->rows[n];
}

static Row *
find_row(const HubspotResolver *resolver, int64 number, Block **block)
{
	*block = resolver->blocks[number / BLOCK_ROWS - resolver->first_block];
	return &(*block)->rows[number % BLOCK_ROWS];
}

/* A copy of a text, which lives as long as the block. */
static HubspotSlice
keep_text(Block *block, HubspotSlice text)
{
	char	   *copy;

	if (text.data == NULL)
		return text;
	if (block->space == NULL || (Size) text.len > block->space_left)
	{
		block->space_left = Max(PIECE_SIZE, text.len);
		block->space = palloc(block->space_left);
	}
	copy = memcpy(block->space, text.data, text.len);
	block->space += text.len;
	block->space_left -= text.len;
	text.data = copy;
	return text;
}

/* A copy of types, which lives as long as the block: one for rows that have the same. */
static const HubspotTypeList *
keep_types(Block *block, const HubspotTypeList *types)
{
	if (types == NULL)
		return NULL;
	if (block->last_types == NULL || !hubspot_same_types(block->last_types, types))
		block->last_types = hubspot_merge_types(NULL, types);
	return block->last_types;
}

/*
 * The next row, if its keys are known: with the ids of its records, and the number by
 * which it is to be named.  What it points to is valid until the next row is asked for.
 */
HubspotResolved
hubspot_resolver_next(HubspotResolver *resolver, HubspotInput *input,
					  const HubspotError **error)
{
	HubspotResolved resolved;
	MemoryContext old;
	Block	   *block;
	Row		   *row;

	for (int side = FROM; side < NSIDES; side++)
	{
		if (resolver->passed[side])
			hubspot_key_release(resolver->sides[side].keys, resolver->passed[side]);
		resolver->passed[side] = NULL;
	}
	if (resolver->nnext == resolver->nkeyed)
		return HUBSPOT_RESOLVED_NONE;
	if (resolver->nkeyed - resolver->nnext > ROWS_BETWEEN)
	{
		row = find_row(resolver, resolver->nnext + ROWS_BETWEEN, &block);
		for (int side = FROM; side < NSIDES; side++)
			HUBSPOT_PREFETCH(row->keys[side]);
	}
	row = find_row(resolver, resolver->nnext, &block);
	if (!is_known(row))
		return HUBSPOT_RESOLVED_NONE;

	MemoryContextReset(resolver->row_context);
	old = MemoryContextSwitchTo(resolver->row_context);
	resolved = resolve(resolver, row, input, error);
	MemoryContextSwitchTo(old);
	input->no = resolver->nnext++;
	input->types = row->types;
	for (int side = FROM; side < NSIDES; side++)
	{
		resolver->bytes -= row->given[side].len;
		resolver->passed[side] = row->keys[side];
		row->keys[side] = NULL;
	}
	return resolved;
}

static bool
is_known(const Row *row)
{
	for (int side = FROM; side < NSIDES; side++)
	{
		if (row->keys[side] && !hubspot_key_is_settled(row->keys[side]))
			return false;
	}
	return true;
}

/*
 * Decide what becomes of a row whose keys are known.  Its error is that of the first key
 * that has one.
 */
static HubspotResolved
resolve(HubspotResolver *resolver, Row *row, HubspotInput *input,
		const HubspotError **error)
{
	HubspotSlice ids[NSIDES];
	bool		is_gone = false;

	*error = row->error;
	for (int side = FROM; side < NSIDES; side++)
	{
		const HubspotKey *key = row->keys[side];
		bool		has_keys = (resolver->sides[side].keys != NULL);

		ids[side] = row->given[side];
		if (has_keys)
			ids[side].data = NULL;
		if (key && key->state == HUBSPOT_KEY_FOUND)
		{
			ids[side] = hubspot_key_record(key);
			row->is_earlier |= hubspot_key_is_earlier(resolver->sides[side].keys, key);
		}
		else if (key && key->state == HUBSPOT_KEY_MISSING &&
				 resolver->removes)
			is_gone = true;
		else if (key && *error == NULL)
			*error = hubspot_key_error(hubspot_keys_type(resolver->sides[side].keys), key,
									   row->given[side]);
	}
	input->from_id = ids[FROM];
	input->to_id = ids[TO];
	if (row->former && is_settled_by_former(row->former, ids, error))
	{
		input->from_id = row->former->ids[FROM];
		input->to_id = row->former->ids[TO];
		return *error ? HUBSPOT_RESOLVED_REFUSE : HUBSPOT_RESOLVED_DONE;
	}
	if (*error)
		return HUBSPOT_RESOLVED_REFUSE;
	return is_gone || resolver->only_resolves ?
		HUBSPOT_RESOLVED_DONE : HUBSPOT_RESOLVED_SEND;
}

/*
 * Does a row that is tried once more end as it did the first time?  So it does if its keys
 * have the same records as then, or if HubSpot could not be asked for them.
 */
static bool
is_settled_by_former(const Former *former, const HubspotSlice *ids,
					 const HubspotError **error)
{
	if (*error && ((*error)->verdict == HUBSPOT_VERDICT_NO_RECORD ||
				   (*error)->verdict == HUBSPOT_VERDICT_MANY_RECORDS))
		return false;
	if (*error == NULL && !(hubspot_same_id(ids[FROM], former->ids[FROM]) &&
							hubspot_same_id(ids[TO], former->ids[TO])))
		return false;
	*error = former->error;
	return true;
}

/*
 * May an error mean that a record does not exist, or that another one has answered for it?
 */
static bool
may_be_records_fault(const HubspotError *error)
{
	return error->verdict == HUBSPOT_VERDICT_INPUT ||
		error->verdict == HUBSPOT_VERDICT_REQUEST ||
		(error->verdict == HUBSPOT_VERDICT_UNCONFIRMED && error->http_status / 100 == 2);
}

/*
 * Does this outcome not count, because its row is tried once more?  If HubSpot refuses a
 * row, or has nothing for a record that is read, and an earlier statement has found the
 * records, they may be others by now.  Then the resolver forgets these, and puts the row
 * again, after those that were put meanwhile.
 */
bool
hubspot_resolver_again(HubspotResolver *resolver, const HubspotOutcome *outcome)
{
	Block	   *block;
	Row		   *row;
	HubspotInput input = {0};
	MemoryContext old;
	Former	   *former;

	drop_gone(resolver);
	row = find_row(resolver, outcome->input_no, &block);
	row->has_some |= (outcome->association != NULL);
	if (!row->is_earlier ||
		!(outcome->error ? may_be_records_fault(outcome->error) :
		  outcome->ended && !row->has_some))
		return false;
	for (int side = FROM; side < NSIDES; side++)
	{
		if (resolver->sides[side].keys)
			hubspot_keys_forget_earlier(resolver->sides[side].keys, row->given[side]);
	}
	input.no = row->no;
	input.types = row->types;
	input.from_id = row->given[FROM];
	input.to_id = row->given[TO];
	hubspot_resolver_put(resolver, &input, NULL);
	forget_row(resolver, block);

	row = find_row(resolver, resolver->nput - 1, &block);
	old = MemoryContextSwitchTo(block->context);
	former = palloc(sizeof(Former));
	former->error = outcome->error ?
		hubspot_share_error(&block->last_error, outcome->error) : NULL;
	former->ids[FROM] = keep_text(block, outcome->from_id);
	former->ids[TO] = keep_text(block, outcome->to_id);
	row->former = former;
	MemoryContextSwitchTo(old);
	return true;
}

/* Is nothing left that waits for its keys? */
bool
hubspot_resolver_is_empty(const HubspotResolver *resolver)
{
	return resolver->nnext == resolver->nput;
}

/*
 * The batch has nothing else to send: have all keys asked for, even if they are too few to
 * fill a request.  While more rows may come, whose keys may fill it, this is done only if
 * the next row waits for one of these keys.  False: rows have just got their keys, and the
 * caller is to look at the next one again.
 */
bool
hubspot_resolver_ask(HubspotResolver *resolver, bool more_may_come)
{
	if (hubspot_resolver_catch_up(resolver))
		return false;
	if (more_may_come && waits_for_others(resolver))
		return true;
	for (int side = FROM; side < NSIDES; side++)
	{
		if (resolver->sides[side].lookups)
			hubspot_lookups_start(resolver->sides[side].lookups, true);
	}
	return true;
}

/* Does the next row wait for something other than a key that is still to be asked for? */
static bool
waits_for_others(const HubspotResolver *resolver)
{
	Block	   *block;
	const Row  *row;

	Assert(resolver->nnext < resolver->nkeyed);
	row = find_row(resolver, resolver->nnext, &block);
	for (int side = FROM; side < NSIDES; side++)
	{
		if (row->keys[side] && row->keys[side]->state == HUBSPOT_KEY_ASKED &&
			row->keys[side]->answer.asker == NULL)
			return false;
	}
	return true;
}

/* Why nothing more is sent, as the answer to a look-up has shown; or NULL. */
const HubspotError *
hubspot_resolver_stopped(const HubspotResolver *resolver)
{
	for (int side = FROM; side < NSIDES; side++)
	{
		const HubspotLookups *lookups = resolver->sides[side].lookups;

		if (lookups && hubspot_lookups_stopped(lookups))
			return hubspot_lookups_stopped(lookups);
	}
	return NULL;
}

/*
 * Give an outcome the number and the keys that its row was given with.  If it is the last
 * one of the row, the row is forgotten with the next outcome.
 */
void
hubspot_resolver_name(HubspotResolver *resolver, HubspotOutcome *outcome, bool last)
{
	Block	   *block;
	const Row  *row;

	drop_gone(resolver);
	row = find_row(resolver, outcome->input_no, &block);
	outcome->input_no = row->no;
	outcome->kind = 0;			/* its records' ids are shown besides */
	if (resolver->sides[FROM].keys)
	{
		outcome->from_record = outcome->from_id;
		outcome->from_id = row->given[FROM];
	}
	if (resolver->sides[TO].keys)
	{
		outcome->to_record = outcome->to_id;
		outcome->to_id = row->given[TO];
	}
	if (last)
		forget_row(resolver, block);
}

/* Take note that a row has no more outcomes. */
static void
forget_row(HubspotResolver *resolver, Block *block)
{
	if (--block->nleft == 0 && block != resolver->blocks[resolver->nblocks - 1])
		resolver->gone = block;
}

/* Drop the block whose last outcome is no longer needed, if there is one. */
static void
drop_gone(HubspotResolver *resolver)
{
	if (resolver->gone)
		drop_block(resolver, resolver->gone);
	resolver->gone = NULL;
}

/* Drop a block with all of its rows, and its place, if those before it are gone, too. */
static void
drop_block(HubspotResolver *resolver, Block *block)
{
	int			ngone = 0;

	for (int i = 0; i < resolver->nblocks; i++)
	{
		if (resolver->blocks[i] == block)
			resolver->blocks[i] = NULL;
	}
	MemoryContextDelete(block->context);
	while (ngone < resolver->nblocks && resolver->blocks[ngone] == NULL)
		ngone++;
	resolver->first_block += ngone;
	resolver->nblocks -= ngone;
	memmove(resolver->blocks, resolver->blocks + ngone, sizeof(Block *) * resolver->nblocks);
}
