/*-------------------------------------------------------------------------
 *
 * sender.c
 *	  Sends what is due in the outbox, an account at a time.
 *
 * A round takes an account that has something due, of those that no other
 * process sends to, each in its turn, chooses rows of it (selection.c), and sends
 * them (delivery.c).
 *
 * An ERROR on the way ends the round, and nothing else (charge.c).  If one of many rows may
 * have caused it, the account's next rounds are of half as many, until a row is alone; this is
 * then charged with a failed attempt, and rounds grow again while all goes well.  If it is the
 * account's, or single rows fail one after the other, the account backs off, in the table and,
 * in case that cannot be written either, in the memory of this process.  Meanwhile the others
 * have their turns.  If several accounts were in the round, or lanes of one, none is charged:
 * for some rounds each goes alone, which shows whose the ERROR is.
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
#include "outbox/history.h"
#include "outbox/horizon.h"
#include "outbox/lease.h"
#include "outbox/notifier.h"
#include "outbox/sender.h"
#include "outbox/settle.h"
#include "outbox/turn.h"
#include "schema/origin.h"

#define SECOND			INT64CONST(1000000) /* in microseconds */

/* If this many single rows fail one after the other, they may not be the cause. */
#define MAX_FAILURES	3

/* How many leases a transaction takes: there is room for this many locks. */
#define MAX_LEASES		50

/*
 * How many accounts are served at a time, each with at most so many rows of so many bytes; and
 * for how many rounds after an ERROR there is only one account, with one lane.  Together they
 * take no more memory than one account may take.
 */
#define MAX_VISITS		32
#define FEW_ROWS		200
#define FEW_BYTES		(64 * 1024)
#define ROUNDS_ALONE	20

/* If sent rows cannot be forgotten, that is tried again after this time. */
#define FORGET_DELAY	(60 * SECOND)

/* An account in a round */
typedef struct Visit
{
	HubspotTurn *turn;
	HubspotStanding standing;
	Oid			owner;			/* of its server */
	HubspotProgress progress;
	HubspotSelection *chosen;
	HubspotDelivery *delivery;
} Visit;

struct HubspotSender
{
	MemoryContext context;
	MemoryContext round_context;
	MemoryContext fault_context;	/* of what is caught in a round */
	HubspotTransaction transaction;
	HubspotTurns *turns;		/* of the accounts that were looked at */
	int64		last_turn;
	int64		forget_after;	/* as of hubspot_now() */
	HubspotNotifier notifier;
	HubspotMayServe may_serve;	/* of this round; NULL: it may send to any */
	Oid			sole_owner;		/* of all servers, or InvalidOid */

	int			alone;			/* rounds that are to be of one lane of one
								 * account */

	/* this round */
	int64		rows_left;		/* how many more it may take */
	List	   *visits;			/* of accounts that have something to be sent */
	Visit	   *visit;			/* the one to which an ERROR would belong, or
								 * NULL */
	bool		forgetting;		/* an ERROR would be that of forgetting sent
								 * rows */
	HubspotSettled settled;		/* rows of transactions that were committed */

	/* what is known of the ERROR in this round */
	HubspotTurn *turn;			/* of the account to which it belongs, or NULL */
	HubspotProgress progress;	/* of its delivery */
	bool		several;		/* other accounts or lanes were in the round */
};

/* Is this process in a round? */
static bool sending = false;

static void perform_round(HubspotSender *sender, const char *server,
						  HubspotRound *round);
static bool choose(HubspotSender *sender, const char *server,
				   HubspotRound *round);
static bool has_room(const HubspotSender *sender);
static bool keeps_labels(const HubspotSelection *chosen);
static bool fits(const HubspotSender *sender, const HubspotClaimant *claimant,
				 const Visit *visit);
static bool take_account(HubspotSender *sender, HubspotClaimant *claimant,
						 const List *claimants, HubspotRound *round);
static void send(HubspotSender *sender);
static bool start_all(HubspotSender *sender);
static List *look(HubspotSender *sender, int64 *wake);
static bool move(HubspotSender *sender, const List *due);
static bool is_ready(const HubspotSender *sender, const HubspotClaimant *claimant,
					 const Visit *visit, HubspotRound *round);
static void take_turns(HubspotSender *sender, List *claimants);
static int	compare_turns(const ListCell *a, const ListCell *b);
static void commit(HubspotSender *sender);
static void count(HubspotSender *sender);
static void forget_sent(HubspotSender *sender);
static void take_fault(HubspotSender *sender, const ErrorData *fault,
					   HubspotRound *round);
static void charge_turn(HubspotSender *sender, const ErrorData *fault);

/* Create a sender; hubspot_sender_end() frees it. */
HubspotSender *
hubspot_sender_create(HubspotSenderKind kind)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "hubspot_assoc sender",
												  ALLOCSET_DEFAULT_SIZES);
	HubspotSender *sender = MemoryContextAllocZero(context, sizeof(HubspotSender));

	sender->turns = hubspot_turns_create(context);
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

/* Free a sender, and let others have the leases that an ERROR has left. */
void
hubspot_sender_end(HubspotSender *sender)
{
	hubspot_leases_let_go();
	MemoryContextDelete(sender->context);
}

/*
 * Send some of what is due, of one server or of all (NULL), at most max_rows rows.  A worker
 * must call this outside a transaction, a procedure in a non-atomic SPI connection; and so it
 * returns.  An ERROR that is not charged to anybody here is thrown, and rounds may go on.
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
	sender->transaction.open = false;	/* an ERROR may have ended it */
	hubspot_leases_let_go();	/* an ERROR may have left some */
	sender->rows_left = max_rows;
	sender->visits = NIL;
	sender->visit = NULL;
	sender->turn = NULL;
	sender->several = false;
	sender->forgetting = false;
	memset(&sender->settled, 0, sizeof(HubspotSettled));
	(void) hubspot_settle_counted();	/* an ERROR has undone these */
	sender->may_serve = may_serve;
	sending = true;
	PG_TRY();
	{
		MemoryContextSwitchTo(sender->round_context);
		perform_round(sender, server, round);
		sending = false;
	}
	PG_CATCH();
	{
		sending = false;
		if (sender->visit)
		{
			sender->turn = sender->visit->turn;
			sender->progress = sender->visit->progress;
			sender->several = list_length(sender->visits) > 1 ||
				(sender->visits != NIL && linitial(sender->visits) != sender->visit) ||
				(sender->visit->chosen && sender->visit->chosen->nlots > 1);
		}
		(void) hubspot_settle_counted();
		fault = hubspot_catch(&sender->transaction, sender->fault_context,
							  sender->turn || sender->forgetting);
	}
	PG_END_TRY();
	hubspot_leases_let_go();
	if (fault)
		take_fault(sender, fault, round);
	count(sender);				/* what an ERROR was charged to */
	round->done = sender->settled.done;
	round->dead = sender->settled.dead;
	hubspot_notify(&sender->notifier, &sender->transaction, sender->fault_context, round);
	MemoryContextSwitchTo(old);
}

/* Are this process's changes made by a sender's round? */
bool
hubspot_is_sending(void)
{
	return sending;
}

static void
perform_round(HubspotSender *sender, const char *server, HubspotRound *round)
{
	ListCell   *lc;

	if (!choose(sender, server, round))
		return;
	send(sender);
	round->next_due = 0;		/* there may be more */
	if (sender->alone > 0)
		sender->alone--;
	foreach(lc, sender->visits)
	{
		const Visit *visit = lfirst(lc);

		round->rows += hubspot_delivery_count(visit->delivery);
		if (hubspot_delivery_is_unrecorded(visit->delivery))
			hubspot_turn_rest(visit->turn, true);
		else
		{
			hubspot_fault_clear(visit->turn->server, visit->turn->role);
			hubspot_turn_went_well(visit->turn);
		}
	}
}

/*
 * Find accounts to send to, and their rows, in one transaction (or more, if many accounts have
 * none).  False: there are none; otherwise we keep their leases.
 */
static bool
choose(HubspotSender *sender, const char *server, HubspotRound *round)
{
	HubspotTransaction *transaction = &sender->transaction;
	List	   *claimants;
	ListCell   *lc;
	int			ntried = 0;

	if (!hubspot_transaction_begin(transaction))
		return false;
	round->installed = true;
	round->held = !hubspot_origin_sends();
	if (round->held)
	{
		hubspot_transaction_end(transaction);
		return false;
	}
	hubspot_clock_look();
	claimants = hubspot_claimants(server);
	sender->sole_owner = hubspot_sole_owner();
	take_turns(sender, claimants);
	foreach(lc, claimants)
	{
		if (!has_room(sender))
			break;
		if (++ntried % MAX_LEASES == 0)
		{
			commit(sender);
			if (!hubspot_transaction_begin(transaction))
				return false;
		}
		if (take_account(sender, lfirst(lc), claimants, round))
			sender->rows_left -= ((Visit *) llast(sender->visits))->chosen->nclaims;
		sender->visit = NULL;
	}
	forget_sent(sender);
	commit(sender);
	return sender->visits != NIL;
}

/* Can the round take one more account? */
static bool
has_room(const HubspotSender *sender)
{
	const Visit *last;

	if (sender->visits == NIL)
		return true;
	last = llast(sender->visits);
	return sender->rows_left > 0 && sender->alone == 0 &&
		list_length(sender->visits) < MAX_VISITS &&
		last->chosen->nclaims <= FEW_ROWS && last->chosen->size <= FEW_BYTES &&
		!keeps_labels(last->chosen) && last->standing != HUBSPOT_FAILING &&
		last->turn->max_rows == 0;
}

static bool
keeps_labels(const HubspotSelection *chosen)
{
	for (int i = 0; i < chosen->nlots; i++)
	{
		if (chosen->lots[i].lane.keep_labels)
			return true;
	}
	return false;
}

/*
 * Can an account be in one round with those that were taken before?  Workers count
 * what they serve by standing and owner; and a server has one sender at a time, which
 * sends for one role.
 */
static bool
fits(const HubspotSender *sender, const HubspotClaimant *claimant,
	 const Visit *visit)
{
	ListCell   *lc;

	foreach(lc, sender->visits)
	{
		const Visit *other = lfirst(lc);

		if (other->standing != visit->standing || other->owner != visit->owner ||
			strcmp(other->turn->server, claimant->server) == 0)
			return false;
	}
	return sender->visits == NIL || visit->turn->max_rows == 0;
}

/*
 * Take the lease of an account, and pick rows; false: there are none to be sent, or
 * none by us.
 */
static bool
take_account(HubspotSender *sender, HubspotClaimant *claimant,
			 const List *claimants, HubspotRound *round)
{
	Visit	   *visit = palloc0(sizeof(Visit));
	int64		max_rows = sender->rows_left;
	TimestampTz rests_until;

	visit->turn = hubspot_turn(sender->turns, claimant->server, claimant->role);
	visit->standing = claimant->backing_off ? HUBSPOT_FAILING :
		claimant->known ? HUBSPOT_PROVEN : HUBSPOT_NEW;
	visit->owner = hubspot_server_owner(claimant->server);
	claimant->reask = &visit->turn->reask;
	if (hubspot_turn_rests(visit->turn, &rests_until))
	{
		round->next_due = Min(round->next_due, rests_until);
		return false;
	}
	if (!is_ready(sender, claimant, visit, round))
		return false;
	sender->visit = visit;
	if (!hubspot_lease_take(claimant->server))
	{
		round->waiting_accounts++;
		return false;
	}
	if (visit->turn->max_rows > 0)
		max_rows = Min(max_rows, visit->turn->max_rows);
	else if (sender->visits != NIL)
		max_rows = Min(max_rows, FEW_ROWS);
	/* the process that had the lease before us may have failed */
	if (!hubspot_claimant_renew(claimant, claimants))
		return false;
	if (claimant->backing_off)
		visit->standing = HUBSPOT_FAILING;
	if (is_ready(sender, claimant, visit, round))
		visit->chosen = hubspot_select(claimant, max_rows,
									   sender->alone > 0 || visit->turn->max_rows > 0,
									   round, &visit->progress);
	if (visit->chosen)
	{
		hubspot_lease_keep(claimant->server);
		visit->turn->number = ++sender->last_turn;
		visit->delivery = hubspot_delivery_create(visit->chosen, &visit->progress);
		sender->visits = lappend(sender->visits, visit);
	}
	else if (round->unrecorded)
	{
		hubspot_turn_rest(visit->turn, true);
		round->unrecorded = false;	/* the round goes on with another account */
	}
	return visit->chosen != NULL;
}

/*
 * Send what was chosen, and record what becomes of it; until all is recorded, or the
 * extension is dropped.
 */
static void
send(HubspotSender *sender)
{
	int64		wake;

	if (!start_all(sender))
		return;
	do
	{
		List	   *due = look(sender, &wake);

		if (due != NIL && !move(sender, due))
			return;
		if (due == NIL && sender->visit)
			hubspot_delivery_wait(sender->visit->delivery, wake);
	} while (sender->visit);
}

static bool
start_all(HubspotSender *sender)
{
	int			nvisits = list_length(sender->visits);

	for (int i = 0; i < nvisits; i++)
	{
		sender->visit = list_nth(sender->visits, i);
		sender->visit->chosen->client->policy.reply_budget /= nvisits;
		if (!hubspot_delivery_start(&sender->transaction, sender->visit->delivery,
									nvisits - 1))
			return false;
	}
	return true;
}

/*
 * Which visits have something to be recorded or to be put?  If none has, sender->visit
 * is one that waits, or NULL if all are over; *wake is when to look again, if nothing
 * comes back before.
 */
static List *
look(HubspotSender *sender, int64 *wake)
{
	List	   *due = NIL;
	Visit	   *waits = NULL;
	ListCell   *lc;

	*wake = HUBSPOT_NEVER;
	foreach(lc, sender->visits)
	{
		int64		its_wake;

		sender->visit = lfirst(lc);
		switch (hubspot_delivery_look(sender->visit->delivery, &its_wake))
		{
			case HUBSPOT_DELIVERY_OVER:
				break;
			case HUBSPOT_DELIVERY_READY:
				due = lappend(due, sender->visit);
				break;
			case HUBSPOT_DELIVERY_WAITS:
				waits = sender->visit;
				*wake = Min(*wake, its_wake);
				break;
		}
	}
	if (due == NIL)
		sender->visit = waits;
	return due;
}

/* Record and put what there is.  False: the extension was dropped. */
static bool
move(HubspotSender *sender, const List *due)
{
	List	   *finished = NIL;
	ListCell   *lc;

	if (!hubspot_transaction_begin(&sender->transaction))
		return false;
	foreach(lc, due)
	{
		sender->visit = lfirst(lc);
		if (hubspot_delivery_move(sender->visit->delivery))
			finished = lappend(finished, sender->visit);
	}
	commit(sender);
	if (finished != NIL && !hubspot_transaction_begin(&sender->transaction))
		return false;
	foreach(lc, finished)
	{
		sender->visit = lfirst(lc);
		hubspot_delivery_finish(sender->visit->delivery);
	}
	if (finished != NIL)
		commit(sender);
	foreach(lc, due)
		hubspot_delivery_moved(((const Visit *) lfirst(lc))->delivery);
	return true;
}

/* End the transaction, and count what was settled in it. */
static void
commit(HubspotSender *sender)
{
	hubspot_transaction_end(&sender->transaction);
	count(sender);
}

static void
count(HubspotSender *sender)
{
	HubspotSettled settled = hubspot_settle_counted();

	sender->settled.done += settled.done;
	sender->settled.dead += settled.dead;
}

/*
 * May something be sent to an account now, by us, in this round?  If not, the round
 * knows why.
 */
static bool
is_ready(const HubspotSender *sender, const HubspotClaimant *claimant,
		 const Visit *visit, HubspotRound *round)
{
	if (claimant->due > GetCurrentTimestamp())
	{
		round->next_due = Min(round->next_due, claimant->due);
		return false;
	}
	if (!fits(sender, claimant, visit))
		return false;			/* the round has others, and there will be a
								 * next one */
	if (sender->may_serve &&
		!sender->may_serve(visit->standing, visit->owner, superuser_arg(visit->owner),
						   OidIsValid(visit->owner) && visit->owner == sender->sole_owner))
	{
		round->waiting_accounts++;
		return false;
	}
	return true;
}

/*
 * Let the accounts take turns: the one that was served longest ago comes
 * first, and of those that were never served here, the one that has waited
 * longest.
 */
static void
take_turns(HubspotSender *sender, List *claimants)
{
	ListCell   *lc;

	foreach(lc, claimants)
	{
		HubspotClaimant *claimant = lfirst(lc);

		claimant->turn = hubspot_turn(sender->turns, claimant->server, claimant->role)->number;
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

/* Forget some of what was sent, unless that has failed just now. */
static void
forget_sent(HubspotSender *sender)
{
	if (hubspot_now() < sender->forget_after)
		return;
	sender->forgetting = true;
	hubspot_settle_forget();
	hubspot_history_forget();
	hubspot_doubt_forget();
	sender->forgetting = false;
}

/* Deal with an ERROR that was caught. */
static void
take_fault(HubspotSender *sender, const ErrorData *fault, HubspotRound *round)
{
	HubspotTurn *turn = sender->turn;

	round->failed = true;		/* others may have something due */
	round->next_due = 0;
	if (sender->forgetting)
	{
		hubspot_tell_fault(NULL, fault);
		sender->forget_after = hubspot_now() + FORGET_DELAY;
	}
	else if (sender->several)
	{
		/* when each goes alone, it will show whose it is */
		hubspot_tell_fault(NULL, fault);
		sender->alone = ROUNDS_ALONE;
	}
	else
	{
		turn->number = ++sender->last_turn;
		hubspot_fault_note(turn->server, turn->role, fault);
		charge_turn(sender, fault);
	}
}

/*
 * Charge an ERROR to a row or to an account.  Whatever is done, the account has fewer rows in
 * its next round, or none for a while, or the row is put off: so rounds come to an end.
 */
static void
charge_turn(HubspotSender *sender, const ErrorData *fault)
{
	HubspotTurn *turn = sender->turn;
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
		hubspot_turn_rest(turn, false);
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
		hubspot_turn_rest(turn, charged);
	}
	(void) hubspot_charge_nobody(transaction, &claimant, sender->fault_context);
}
