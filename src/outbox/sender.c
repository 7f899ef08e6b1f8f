/*-------------------------------------------------------------------------
 *
 * sender.c
 *	  Sends what is due in the outbox, an account at a time.
 *
 * A round takes an account that has something due, of those that no other
 * process sends to, each in its turn, chooses rows of it (selection.c), and sends
 * them (delivery.c).
 *
 * An ERROR on the way ends the round, and nothing else.  If it is one of many rows',
 * the account's next rounds are of half as many, until a row is alone; this is then
 * charged with a failed attempt, and rounds grow again while all goes well.  If it is
 * the account's, or single rows fail one after the other, the account backs off, in
 * the table and, in case that cannot be written either, in the memory of this process.
 * Meanwhile the others have their turns.  (charge.c)
 *
 * IDENTIFICATION
 *	  src/outbox/sender.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "account/server.h"
#include "base/clock.h"
#include "outbox/charge.h"
#include "outbox/clock_change.h"
#include "outbox/damper.h"
#include "outbox/delivery.h"
#include "outbox/doubt.h"
#include "outbox/fault.h"
#include "outbox/horizon.h"
#include "outbox/lease.h"
#include "outbox/sender.h"
#include "outbox/settle.h"

#define SECOND			INT64CONST(1000000) /* in microseconds */

/* How long an account rests that cannot even be charged: as one that is. */
#define MIN_REST		(HUBSPOT_MIN_BACKOFF * SECOND)
#define MAX_REST		(HUBSPOT_MAX_BACKOFF * SECOND)

/* If so many single rows fail one after the other, it may not be because of them. */
#define MAX_FAILURES	3

/* If so many rows go well, there may be any number of them. */
#define MANY_ROWS		10000

/* Leases that a transaction takes: there is room for so many locks. */
#define MAX_LEASES		50

/* When sent rows can't be forgotten, they are tried again after that time. */
#define FORGET_DELAY	(60 * SECOND)

/* When an account was served, in rounds of this sender, and how that went. */
typedef struct Turn
{
	char	   *server;
	Oid			role;
	int64		number;			/* 0: never */
	int64		max_rows;		/* while one of more may be why all of them
								 * fail; 0: any number */
	int			failures;		/* ERRORs with nothing that went well in
								 * between */
	int64		rests_until;	/* as of hubspot_now() */
} Turn;

struct HubspotSender
{
	MemoryContext context;
	MemoryContext round_context;
	MemoryContext fault_context;	/* of what is caught in a round */
	HubspotTransaction transaction;
	List	   *turns;			/* of the accounts that were looked at */
	int64		last_turn;
	int64		forget_after;	/* as of hubspot_now() */
	HubspotMayServe may_serve;	/* of this round; NULL: it may send to any */
	Oid			sole_owner;		/* of all servers, or InvalidOid */

	/* whose an ERROR is in this round */
	Turn	   *turn;			/* that account's, or NULL */
	HubspotProgress progress;	/* of its delivery */
	bool		forgetting;		/* sent rows */
};

/* Is this process in a round? */
static bool sending = false;

static void perform_round(HubspotSender *sender, const char *server,
						  int64 max_rows, HubspotRound *round);
static HubspotSelection *choose(HubspotSender *sender, const char *server,
								int64 max_rows, HubspotRound *round);
static HubspotSelection *take_account(HubspotSender *sender,
									  HubspotClaimant *claimant,
									  const List *claimants, int64 max_rows,
									  HubspotRound *round, int *nleases);
static bool rests(const Turn *turn, HubspotRound *round);
static bool is_ready(const HubspotSender *sender, const HubspotClaimant *claimant,
					 TimestampTz now, HubspotRound *round);
static void take_turns(HubspotSender *sender, List *claimants);
static int	compare_turns(const ListCell *a, const ListCell *b);
static Turn *turn_of(HubspotSender *sender, const HubspotClaimant *claimant);
static void forget_sent(HubspotSender *sender);
static void went_well(Turn *turn);
static void take_fault(HubspotSender *sender, const ErrorData *fault,
					   HubspotRound *round);
static void charge_turn(HubspotSender *sender, const ErrorData *fault);
static void rest(Turn *turn, int64 most);

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
	sender->fault_context = AllocSetContextCreate(context, "hubspot_assoc fault",
												  ALLOCSET_SMALL_SIZES);
	sender->transaction.context = sender->round_context;
	hubspot_damper_begin();
	hubspot_horizon_begin();
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
 * in a non-atomic SPI connection by a procedure; so it returns.  An ERROR that
 * is not charged to anybody here is thrown, and rounds may go on.
 */
void
hubspot_sender_round(HubspotSender *sender, const char *server, int64 max_rows,
					 HubspotMayServe may_serve, HubspotRound *round)
{
	MemoryContext old = CurrentMemoryContext;
	ErrorData  *volatile fault = NULL;

	MemoryContextReset(sender->round_context);
	MemoryContextReset(sender->fault_context);
	memset(round, 0, sizeof(HubspotRound));
	round->next_due = DT_NOEND;
	sender->transaction.open = false;	/* an ERROR may have ended it, ... */
	hubspot_lease_let_go();		/* ... and left this */
	sender->turn = NULL;
	sender->forgetting = false;
	sender->may_serve = may_serve;
	sending = true;
	PG_TRY();
	{
		MemoryContextSwitchTo(sender->round_context);
		perform_round(sender, server, max_rows, round);
		sending = false;
	}
	PG_CATCH();
	{
		sending = false;
		fault = hubspot_catch(&sender->transaction, sender->fault_context,
							  sender->turn || sender->forgetting);
	}
	PG_END_TRY();
	hubspot_lease_let_go();
	if (fault)
		take_fault(sender, fault, round);
	MemoryContextSwitchTo(old);
}

/* Does what this process changes come from a sender's round? */
bool
hubspot_is_sending(void)
{
	return sending;
}

static void
perform_round(HubspotSender *sender, const char *server, int64 max_rows,
			  HubspotRound *round)
{
	HubspotSelection *chosen = choose(sender, server, max_rows, round);

	if (chosen == NULL)
		return;
	round->rows = hubspot_delivery_perform(&sender->transaction, chosen, round,
										   &sender->progress);
	round->next_due = 0;		/* there may be more */
	if (round->unrecorded)
		rest(sender->turn, MIN_REST);
	else
		went_well(sender->turn);
}

/*
 * Find an account to send to, and its rows, in one transaction (or more, if so
 * many accounts have none); NULL: there are none.  Otherwise we keep its lease.
 */
static HubspotSelection *
choose(HubspotSender *sender, const char *server, int64 max_rows,
	   HubspotRound *round)
{
	HubspotTransaction *transaction = &sender->transaction;
	List	   *claimants;
	ListCell   *lc;
	HubspotSelection *chosen = NULL;
	int			nleases = 0;

	if (!hubspot_transaction_begin(transaction))
		return NULL;
	round->installed = true;
	hubspot_clock_look();
	claimants = hubspot_claimants(server);
	sender->sole_owner = hubspot_sole_owner();
	take_turns(sender, claimants);
	foreach(lc, claimants)
	{
		if (nleases == MAX_LEASES)
		{
			hubspot_transaction_end(transaction);
			if (!hubspot_transaction_begin(transaction))
				return NULL;
			nleases = 0;
		}
		chosen = take_account(sender, lfirst(lc), claimants, max_rows, round,
							  &nleases);
		if (chosen)
			break;
		sender->turn = NULL;
	}
	forget_sent(sender);
	hubspot_transaction_end(transaction);
	return chosen;
}

/*
 * Take the lease of an account, and pick rows; NULL: there are none to be sent, or
 * none by us.
 */
static HubspotSelection *
take_account(HubspotSender *sender, HubspotClaimant *claimant,
			 const List *claimants, int64 max_rows, HubspotRound *round,
			 int *nleases)
{
	TimestampTz now = GetCurrentTimestamp();
	Turn	   *turn = turn_of(sender, claimant);
	HubspotSelection *chosen = NULL;

	if (rests(turn, round) || !is_ready(sender, claimant, now, round))
		return NULL;
	memset(&sender->progress, 0, sizeof(HubspotProgress));
	sender->turn = turn;
	if (!hubspot_lease_take(claimant->server))
	{
		round->waiting_accounts++;
		return NULL;
	}
	(*nleases)++;
	if (turn->max_rows > 0)
		max_rows = Min(max_rows, turn->max_rows);
	/* who had the lease before us may have failed */
	if (hubspot_claimant_renew(claimant, claimants) &&
		is_ready(sender, claimant, now, round))
		chosen = hubspot_select(claimant, max_rows, round, &sender->progress);
	if (chosen)
	{
		hubspot_lease_keep(claimant->server);
		turn->number = ++sender->last_turn;
	}
	else if (round->unrecorded)
	{
		rest(turn, MIN_REST);
		round->unrecorded = false;	/* the round goes on with another account */
	}
	return chosen;
}

/* Does an account rest because of what has happened here? */
static bool
rests(const Turn *turn, HubspotRound *round)
{
	int64		left = turn->rests_until - hubspot_now();

	if (left <= 0)
		return false;
	round->next_due = Min(round->next_due, GetCurrentTimestamp() + left);
	return true;
}

/* May something be sent to an account now, by us?  If not, the round knows why. */
static bool
is_ready(const HubspotSender *sender, const HubspotClaimant *claimant,
		 TimestampTz now, HubspotRound *round)
{
	Oid			owner;
	HubspotStanding standing = claimant->backing_off ? HUBSPOT_FAILING :
	claimant->known ? HUBSPOT_PROVEN : HUBSPOT_NEW;

	if (claimant->due > now)
	{
		round->next_due = Min(round->next_due, claimant->due);
		return false;
	}
	owner = hubspot_server_owner(claimant->server);
	if (sender->may_serve &&
		!sender->may_serve(standing, owner, superuser_arg(owner),
						   OidIsValid(owner) && owner == sender->sole_owner))
	{
		round->waiting_accounts++;
		return false;
	}
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

		claimant->turn = turn_of(sender, claimant)->number;
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

/* The turn of an account, which begins if it is new. */
static Turn *
turn_of(HubspotSender *sender, const HubspotClaimant *claimant)
{
	MemoryContext old;
	Turn	   *turn;
	ListCell   *lc;

	foreach(lc, sender->turns)
	{
		turn = lfirst(lc);
		if (turn->role == claimant->role && strcmp(turn->server, claimant->server) == 0)
			return turn;
	}
	old = MemoryContextSwitchTo(sender->context);
	turn = palloc0(sizeof(Turn));
	turn->server = pstrdup(claimant->server);
	turn->role = claimant->role;
	sender->turns = lappend(sender->turns, turn);
	MemoryContextSwitchTo(old);
	return turn;
}

/* Forget some of what was sent, unless that has failed just now. */
static void
forget_sent(HubspotSender *sender)
{
	if (hubspot_now() < sender->forget_after)
		return;
	sender->forgetting = true;
	hubspot_settle_forget();
	hubspot_doubt_forget();
	sender->forgetting = false;
}

/* Rows were sent: twice as many may be, until there is no bound. */
static void
went_well(Turn *turn)
{
	hubspot_fault_clear(turn->server, turn->role);
	turn->failures = 0;
	turn->max_rows *= 2;
	if (turn->max_rows >= MANY_ROWS)
		turn->max_rows = 0;
}

/* What is to be done about an ERROR that was caught. */
static void
take_fault(HubspotSender *sender, const ErrorData *fault, HubspotRound *round)
{
	Turn	   *turn = sender->turn;

	round->failed = true;		/* others may have something due */
	round->next_due = 0;
	if (sender->forgetting)
	{
		hubspot_tell_fault(NULL, fault);
		sender->forget_after = hubspot_now() + FORGET_DELAY;
	}
	else
	{
		turn->number = ++sender->last_turn;
		hubspot_fault_note(turn->server, turn->role, fault);
		charge_turn(sender, fault);
	}
}

/*
 * It is a row's or an account's.  Whatever is done, the account has fewer rows in
 * its next round, or none for a while, or the row is put off: so rounds come to an
 * end.
 */
static void
charge_turn(HubspotSender *sender, const ErrorData *fault)
{
	Turn	   *turn = sender->turn;
	HubspotTransaction *transaction = &sender->transaction;
	HubspotClaimant claimant = {
		.server = turn->server,
		.role = turn->role,
		.horizon = DT_NOBEGIN
	};
	bool		charged;

	if (sender->progress.nrows > 1)
	{
		turn->max_rows = sender->progress.nrows / 2;
		if (hubspot_charge_nobody(transaction, &claimant, sender->fault_context))
			return;
		turn->failures++;
		rest(turn, MAX_REST);
		return;
	}

	hubspot_tell_fault(turn->server, fault);
	turn->failures++;
	charged = sender->progress.nrows == 1 &&
		hubspot_charge_row(transaction, &claimant, &sender->progress, fault,
						   sender->fault_context);
	if (!charged || turn->failures >= MAX_FAILURES)
	{
		charged = hubspot_charge_account(transaction, &claimant, fault,
										 sender->fault_context);
		rest(turn, charged ? MIN_REST : MAX_REST);
	}
	(void) hubspot_charge_nobody(transaction, &claimant, sender->fault_context);
}

/* Let an account rest for longer each time, up to a time. */
static void
rest(Turn *turn, int64 most)
{
	int64		time = MIN_REST << Min(Max(turn->failures - 1, 0), 10);

	turn->rests_until = hubspot_now() + Min(time, most);
}
