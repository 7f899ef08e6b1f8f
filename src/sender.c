/*-------------------------------------------------------------------------
 *
 * sender.c
 *	  Sends what is due in the outbox, an account at a time.
 *
 * A round takes an account that has something due, of those that no other
 * process sends to, each in its turn, and sends rows of it (delivery.c).
 *
 * IDENTIFICATION
 *	  src/sender.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "damper.h"
#include "lease.h"
#include "sender.h"
#include "settle.h"
#include "transport.h"

/* Leases that a transaction takes: there is room for so many locks. */
#define MAX_LEASES	50

/* So long an account rests then, in microseconds. */
#define UNRECORDED_REST		(5 * INT64CONST(1000000))

/* When an account was served, in rounds of this sender. */
typedef struct Turn
{
	char	   *server;
	Oid			role;
	int64		number;
	int64		rest_until;		/* after a failure that could not be recorded */
} Turn;

struct HubspotSender
{
	MemoryContext context;
	MemoryContext round_context;
	HubspotTransaction transaction;
	List	   *turns;			/* of the accounts that were served */
	Turn	   *served;			/* the last one of these */
	int64		last_turn;
};

static HubspotDelivery *begin_delivery(HubspotSender *sender,
									   const char *server, int64 max_rows,
									   bool only_healthy, HubspotRound *round);
static bool is_ready(const HubspotClaimant *claimant, TimestampTz now,
					 bool only_healthy, HubspotRound *round);
static void take_turns(HubspotSender *sender, List *claimants);
static int	compare_turns(const ListCell *a, const ListCell *b);
static bool rests(const HubspotSender *sender, const HubspotClaimant *claimant,
				  HubspotRound *round);
static Turn *note_turn(HubspotSender *sender, const HubspotClaimant *claimant);
static Turn *find_turn(const HubspotSender *sender,
					   const HubspotClaimant *claimant);

/* A sender; hubspot_sender_end() frees it. */
HubspotSender *
hubspot_sender_create(HubspotSenderKind kind)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "hubspot_assoc sender",
												  ALLOCSET_DEFAULT_SIZES);
	HubspotSender *sender = MemoryContextAllocZero(context, sizeof(HubspotSender));

	sender->transaction.procedure = (kind == HUBSPOT_SENDER_PROCEDURE);
	sender->context = context;
	sender->round_context = AllocSetContextCreate(context, "hubspot_assoc round",
												  ALLOCSET_DEFAULT_SIZES);
	sender->transaction.context = sender->round_context;
	hubspot_damper_begin();
	return sender;
}

/* Let others have the lease that an ERROR has left. */
void
hubspot_sender_end(HubspotSender *sender)
{
	hubspot_lease_let_go();
	MemoryContextDelete(sender->context);
}

/*
 * Send some of what is due, of one server or of all (NULL), at most max_rows
 * rows of one account.  Must be called without a transaction by a worker, and
 * in a non-atomic SPI connection by a procedure; so it returns.  After an
 * ERROR the transaction has to be aborted by the caller, and rounds may go on.
 */
void
hubspot_sender_round(HubspotSender *sender, const char *server, int64 max_rows,
					 bool only_healthy, HubspotRound *round)
{
	MemoryContext old = CurrentMemoryContext;
	HubspotDelivery *delivery;

	MemoryContextReset(sender->round_context);
	MemoryContextSwitchTo(sender->round_context);
	memset(round, 0, sizeof(HubspotRound));
	round->next_due = DT_NOEND;
	sender->transaction.open = false;	/* an ERROR may have ended it, ... */
	hubspot_lease_let_go();		/* ... and left this */
	delivery = begin_delivery(sender, server, max_rows, only_healthy, round);
	if (delivery)
	{
		round->rows = hubspot_delivery_perform(&sender->transaction, delivery);
		round->next_due = 0;	/* there may be more */
		if (round->unrecorded)
			sender->served->rest_until = hubspot_now() + UNRECORDED_REST;
		hubspot_lease_let_go();
	}
	MemoryContextSwitchTo(old);
}

/*
 * Find an account to send to, and its rows, in one transaction (or more, if so
 * many accounts have none); NULL: there are none.  Otherwise we keep its lease.
 */
static HubspotDelivery *
begin_delivery(HubspotSender *sender, const char *server, int64 max_rows,
			   bool only_healthy, HubspotRound *round)
{
	HubspotTransaction *transaction = &sender->transaction;
	TimestampTz now = GetCurrentTimestamp();
	List	   *claimants;
	ListCell   *lc;
	HubspotDelivery *delivery = NULL;
	int			nleases = 0;

	if (!hubspot_transaction_begin(transaction))
		return NULL;
	round->installed = true;
	claimants = hubspot_claimants(transaction->schema, server);
	take_turns(sender, claimants);
	foreach(lc, claimants)
	{
		HubspotClaimant *claimant = lfirst(lc);

		if (!is_ready(claimant, now, only_healthy, round) ||
			rests(sender, claimant, round))
			continue;
		if (nleases == MAX_LEASES)
		{
			hubspot_transaction_end(transaction);
			if (!hubspot_transaction_begin(transaction))
				return NULL;
			nleases = 0;
		}
		if (!hubspot_lease_take(claimant->server))
		{
			round->waiting_accounts++;
			continue;
		}
		nleases++;
		/* who had the lease before us may have failed */
		if (hubspot_claimant_renew(transaction->schema, claimant, claimants) &&
			is_ready(claimant, now, only_healthy, round))
			delivery = hubspot_delivery_prepare(transaction, claimant,
												max_rows, round);
		if (delivery)
		{
			hubspot_lease_keep(claimant->server);
			sender->served = note_turn(sender, claimant);
			break;
		}
		if (round->unrecorded)
			note_turn(sender, claimant)->rest_until = hubspot_now() + UNRECORDED_REST;
		round->unrecorded = false;
	}
	hubspot_settle_forget(transaction->schema);
	hubspot_transaction_end(transaction);
	return delivery;
}

/* May something be sent to an account now?  If not, the round knows why. */
static bool
is_ready(const HubspotClaimant *claimant, TimestampTz now, bool only_healthy,
		 HubspotRound *round)
{
	if (claimant->due > now)
	{
		round->next_due = Min(round->next_due, claimant->due);
		return false;
	}
	if (only_healthy && claimant->backing_off)
	{
		round->waiting_accounts++;
		return false;
	}
	return true;
}

/* Has an account failed just now, of which only this sender knows? */
static bool
rests(const HubspotSender *sender, const HubspotClaimant *claimant,
	  HubspotRound *round)
{
	const Turn *turn = find_turn(sender, claimant);
	int64		now = hubspot_now();

	if (turn == NULL || turn->rest_until <= now)
		return false;
	round->next_due = Min(round->next_due,
						  GetCurrentTimestamp() + (turn->rest_until - now));
	return true;
}

/*
 * Let the accounts take turns: who was served longest ago comes first, and of
 * those that were never served here, whoever waits for longest.
 */
static void
take_turns(HubspotSender *sender, List *claimants)
{
	ListCell   *lc;

	foreach(lc, claimants)
	{
		HubspotClaimant *claimant = lfirst(lc);
		const Turn *turn = find_turn(sender, claimant);

		claimant->turn = turn ? turn->number : 0;
	}
	list_sort(claimants, compare_turns);
}

static int
compare_turns(const ListCell *a, const ListCell *b)
{
	const HubspotClaimant *one = lfirst(a);
	const HubspotClaimant *other = lfirst(b);

	if (one->turn != other->turn)
		return one->turn < other->turn ? -1 : 1;
	if (one->due != other->due)
		return one->due < other->due ? -1 : 1;
	return 0;
}

/* An account is being served; its turn, which lives as long as the sender. */
static Turn *
note_turn(HubspotSender *sender, const HubspotClaimant *claimant)
{
	Turn	   *turn = find_turn(sender, claimant);

	if (turn == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(sender->context);

		turn = palloc0(sizeof(Turn));
		turn->server = pstrdup(claimant->server);
		turn->role = claimant->role;
		sender->turns = lappend(sender->turns, turn);
		MemoryContextSwitchTo(old);
	}
	turn->number = ++sender->last_turn;
	return turn;
}

static Turn *
find_turn(const HubspotSender *sender, const HubspotClaimant *claimant)
{
	ListCell   *lc;

	foreach(lc, sender->turns)
	{
		Turn	   *turn = lfirst(lc);

		if (turn->role == claimant->role && strcmp(turn->server, claimant->server) == 0)
			return turn;
	}
	return NULL;
}
