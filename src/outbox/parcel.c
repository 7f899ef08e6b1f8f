/*-------------------------------------------------------------------------
 *
 * parcel.c
 *	  Rows of one lane on their way to HubSpot and back.
 *
 * A delivery (delivery.c) has a parcel for each lot, each with a batch of its own:
 *
 *		created --> under way --> over
 *
 * What fails is charged to whom it belongs.  A row that HubSpot refuses becomes a dead letter.
 * Rows of one pair that were refused as one input are sent again, one by one, since HubSpot
 * may have refused one of them.  A row that was not confirmed is sent again later, in requests
 * of half the size each time, so that one row that makes its requests fail ends up alone.  If
 * HubSpot refuses requests without naming a row, and it takes long to find out which ones it
 * refuses, those that are left come after the others.  Rows that are not sent because all like
 * them were refused wait longer and longer.  If the account is refused, or cannot be reached,
 * that costs the rows nothing: the delivery deals with it.
 *
 * Where rows name records by keys, their lane's parcel looks these up (found.c), and a
 * later round sends the rows.
 *
 * A parcel has a memory context of its own within the round's, which is
 * deleted when the parcel is over.
 *
 * IDENTIFICATION
 *	  src/outbox/parcel.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "api/error.h"
#include "base/clock.h"
#include "call/unit.h"
#include "outbox/doubt.h"
#include "outbox/found.h"
#include "outbox/parcel.h"
#include "outbox/precedence.h"
#include "outbox/settle.h"
#include "outbox/share.h"
#include "outbox/undone.h"
#include "rows/raw_input.h"

/*
 * How long to search for the rows that a refusal is about, in microseconds; then the account's
 * other rows have their turn.
 */
#define MAX_SEARCH			(10 * INT64CONST(1000000))

/*
 * How long operations are kept that an earlier one may undo, in milliseconds: as a rule,
 * longer than that one is tried if its look-ups fail.
 */
#define LATE_RETENTION		(2 * 60 * 60 * 1000)

struct HubspotParcel
{
	const HubspotSelection *chosen;
	const HubspotLot *lot;
	HubspotLabels *labels;		/* or NULL: no row has labels */
	HubspotAnswers *answers;
	HubspotProgress *progress;
	HubspotClient client;		/* with what it may take up */
	int			nput;			/* rows of the lot that are in the batch */

	/* while it is under way */
	MemoryContext context;		/* of what follows; or NULL */
	HubspotBatch *batch;
	HubspotDirection direction; /* of the batch */
	HubspotLastTypes last_types;
	TimestampTz sent_at;
	int64		search_until;	/* as of hubspot_now() */

	/* what has come back and is not recorded yet */
	const HubspotClaim **done;
	int			ndone;
	int64	   *doubtful;		/* pairs of which an operation may still be
								 * done */
	int64	   *doubtful_ids;	/* the rows of these operations */
	int			ndoubtful;
	HubspotUndone *undone;
	HubspotFound *found;		/* of a lane with keys; else NULL */
	HubspotTally tally;			/* of a lane with keys: counts rows whose
								 * look-ups settle them */
};

static void set_direction(HubspotParcel *parcel);
static void suspect_all(HubspotParcel *parcel);
static void suspect(HubspotParcel *parcel, int64 row);
static void set_types(HubspotRawInput *raw, const HubspotClaim *claim);
static int	retention(const HubspotParcel *parcel);
static void settle(HubspotParcel *parcel, const HubspotOutcome *outcome);
static void settle_lookup(HubspotParcel *parcel, const HubspotClaim *claim,
						  const HubspotOutcome *outcome);
static void settle_error(HubspotParcel *parcel, const HubspotClaim *claim,
						 const HubspotError *error);
static void note_failure(HubspotParcel *parcel, const HubspotClaim *claim,
						 const HubspotError *error);
static HubspotError *copy_error(const HubspotParcel *parcel, const HubspotError *error);
static void note_doubt(HubspotParcel *parcel, const HubspotClaim *claim);

/*
 * Create a parcel of a lot, in the current memory context.  progress is kept
 * up to date.
 */
HubspotParcel *
hubspot_parcel_create(const HubspotSelection *chosen, const HubspotLot *lot,
					  HubspotLabels *labels, HubspotAnswers *answers,
					  HubspotProgress *progress)
{
	HubspotParcel *parcel = palloc0(sizeof(HubspotParcel));

	parcel->chosen = chosen;
	parcel->lot = lot;
	parcel->labels = labels;
	parcel->answers = answers;
	parcel->progress = progress;
	parcel->client = *chosen->client;
	return parcel;
}

/* How many bytes the reply to one of its calls may have. */
size_t
hubspot_parcel_least_bytes(const HubspotParcel *parcel)
{
	const HubspotEndpoint *endpoint = hubspot_endpoint(parcel->lot->operation);
	int			limit = hubspot_request_rows(endpoint, parcel->client.policy.batch_size, 0, 0);

	return hubspot_max_reply(endpoint, Min(parcel->lot->nclaims, limit));
}

/* Begin to send a parcel, with these places. */
void
hubspot_parcel_start(HubspotParcel *parcel, HubspotPlaces places)
{
	const HubspotLane *lane = &parcel->lot->lane;
	int			nclaims = parcel->lot->nclaims;
	MemoryContext old;

	parcel->context = AllocSetContextCreate(parcel->answers->context, "hubspot_assoc parcel",
											ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(parcel->context);
	parcel->client.policy.concurrency = places.calls;
	parcel->client.policy.reply_budget = places.bytes;
	parcel->sent_at = GetCurrentTimestamp();
	parcel->search_until = hubspot_now() + MAX_SEARCH;
	parcel->done = palloc(sizeof(HubspotClaim *) * nclaims);
	parcel->doubtful = palloc(sizeof(int64) * nclaims);
	parcel->doubtful_ids = palloc(sizeof(int64) * nclaims);
	parcel->undone = hubspot_undone_create(nclaims, parcel->client.options->max_attempts);
	parcel->last_types.context = AllocSetContextCreate(parcel->context,
													   "hubspot_assoc types",
													   ALLOCSET_SMALL_SIZES);
	parcel->client.policy.is_preparation = lane->has_keys;
	if (lane->has_keys)
	{
		/* selection.c has looked: there is one */
		(void) hubspot_outbox_operation(lane->operation, &parcel->tally.operation);
		parcel->tally.account = parcel->client.account;
		parcel->found = hubspot_found_create(nclaims, parcel->chosen->claimant, &parcel->tally);
	}
	set_direction(parcel);
	parcel->batch = hubspot_batch_create(&parcel->client, parcel->lot->operation,
										 &parcel->direction.from_type,
										 &parcel->direction.to_type, lane->keep_labels);
	MemoryContextSwitchTo(old);
}

static void
set_direction(HubspotParcel *parcel)
{
	const HubspotLane *lane = &parcel->lot->lane;
	HubspotDirection *direction = &parcel->direction;
	char	   *hint;

	direction->from_type.name = lane->from_type;
	direction->to_type.name = lane->to_type;
	if (lane->has_keys &&
		(hubspot_parse_object_type(lane->from_type, &direction->from_type, &hint) ||
		 hubspot_parse_object_type(lane->to_type, &direction->to_type, &hint)))
		elog(ERROR, "unexpected object types: %s, %s", lane->from_type, lane->to_type);
}

/* Give a parcel the places of one that is over. */
void
hubspot_parcel_widen(HubspotParcel *parcel, HubspotPlaces places)
{
	parcel->client.policy.concurrency += places.calls;
	parcel->client.policy.reply_budget += places.bytes;
	hubspot_batch_take_places(parcel->batch);
}

bool
hubspot_parcel_is_under_way(const HubspotParcel *parcel)
{
	return parcel->context != NULL;
}

/* How many rows are not in the batch yet? */
int
hubspot_parcel_left(const HubspotParcel *parcel)
{
	return parcel->lot->nclaims - parcel->nput;
}

/*
 * Is there nothing to be recorded, or to be put?  Then *wake is when to look again, if
 * nothing comes back before.
 */
bool
hubspot_parcel_waits(HubspotParcel *parcel, int64 *wake)
{
	return hubspot_batch_waits(parcel->batch, wake);
}

/* Wait until something has come back, for this parcel or for another one. */
void
hubspot_parcel_wait(HubspotParcel *parcel, int64 until)
{
	hubspot_batch_wait_for_any(parcel->batch, until);
}

/* After all is recorded: is the parcel over?  Then others can have its places. */
bool
hubspot_parcel_end(HubspotParcel *parcel, HubspotPlaces *places)
{
	if (!hubspot_batch_is_over(parcel->batch))
		return false;
	places->calls = parcel->client.policy.concurrency;
	places->bytes = parcel->client.policy.reply_budget;
	MemoryContextDelete(parcel->context);
	parcel->context = NULL;
	return true;
}

/* Does it look up keys, rather than send rows? */
bool
hubspot_parcel_looks_up(const HubspotParcel *parcel)
{
	return parcel->lot->lane.has_keys;
}

/* How many rows were sent. */
int
hubspot_parcel_count(const HubspotParcel *parcel)
{
	return hubspot_parcel_looks_up(parcel) ? 0 : parcel->nput;
}

/* Why nothing more of a parcel that is under way is sent; or NULL. */
const HubspotError *
hubspot_parcel_stopped(const HubspotParcel *parcel)
{
	return hubspot_batch_stopped(parcel->batch);
}

/* Send nothing more of a parcel that is under way, because of what another one has met. */
void
hubspot_parcel_stop(HubspotParcel *parcel, const HubspotError *error)
{
	hubspot_batch_refuse(parcel->batch, error);
}

/* From now on, an ERROR is taken for one of the rows'. */
static void
suspect_all(HubspotParcel *parcel)
{
	parcel->progress->nrows = parcel->lot->nclaims;
	parcel->progress->row = parcel->lot->nclaims == 1 ? parcel->lot->claims[0].id : 0;
}

/* From now on, an ERROR is taken for this row's. */
static void
suspect(HubspotParcel *parcel, int64 row)
{
	parcel->progress->nrows = 1;
	parcel->progress->row = row;
}

/* Put rows into the batch while it has room, and finish it after the last. */
void
hubspot_parcel_put(HubspotParcel *parcel)
{
	HubspotInputShape shape = hubspot_parcel_looks_up(parcel) ? HUBSPOT_INPUT_PAIR :
	hubspot_endpoint(parcel->lot->operation)->input_shape;
	bool		finished = (parcel->nput == parcel->lot->nclaims);
	MemoryContext old = MemoryContextSwitchTo(parcel->context);
	int			room;

	while (parcel->nput < parcel->lot->nclaims &&
		   (room = hubspot_batch_room(parcel->batch)) > 0)
	{
		while (room-- > 0 && parcel->nput < parcel->lot->nclaims)
		{
			int			number = parcel->nput++;
			const HubspotClaim *claim = &parcel->lot->claims[number];
			HubspotRawInput raw = {0};

			suspect(parcel, claim->id);
			raw.input.no = number;
			raw.input.from_id = claim->from_id;
			raw.input.to_id = claim->to_id;
			if (!hubspot_parcel_looks_up(parcel))
				set_types(&raw, claim);
			hubspot_raw_input_check(&raw, shape, &parcel->direction,
									&parcel->last_types);
			if (shape == HUBSPOT_INPUT_TYPED_PAIR)
				hubspot_raw_input_make_types(&raw, parcel->labels,
											 &parcel->last_types);
			suspect_all(parcel);
			hubspot_batch_put(parcel->batch, &raw.input, raw.error);
		}
	}
	if (!finished && parcel->nput == parcel->lot->nclaims)
		hubspot_batch_finish(parcel->batch);
	MemoryContextSwitchTo(old);
}

static void
set_types(HubspotRawInput *raw, const HubspotClaim *claim)
{
	raw->category = claim->category;
	if (claim->type_ids)
		hubspot_raw_input_type_ids(raw, claim->type_ids);
	if (claim->labels)
		hubspot_raw_input_labels(raw, claim->labels);
}

/* In a transaction: record what has come back. */
void
hubspot_parcel_record(HubspotParcel *parcel)
{
	MemoryContext old = MemoryContextSwitchTo(parcel->context);
	HubspotOutcome outcome;

	suspect_all(parcel);
	if (hubspot_now() > parcel->search_until)
		hubspot_batch_put_off(parcel->batch,
							  "put off, to let others go first: HubSpot has refused requests without naming an input");
	while (hubspot_batch_get(parcel->batch, &outcome))
		settle(parcel, &outcome);
	if (parcel->found)
		hubspot_found_settle(parcel->found);
	if (parcel->ndoubtful > 0)
	{
		hubspot_doubt_add(parcel->chosen->claimant->server, parcel->doubtful,
						  parcel->doubtful_ids, parcel->ndoubtful,
						  parcel->client.options->request_timeout);
		parcel->answers->has_doubts = true;
	}
	/* what was alone has nothing to outdate, if there are no dead letters */
	if (parcel->ndone > 0 && (!parcel->chosen->alone || parcel->answers->has_letters))
		hubspot_settle_confirmed(parcel->chosen->claimant, parcel->done,
								 parcel->ndone);
	if (parcel->ndone > 0 && parcel->answers->has_doubts)
		parcel->ndone = hubspot_doubt_defer(parcel->done, parcel->ndone);
	if (parcel->ndone > 0)
		hubspot_settle_done(parcel->chosen->claimant, &parcel->lot->lane, parcel->done,
							parcel->ndone, parcel->sent_at, retention(parcel),
							parcel->client.options->history_retention > 0);
	parcel->ndoubtful = 0;
	parcel->ndone = 0;
	hubspot_undone_settle(parcel->undone);
	MemoryContextSwitchTo(old);
}

/*
 * For how many milliseconds are confirmed rows kept?  Longer while there may be an earlier row
 * that would undo them, whose records are found late (found.c).
 */
static int
retention(const HubspotParcel *parcel)
{
	const HubspotClaimant *claimant = parcel->chosen->claimant;
	int			retention = parcel->client.options->sent_retention;

	if (claimant->has_late)
		return Max(retention, LATE_RETENTION);
	for (int i = 0; i < parcel->ndone; i++)
	{
		if (parcel->done[i]->id > claimant->first_unasked)
			return Max(retention, LATE_RETENTION);
	}
	return retention;
}

/* Take note of what is to be done about the outcome of a row. */
static void
settle(HubspotParcel *parcel, const HubspotOutcome *outcome)
{
	const HubspotError *error = outcome->error;
	const HubspotClaim *claim = &parcel->lot->claims[outcome->input_no];

	if (parcel->found)
	{
		settle_lookup(parcel, claim, outcome);
		return;
	}
	if (outcome->doubtful || (error && hubspot_is_unconfirmed(error->verdict)))
		note_doubt(parcel, claim);
	if (error == NULL)
	{
		parcel->done[parcel->ndone++] = claim;
		parcel->answers->nanswers++;
	}
	else
	{
		parcel->answers->has_letters = true;	/* for all we know */
		settle_error(parcel, claim, error);
	}
}

/* Likewise, where the keys of the row were looked up. */
static void
settle_lookup(HubspotParcel *parcel, const HubspotClaim *claim,
			  const HubspotOutcome *outcome)
{
	const HubspotError *error = outcome->error;
	bool		removes = hubspot_removes(parcel->lot->lane.operation);

	if (error && error->verdict != HUBSPOT_VERDICT_NO_RECORD)
	{
		parcel->answers->has_letters = true;
		hubspot_account_count_failed(&parcel->tally, error->category, 1);
		settle_error(parcel, claim, error);
		return;
	}
	parcel->answers->nanswers++;
	if (error == NULL)
		hubspot_found_note(parcel->found, claim, outcome->from_record, outcome->to_record);
	else if (removes && (!error->late || claim->waited > 0))
	{
		/* it isn't there */
		parcel->done[parcel->ndone++] = claim;
		hubspot_account_count_inputs(&parcel->tally, 1, 1);
	}
	else
		hubspot_missing_note(parcel->found, claim, removes, error);
}

static void
settle_error(HubspotParcel *parcel, const HubspotClaim *claim,
			 const HubspotError *error)
{
	const HubspotError *stopped = hubspot_batch_stopped(parcel->batch);

	switch (error->verdict)
	{
		case HUBSPOT_VERDICT_INVALID:
			hubspot_undone_note(parcel->undone, claim->id, HUBSPOT_SETTLE_DEAD, error);
			parcel->answers->nanswers++;
			break;
		case HUBSPOT_VERDICT_INPUT:
		case HUBSPOT_VERDICT_REQUEST:
		case HUBSPOT_VERDICT_INTERNAL:
		case HUBSPOT_VERDICT_NO_RECORD:
		case HUBSPOT_VERDICT_MANY_RECORDS:
			if (claim->shares)
				hubspot_undone_note(parcel->undone, claim->id, HUBSPOT_SETTLE_APART, error);
			else
				hubspot_undone_note(parcel->undone, claim->id, HUBSPOT_SETTLE_DEAD, error);
			parcel->answers->nanswers++;
			break;
		case HUBSPOT_VERDICT_BUSY:
		case HUBSPOT_VERDICT_UNCONFIRMED:
			note_failure(parcel, claim, error);
			break;
		case HUBSPOT_VERDICT_SCOPE:
			/* it may be missing for these object types, and not for others */
			hubspot_undone_note(parcel->undone, claim->id, HUBSPOT_SETTLE_LATER, error);
			break;
		case HUBSPOT_VERDICT_LIKE_OTHERS:
			hubspot_undone_note(parcel->undone, claim->id, HUBSPOT_SETTLE_LONGER, error);
			break;
		case HUBSPOT_VERDICT_NOT_SENT:
			if (hubspot_batch_is_put_off(parcel->batch, error))
			{
				hubspot_undone_note(parcel->undone, claim->id, HUBSPOT_SETTLE_SOON, error);
				break;
			}
			if (stopped && stopped->verdict == HUBSPOT_VERDICT_SCOPE)
			{
				hubspot_undone_note(parcel->undone, claim->id, HUBSPOT_SETTLE_LATER, error);
				break;
			}
			if (stopped == NULL && parcel->found)
			{
				/* a look-up has failed, or was not answered */
				note_failure(parcel, claim, error);
				break;
			}
			/* FALLTHROUGH */
		case HUBSPOT_VERDICT_UNREACHED:
		case HUBSPOT_VERDICT_ACCOUNT:
		case HUBSPOT_VERDICT_FOREIGN:
		case HUBSPOT_VERDICT_NO_TOKEN:
		case HUBSPOT_VERDICT_RATE:
			if (parcel->answers->account_error == NULL)
				parcel->answers->account_error = copy_error(parcel, error);
			break;
	}
}

/*
 * Note a failed attempt.  Of the account it says nothing if the row has failed before: then
 * the row may be the cause itself.
 */
static void
note_failure(HubspotParcel *parcel, const HubspotClaim *claim, const HubspotError *error)
{
	if (parcel->answers->failure == NULL && parcel->lot->lane.attempts == 0)
		parcel->answers->failure = copy_error(parcel, error);
	hubspot_undone_note(parcel->undone, claim->id, HUBSPOT_SETTLE_FAILED, error);
}

static HubspotError *
copy_error(const HubspotParcel *parcel, const HubspotError *error)
{
	MemoryContext old = MemoryContextSwitchTo(parcel->answers->context);
	HubspotError *copy = hubspot_copy_error(error);

	MemoryContextSwitchTo(old);
	return copy;
}

/* Note that what was asked for may still be done, once for the rows of a pair that go together. */
static void
note_doubt(HubspotParcel *parcel, const HubspotClaim *claim)
{
	int			n = parcel->ndoubtful;

	if (n > 0 && parcel->doubtful_ids[n - 1] == claim->last_id)
		return;
	parcel->doubtful[n] = claim->pair;
	parcel->doubtful_ids[n] = claim->last_id;
	parcel->ndoubtful++;
}
