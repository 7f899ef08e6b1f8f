/*-------------------------------------------------------------------------
 *
 * delivery.c
 *	  Rows of the outbox on their way to HubSpot and back.
 *
 * What is sent in a round can go into the same requests:
 *
 *		transaction:  (sender.c has taken the lease of the server)  delete the
 *					  rows that others override, pick those that are to be sent
 *		no transaction:  get an access token; look up labels
 *		until all are answered
 *			transaction:  put rows into the batch; record what came back
 *			no transaction:  wait
 *		transaction:  record the rest, release the lease
 *
 * If the process dies, rows that were in flight are sent again.
 *
 * What fails is charged to whom it belongs.  A row that HubSpot refuses becomes
 * a dead letter; rows of one pair that were refused as one input are sent again,
 * one by one, since it may be about one of them; one that wasn't confirmed is sent
 * again later, in requests of half the size each time, so that one row that makes
 * its requests fail ends up alone; what refuses the account, or keeps us from reaching it, makes the
 * account wait and costs its rows nothing.
 *
 * IDENTIFICATION
 *	  src/outbox/delivery.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "account/account.h"
#include "api/error.h"
#include "base/clock.h"
#include "call/batch.h"
#include "call/call.h"
#include "call/unit.h"
#include "outbox/damper.h"
#include "outbox/delivery.h"
#include "outbox/doubt.h"
#include "outbox/lease.h"
#include "outbox/settle.h"
#include "outbox/undone.h"
#include "rows/raw_input.h"

/*
 * Retries within a call are for short interruptions alone: the outbox has
 * better ones, which hold nothing up.
 */
#define MAX_CALL_RETRIES	1

/*
 * So many bytes may the answers have that are in flight.  With the rows, and what is
 * made of an answer while it is read, a process has less than 64 MB, whatever
 * comes.
 */
#define REPLY_BUDGET		((size_t) 24 * 1024 * 1024)

/*
 * An account that is parked for less than that, in microseconds, is as good as
 * not parked: it has to wait by other means, lest it be tried without an end.
 */
#define MIN_PARKING			INT64CONST(100000)

/* So many rows are looked at, at most. */
#define MAX_WINDOW			10000

/* Rows that somebody has locked are looked at again after, in microseconds. */
#define LOCKED_DELAY		INT64CONST(1000000)

/*
 * While more than half of the window is overridden, it is pruned again, for so
 * long in a transaction, in microseconds.
 */
#define PRUNE_TIME			INT64CONST(200000)

struct HubspotDelivery
{
	const HubspotClaimant *claimant;
	HubspotRound *round;
	HubspotProgress *progress;
	HubspotClient *client;
	const HubspotOptions *options;	/* the client's */
	HubspotLane lane;
	HubspotOperation operation;
	HubspotClaim *claims;
	int			nclaims;
	int64		newest;			/* row of the outbox when they were picked */
	int			nput;			/* of these, in the batch */
	HubspotClaim **by_id;		/* the claims in the order of ids, or NULL */
	HubspotLabels *labels;		/* or NULL: none has any */
	HubspotLastTypes last_types;
	HubspotBatch *batch;
	bool		lost;			/* we haven't got the lease any more */
	TimestampTz sent_at;

	/* what has come back and isn't recorded yet */
	int64	   *done;
	int			ndone;
	int64	   *doubtful;		/* pairs with a request that may still be
								 * done, */
	int64	   *doubtful_ids;	/* by these rows */
	int			ndoubtful;
	bool		has_doubts;		/* there are such ones for the server */
	HubspotUndone *undone;

	int			nanswers;		/* rows that were confirmed or refused */
	const HubspotError *failure;	/* of a row that was neither, or NULL */
	const HubspotError *account_error;	/* of them all, or NULL */
};

static void set_policy(HubspotCallPolicy *policy);
static bool pick_claims(HubspotDelivery *delivery,
						int64 max_rows);
static void give_up_oversize(HubspotDelivery *delivery, const HubspotPick *pick);
static int	window_size(const HubspotDelivery *delivery, int64 max_rows);
static void cut_claims(HubspotDelivery *delivery);
static void damp(HubspotDelivery *delivery);
static void suspect_all(HubspotDelivery *delivery);
static void suspect(HubspotDelivery *delivery, int64 row);
static bool look_up_labels(HubspotTransaction *transaction, HubspotDelivery *delivery);
static void start_batch(HubspotDelivery *delivery);
static void put_claims(HubspotDelivery *delivery);
static bool wait_for_outcomes(HubspotDelivery *delivery);
static void take_outcomes(HubspotDelivery *delivery);
static void settle(HubspotDelivery *delivery,
				   const HubspotOutcome *outcome);
static void settle_error(HubspotDelivery *delivery, int64 id,
						 const HubspotError *error);
static void note_doubt(HubspotDelivery *delivery, const HubspotClaim *claim);
static const HubspotClaim *find_claim(HubspotDelivery *delivery, int64 id);
static int	compare_ids(const void *a, const void *b);
static void finish_delivery(HubspotDelivery *delivery);

/*
 * Pick rows of an account whose lease we have, in the transaction that took it;
 * in the current memory context.  NULL: there is nothing to be sent now, and
 * round says when there may be.  progress is kept up while the delivery lives.
 */
HubspotDelivery *
hubspot_delivery_prepare(const HubspotClaimant *claimant, int64 max_rows,
						 HubspotRound *round, HubspotProgress *progress)
{
	HubspotDelivery *delivery = palloc0(sizeof(HubspotDelivery));
	int64		now = hubspot_now();
	const HubspotError *error;
	int64		pace;

	delivery->claimant = claimant;
	delivery->round = round;
	delivery->progress = progress;
	error = hubspot_connect_as(claimant->role, claimant->server, &delivery->client);
	if (error)
	{
		round->unrecorded = !hubspot_settle_account(claimant, error);
		round->next_due = 0;
		return NULL;
	}
	delivery->options = delivery->client->options;
	set_policy(&delivery->client->policy);
	pace = hubspot_account_pace(delivery->client->account,
								delivery->options->rate_limit, now);
	if (pace > now)
	{
		round->paced = true;
		round->next_due = Min(round->next_due, GetCurrentTimestamp() + (pace - now));
		return NULL;
	}

	progress->max_attempts = delivery->options->max_attempts;
	if (!pick_claims(delivery, max_rows))
		return NULL;
	if (!hubspot_outbox_operation(delivery->lane.operation, &delivery->operation))
	{
		error = hubspot_make_error(HUBSPOT_VERDICT_INVALID,
								   ERRCODE_INVALID_PARAMETER_VALUE,
								   psprintf("there is no operation \"%s\"",
											delivery->lane.operation));
		for (int i = 0; i < delivery->nclaims; i++)
			hubspot_settle_dead(&delivery->claims[i].id, 1, error);
		round->removed += delivery->nclaims;
		round->next_due = 0;
		return NULL;
	}
	damp(delivery);
	cut_claims(delivery);
	if (delivery->nclaims == 0)
	{
		round->next_due = 0;
		return NULL;
	}
	hubspot_claim_link(&delivery->lane, delivery->claims, delivery->nclaims);
	progress->nrows = 0;
	hubspot_lease_describe(claimant, &delivery->lane, delivery->claims,
						   delivery->nclaims, delivery->options->request_timeout);
	delivery->has_doubts = claimant->has_doubts;
	return delivery;
}

/* How a sender calls: it has better retries of its own, and others to serve. */
static void
set_policy(HubspotCallPolicy *policy)
{
	policy->max_retries = Min(policy->max_retries, MAX_CALL_RETRIES);
	policy->impatient = true;
	policy->reply_budget = REPLY_BUDGET;
}

/*
 * Delete what is needless, and pick what is to be sent.  False: there is nothing,
 * and the round knows when there may be.
 */
static bool
pick_claims(HubspotDelivery *delivery,
			int64 max_rows)
{
	const HubspotClaimant *claimant = delivery->claimant;
	HubspotRound *round = delivery->round;
	int			window = window_size(delivery, max_rows);
	int64		start = hubspot_now();
	int64		pruned;
	HubspotPick pick;

	if (claimant->has_outdated)
		hubspot_settle_outdated(claimant->server);
	delivery->progress->nrows = window;
	do
	{
		pruned = hubspot_claim_prune(claimant, window);
		round->removed += pruned;
	} while (pruned > window / 2 && hubspot_now() < start + PRUNE_TIME);
	if (pruned > window / 2)
	{
		round->next_due = 0;
		return false;
	}
	hubspot_claim_prune_others(claimant, window);
	hubspot_claim_pick(claimant, window, &pick);
	give_up_oversize(delivery, &pick);
	round->removed += pick.noversize;
	delivery->lane = pick.lane;
	delivery->claims = pick.claims;
	delivery->nclaims = pick.nclaims;
	delivery->newest = pick.newest;
	if (delivery->nclaims > 0)
		return true;

	/* they are locked, if they don't wait for others of their pairs */
	if (pick.noversize > 0 ||
		hubspot_claim_defer_blocked(claimant, window) > 0)
		round->next_due = 0;
	else
		round->next_due = Min(round->next_due,
							  GetCurrentTimestamp() + LOCKED_DELAY);
	return false;
}

/* Rows that are too large to be read are dead letters, with what is the matter. */
static void
give_up_oversize(HubspotDelivery *delivery,
				 const HubspotPick *pick)
{
	int64	   *ids = palloc(sizeof(int64) * pick->noversize);
	HubspotAccount *account = delivery->client->account;

	for (int first = 0; first < pick->noversize;)
	{
		const char *problem = pick->oversize[first].problem;
		int			nids = 0;

		while (first < pick->noversize && pick->oversize[first].problem == problem)
			ids[nids++] = pick->oversize[first++].id;
		hubspot_settle_dead(ids, nids,
							hubspot_make_error(HUBSPOT_VERDICT_INVALID,
											   ERRCODE_INVALID_PARAMETER_VALUE, problem));
		hubspot_account_count_inputs(account, nids, 0);
		hubspot_account_count_error(account, HUBSPOT_INVALID_INPUT, nids);
	}
	pfree(ids);
}

/* How many rows are looked at: those of as many requests as are in flight. */
static int
window_size(const HubspotDelivery *delivery, int64 max_rows)
{
	int			limit = hubspot_endpoint(HUBSPOT_BATCH_CREATE)->batch_limit;

	if (delivery->client->policy.batch_size > 0)
		limit = Min(limit, delivery->client->policy.batch_size);
	max_rows = Min(max_rows, MAX_WINDOW);
	return (int) Max(Min((int64) limit * delivery->options->concurrency, max_rows), 1);
}

/*
 * Keep as many claims as requests can be in flight: the others have time.
 * After failures, requests are smaller; and where records are grouped, a
 * request has so many of these.
 */
static void
cut_claims(HubspotDelivery *delivery)
{
	const HubspotEndpoint *endpoint = hubspot_endpoint(delivery->operation);
	HubspotCallPolicy *policy = &delivery->client->policy;
	int			concurrency = delivery->options->concurrency;
	int			limit = endpoint->batch_limit;
	int			attempts = delivery->lane.attempts;

	if (policy->batch_size > 0)
		limit = Min(limit, policy->batch_size);
	if (attempts > 0)
	{
		limit = Max(limit >> Min(attempts, 30), 1);
		policy->batch_size = limit;
	}
	if (endpoint->input_shape == HUBSPOT_INPUT_GROUP)
	{
		delivery->nclaims = hubspot_claim_group(delivery->claims, delivery->nclaims,
												limit * concurrency);
	}
	else
		delivery->nclaims = Min(delivery->nclaims, limit * concurrency);
}

/* Have the rows of pairs that were sent too often lately wait. */
static void
damp(HubspotDelivery *delivery)
{
	int64		now = hubspot_now();
	TimestampTz time = GetCurrentTimestamp();
	HubspotDeferral *deferrals = palloc(sizeof(HubspotDeferral) * Max(delivery->nclaims, 1));
	int			ndeferrals = 0;
	int			nclaims = 0;

	for (int i = 0; i < delivery->nclaims; i++)
	{
		const HubspotClaim *claim = &delivery->claims[i];
		int64		until = hubspot_damper_until(claim->pair, claim->id, now);

		if (until > now)
		{
			deferrals[ndeferrals].id = claim->id;
			deferrals[ndeferrals++].not_before = time + (until - now);
		}
		else
			delivery->claims[nclaims++] = *claim;
	}
	delivery->nclaims = nclaims;
	if (ndeferrals > 0)
		hubspot_claim_defer(deferrals, ndeferrals);
	pfree(deferrals);
}

/*
 * Send the rows that were picked, and record what becomes of them; how many
 * there were.  It ends early, and leaves the rows to others, if the extension is
 * dropped meanwhile or the lease is lost.
 */
int
hubspot_delivery_perform(HubspotTransaction *transaction, HubspotDelivery *delivery)
{
	const HubspotLane *lane = &delivery->lane;
	int64		now = hubspot_now();

	pgstat_report_activity(STATE_RUNNING,
						   psprintf("%s of %d pairs, %s to %s, server %s",
									lane->operation, delivery->nclaims,
									lane->from_type, lane->to_type,
									delivery->claimant->server));

	/* what has to be asked first is asked without a transaction */
	delivery->account_error = hubspot_authorize(delivery->client);
	suspect_all(delivery);
	if (delivery->account_error == NULL)
	{
		if (!look_up_labels(transaction, delivery))
			return 0;
		start_batch(delivery);
		do
		{
			if (!hubspot_transaction_begin(transaction))
				return delivery->nput;
			take_outcomes(delivery);
			hubspot_transaction_end(transaction);
			if (delivery->lost)
				return delivery->nput;
		} while (wait_for_outcomes(delivery));
	}
	delivery->progress->nrows = 0;
	if (hubspot_transaction_begin(transaction))
	{
		finish_delivery(delivery);
		hubspot_transaction_end(transaction);
	}

	/* not before: what is sent again after an ERROR hasn't changed meanwhile */
	for (int i = 0; i < delivery->nclaims; i++)
		hubspot_damper_sent(delivery->claims[i].pair, delivery->claims[i].id,
							delivery->newest, now);
	return delivery->nput;
}

/* From here on, an ERROR is that of one of the rows. */
static void
suspect_all(HubspotDelivery *delivery)
{
	delivery->progress->nrows = delivery->nclaims;
	delivery->progress->row = delivery->nclaims == 1 ? delivery->claims[0].id : 0;
}

/* It is this row's. */
static void
suspect(HubspotDelivery *delivery, int64 row)
{
	delivery->progress->nrows = 1;
	delivery->progress->row = row;
}

/* The labels of rows that have some.  False: the extension was dropped. */
static bool
look_up_labels(HubspotTransaction *transaction, HubspotDelivery *delivery)
{
	for (int i = 0; i < delivery->nclaims && delivery->labels == NULL; i++)
	{
		if (delivery->claims[i].labels == NULL)
			continue;

		/* getting a token may have taken its time */
		if (!hubspot_transaction_begin(transaction))
			return false;
		hubspot_transaction_end(transaction);
		delivery->labels = hubspot_labels_create(delivery->client,
												 delivery->lane.from_type,
												 delivery->lane.to_type);
		hubspot_labels_look_up(delivery->labels);
	}
	return true;
}

static void
start_batch(HubspotDelivery *delivery)
{
	const HubspotLane *lane = &delivery->lane;

	delivery->sent_at = GetCurrentTimestamp();
	delivery->done = palloc(sizeof(int64) * delivery->nclaims);
	delivery->doubtful = palloc(sizeof(int64) * delivery->nclaims);
	delivery->doubtful_ids = palloc(sizeof(int64) * delivery->nclaims);
	delivery->undone = hubspot_undone_create(delivery->nclaims,
											 delivery->options->max_attempts);
	delivery->last_types.context = AllocSetContextCreate(CurrentMemoryContext,
														 "hubspot_assoc types",
														 ALLOCSET_SMALL_SIZES);
	delivery->batch = hubspot_batch_create(delivery->client,
										   delivery->operation, lane->from_type,
										   lane->to_type, lane->keep_labels);
}

/* Put rows into the batch while it has room, and finish it after the last. */
static void
put_claims(HubspotDelivery *delivery)
{
	HubspotInputShape shape = hubspot_endpoint(delivery->operation)->input_shape;
	bool		finished = (delivery->nput == delivery->nclaims);
	int			room;

	while (delivery->nput < delivery->nclaims &&
		   (room = hubspot_batch_room(delivery->batch)) > 0)
	{
		while (room-- > 0 && delivery->nput < delivery->nclaims)
		{
			const HubspotClaim *claim = &delivery->claims[delivery->nput++];
			HubspotRawInput raw = {0};

			suspect(delivery, claim->id);
			raw.input.no = claim->id;
			raw.input.from_id = claim->from_id;
			raw.input.to_id = claim->to_id;
			raw.category = claim->category;
			if (claim->type_ids)
				hubspot_raw_input_type_ids(&raw, claim->type_ids);
			if (claim->labels)
				hubspot_raw_input_labels(&raw, claim->labels);
			hubspot_raw_input_check(&raw, shape);
			if (shape == HUBSPOT_INPUT_TYPED_PAIR)
				hubspot_raw_input_make_types(&raw, delivery->labels,
											 &delivery->last_types);
			suspect_all(delivery);
			hubspot_batch_put(delivery->batch, &raw.input, raw.error);
		}
	}
	if (!finished && delivery->nput == delivery->nclaims)
		hubspot_batch_finish(delivery->batch);
}

/* Wait for answers.  False: there are no more to come. */
static bool
wait_for_outcomes(HubspotDelivery *delivery)
{
	bool		more = hubspot_batch_wait(delivery->batch, HUBSPOT_NEVER);

	/*
	 * a token that has run out meanwhile is not to be fetched in a
	 * transaction
	 */
	if (more && hubspot_batch_stopped(delivery->batch) == NULL)
		(void) hubspot_authorize(delivery->client);
	return more;
}

/* Record what has come back, and put more while we have the lease. */
static void
take_outcomes(HubspotDelivery *delivery)
{
	HubspotOutcome outcome;

	while (hubspot_batch_get(delivery->batch, &outcome))
		settle(delivery, &outcome);
	if (delivery->ndoubtful > 0)
	{
		hubspot_doubt_add(delivery->claimant->server, delivery->doubtful,
						  delivery->doubtful_ids, delivery->ndoubtful,
						  delivery->options->request_timeout);
		delivery->has_doubts = true;
	}
	if (delivery->ndone > 0)
		hubspot_settle_confirmed(delivery->claimant, delivery->done,
								 delivery->ndone);
	if (delivery->ndone > 0 && delivery->has_doubts)
		delivery->ndone = hubspot_doubt_hold(delivery->done, delivery->ndone);
	if (delivery->ndone > 0)
		hubspot_settle_done(delivery->done, delivery->ndone,
							delivery->sent_at, delivery->options->sent_retention);
	delivery->ndoubtful = 0;
	delivery->ndone = 0;
	hubspot_undone_settle(delivery->undone);
	delivery->lost = !hubspot_lease_is_kept();
	if (!delivery->lost)
		put_claims(delivery);
}

/* What is to be done about the outcome of a row? */
static void
settle(HubspotDelivery *delivery, const HubspotOutcome *outcome)
{
	const HubspotError *error = outcome->error;
	int64		id = outcome->input_no;

	if (outcome->doubtful || (error && hubspot_is_unconfirmed(error->verdict)))
		note_doubt(delivery, find_claim(delivery, id));
	if (error == NULL)
	{
		delivery->done[delivery->ndone++] = id;
		delivery->nanswers++;
	}
	else
		settle_error(delivery, id, error);
}

static void
settle_error(HubspotDelivery *delivery, int64 id, const HubspotError *error)
{
	const HubspotError *stopped = hubspot_batch_stopped(delivery->batch);

	switch (error->verdict)
	{
		case HUBSPOT_VERDICT_INVALID:
			hubspot_undone_note(delivery->undone, id, HUBSPOT_SETTLE_DEAD, error);
			delivery->nanswers++;
			break;
		case HUBSPOT_VERDICT_INPUT:
		case HUBSPOT_VERDICT_REQUEST:
		case HUBSPOT_VERDICT_INTERNAL:
			if (find_claim(delivery, id)->shares)
				hubspot_settle_apart(id, error);
			else
				hubspot_undone_note(delivery->undone, id, HUBSPOT_SETTLE_DEAD, error);
			delivery->nanswers++;
			break;
		case HUBSPOT_VERDICT_BUSY:
		case HUBSPOT_VERDICT_UNCONFIRMED:
			if (delivery->failure == NULL)
				delivery->failure = hubspot_copy_error(error);
			hubspot_undone_note(delivery->undone, id, HUBSPOT_SETTLE_FAILED, error);
			break;
		case HUBSPOT_VERDICT_SCOPE:
			/* it may be missing for these object types, and not for others */
			hubspot_undone_note(delivery->undone, id, HUBSPOT_SETTLE_LATER, error);
			break;
		case HUBSPOT_VERDICT_NOT_SENT:
			if (stopped && stopped->verdict == HUBSPOT_VERDICT_SCOPE)
			{
				hubspot_undone_note(delivery->undone, id, HUBSPOT_SETTLE_LATER, error);
				break;
			}
			/* FALLTHROUGH */
		case HUBSPOT_VERDICT_UNREACHED:
		case HUBSPOT_VERDICT_ACCOUNT:
		case HUBSPOT_VERDICT_FOREIGN:
		case HUBSPOT_VERDICT_NO_TOKEN:
		case HUBSPOT_VERDICT_RATE:
			if (delivery->account_error == NULL)
				delivery->account_error = hubspot_copy_error(error);
			break;
	}
}

/* What was asked for may still be done; noted once for the rows of a pair. */
static void
note_doubt(HubspotDelivery *delivery, const HubspotClaim *claim)
{
	int			n = delivery->ndoubtful;

	if (n > 0 && delivery->doubtful_ids[n - 1] == claim->last_id)
		return;
	delivery->doubtful[n] = claim->pair;
	delivery->doubtful_ids[n] = claim->last_id;
	delivery->ndoubtful++;
}

/* The claim of a row. */
static const HubspotClaim *
find_claim(HubspotDelivery *delivery, int64 id)
{
	HubspotClaim key = {.id = id};
	const HubspotClaim *pointer = &key;

	if (delivery->by_id == NULL)
	{
		delivery->by_id = palloc(sizeof(HubspotClaim *) * delivery->nclaims);
		for (int i = 0; i < delivery->nclaims; i++)
			delivery->by_id[i] = &delivery->claims[i];
		qsort(delivery->by_id, delivery->nclaims, sizeof(HubspotClaim *),
			  compare_ids);
	}
	return *(HubspotClaim **) bsearch(&pointer, delivery->by_id, delivery->nclaims,
									  sizeof(HubspotClaim *), compare_ids);
}

static int
compare_ids(const void *a, const void *b)
{
	int64		one = (*(HubspotClaim *const *) a)->id;
	int64		other = (*(HubspotClaim *const *) b)->id;

	return one < other ? -1 : one > other;
}

/* All rows have come back: what does that say of the account? */
static void
finish_delivery(HubspotDelivery *delivery)
{
	const HubspotClaimant *claimant = delivery->claimant;
	int64		now = hubspot_now();

	/*
	 * If nothing got through, neither will what comes next; but rows that
	 * have failed before may be the cause themselves.
	 */
	if (delivery->account_error == NULL && delivery->nanswers == 0 &&
		delivery->lane.attempts == 0)
		delivery->account_error = delivery->failure;
	if (delivery->account_error && delivery->account_error->verdict == HUBSPOT_VERDICT_RATE &&
		hubspot_account_when(delivery->client->account, 0, now) > now + MIN_PARKING)
		;						/* it is parked, and that's all */
	else if (delivery->account_error)
		delivery->round->unrecorded =
			!hubspot_settle_account(claimant, delivery->account_error);
	else if (claimant->backing_off && delivery->nanswers > 0)
		(void) hubspot_settle_account(claimant, NULL);
	hubspot_lease_release(claimant->server);
}
