/*-------------------------------------------------------------------------
 *
 * delivery.c
 *	  Rows of the outbox on their way to HubSpot and back.
 *
 * A round has a delivery for each of the accounts that it serves.  What one of
 * them sends can go into the same requests:
 *
 *		transaction:  (sender.c)  take the lease of the server, choose what is to
 *					  be sent
 *		no transaction:  get an access token; look up labels
 *		until all are answered
 *			transaction:  put rows into the batch; record what came back
 *			no transaction:  wait, for any of the deliveries
 *		transaction:  record what that says of the account, release the lease
 *
 * If the process dies, rows that were in flight are sent again.
 *
 * What fails is charged to whom it belongs.  A row that HubSpot refuses becomes
 * a dead letter; rows of one pair that were refused as one input are sent again,
 * one by one, since it may be about one of them; one that wasn't confirmed is sent
 * again later, in requests of half the size each time, so that one row that makes
 * its requests fail ends up alone; where it takes long to find out which rows
 * HubSpot has refused without a name, those that are left come after the others; those
 * that are not sent since all like them were refused wait longer and longer; what refuses the account, or keeps us from reaching it, makes the account wait and
 * costs its rows nothing.
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
 * An account that is parked for less than that, in microseconds, is as good as
 * not parked: it has to wait by other means, lest it be tried without an end.
 */
#define MIN_PARKING			INT64CONST(100000)

/*
 * So long it is looked for those that are to blame for a refusal, in microseconds; then
 * the account's other rows have their turn.
 */
#define MAX_SEARCH			(10 * INT64CONST(1000000))

struct HubspotDelivery
{
	const HubspotSelection *chosen;
	HubspotProgress *progress;
	int64		begun;			/* as of hubspot_now() */
	const HubspotOptions *options;	/* the client's */
	int			nput;			/* of the chosen claims, in the batch */
	HubspotLabels *labels;		/* or NULL: none has any */
	HubspotDirection direction; /* of the batch */
	HubspotLastTypes last_types;
	HubspotBatch *batch;		/* or NULL: there is nothing to be sent */
	bool		over;			/* all is recorded, or the lease is lost */
	bool		recorded;		/* it is the former */
	bool		unrecorded;		/* but for the account's failure */
	TimestampTz sent_at;
	int64		search_until;	/* as of hubspot_now() */

	/* what has come back and isn't recorded yet */
	const HubspotClaim **done;
	int			ndone;
	int64	   *doubtful;		/* pairs with a request that may still be
								 * done, */
	int64	   *doubtful_ids;	/* by these rows */
	int			ndoubtful;
	bool		has_doubts;		/* there are such ones for the server */
	bool		has_letters;	/* there may be dead letters of it */
	HubspotUndone *undone;

	int			nanswers;		/* rows that were confirmed or refused */
	const HubspotError *failure;	/* of a row that was neither, or NULL */
	const HubspotError *account_error;	/* of them all, or NULL */
};

static void suspect_all(HubspotDelivery *delivery);
static void suspect(HubspotDelivery *delivery, int64 row);
static bool look_up_labels(HubspotTransaction *transaction, HubspotDelivery *delivery);
static void start_batch(HubspotDelivery *delivery);
static void put_claims(HubspotDelivery *delivery);
static void record_outcomes(HubspotDelivery *delivery);
static void settle(HubspotDelivery *delivery,
				   const HubspotOutcome *outcome);
static void settle_error(HubspotDelivery *delivery, const HubspotClaim *claim,
						 const HubspotError *error);
static void note_doubt(HubspotDelivery *delivery, const HubspotClaim *claim);
static void record_account(HubspotDelivery *delivery);

/*
 * What is to be done with rows that were chosen, in the current memory context.
 * progress is kept up.
 */
HubspotDelivery *
hubspot_delivery_create(const HubspotSelection *chosen, HubspotProgress *progress)
{
	HubspotDelivery *delivery = palloc0(sizeof(HubspotDelivery));

	delivery->chosen = chosen;
	delivery->progress = progress;
	delivery->begun = hubspot_now();
	delivery->options = chosen->client->options;
	delivery->has_doubts = chosen->claimant->has_doubts;
	delivery->has_letters = chosen->claimant->has_letters;
	return delivery;
}

/*
 * Ask what has to be asked first; so many others are in the round.  False: the
 * extension was dropped.
 */
bool
hubspot_delivery_start(HubspotTransaction *transaction, HubspotDelivery *delivery,
					   int nothers)
{
	const HubspotSelection *chosen = delivery->chosen;

	pgstat_report_activity(STATE_RUNNING,
						   psprintf("%s of %d pairs, %s to %s, server %s%s",
									chosen->lane.operation, chosen->nclaims,
									chosen->lane.from_type, chosen->lane.to_type,
									chosen->claimant->server,
									nothers > 0 ? psprintf(" and %d more", nothers) : ""));
	delivery->account_error = hubspot_authorize(chosen->client);
	suspect_all(delivery);
	if (delivery->account_error)
		return true;
	if (!look_up_labels(transaction, delivery))
		return false;
	start_batch(delivery);
	return true;
}

/*
 * Is there something to be recorded, or to be put?  If not, *wake is when to look
 * again, if nothing comes back before.
 */
HubspotDeliveryState
hubspot_delivery_look(HubspotDelivery *delivery, int64 *wake)
{
	if (delivery->over)
		return HUBSPOT_DELIVERY_OVER;
	if (delivery->batch && hubspot_batch_waits(delivery->batch, wake))
		return HUBSPOT_DELIVERY_WAITS;
	return HUBSPOT_DELIVERY_READY;
}

/*
 * In a transaction: record what has come back, and put more while we have the lease.
 * It ends early, and leaves the rows to others, if the lease is lost.  True: that was
 * all, and hubspot_delivery_finish() is to be called in another one.
 */
bool
hubspot_delivery_move(HubspotDelivery *delivery)
{
	if (delivery->batch == NULL)
		return true;
	suspect_all(delivery);
	record_outcomes(delivery);
	if (!hubspot_lease_is_kept(delivery->chosen->claimant->server))
		delivery->over = true;
	else
		put_claims(delivery);
	return !delivery->over && hubspot_batch_is_over(delivery->batch);
}

/* In a transaction: record what all of it says of the account. */
void
hubspot_delivery_finish(HubspotDelivery *delivery)
{
	delivery->progress->nrows = 0;
	record_account(delivery);
	delivery->over = delivery->recorded = true;
}

/* Wait until there may be something to be recorded, for this delivery or another. */
void
hubspot_delivery_wait(HubspotDelivery *delivery, int64 until)
{
	hubspot_batch_wait_for_any(delivery->batch, until);
}

/*
 * After the transaction: if it is over, others can have the lease.  Pairs count as
 * sent only now: what is sent again after an ERROR hasn't changed meanwhile.
 */
void
hubspot_delivery_moved(HubspotDelivery *delivery)
{
	const HubspotSelection *chosen = delivery->chosen;

	if (!delivery->over)
		return;
	hubspot_lease_let_go(chosen->claimant->server);
	for (int i = 0; i < chosen->nclaims && delivery->recorded; i++)
		hubspot_damper_sent(chosen->claims[i].pair, chosen->claims[i].id,
							chosen->newest, delivery->begun);
}

/* How many rows were sent. */
int
hubspot_delivery_count(const HubspotDelivery *delivery)
{
	return delivery->nput;
}

/* Has the account failed, and could that not be recorded? */
bool
hubspot_delivery_is_unrecorded(const HubspotDelivery *delivery)
{
	return delivery->unrecorded;
}

/* From here on, an ERROR is that of one of the rows. */
static void
suspect_all(HubspotDelivery *delivery)
{
	const HubspotSelection *chosen = delivery->chosen;

	delivery->progress->nrows = chosen->nclaims;
	delivery->progress->row = chosen->nclaims == 1 ? chosen->claims[0].id : 0;
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
	const HubspotSelection *chosen = delivery->chosen;

	for (int i = 0; i < chosen->nclaims && delivery->labels == NULL; i++)
	{
		if (chosen->claims[i].labels == NULL)
			continue;

		/* getting a token may have taken its time */
		if (!hubspot_transaction_begin(transaction))
			return false;
		hubspot_transaction_end(transaction);
		delivery->labels = hubspot_labels_create(chosen->client,
												 chosen->lane.from_type,
												 chosen->lane.to_type);
		hubspot_labels_look_up(delivery->labels);
	}
	return true;
}

static void
start_batch(HubspotDelivery *delivery)
{
	const HubspotLane *lane = &delivery->chosen->lane;

	delivery->sent_at = GetCurrentTimestamp();
	delivery->search_until = hubspot_now() + MAX_SEARCH;
	delivery->done = palloc(sizeof(HubspotClaim *) * delivery->chosen->nclaims);
	delivery->doubtful = palloc(sizeof(int64) * delivery->chosen->nclaims);
	delivery->doubtful_ids = palloc(sizeof(int64) * delivery->chosen->nclaims);
	delivery->undone = hubspot_undone_create(delivery->chosen->nclaims,
											 delivery->options->max_attempts);
	delivery->last_types.context = AllocSetContextCreate(CurrentMemoryContext,
														 "hubspot_assoc types",
														 ALLOCSET_SMALL_SIZES);
	delivery->direction.from_type.name = lane->from_type;
	delivery->direction.to_type.name = lane->to_type;
	delivery->batch = hubspot_batch_create(delivery->chosen->client,
										   delivery->chosen->operation,
										   &delivery->direction.from_type,
										   &delivery->direction.to_type, lane->keep_labels);
}

/* Put rows into the batch while it has room, and finish it after the last. */
static void
put_claims(HubspotDelivery *delivery)
{
	HubspotInputShape shape = hubspot_endpoint(delivery->chosen->operation)->input_shape;
	bool		finished = (delivery->nput == delivery->chosen->nclaims);
	int			room;

	while (delivery->nput < delivery->chosen->nclaims &&
		   (room = hubspot_batch_room(delivery->batch)) > 0)
	{
		while (room-- > 0 && delivery->nput < delivery->chosen->nclaims)
		{
			int			number = delivery->nput++;
			const HubspotClaim *claim = &delivery->chosen->claims[number];
			HubspotRawInput raw = {0};

			suspect(delivery, claim->id);
			raw.input.no = number;
			raw.input.from_id = claim->from_id;
			raw.input.to_id = claim->to_id;
			raw.category = claim->category;
			if (claim->type_ids)
				hubspot_raw_input_type_ids(&raw, claim->type_ids);
			if (claim->labels)
				hubspot_raw_input_labels(&raw, claim->labels);
			hubspot_raw_input_check(&raw, shape, &delivery->direction,
									&delivery->last_types);
			if (shape == HUBSPOT_INPUT_TYPED_PAIR)
				hubspot_raw_input_make_types(&raw, delivery->labels,
											 &delivery->last_types);
			suspect_all(delivery);
			hubspot_batch_put(delivery->batch, &raw.input, raw.error);
		}
	}
	if (!finished && delivery->nput == delivery->chosen->nclaims)
		hubspot_batch_finish(delivery->batch);
}

static void
record_outcomes(HubspotDelivery *delivery)
{
	HubspotOutcome outcome;

	if (hubspot_now() > delivery->search_until)
		hubspot_batch_put_off(delivery->batch,
							  "put off, to let others go first: HubSpot has refused requests without naming an input");
	while (hubspot_batch_get(delivery->batch, &outcome))
		settle(delivery, &outcome);
	if (delivery->ndoubtful > 0)
	{
		hubspot_doubt_add(delivery->chosen->claimant->server, delivery->doubtful,
						  delivery->doubtful_ids, delivery->ndoubtful,
						  delivery->options->request_timeout);
		delivery->has_doubts = true;
	}
	/* what was alone has nothing to outdate, if there are no dead letters */
	if (delivery->ndone > 0 && (!delivery->chosen->alone || delivery->has_letters))
		hubspot_settle_confirmed(delivery->chosen->claimant, delivery->done,
								 delivery->ndone);
	if (delivery->ndone > 0 && delivery->has_doubts)
		delivery->ndone = hubspot_doubt_defer(delivery->done, delivery->ndone);
	if (delivery->ndone > 0)
		hubspot_settle_done(delivery->done, delivery->ndone,
							delivery->sent_at, delivery->options->sent_retention);
	delivery->ndoubtful = 0;
	delivery->ndone = 0;
	hubspot_undone_settle(delivery->undone);
}

/* What is to be done about the outcome of a row? */
static void
settle(HubspotDelivery *delivery, const HubspotOutcome *outcome)
{
	const HubspotError *error = outcome->error;
	const HubspotClaim *claim = &delivery->chosen->claims[outcome->input_no];

	if (outcome->doubtful || (error && hubspot_is_unconfirmed(error->verdict)))
		note_doubt(delivery, claim);
	if (error == NULL)
	{
		delivery->done[delivery->ndone++] = claim;
		delivery->nanswers++;
	}
	else
	{
		delivery->has_letters = true;	/* for all we know */
		settle_error(delivery, claim, error);
	}
}

static void
settle_error(HubspotDelivery *delivery, const HubspotClaim *claim,
			 const HubspotError *error)
{
	const HubspotError *stopped = hubspot_batch_stopped(delivery->batch);

	switch (error->verdict)
	{
		case HUBSPOT_VERDICT_INVALID:
			hubspot_undone_note(delivery->undone, claim->id, HUBSPOT_SETTLE_DEAD, error);
			delivery->nanswers++;
			break;
		case HUBSPOT_VERDICT_INPUT:
		case HUBSPOT_VERDICT_REQUEST:
		case HUBSPOT_VERDICT_INTERNAL:
		case HUBSPOT_VERDICT_NO_RECORD:
		case HUBSPOT_VERDICT_MANY_RECORDS:
			if (claim->shares)
				hubspot_undone_note(delivery->undone, claim->id, HUBSPOT_SETTLE_APART, error);
			else
				hubspot_undone_note(delivery->undone, claim->id, HUBSPOT_SETTLE_DEAD, error);
			delivery->nanswers++;
			break;
		case HUBSPOT_VERDICT_BUSY:
		case HUBSPOT_VERDICT_UNCONFIRMED:
			if (delivery->failure == NULL)
				delivery->failure = hubspot_copy_error(error);
			hubspot_undone_note(delivery->undone, claim->id, HUBSPOT_SETTLE_FAILED, error);
			break;
		case HUBSPOT_VERDICT_SCOPE:
			/* it may be missing for these object types, and not for others */
			hubspot_undone_note(delivery->undone, claim->id, HUBSPOT_SETTLE_LATER, error);
			break;
		case HUBSPOT_VERDICT_LIKE_OTHERS:
			hubspot_undone_note(delivery->undone, claim->id, HUBSPOT_SETTLE_LONGER, error);
			break;
		case HUBSPOT_VERDICT_NOT_SENT:
			if (hubspot_batch_is_put_off(delivery->batch, error))
			{
				hubspot_undone_note(delivery->undone, claim->id, HUBSPOT_SETTLE_SOON, error);
				break;
			}
			if (stopped && stopped->verdict == HUBSPOT_VERDICT_SCOPE)
			{
				hubspot_undone_note(delivery->undone, claim->id, HUBSPOT_SETTLE_LATER, error);
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

/* All rows have come back: what does that say of the account? */
static void
record_account(HubspotDelivery *delivery)
{
	const HubspotClaimant *claimant = delivery->chosen->claimant;
	int64		now = hubspot_now();

	/*
	 * If nothing got through, neither will what comes next; but rows that
	 * have failed before may be the cause themselves.
	 */
	if (delivery->account_error == NULL && delivery->nanswers == 0 &&
		delivery->chosen->lane.attempts == 0)
		delivery->account_error = delivery->failure;
	if (delivery->account_error && delivery->account_error->verdict == HUBSPOT_VERDICT_RATE &&
		hubspot_account_when(delivery->chosen->client->account, 0, now) > now + MIN_PARKING)
		;						/* it is parked, and that's all */
	else if (delivery->account_error)
		delivery->unrecorded =
			!hubspot_settle_account(claimant, delivery->account_error);
	else if (claimant->backing_off && delivery->nanswers > 0)
		(void) hubspot_settle_account(claimant, NULL);
	hubspot_lease_release(claimant->server);
}
