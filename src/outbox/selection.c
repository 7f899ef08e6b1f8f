/*-------------------------------------------------------------------------
 *
 * selection.c
 *	  Which rows of an account are sent in a round, if any.
 *
 * Steps, in the transaction that has taken the lease of the account's server.
 * Each does its part, and either leaves the decision to the next one or says why
 * nothing is sent in this round, and when it is worth looking again.
 *
 * IDENTIFICATION
 *	  src/outbox/selection.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "account/account.h"
#include "api/error.h"
#include "base/clock.h"
#include "outbox/damper.h"
#include "outbox/event.h"
#include "outbox/keyed.h"
#include "outbox/lease.h"
#include "outbox/precedence.h"
#include "outbox/selection.h"
#include "outbox/settle.h"
#include "outbox/share.h"
#include "outbox/survey.h"

/*
 * Retries within a call are for short interruptions alone: the outbox has
 * better ones, which hold nothing up.
 */
#define MAX_CALL_RETRIES	1

/*
 * How many bytes the answers to requests in flight may have.  With the rows,
 * and what is made of an answer while it is read, a process has less than 64
 * MB, whatever comes.
 */
#define REPLY_BUDGET		((size_t) 24 * 1024 * 1024)

/* How many rows are looked at, at most. */
#define MAX_WINDOW			10000

/* How many rows are looked at first, which fills the smallest requests. */
#define FIRST_WINDOW		500

/* How many of the rows that became due last are looked at, where many wait in vain. */
#define LATEST_WINDOW		2000

/*
 * Where there are several lanes, the lanes of at most this many rows are
 * looked at.
 */
#define MAX_SURVEYED		50000

/*
 * After how many microseconds rows that somebody has locked are looked at
 * again.
 */
#define LOCKED_DELAY		INT64CONST(1000000)

/*
 * While more than half of the window is overridden, it is pruned again: for
 * how many microseconds in a transaction.
 */
#define PRUNE_TIME			INT64CONST(200000)

/* What a step says. */
typedef enum Decision
{
	GO_ON,						/* the next step decides; after the last one,
								 * rows are chosen */
	FAILED,						/* nothing can be sent to the account */
	AT_ONCE,					/* the outbox has changed: look again at once */
	LATER,						/* nothing can be sent before look_at */
	PACED						/* likewise, since the account spreads its
								 * requests */
} Decision;

/* What the steps know. */
typedef struct Choice
{
	HubspotSelection *selection;
	HubspotProgress *progress;
	int64		max_rows;
	bool		single;			/* of one lane alone */
	int			window;			/* how many rows are looked at */
	int64		removed;		/* rows that are not to be sent */
	TimestampTz look_at;		/* with LATER and PACED */
	const HubspotError *error;	/* with FAILED */
} Choice;

typedef Decision (*Step) (Choice *choice);

static Decision connect_account(Choice *choice);
static void set_policy(HubspotCallPolicy *policy);
static int	window_size(const HubspotClient *client, int64 max_rows);
static Decision keep_pace(Choice *choice);
static Decision pick_alone(Choice *choice);
static void pick_out_of_crowd(Choice *choice, HubspotPick *pick);
static bool fill_requests(const HubspotClient *client, const HubspotLot *lot);
static bool have_full_requests(const HubspotClient *client, const HubspotPick *pick);
static void pick_of_lanes(Choice *choice, int most, HubspotPick *pick);
static Decision remove_needless(Choice *choice);
static Decision pick_rows(Choice *choice);
static Decision take_picked(Choice *choice, const HubspotPick *pick);
static void give_up_oversize(HubspotClient *client, const HubspotPick *pick);
static Decision find_operation(Choice *choice);
static char *lane_problem(const HubspotLane *lane, HubspotOperation *operation);
static Decision hold_removals(Choice *choice);
static Decision limit_lookups(Choice *choice);
static Decision damp_pairs(Choice *choice);
static void damp_lot(HubspotLot *lot);
static Decision drop_empty_lots(HubspotSelection *selection);
static Decision cut_to_requests(Choice *choice);
static int	request_limit(const HubspotSelection *selection, const HubspotLot *lot);
static HubspotShare *share_out(const Choice *choice);
static int	count_fitting(const HubspotEndpoint *endpoint, HubspotClaim *claims,
						  int nclaims, int ninputs);
static void tell(const Choice *choice, Decision decision, HubspotRound *round);

/* In their order: the first that does not say GO_ON is the last one. */
static const Step steps[] = {
	connect_account, keep_pace, pick_alone, remove_needless, pick_rows,
	find_operation, hold_removals, limit_lookups, damp_pairs, cut_to_requests
};

/*
 * Choose rows of an account whose lease we have, in the transaction that took it;
 * in the current memory context.  single: of one lane.  NULL: there is nothing to be
 * sent now, and round says when there may be.  progress is kept up.
 */
HubspotSelection *
hubspot_select(const HubspotClaimant *claimant, int64 max_rows, bool single,
			   HubspotRound *round, HubspotProgress *progress)
{
	HubspotSelection *selection = palloc0(sizeof(HubspotSelection));
	Choice		choice = {
		.selection = selection,
		.progress = progress,
		.max_rows = max_rows,
		.single = single
	};
	Decision	decision = GO_ON;

	selection->claimant = claimant;
	for (size_t i = 0; i < lengthof(steps) && decision == GO_ON; i++)
		decision = steps[i] (&choice);
	tell(&choice, decision, round);
	if (decision != GO_ON)
		return NULL;

	for (int i = 0; i < selection->nlots; i++)
	{
		HubspotLot *lot = &selection->lots[i];

		hubspot_claim_link(&lot->lane, lot->claims, lot->nclaims);
		selection->nclaims += lot->nclaims;
	}
	progress->nrows = 0;
	hubspot_lease_describe(claimant, selection->lots, selection->nlots,
						   selection->client->options->request_timeout);
	return selection;
}

/* Connect as the role, and find out how to call the account, and with how many rows. */
static Decision
connect_account(Choice *choice)
{
	const HubspotClaimant *claimant = choice->selection->claimant;
	HubspotClient *client;
	int64		now = hubspot_now();

	choice->error = hubspot_connect_as(claimant->role, claimant->server, &client);
	if (choice->error)
		return FAILED;
	choice->selection->client = client;
	set_policy(&client->policy);
	claimant->reask->free_at = hubspot_account_asked_again(client->account);
	hubspot_reask_set_rate(claimant->reask, client->options->rate_limit,
						   hubspot_account_day_left(client->account, now), now);
	choice->window = window_size(client, choice->max_rows);
	choice->progress->max_attempts = client->options->max_attempts;
	return GO_ON;
}

/* How a sender calls: it has better retries of its own, and others to serve. */
static void
set_policy(HubspotCallPolicy *policy)
{
	policy->max_retries = Min(policy->max_retries, MAX_CALL_RETRIES);
	policy->impatient = true;
	policy->reply_budget = REPLY_BUDGET;
}

/* How many rows are looked at: those of as many requests as are in flight. */
static int
window_size(const HubspotClient *client, int64 max_rows)
{
	int			limit = hubspot_endpoint(HUBSPOT_BATCH_CREATE)->batch_limit;

	if (client->policy.batch_size > 0)
		limit = Min(limit, client->policy.batch_size);
	max_rows = Min(max_rows, MAX_WINDOW);
	return (int) Max(Min((int64) limit * client->options->concurrency, max_rows), 1);
}

/* Does an account that spreads its requests have room for one now? */
static Decision
keep_pace(Choice *choice)
{
	const HubspotClient *client = choice->selection->client;
	int64		now = hubspot_now();
	int64		pace = hubspot_account_pace(client->account,
											client->options->rate_limit, now);

	if (pace <= now)
		return GO_ON;
	choice->look_at = GetCurrentTimestamp() + (pace - now);
	return PACED;
}

/*
 * Pick rows of pairs that have no other: nothing is needless then.  The window grows
 * from that of the smallest requests to that of the lane's, if there is one lane.
 */
static Decision
pick_alone(Choice *choice)
{
	HubspotSelection *selection = choice->selection;
	int			most = choice->window;
	HubspotPick pick;

	if (selection->claimant->has_outdated)
		hubspot_settle_outdated(selection->claimant->server);
	choice->window = Min(most, FIRST_WINDOW);
	for (;;)
	{
		choice->progress->nrows = choice->window;
		hubspot_pick_alone(selection->claimant, choice->window, choice->single, &pick);
		if (!choice->single && choice->max_rows >= LATEST_WINDOW &&
			pick.nlooked_at == choice->window && hubspot_keyed_have_waited(&pick))
		{
			choice->progress->nrows = LATEST_WINDOW;
			pick_out_of_crowd(choice, &pick);
			break;
		}
		if (pick.nlots != 1 || pick.nlooked_at < choice->window ||
			choice->window == most || fill_requests(selection->client, &pick.lots[0]))
			break;
		choice->window = Min(most, choice->window * 20);
	}
	if (pick.nlots > 1 && pick.nlooked_at == choice->window &&
		choice->max_rows >= FIRST_WINDOW && !have_full_requests(selection->client, &pick))
		pick_of_lanes(choice, most, &pick);
	selection->alone = (pick.nlots > 0);
	if (selection->alone)
		return take_picked(choice, &pick);
	choice->window = most;
	return GO_ON;
}

/*
 * The oldest rows wait for records that HubSpot did not have, and there may be any number of
 * these.  So that nobody queues behind them, pick from what has become due last: other rows,
 * if there are any; else those that may have their records by now, unless HubSpot may not be
 * asked again yet, since they would only be put off then.  This is not done where fewer rows
 * are wanted, as to find out which one is to blame for an ERROR.
 */
static void
pick_out_of_crowd(Choice *choice, HubspotPick *pick)
{
	const HubspotClaimant *claimant = choice->selection->claimant;
	HubspotPick latest;

	hubspot_pick_latest(claimant, LATEST_WINDOW, true, &latest);
	if (latest.nlots == 0 && hubspot_reask_room(claimant->reask, hubspot_now()) > 0)
		hubspot_pick_latest(claimant, LATEST_WINDOW, false, &latest);
	if (latest.nlots > 0)
		*pick = latest;
}

/* Are there rows for as many requests as can be in flight? */
static bool
fill_requests(const HubspotClient *client, const HubspotLot *lot)
{
	HubspotOperation operation;
	const HubspotEndpoint *endpoint;

	if (lot->lane.has_keys)
		return hubspot_keyed_is_full(lot);
	if (!hubspot_outbox_operation(lot->lane.operation, &operation))
		return true;
	endpoint = hubspot_endpoint(operation);
	return count_fitting(endpoint, lot->claims, lot->nclaims,
						 endpoint->batch_limit * client->options->concurrency) < lot->nclaims;
}

/* Do the lots of several lanes fill as many requests as can be in flight? */
static bool
have_full_requests(const HubspotClient *client, const HubspotPick *pick)
{
	int			nrequests = 0;

	for (int i = 0; i < pick->nlots; i++)
	{
		HubspotOperation operation;

		if (hubspot_outbox_operation(pick->lots[i].lane.operation, &operation))
			nrequests += pick->lots[i].nclaims /
				hubspot_request_rows(hubspot_endpoint(operation), client->policy.batch_size, 0, 0);
	}
	return nrequests >= client->options->concurrency;
}

/*
 * Several lanes have more rows than were picked: pick those that fill requests, out of so many
 * that each lane may fill one.
 */
static void
pick_of_lanes(Choice *choice, int most, HubspotPick *pick)
{
	HubspotSelection *selection = choice->selection;
	int			limit = hubspot_request_rows(hubspot_endpoint(HUBSPOT_BATCH_CREATE),
											 selection->client->policy.batch_size, 0, 0);
	int			window = Min(Max(pick->nlots * limit, most) * 3 / 2, MAX_SURVEYED);
	ItemPointerData *tids;
	HubspotPick wider;
	int			ntids;

	choice->progress->nrows = most;
	tids = hubspot_survey(selection->claimant, selection->client, window, most, &ntids);
	if (ntids > 0)
	{
		hubspot_pick_alone_of(selection->claimant, tids, ntids, &wider);
		if (wider.nlots > 0)
			*pick = wider;
	}
	pfree(tids);
}

/* Delete what later rows have made needless. */
static Decision
remove_needless(Choice *choice)
{
	const HubspotClaimant *claimant = choice->selection->claimant;
	int64		start = hubspot_now();

	if (choice->selection->alone)
		return GO_ON;
	choice->progress->nrows = choice->window;
	do
	{
		int64		pruned = hubspot_claim_prune(claimant, choice->window);

		choice->removed += pruned;
		if (pruned <= choice->window / 2)
		{
			/* rows that come into the window now were not looked at */
			choice->window -= (int) pruned;
			if (pruned > 0 || claimant->has_later || claimant->has_company)
				hubspot_claim_prune_others(claimant, choice->window);
			return GO_ON;
		}
	} while (hubspot_now() < start + PRUNE_TIME);
	return AT_ONCE;
}

/* Pick what is left and can be sent. */
static Decision
pick_rows(Choice *choice)
{
	HubspotPick pick;

	if (choice->selection->alone)
		return GO_ON;
	hubspot_pick(choice->selection->claimant, choice->window, choice->single, &pick);
	return take_picked(choice, &pick);
}

static Decision
take_picked(Choice *choice, const HubspotPick *pick)
{
	HubspotSelection *selection = choice->selection;

	give_up_oversize(selection->client, pick);
	choice->removed += pick->noversize;
	selection->lots = pick->lots;
	selection->nlots = pick->nlots;
	selection->newest = pick->newest;
	selection->size = pick->size;
	if (pick->nlots > 0)
		return GO_ON;
	if (pick->noversize > 0 ||
		hubspot_claim_defer_blocked(selection->claimant, choice->window) > 0)
		return AT_ONCE;

	/* they don't wait for others of their pairs, so they are locked */
	choice->look_at = GetCurrentTimestamp() + LOCKED_DELAY;
	return LATER;
}

/* Make rows that are too large to be read dead letters, which say what is wrong. */
static void
give_up_oversize(HubspotClient *client,
				 const HubspotPick *pick)
{
	int64	   *ids = palloc(sizeof(int64) * pick->noversize);
	const HubspotTally tally = {client->account, HUBSPOT_UNKNOWN_OPERATION};

	for (int first = 0; first < pick->noversize;)
	{
		const char *problem = pick->oversize[first].problem;
		int			nids = 0;

		while (first < pick->noversize && pick->oversize[first].problem == problem)
			ids[nids++] = pick->oversize[first++].id;
		hubspot_settle_dead(ids, nids,
							hubspot_make_error(HUBSPOT_VERDICT_INVALID,
											   ERRCODE_INVALID_PARAMETER_VALUE, problem));
		hubspot_account_count_failed(&tally, HUBSPOT_INVALID_INPUT, nids);
	}
	pfree(ids);
}

/*
 * Find the operation of each lot.  Rows whose operation or object types do not exist become
 * dead letters.
 */
static Decision
find_operation(Choice *choice)
{
	HubspotSelection *selection = choice->selection;

	for (int i = 0; i < selection->nlots; i++)
	{
		HubspotLot *lot = &selection->lots[i];
		const HubspotError *error;
		char	   *problem = lane_problem(&lot->lane, &lot->operation);

		if (problem == NULL)
			continue;
		error = hubspot_make_error(HUBSPOT_VERDICT_INVALID,
								   ERRCODE_INVALID_PARAMETER_VALUE, problem);
		for (int j = 0; j < lot->nclaims; j++)
			hubspot_settle_dead(&lot->claims[j].id, 1, error);
		choice->removed += lot->nclaims;
		lot->nclaims = 0;
	}
	return drop_empty_lots(selection);
}

/*
 * Why the rows of a lane can never be sent, palloc'd; or NULL, and the operation that sends
 * them or looks up their keys.
 */
static char *
lane_problem(const HubspotLane *lane, HubspotOperation *operation)
{
	if (!hubspot_outbox_operation(lane->operation, operation))
		return psprintf("there is no operation \"%s\"", lane->operation);
	if (!lane->has_keys)
		return NULL;
	*operation = HUBSPOT_RECORDS_READ;
	return hubspot_keyed_problem(lane);
}

/* Have removals wait for creates of their transactions that were not looked up yet. */
static Decision
hold_removals(Choice *choice)
{
	HubspotSelection *selection = choice->selection;

	for (int i = 0; i < selection->nlots && selection->claimant->has_keys; i++)
	{
		HubspotLot *lot = &selection->lots[i];

		if (!lot->lane.has_keys && hubspot_removes(lot->lane.operation))
			hubspot_keyed_hold(lot);
	}
	return drop_empty_lots(selection);
}

/* Look up no more keys than take a moment. */
static Decision
limit_lookups(Choice *choice)
{
	HubspotSelection *selection = choice->selection;

	hubspot_keyed_limit(selection->claimant->reask, selection->lots, selection->nlots);
	if (selection->claimant->has_keys)
		hubspot_account_ask_again(selection->client->account,
								  selection->claimant->reask->free_at);
	return drop_empty_lots(selection);
}

/* Put off the rows of pairs that were sent too often lately. */
static Decision
damp_pairs(Choice *choice)
{
	HubspotSelection *selection = choice->selection;

	for (int i = 0; i < selection->nlots; i++)
	{
		if (!selection->lots[i].lane.has_keys)
			damp_lot(&selection->lots[i]);
	}
	return drop_empty_lots(selection);
}

static void
damp_lot(HubspotLot *lot)
{
	int64		now = hubspot_now();
	TimestampTz time = GetCurrentTimestamp();
	HubspotDeferral *deferrals = palloc(sizeof(HubspotDeferral) * lot->nclaims);
	int			ndeferrals = 0;
	int			nclaims = 0;

	for (int i = 0; i < lot->nclaims; i++)
	{
		const HubspotClaim *claim = &lot->claims[i];
		int64		until = hubspot_damper_until(claim->pair, claim->id, now);

		if (until > now)
		{
			deferrals[ndeferrals].id = claim->id;
			deferrals[ndeferrals++].not_before = time + (until - now);
		}
		else
			lot->claims[nclaims++] = *claim;
	}
	lot->nclaims = nclaims;
	if (ndeferrals > 0)
		hubspot_claim_defer(deferrals, ndeferrals);
	pfree(deferrals);
}

/* Drop lots without rows.  Are there any others? */
static Decision
drop_empty_lots(HubspotSelection *selection)
{
	int			nlots = 0;

	for (int i = 0; i < selection->nlots; i++)
	{
		if (selection->lots[i].nclaims > 0)
			selection->lots[nlots++] = selection->lots[i];
	}
	selection->nlots = nlots;
	return nlots > 0 ? GO_ON : AT_ONCE;
}

/*
 * Keep as many rows as fill the requests that can be in flight, or some more if there are
 * several lanes; the others have time.  After failures, requests are smaller.  Where the rows
 * of a record are one input, the limit is one of records.
 */
static Decision
cut_to_requests(Choice *choice)
{
	HubspotSelection *selection = choice->selection;
	HubspotShare *shares = share_out(choice);

	for (int i = 0; i < selection->nlots; i++)
	{
		HubspotLot *lot = &selection->lots[i];

		if (lot->lane.has_keys)
			;					/* limit_lookups() has done that */
		else
			lot->nclaims = shares[i].nrequests == 0 ? 0 :
				count_fitting(hubspot_endpoint(lot->operation), lot->claims, lot->nclaims,
							  request_limit(selection, lot) * shares[i].nrequests);
		if (lot->lane.attempts > 0) /* then it is the only one */
			selection->client->policy.batch_size = request_limit(selection, lot);
	}
	return drop_empty_lots(selection);
}

/* How many requests does each lot get? */
static HubspotShare *
share_out(const Choice *choice)
{
	const HubspotSelection *selection = choice->selection;
	int			concurrency = selection->client->options->concurrency;
	HubspotShare *shares = palloc0(sizeof(HubspotShare) * selection->nlots);

	if (selection->nlots == 1)
	{
		shares[0].nrequests = concurrency;
		return shares;
	}
	for (int i = 0; i < selection->nlots; i++)
	{
		const HubspotLot *lot = &selection->lots[i];
		const HubspotEndpoint *endpoint = hubspot_endpoint(lot->operation);
		int			nrecords = 0;

		if (lot->lane.has_keys)
			continue;
		if (endpoint->input_shape == HUBSPOT_INPUT_GROUP)
			nrecords = hubspot_claim_count_records(lot->claims, lot->nclaims);
		shares[i].nrows = lot->nclaims;
		shares[i].rows_of_request =
			hubspot_request_rows(endpoint, selection->client->policy.batch_size,
								 lot->nclaims, nrecords);
	}
	hubspot_share_out(shares, selection->nlots, MAX_WINDOW, concurrency);
	return shares;
}

static int
request_limit(const HubspotSelection *selection, const HubspotLot *lot)
{
	int			limit = hubspot_request_rows(hubspot_endpoint(lot->operation),
											 selection->client->policy.batch_size, 0, 0);

	return Max(limit >> Min(lot->lane.attempts, 30), 1);
}

/* How many claims, the first ones, fit into requests for so many inputs. */
static int
count_fitting(const HubspotEndpoint *endpoint, HubspotClaim *claims, int nclaims,
			  int ninputs)
{
	if (endpoint->input_shape == HUBSPOT_INPUT_GROUP)
		return hubspot_claim_group(claims, nclaims, ninputs);
	return Min(nclaims, ninputs);
}

/* Tell the round what it has to know. */
static void
tell(const Choice *choice, Decision decision, HubspotRound *round)
{
	round->removed += choice->removed;
	switch (decision)
	{
		case GO_ON:
			break;
		case FAILED:
			hubspot_event_note(choice->selection->claimant->server,
							   HUBSPOT_EVENT_ACCOUNT_REFUSED, 1);
			round->unrecorded = !hubspot_settle_account(choice->selection->claimant,
														choice->error);
			round->next_due = 0;
			break;
		case AT_ONCE:
			round->next_due = 0;
			break;
		case PACED:
			round->paced = true;
			/* FALLTHROUGH */
		case LATER:
			round->next_due = Min(round->next_due, choice->look_at);
			break;
	}
}
