/*-------------------------------------------------------------------------
 *
 * delivery.c
 *	  Rows of the outbox on their way to HubSpot and back.
 *
 * A round has a delivery for each of the accounts that it serves.  It has a parcel
 * (parcel.c) for each lane, which holds what can go into the same requests:
 *
 *		transaction:  (sender.c)  take the lease of the server, choose what is to
 *					  be sent
 *		no transaction:  get an access token; look up labels
 *		until all are answered
 *			transaction:  put rows into the batches; record what came back
 *			no transaction:  wait, for any of the deliveries
 *		transaction:  record what that says of the account, release the lease
 *
 * If the process dies, rows that were in flight are sent again.
 *
 * The parcels share what the account may have in flight.  If there are more of them than that,
 * some begin when others are over.  If the account is refused, be it for a look-up of labels,
 * nothing more of any parcel is sent.  If it cannot be reached, each parcel that is under way
 * notices.  In either case the account has to wait, no other parcel begins, and it costs the
 * rows nothing.
 *
 * IDENTIFICATION
 *	  src/outbox/delivery.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgstat.h"
#include "utils/memutils.h"

#include "account/account.h"
#include "api/error.h"
#include "base/clock.h"
#include "call/token_fetch.h"
#include "outbox/damper.h"
#include "outbox/delivery.h"
#include "outbox/lease.h"
#include "outbox/parcel.h"
#include "outbox/settle.h"

/*
 * An account that is parked for less than this, in microseconds, counts as not
 * parked: it has to wait by other means, or it would be tried endlessly.
 */
#define MIN_PARKING			INT64CONST(100000)

struct HubspotDelivery
{
	const HubspotSelection *chosen;
	HubspotProgress *progress;
	int64		begun;			/* as of hubspot_now() */
	HubspotParcel **parcels;	/* of the lots, in their order */
	int			nbegun;			/* how many of the parcels are under way or
								 * over */
	int			nunder_way;
	HubspotParcel *waits;		/* a parcel that waits, or NULL */
	HubspotPlaces free;			/* the places that no parcel has */
	HubspotAnswers answers;
	bool		over;			/* all is recorded, or the lease is lost */
	bool		recorded;		/* all is recorded */
	bool		unrecorded;		/* the account's failure could not be recorded */
};

static void suspect_all(HubspotDelivery *delivery);
static bool create_parcels(HubspotTransaction *transaction, HubspotDelivery *delivery);
static bool look_up_labels(HubspotTransaction *transaction, const HubspotSelection *chosen,
						   int number, HubspotLabels **labels);
static bool has_labels(const HubspotLot *lot);
static void begin_parcels(HubspotDelivery *delivery);
static bool take_places(HubspotDelivery *delivery, const HubspotParcel *parcel,
						HubspotPlaces *places);
static void give_places(HubspotDelivery *delivery);
static void stop_parcels(HubspotDelivery *delivery);
static bool is_refusal(const HubspotDelivery *delivery, const HubspotError *error);
static bool is_parked(const HubspotDelivery *delivery);
static void put_rows(HubspotDelivery *delivery);
static void record_account(HubspotDelivery *delivery);

/*
 * Create a delivery of rows that were chosen, in the current memory context.
 * progress is kept up to date.
 */
HubspotDelivery *
hubspot_delivery_create(const HubspotSelection *chosen, HubspotProgress *progress)
{
	HubspotDelivery *delivery = palloc0(sizeof(HubspotDelivery));

	delivery->chosen = chosen;
	delivery->progress = progress;
	delivery->begun = hubspot_now();
	delivery->answers.context = CurrentMemoryContext;
	delivery->answers.has_doubts = chosen->claimant->has_doubts;
	delivery->answers.has_letters = chosen->claimant->has_letters;
	return delivery;
}

/*
 * Ask what has to be asked first; nothers is how many other deliveries are in
 * the round.  False: the extension was dropped.
 */
bool
hubspot_delivery_start(HubspotTransaction *transaction, HubspotDelivery *delivery,
					   int nothers)
{
	const HubspotSelection *chosen = delivery->chosen;
	const HubspotLane *lane = &chosen->lots[0].lane;
	const char *what = chosen->nlots > 1 ?
	psprintf("%d pairs of %d kinds", chosen->nclaims, chosen->nlots) :
	psprintf("%s of %d pairs, %s to %s", lane->operation, chosen->nclaims,
			 lane->from_type, lane->to_type);
	const char *others = nothers > 0 ? psprintf(" and %d more", nothers) : "";

	pgstat_report_activity(STATE_RUNNING,
						   psprintf("%s, server %s%s", what, chosen->claimant->server, others));
	delivery->answers.account_error = hubspot_authorize(chosen->client);
	suspect_all(delivery);
	if (delivery->answers.account_error)
		return true;
	if (!create_parcels(transaction, delivery))
		return false;
	delivery->free.calls = chosen->client->policy.concurrency;
	delivery->free.bytes = chosen->client->policy.reply_budget;
	begin_parcels(delivery);
	return true;
}

/* Create a parcel for each lot.  False: the extension was dropped. */
static bool
create_parcels(HubspotTransaction *transaction, HubspotDelivery *delivery)
{
	const HubspotSelection *chosen = delivery->chosen;
	HubspotLabels **labels = palloc0(sizeof(HubspotLabels *) * chosen->nlots);
	HubspotParcel **parcels = palloc(sizeof(HubspotParcel *) * chosen->nlots);
	const HubspotError *refusal;

	for (int i = 0; i < chosen->nlots; i++)
	{
		if (delivery->answers.account_error == NULL &&
			!look_up_labels(transaction, chosen, i, labels))
			return false;
		refusal = labels[i] ? hubspot_labels_refusal(labels[i]) : NULL;
		if (refusal && is_refusal(delivery, refusal))
			delivery->answers.account_error = refusal;
		parcels[i] = hubspot_parcel_create(chosen, &chosen->lots[i], labels[i],
										   &delivery->answers, delivery->progress);
	}
	delivery->parcels = parcels;
	return true;
}

/*
 * Look up the labels of a lot's object types, if its rows have labels; labels[] has those of
 * the lots before it.  False: the extension was dropped.
 */
static bool
look_up_labels(HubspotTransaction *transaction, const HubspotSelection *chosen,
			   int number, HubspotLabels **labels)
{
	const HubspotLane *lane = &chosen->lots[number].lane;

	if (!has_labels(&chosen->lots[number]) || chosen->lots[number].lane.has_keys)
		return true;
	for (int i = 0; i < number && labels[number] == NULL; i++)
	{
		const HubspotLane *other = &chosen->lots[i].lane;

		if (strcmp(other->from_type, lane->from_type) == 0 &&
			strcmp(other->to_type, lane->to_type) == 0)
			labels[number] = labels[i];
	}
	if (labels[number])
		return true;

	/* it may have taken long to get a token */
	if (!hubspot_transaction_begin(transaction))
		return false;
	hubspot_transaction_end(transaction);
	labels[number] = hubspot_labels_create(chosen->client, lane->from_type, lane->to_type);
	hubspot_labels_look_up(labels[number]);
	return true;
}

static bool
has_labels(const HubspotLot *lot)
{
	for (int i = 0; i < lot->nclaims; i++)
	{
		if (lot->claims[i].labels)
			return true;
	}
	return false;
}

/* Begin as many parcels as there are places for. */
static void
begin_parcels(HubspotDelivery *delivery)
{
	while (delivery->nbegun < delivery->chosen->nlots &&
		   delivery->answers.account_error == NULL)
	{
		HubspotParcel *parcel = delivery->parcels[delivery->nbegun];
		HubspotPlaces places;

		if (!take_places(delivery, parcel, &places))
			break;
		hubspot_parcel_start(parcel, places);
		delivery->nbegun++;
		delivery->nunder_way++;
	}
	if (delivery->nunder_way > 0)
		give_places(delivery);
}

/*
 * Take the places of the next parcel: its share of the free ones, as there are other parcels
 * that have not begun.  False: too few are free.
 */
static bool
take_places(HubspotDelivery *delivery, const HubspotParcel *parcel, HubspotPlaces *places)
{
	int			ntobegin = delivery->chosen->nlots - delivery->nbegun;
	size_t		bytes = hubspot_parcel_least_bytes(parcel);

	if (delivery->free.calls == 0 ||
		(delivery->nunder_way > 0 && bytes > delivery->free.bytes))
		return false;
	places->calls = Max(delivery->free.calls / ntobegin, 1);
	places->bytes = delivery->free.bytes / delivery->free.calls * places->calls;
	places->bytes = Min(Max(places->bytes, bytes), delivery->free.bytes);
	delivery->free.calls -= places->calls;
	delivery->free.bytes -= places->bytes;
	return true;
}

/* Give the places that are left to the parcel that has most to put. */
static void
give_places(HubspotDelivery *delivery)
{
	HubspotParcel *most = NULL;

	if (delivery->free.calls == 0 || delivery->nbegun < delivery->chosen->nlots)
		return;
	for (int i = 0; i < delivery->nbegun; i++)
	{
		HubspotParcel *parcel = delivery->parcels[i];

		if (hubspot_parcel_is_under_way(parcel) &&
			(most == NULL || hubspot_parcel_left(parcel) > hubspot_parcel_left(most)))
			most = parcel;
	}
	hubspot_parcel_widen(most, delivery->free);
	delivery->free.calls = 0;
	delivery->free.bytes = 0;
}

/*
 * Is there something to be recorded, or to be put?  If not, *wake is when to look
 * again, if nothing comes back before.
 */
HubspotDeliveryState
hubspot_delivery_look(HubspotDelivery *delivery, int64 *wake)
{
	bool		ready = (delivery->nunder_way == 0);

	*wake = HUBSPOT_NEVER;
	if (delivery->over)
		return HUBSPOT_DELIVERY_OVER;
	for (int i = 0; i < delivery->nbegun; i++)
	{
		HubspotParcel *parcel = delivery->parcels[i];
		int64		its_wake;

		if (!hubspot_parcel_is_under_way(parcel))
			continue;
		if (hubspot_parcel_waits(parcel, &its_wake))
		{
			delivery->waits = parcel;
			*wake = Min(*wake, its_wake);
		}
		else
			ready = true;
	}
	return ready ? HUBSPOT_DELIVERY_READY : HUBSPOT_DELIVERY_WAITS;
}

/*
 * In a transaction: record what has come back, and put more while we have the lease.  If the
 * lease is lost, the delivery ends early, and leaves the rows to others.  True: that was all,
 * and hubspot_delivery_finish() is to be called in another transaction.
 */
bool
hubspot_delivery_move(HubspotDelivery *delivery)
{
	for (int i = 0; i < delivery->nbegun; i++)
	{
		if (hubspot_parcel_is_under_way(delivery->parcels[i]))
			hubspot_parcel_record(delivery->parcels[i]);
	}
	if (delivery->nunder_way == 0)
		return true;
	stop_parcels(delivery);
	if (!hubspot_lease_is_kept(delivery->chosen->claimant->server))
	{
		delivery->over = true;
		return false;
	}
	put_rows(delivery);
	return delivery->nunder_way == 0;
}

/* If HubSpot refuses the account in one parcel, send nothing more of the others either. */
static void
stop_parcels(HubspotDelivery *delivery)
{
	const HubspotError *refusal = NULL;

	for (int i = 0; i < delivery->nbegun && refusal == NULL; i++)
	{
		const HubspotParcel *parcel = delivery->parcels[i];

		if (hubspot_parcel_is_under_way(parcel))
			refusal = hubspot_parcel_stopped(parcel);
		if (refusal && !is_refusal(delivery, refusal))
			refusal = NULL;
	}
	if (refusal == NULL)
		return;
	if (delivery->answers.account_error == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(delivery->answers.context);

		delivery->answers.account_error = hubspot_copy_error(refusal);
		MemoryContextSwitchTo(old);
	}
	for (int i = 0; i < delivery->nbegun; i++)
	{
		if (hubspot_parcel_is_under_way(delivery->parcels[i]))
			hubspot_parcel_stop(delivery->parcels[i], refusal);
	}
}

/*
 * Will all that the account sends meet that error, whatever is asked?  An answer that is not
 * HubSpot's may be due to a path, and searches have a limit of their own.
 */
static bool
is_refusal(const HubspotDelivery *delivery, const HubspotError *error)
{
	return error->verdict == HUBSPOT_VERDICT_ACCOUNT ||
		error->verdict == HUBSPOT_VERDICT_NO_TOKEN ||
		(error->verdict == HUBSPOT_VERDICT_RATE && is_parked(delivery));
}

static bool
is_parked(const HubspotDelivery *delivery)
{
	int64		now = hubspot_now();

	return hubspot_account_when(delivery->chosen->client->account, 0, now) > now + MIN_PARKING;
}

/*
 * Put rows into all parcels that are under way, and into those that can begin
 * because others are over.
 */
static void
put_rows(HubspotDelivery *delivery)
{
	for (int i = 0; i < delivery->nbegun; i++)
	{
		HubspotParcel *parcel = delivery->parcels[i];
		HubspotPlaces places;

		if (!hubspot_parcel_is_under_way(parcel))
			continue;
		hubspot_parcel_put(parcel);
		if (!hubspot_parcel_end(parcel, &places))
			continue;
		delivery->free.calls += places.calls;
		delivery->free.bytes += places.bytes;
		delivery->nunder_way--;
		/* their rows are put, too */
		begin_parcels(delivery);
	}
}

/* In a transaction: record what the answers say of the account. */
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
	hubspot_parcel_wait(delivery->waits, until);
}

/*
 * After the transaction: if the delivery is over, others can have the lease.  Pairs count as
 * sent only now: what is sent again after an ERROR has not changed meanwhile.
 */
void
hubspot_delivery_moved(HubspotDelivery *delivery)
{
	const HubspotSelection *chosen = delivery->chosen;

	if (!delivery->over)
		return;
	hubspot_lease_let_go(chosen->claimant->server);
	for (int i = 0; i < chosen->nlots && delivery->recorded; i++)
	{
		const HubspotLot *lot = &chosen->lots[i];

		if (lot->lane.has_keys)
			continue;			/* its rows were not sent */
		for (int j = 0; j < lot->nclaims; j++)
			hubspot_damper_sent(lot->claims[j].pair, lot->claims[j].id, chosen->newest,
								delivery->begun);
	}
}

/* How many rows were sent. */
int
hubspot_delivery_count(const HubspotDelivery *delivery)
{
	int			count = 0;

	for (int i = 0; i < delivery->nbegun; i++)
		count += hubspot_parcel_count(delivery->parcels[i]);
	return count;
}

/* Has the account failed, and could that not be recorded? */
bool
hubspot_delivery_is_unrecorded(const HubspotDelivery *delivery)
{
	return delivery->unrecorded;
}

/* From now on, an ERROR is taken for one of the rows'. */
static void
suspect_all(HubspotDelivery *delivery)
{
	const HubspotSelection *chosen = delivery->chosen;

	delivery->progress->nrows = chosen->nclaims;
	delivery->progress->row = chosen->nclaims == 1 ? chosen->lots[0].claims[0].id : 0;
}

/* All rows have come back: what does that say of the account? */
static void
record_account(HubspotDelivery *delivery)
{
	const HubspotClaimant *claimant = delivery->chosen->claimant;
	const HubspotAnswers *answers = &delivery->answers;
	const HubspotError *error = answers->account_error;

	/* if nothing got through, neither will what comes next */
	if (error == NULL && answers->nanswers == 0)
		error = answers->failure;
	if (error && error->verdict == HUBSPOT_VERDICT_RATE && is_parked(delivery))
		;						/* it is parked, and nothing else is to be
								 * done */
	else if (error)
		delivery->unrecorded = !hubspot_settle_account(claimant, error);
	else if (claimant->backing_off && answers->nanswers > 0)
		(void) hubspot_settle_account(claimant, NULL);
	hubspot_lease_release(claimant->server);
}
