/*-------------------------------------------------------------------------
 *
 * turn.c
 *	  When a sender served each account, and how that went.
 *
 * Only this sender knows this, and only as long as it exists: what others have
 * to know of an account is in the tables.
 *
 * IDENTIFICATION
 *	  src/outbox/turn.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "outbox/settle.h"
#include "outbox/turn.h"

#define SECOND			INT64CONST(1000000) /* in microseconds */

/*
 * How long an account rests that cannot even be charged: as long as one that
 * can.
 */
#define MIN_REST		(HUBSPOT_MIN_BACKOFF * SECOND)
#define MAX_REST		(HUBSPOT_MAX_BACKOFF * SECOND)

/* If this many rows go well, there may be any number of them. */
#define MANY_ROWS		10000

/* The turns of a hash value */
typedef struct Entry
{
	uint64		hash;			/* must be first: the key */
	HubspotTurn *first;
} Entry;

struct HubspotTurns
{
	MemoryContext context;
	HTAB	   *entries;
};

/* Create turns, none so far; they live as long as the memory context. */
HubspotTurns *
hubspot_turns_create(MemoryContext context)
{
	HubspotTurns *turns = MemoryContextAlloc(context, sizeof(HubspotTurns));
	HASHCTL		control = {0};

	control.keysize = sizeof(uint64);
	control.entrysize = sizeof(Entry);
	control.hcxt = context;
	turns->context = context;
	turns->entries = hash_create("hubspot_assoc turns", 64, &control,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return turns;
}

/* The turn of an account, which is made if there is none. */
HubspotTurn *
hubspot_turn(HubspotTurns *turns, const char *server, Oid role)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) server,
										   strlen(server), role);
	bool		found;
	Entry	   *entry = hash_search(turns->entries, &hash, HASH_ENTER, &found);
	HubspotTurn *turn;

	if (!found)
		entry->first = NULL;
	for (turn = entry->first; turn; turn = turn->next)
	{
		if (turn->role == role && strcmp(turn->server, server) == 0)
			return turn;
	}
	turn = MemoryContextAllocZero(turns->context, sizeof(HubspotTurn));
	turn->server = MemoryContextStrdup(turns->context, server);
	turn->role = role;
	turn->next = entry->first;
	entry->first = turn;
	return turn;
}

/* Rows were sent: next time twice as many may be, until there is no bound. */
void
hubspot_turn_went_well(HubspotTurn *turn)
{
	turn->failures = 0;
	turn->max_rows *= 2;
	if (turn->max_rows >= MANY_ROWS)
		turn->max_rows = 0;
}

/*
 * Let an account rest, for longer each time; charged: its back-off is in the
 * table, so the rest here need not be long.
 */
void
hubspot_turn_rest(HubspotTurn *turn, bool charged)
{
	int64		time = MIN_REST << Min(Max(turn->failures - 1, 0), 10);

	turn->rests_until = hubspot_now() + Min(time, charged ? MIN_REST : MAX_REST);
}

/* Is an account resting, and until when? */
bool
hubspot_turn_rests(const HubspotTurn *turn, TimestampTz *until)
{
	int64		left = turn->rests_until - hubspot_now();

	*until = GetCurrentTimestamp() + left;
	return left > 0;
}
