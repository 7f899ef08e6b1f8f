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
 * The resolver keeps what a row was given until the row's last outcome has been got
 * (keyed_row.c).  It numbers the rows, and the batch knows them by these numbers.
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
#include "call/keyed_row.h"
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

enum
{
	FROM = HUBSPOT_SIDE_FROM,
	TO = HUBSPOT_SIDE_TO,
	NSIDES = HUBSPOT_NSIDES
};

/* One side of the rows; if that has ids of records, it has neither keys nor lookups. */
typedef struct Side
{
	HubspotKeys *keys;
	HubspotLookups *lookups;
	HubspotCachedKeys *cached;	/* to be given back, or NULL */
} Side;

struct HubspotResolver
{
	MemoryContext context;
	bool		removes;		/* what isn't there need not be removed */
	bool		only_resolves;	/* nothing is done with the records */
	bool		takes_earlier;	/* records that earlier statements have found
								 * count */
	bool		any_earlier;	/* a row has such a record */
	Side		sides[NSIDES];
	HubspotKeyedRows rows;
	int64		nkeyed;			/* rows that have their keys */
	int64		nnext;			/* rows that are in the batch */
	HubspotKeyWanted coming[MAX_COMING][NSIDES];	/* keys that rows wait
													 * for, by the rows'
													 * numbers; no data: the
													 * row has none there */
	Size		bytes;			/* of the texts of rows that are not in the
								 * batch */
	HubspotKey *passed[NSIDES]; /* of the row that went into the batch last */
	MemoryContextCallback ending;
	MemoryContext row_context;	/* reset for each row */
};

static void make_side(HubspotResolver *resolver, int side, const HubspotClient *client,
					  HubspotCalls *calls, const HubspotObjectType *type);
static void end(void *arg);
static void expect_key(HubspotResolver *resolver, HubspotRowBlock *block, int side,
					   HubspotSlice given, bool is_normal, HubspotSlice kept,
					   HubspotKeyWanted *wanted);
static void take_keys(HubspotResolver *resolver);
static void take_key(HubspotResolver *resolver, HubspotKeyedRow *row, int side, HubspotKey *key);
static inline void note_earlier(HubspotResolver *resolver, HubspotKeyedRow *row, int side,
								const HubspotKey *key);
static bool is_known(const HubspotKeyedRow *row);
static bool waits_for_others(const HubspotResolver *resolver);
static HubspotResolved resolve(HubspotResolver *resolver, HubspotKeyedRow *row,
							   HubspotInput *input, const HubspotError **error);
static bool is_settled_by_former(const HubspotFormer *former, const HubspotSlice *ids,
								 const HubspotError **error);
static bool may_be_records_fault(const HubspotError *error);

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
	hubspot_keyed_rows_begin(&resolver->rows, context);
	resolver->removes = (endpoint->reply_shape == HUBSPOT_REPLY_SILENT);
	resolver->only_resolves = only_resolves;

	/*
	 * HubSpot's answer to a removal, or to a list, does not say that a key's
	 * record is another one by now, or says it in words that may mean
	 * something else; and a caller that only resolves keys wants to know just
	 * that
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

	return Min(MAX_AHEAD - (int) (resolver->rows.nadded - resolver->nnext),
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
	const bool	is_normal[NSIDES] = {input->from_is_normal, input->to_is_normal};
	HubspotKeyWanted *wanted = resolver->coming[resolver->rows.nadded % MAX_COMING];
	HubspotRowBlock *block;
	HubspotKeyedRow *row = hubspot_keyed_rows_add(&resolver->rows, &block);

	row->no = input->no;
	row->types = hubspot_row_block_types(block, input->types);
	if (error)
		row->error = hubspot_row_block_error(block, error);
	for (int side = FROM; side < NSIDES; side++)
	{
		HubspotSlice kept = hubspot_row_block_text(block, given[side]);

		row->given[side] = kept.data;
		row->given_len[side] = kept.len;
		resolver->bytes += kept.len;
		wanted[side].text.data = NULL;
		if (resolver->sides[side].keys && error == NULL)
			expect_key(resolver, block, side, given[side], is_normal[side], kept,
					   &wanted[side]);
	}
	if (resolver->rows.nadded >= ROWS_BETWEEN)
	{
		wanted = resolver->coming[(resolver->rows.nadded - ROWS_BETWEEN) % MAX_COMING];
		for (int side = FROM; side < NSIDES; side++)
		{
			if (wanted[side].text.data)
				hubspot_keys_approach(resolver->sides[side].keys, &wanted[side]);
		}
	}
	if (resolver->rows.nadded - resolver->nkeyed == MAX_COMING)
		take_keys(resolver);
}

/*
 * Expect the key of a row that was put.  If its normal form is another text, keep that,
 * too.  What was given is read, and not the row's copy, since the processor has it at hand.
 */
static void
expect_key(HubspotResolver *resolver, HubspotRowBlock *block, int side, HubspotSlice given,
		   bool is_normal, HubspotSlice kept, HubspotKeyWanted *wanted)
{
	HubspotKeys *keys = resolver->sides[side].keys;
	MemoryContext old;
	char		buffer[HUBSPOT_NORMAL_SIZE];
	HubspotSlice normal;

	wanted->text = kept;
	if (is_normal)
	{
		Assert(hubspot_key_is_normal(hubspot_keys_type(keys), given));
		hubspot_keys_expect(keys, given, wanted);
		return;
	}
	old = MemoryContextSwitchTo(resolver->row_context);
	normal = hubspot_key_normalize(hubspot_keys_type(keys), given, buffer);
	MemoryContextSwitchTo(old);
	hubspot_keys_expect(keys, normal, wanted);
	if (normal.data == given.data)
		wanted->text.len = normal.len;
	else if (!hubspot_same_id(normal, given))
		wanted->text = hubspot_row_block_text(block, normal);
}

/* Give its keys to the first row without them, and have the unknown ones asked for. */
static void
take_keys(HubspotResolver *resolver)
{
	int64		number = resolver->nkeyed++;
	const HubspotKeyWanted *wanted = resolver->coming[number % MAX_COMING];
	HubspotRowBlock *block;
	HubspotKeyedRow *row = hubspot_keyed_rows_find(&resolver->rows, number, &block);

	for (int side = FROM; side < NSIDES; side++)
	{
		if (wanted[side].text.data)
			take_key(resolver, row, side,
					 hubspot_keys_get_expected(resolver->sides[side].keys, &wanted[side]));
	}
}

/*
 * Give a row its key, or at once the id of its record, if that is known: once the row is
 * the next one, the key would have to be fetched from memory anew.
 */
static void
take_key(HubspotResolver *resolver, HubspotKeyedRow *row, int side, HubspotKey *key)
{
	if (key->state == HUBSPOT_KEY_FOUND && key->id_len > 0)
	{
		memcpy(row->found[side].id, key->answer.short_id, key->id_len);
		row->id_len[side] = key->id_len;
		note_earlier(resolver, row, side, key);
		hubspot_key_release(resolver->sides[side].keys, key);
		return;
	}
	row->found[side].key = key;
	row->has_key[side] = true;
	if (key->state == HUBSPOT_KEY_UNKNOWN)
		hubspot_lookups_add(resolver->sides[side].lookups, key);
}

static inline void
note_earlier(HubspotResolver *resolver, HubspotKeyedRow *row, int side,
			 const HubspotKey *key)
{
	if (!hubspot_key_is_earlier(resolver->sides[side].keys, key))
		return;
	row->is_earlier = true;
	resolver->any_earlier = true;
}

/*
 * Give all rows that were put their keys, since no more may come for a while.  False: all
 * had theirs.
 */
bool
hubspot_resolver_catch_up(HubspotResolver *resolver)
{
	bool		any = resolver->nkeyed < resolver->rows.nadded;

	while (resolver->nkeyed < resolver->rows.nadded)
		take_keys(resolver);
	return any;
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
	HubspotRowBlock *block;
	HubspotKeyedRow *row;

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
		row = hubspot_keyed_rows_find(&resolver->rows, resolver->nnext + ROWS_BETWEEN, &block);
		for (int side = FROM; side < NSIDES; side++)
		{
			if (row->has_key[side])
				HUBSPOT_PREFETCH(row->found[side].key);
		}
	}
	row = hubspot_keyed_rows_find(&resolver->rows, resolver->nnext, &block);
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
		resolver->bytes -= row->given_len[side];
		if (row->has_key[side])
			resolver->passed[side] = row->found[side].key;
		row->has_key[side] = false;
	}
	return resolved;
}

static bool
is_known(const HubspotKeyedRow *row)
{
	for (int side = FROM; side < NSIDES; side++)
	{
		if (row->has_key[side] && !hubspot_key_is_settled(row->found[side].key))
			return false;
	}
	return true;
}

/*
 * Decide what becomes of a row whose keys are known.  Its error is that of the first key
 * that has one.
 */
static HubspotResolved
resolve(HubspotResolver *resolver, HubspotKeyedRow *row, HubspotInput *input,
		const HubspotError **error)
{
	HubspotSlice ids[NSIDES] = {{NULL, 0}};
	bool		is_gone = false;

	*error = row->error;
	for (int side = FROM; side < NSIDES; side++)
	{
		const HubspotKey *key = row->has_key[side] ? row->found[side].key : NULL;
		HubspotSlice given = hubspot_keyed_row_given(row, side);

		ids[side] = given;
		if (resolver->sides[side].keys)
			ids[side].data = NULL;
		if (row->id_len[side] > 0)
		{
			ids[side].data = row->found[side].id;
			ids[side].len = row->id_len[side];
		}
		else if (key && key->state == HUBSPOT_KEY_FOUND)
		{
			ids[side] = hubspot_key_record(key);
			note_earlier(resolver, row, side, key);
		}
		else if (key && key->state == HUBSPOT_KEY_MISSING && key->answer.candidates == NULL &&
				 resolver->removes)
			is_gone = true;
		else if (key && *error == NULL)
			*error = hubspot_key_error(hubspot_keys_type(resolver->sides[side].keys), key,
									   given);
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
 * Does a row that is tried once more end as it did the first time?  It does if its keys
 * have the same records as then, or if HubSpot could not be asked for them.
 */
static bool
is_settled_by_former(const HubspotFormer *former, const HubspotSlice *ids,
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
	HubspotRowBlock *block;
	HubspotKeyedRow *row;
	HubspotInput input = {0};

	if (!resolver->any_earlier)
		return false;
	hubspot_keyed_rows_free_gone(&resolver->rows);
	row = hubspot_keyed_rows_find(&resolver->rows, outcome->input_no, &block);
	row->has_some |= (outcome->association != NULL);
	if (!row->is_earlier ||
		!(outcome->error ? may_be_records_fault(outcome->error) :
		  outcome->ended && !row->has_some))
		return false;
	for (int side = FROM; side < NSIDES; side++)
	{
		if (resolver->sides[side].keys)
			hubspot_keys_forget_earlier(resolver->sides[side].keys,
										hubspot_keyed_row_given(row, side));
	}
	input.no = row->no;
	input.types = row->types;
	input.from_id = hubspot_keyed_row_given(row, FROM);
	input.to_id = hubspot_keyed_row_given(row, TO);
	hubspot_resolver_put(resolver, &input, NULL);
	hubspot_keyed_rows_forget(&resolver->rows, block);

	row = hubspot_keyed_rows_find(&resolver->rows, resolver->rows.nadded - 1, &block);
	row->former = hubspot_row_block_former(block, outcome);
	return true;
}

/* Is nothing left that waits for its keys? */
bool
hubspot_resolver_is_empty(const HubspotResolver *resolver)
{
	return resolver->nnext == resolver->rows.nadded;
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
	HubspotRowBlock *block;
	const HubspotKeyedRow *row;

	Assert(resolver->nnext < resolver->nkeyed);
	row = hubspot_keyed_rows_find(&resolver->rows, resolver->nnext, &block);
	for (int side = FROM; side < NSIDES; side++)
	{
		if (row->has_key[side] && row->found[side].key->state == HUBSPOT_KEY_ASKED &&
			row->found[side].key->answer.asker == NULL)
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
	HubspotRowBlock *block;
	const HubspotKeyedRow *row;

	hubspot_keyed_rows_free_gone(&resolver->rows);
	row = hubspot_keyed_rows_find(&resolver->rows, outcome->input_no, &block);
	outcome->input_no = row->no;
	if (resolver->sides[FROM].keys)
	{
		outcome->from_record = outcome->from_id;
		outcome->from_id = hubspot_keyed_row_given(row, FROM);
	}
	if (resolver->sides[TO].keys)
	{
		outcome->to_record = outcome->to_id;
		outcome->to_id = hubspot_keyed_row_given(row, TO);
	}
	if (last)
		hubspot_keyed_rows_forget(&resolver->rows, block);
}
