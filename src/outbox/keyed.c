/*-------------------------------------------------------------------------
 *
 * keyed.c
 *	  Rows that name records by keys: which of them are looked up in a round.
 *
 * A round looks up no more keys than take it a moment, since other rows of the account wait
 * for its end.  Keys that HubSpot did not have before share a part of the rate (reask.c).
 * Those that are asked for most often, as they have waited least, are first, and of these the
 * latest: a record of what was enqueued just now may come to be any moment, however many rows
 * have waited in vain, or have waited anew for a while.  The rows that come next wait for the
 * next request, all others behind what is planned; but in a crowd, out of which the latest are
 * picked when there is room, all wait behind what is planned.
 *
 * All functions here need a transaction with a snapshot.
 *
 * IDENTIFICATION
 *	  src/outbox/keyed.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "api/key.h"
#include "base/clock.h"
#include "base/text_hash.h"
#include "outbox/keyed.h"
#include "outbox/row_ids.h"
#include "schema/prepared.h"

/* How many keys are looked up in a round, of all lanes together. */
#define MAX_KEYS		2000

/* This many rows are a crowd: at least as many are looked at first (selection.c). */
#define CROWD			500

/* The sides of a row */
enum
{
	FROM,
	TO,
	NSIDES
};

enum
{
	HOLD_IDS
};

enum
{
	HELD_ID
};

/*
 * Removals whose transactions have enqueued creates that were not looked up yet.  They wait
 * for as long again as they have waited, so that any number of them is put off only a few
 * times.
 */
static HubspotStatement hold_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_outbox AS o"
	" SET not_before = clock_timestamp() + greatest(interval '1 s', clock_timestamp() - o.enqueued_at)"
	" WHERE o.id = ANY (ARRAY(SELECT l.id FROM %1$s.hs_assoc_outbox AS l WHERE l.id = ANY ($1)"
	"  AND EXISTS (SELECT FROM %1$s.hs_assoc_outbox AS c WHERE c.server = l.server"
	"   AND c.operation = ANY ('{create,create_default}') AND c.waited = '0'"
	"   AND c.enqueued_at = l.enqueued_at AND c.id > l.id)"
	"  FOR UPDATE SKIP LOCKED))"
	" RETURNING o.id",
	.types = {[HOLD_IDS] = INT8ARRAYOID}
};

/* What is left of what a round may look up */
typedef struct Room
{
	int			keys;
	int			again;			/* keys that HubSpot did not have before */
	int64		now;
	TimestampTz time;			/* the same */
} Room;

/* The rows that the last query here has returned. */
static HubspotRows rows;

static void limit_lot(HubspotReask *reask, HubspotLot *lot, Room *room);
static int64 next_turn(HubspotReask *reask, const Room *room, bool is_next);
static void choose_again(HubspotReask *reask, const HubspotLot *lot, HTAB *keys,
						 HTAB *next, Room *room);
static int	compare_waited(const void *a, const void *b);
static HTAB *create_keys(int nclaims);
static void add_keys(HTAB *keys, const HubspotLane *lane, const HubspotClaim *claim,
					 int nnew[NSIDES]);
static bool are_among(HTAB *keys, const HubspotLane *lane, const HubspotClaim *claim);
static int	count_new(HTAB *keys, const char *type, HubspotSlice key, int side,
					  HASHACTION action);

/* What is wrong with an object type of the lane, palloc'd; or NULL. */
char *
hubspot_keyed_problem(const HubspotLane *lane)
{
	HubspotObjectType type;
	char	   *hint;
	char	   *problem = hubspot_parse_object_type(lane->from_type, &type, &hint);

	if (problem)
		return psprintf("from_type \"%s\" is not valid: %s", lane->from_type, problem);
	problem = hubspot_parse_object_type(lane->to_type, &type, &hint);
	if (problem)
		return psprintf("to_type \"%s\" is not valid: %s", lane->to_type, problem);
	return NULL;
}

/*
 * Does a lot have enough keys for a round: as many as it looks up, or as many as there are
 * rows?  Rows that have waited before do not count: there may be others that have waited less.
 */
bool
hubspot_keyed_is_full(const HubspotLot *lot)
{
	HTAB	   *keys = create_keys(lot->nclaims);
	int			nkeys[NSIDES] = {0};

	for (int i = 0; i < lot->nclaims; i++)
	{
		if (lot->claims[i].waited == 0)
			add_keys(keys, &lot->lane, &lot->claims[i], nkeys);
	}
	hash_destroy(keys);
	return nkeys[FROM] + nkeys[TO] >= Min(MAX_KEYS, lot->nclaims);
}

/* Have all rows of a pick waited for their records before? */
bool
hubspot_keyed_have_waited(const HubspotPick *pick)
{
	for (int i = 0; i < pick->nlots; i++)
	{
		for (int j = 0; j < pick->lots[i].nclaims; j++)
		{
			if (pick->lots[i].claims[j].waited == 0)
				return false;
		}
	}
	return pick->nlots > 0;
}

/* Take out of lots those rows whose keys are not looked up in this round. */
void
hubspot_keyed_limit(HubspotReask *reask, HubspotLot *lots, int nlots)
{
	Room		room = {.keys = MAX_KEYS,.now = hubspot_now(),.time = GetCurrentTimestamp()};

	room.again = hubspot_reask_room(reask, room.now);
	for (int i = 0; i < nlots; i++)
	{
		if (lots[i].lane.has_keys)
			limit_lot(reask, &lots[i], &room);
	}
}

static void
limit_lot(HubspotReask *reask, HubspotLot *lot, Room *room)
{
	HTAB	   *keys = create_keys(lot->nclaims);
	HTAB	   *next = create_keys(lot->nclaims);
	HubspotDeferral *deferrals = palloc(sizeof(HubspotDeferral) * lot->nclaims);
	int			ndeferrals = 0;
	int			nclaims = 0;

	choose_again(reask, lot, keys, next, room);
	for (int i = 0; i < lot->nclaims; i++)
	{
		const HubspotClaim *claim = &lot->claims[i];
		bool		chosen = are_among(keys, &lot->lane, claim);
		int			nnew[NSIDES] = {0};

		if (!chosen && room->keys <= 0)
			continue;			/* it has its turn in another round */
		if (!chosen && claim->waited > 0)
		{
			int64		turn = next_turn(reask, room, are_among(next, &lot->lane, claim));

			deferrals[ndeferrals].id = claim->id;
			deferrals[ndeferrals++].not_before = room->time + (turn - room->now);
			continue;
		}
		add_keys(keys, &lot->lane, claim, nnew);
		room->keys -= nnew[FROM] + nnew[TO];
		lot->claims[nclaims++] = *claim;
	}
	lot->nclaims = nclaims;
	if (ndeferrals > 0)
		hubspot_claim_defer(deferrals, ndeferrals);
	hash_destroy(keys);
	hash_destroy(next);
	pfree(deferrals);
}

/* When is the turn of a row that may not be asked for again now? */
static int64
next_turn(HubspotReask *reask, const Room *room, bool is_next)
{
	return is_next ? hubspot_reask_next(reask, room->now) :
		hubspot_reask_plan(reask, reask->free_at, room->now);
}

/*
 * Add the keys that may be asked for again now, of rows that are asked for most often; and to
 * next those that fill another request.
 */
static void
choose_again(HubspotReask *reask, const HubspotLot *lot, HTAB *keys, HTAB *next,
			 Room *room)
{
	const HubspotClaim **waiting = palloc(sizeof(HubspotClaim *) * lot->nclaims);
	int			nwaiting = 0;
	int			nchosen;
	int			nkeys[NSIDES] = {0};
	int			nnext[NSIDES] = {0};

	for (int i = 0; i < lot->nclaims; i++)
	{
		if (lot->claims[i].waited > 0)
			waiting[nwaiting++] = &lot->claims[i];
	}
	qsort(waiting, nwaiting, sizeof(HubspotClaim *), compare_waited);
	for (nchosen = 0; nchosen < nwaiting &&
		 nkeys[FROM] + nkeys[TO] < Min(room->again, room->keys); nchosen++)
		add_keys(keys, &lot->lane, waiting[nchosen], nkeys);
	for (int i = nchosen; i < nwaiting && nwaiting < CROWD &&
		 nnext[FROM] + nnext[TO] < HUBSPOT_REASK_KEYS; i++)
		add_keys(next, &lot->lane, waiting[i], nnext);

	/* requests are for keys of one side */
	for (int side = 0; side < NSIDES; side++)
	{
		hubspot_reask_spend(reask, nkeys[side], room->now);
		room->again -= nkeys[side];
		room->keys -= nkeys[side];
	}
	pfree(waiting);
}

static int
compare_waited(const void *a, const void *b)
{
	const HubspotClaim *one = *(const HubspotClaim *const *) a;
	const HubspotClaim *other = *(const HubspotClaim *const *) b;
	int64		wait = hubspot_reask_wait(one->waited);
	int64		other_wait = hubspot_reask_wait(other->waited);

	if (wait != other_wait)
		return wait < other_wait ? -1 : 1;
	return one->id > other->id ? -1 : 1;
}

/* Create a set for the keys of that many rows. */
static HTAB *
create_keys(int nclaims)
{
	HASHCTL		control = {0};

	control.keysize = sizeof(uint64);
	control.entrysize = sizeof(uint64);
	control.hcxt = CurrentMemoryContext;
	return hash_create("hubspot_assoc keys of rows", NSIDES * Max(nclaims, 1), &control,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Add the keys of a row; those that are new are counted. */
static void
add_keys(HTAB *keys, const HubspotLane *lane, const HubspotClaim *claim, int nnew[NSIDES])
{
	nnew[FROM] += count_new(keys, lane->from_type, claim->from_id, FROM, HASH_ENTER);
	nnew[TO] += count_new(keys, lane->to_type, claim->to_id, TO, HASH_ENTER);
}

/* Are all keys of a row among them? */
static bool
are_among(HTAB *keys, const HubspotLane *lane, const HubspotClaim *claim)
{
	return count_new(keys, lane->from_type, claim->from_id, FROM, HASH_FIND) == 0 &&
		count_new(keys, lane->to_type, claim->to_id, TO, HASH_FIND) == 0;
}

/* Returns 1 for a key that is not among them, else 0. */
static int
count_new(HTAB *keys, const char *type, HubspotSlice key, int side, HASHACTION action)
{
	bool		found;
	uint64		hash;

	if (strchr(type, ':') == NULL)
		return 0;
	hash = hubspot_mix_hash(hubspot_long_text_hash(key.data, key.len), side);
	(void) hash_search(keys, &hash, action, &found);
	return found ? 0 : 1;
}

/*
 * Have removals wait until all creates of their transactions have been looked up: one of
 * these may be of the same pair, under another name.  They are taken out of the lot.
 */
void
hubspot_keyed_hold(HubspotLot *lot)
{
	HubspotValues values = {0};
	int64	   *ids = palloc(sizeof(int64) * lot->nclaims);
	int			nids;
	int			nclaims = 0;

	for (int i = 0; i < lot->nclaims; i++)
		ids[i] = lot->claims[i].id;
	hubspot_set_datum(&values, HOLD_IDS, hubspot_row_ids(ids, lot->nclaims));
	if (hubspot_query(&hold_statement, &values, &rows) == 0)
		return;
	nids = hubspot_row_ids_without(ids, lot->nclaims, &rows, HELD_ID, ids);

	/* the ids are in the same order */
	for (int i = 0; i < lot->nclaims && nclaims < nids; i++)
	{
		if (lot->claims[i].id == ids[nclaims])
			lot->claims[nclaims++] = lot->claims[i];
	}
	lot->nclaims = nclaims;
}
