/*-------------------------------------------------------------------------
 *
 * verified_slice.c
 *	  A slice of a table in sync, compared with HubSpot.
 *
 * That takes two transactions (verify.c): its rows are read in a short one of a sender; the
 * other one is begun without a snapshot, which it gets when HubSpot has answered.
 *
 * IDENTIFICATION
 *	  src/drift/verified_slice.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "api/verdict.h"
#include "drift/confirm.h"
#include "drift/difference_log.h"
#include "drift/repair.h"
#include "drift/verified_slice.h"
#include "outbox/event.h"
#include "outbox/lease.h"
#include "plan/plan.h"
#include "rows/report.h"

/* The most records of a slice, and the most rows, unless its only record has more. */
#define MOST_RECORDS	1000
#define MOST_ROWS		10000

/*
 * Where keys are to be looked up, so many a request, there are fewer rows, so that this takes
 * no more requests of both sides than are said here.
 */
#define MOST_KEYED_ROWS	2000
#define KEYS_A_LOOKUP	100
#define MOST_LOOKUPS	((MOST_RECORDS + MOST_KEYED_ROWS) / KEYS_A_LOOKUP)

/* The least requests that a slice may take, and the part of the rate that all may take. */
#define LEAST_REQUESTS	10
#define RATE_PART		10
#define RATE_PERIOD		(10 * USECS_PER_SEC)

/* How long an attempt may take, in ms, and which part of what the slice may take. */
#define MOST_ATTEMPT	20000
#define ATTEMPT_PART	2

/* How long a transaction waits for a lock, for the lease, and for a lock with the lease. */
#define MOST_WAIT		"2s"
#define MOST_LEASE_WAIT	"10s"
#define LEAST_WAIT		"100ms"

/* After so many failures, a record that is alone is left out. */
#define MOST_FAILURES	5

/* A difference that comes back is known for so many times the period. */
#define REMEMBERED		10

/* What may be added at once, of what is found. */
typedef struct Candidates
{
	bool	   *open;			/* in the log */
	HubspotFoundDifferences *found;
} Candidates;

static void bound_waits(const char *time);
static const char *place_of(const HubspotVerifyState *state);
static HubspotClient *connect_for(HubspotVerifiedSlice *slice);
static int	lookups_of(const HubspotVerifiedSlice *slice);
static bool is_conclusive(HubspotVerifiedSlice *slice, HubspotDrift *drift);
static bool look_again(HubspotVerifiedSlice *slice, HubspotDrift *drift);
static const HubspotSync *find_sync(const HubspotSync *former);
static void take_row(void *state, const HubspotDrift *drift, const HubspotDriftRow *row);
static void settle_differences(HubspotVerifiedSlice *slice, HubspotDrift *drift);
static void take_addition(void *state, const HubspotDrift *drift, const HubspotDriftRow *row);
static void repair(HubspotVerifiedSlice *slice, HubspotDrift *drift,
				   const HubspotFoundDifferences *found);
static void go_on(HubspotVerifiedSlice *slice);
static void end_reading(HubspotVerifiedSlice *slice);
static void end_pass(HubspotVerifiedSlice *slice, const char *held_back);

/* In a transaction that has just begun: it waits for no lock for long. */
void
hubspot_verify_bound_waits(void)
{
	bound_waits(MOST_WAIT);
}

static void
bound_waits(const char *time)
{
	(void) set_config_option("lock_timeout", time, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* How often a table is compared, in microseconds. */
int64
hubspot_verify_period(const HubspotSync *sync)
{
	const Interval *verify = sync->verify;

	return verify->time +
		(verify->day + (int64) verify->month * DAYS_PER_MONTH) * USECS_PER_DAY;
}

/*
 * Read the next rows of the table, and what waits.  False: the sync has ended since it was
 * found.
 */
bool
hubspot_verified_slice_read(HubspotVerifiedSlice *slice)
{
	HubspotVerifyState *state = &slice->state;
	const HubspotSync *sync;
	bool		has_keys;
	HubspotDelta delta;
	HubspotPending pending;

	LockRelationOid(slice->sync->link_table, AccessShareLock);
	sync = find_sync(slice->sync);
	if (sync == NULL)
		return false;
	slice->sync = sync;
	has_keys = (sync->wait_for_records != NULL);
	if (state->began_at == 0)
		state->began_at = GetCurrentTimestamp();
	hubspot_delta_init(&delta, sync, sync->link_table);
	hubspot_link_slice_read(&slice->links, &delta, place_of(state),
							Min(state->size, MOST_RECORDS), has_keys ? MOST_KEYED_ROWS : MOST_ROWS);
	hubspot_drift_pending(sync, &pending);
	slice->pending = hubspot_pending_pairs(&pending, true);
	return true;
}

/* Where the slice begins; NULL: at the beginning. */
static const char *
place_of(const HubspotVerifyState *state)
{
	return state->place && state->place[0] ? state->place : NULL;
}

/* Compare the slice with what HubSpot holds, and record what comes of it. */
void
hubspot_verified_slice_compare(HubspotVerifiedSlice *slice, HubspotTransaction *transaction)
{
	HubspotDrift *drift;

	hubspot_transaction_begin_blind(transaction);
	hubspot_verify_bound_waits();
	drift = hubspot_drift_create(slice->sync, connect_for(slice), NULL, true);
	drift->pending = slice->pending;
	InvalidateCatalogSnapshot();
	hubspot_drift_compare(drift, slice->links.rows);
	if (hubspot_transaction_look(transaction))
	{
		if (is_conclusive(slice, drift) && look_again(slice, drift))
		{
			settle_differences(slice, drift);
			go_on(slice);
		}
		hubspot_verify_pace(slice->sync->server, hubspot_verified_slice_paced(slice));
	}
	hubspot_drift_end(drift);
	hubspot_transaction_end(transaction);
}

/* The account, with the login that the sync is sent with, for somebody who has others to serve. */
static HubspotClient *
connect_for(HubspotVerifiedSlice *slice)
{
	const HubspotSync *sync = slice->sync;
	HubspotClient *client;
	HubspotOptions *options;
	int			most_attempt = Min(slice->most_time / ATTEMPT_PART, MOST_ATTEMPT);
	const HubspotError *error = hubspot_connect_as(sync->role, sync->server, &client);

	if (error)
		hubspot_throw_error(error, psprintf("could not use server \"%s\" for the role of sync %d",
											sync->server, sync->id),
							HUBSPOT_NOTHING_DONE);
	options = palloc(sizeof(HubspotOptions));
	*options = *client->options;
	options->request_timeout = Min(options->request_timeout, most_attempt);
	options->connect_timeout = Min(options->connect_timeout, most_attempt);
	client->options = options;
	slice->most_requests = Max(options->rate_limit / RATE_PART, LEAST_REQUESTS) + lookups_of(slice);
	client->policy.max_requests = slice->most_requests;
	client->policy.max_retries = 0;
	client->policy.impatient = true;
	slice->client = client;
	return client;
}

/* How many requests look up the keys of its rows, if each is asked for once. */
static int
lookups_of(const HubspotVerifiedSlice *slice)
{
	const HubspotSync *sync = slice->sync;
	int64		nkeys = 0;

	if (strchr(sync->from_type, ':'))
		nkeys += slice->links.nrecords + KEYS_A_LOOKUP - 1;
	if (strchr(sync->to_type, ':'))
		nkeys += slice->links.nrows + KEYS_A_LOOKUP - 1;
	return Min(nkeys / KEYS_A_LOOKUP, MOST_LOOKUPS);
}

/*
 * Is enough known of the slice?  If its requests were too many for all that there is to be
 * read, it is tried again with fewer records.  ERROR if HubSpot, or the way there, has failed.
 */
static bool
is_conclusive(HubspotVerifiedSlice *slice, HubspotDrift *drift)
{
	HubspotDifferences *differences = drift->differences;
	HubspotVerifyState *state = &slice->state;
	bool		exhausted = (*slice->client->sent >= slice->most_requests);
	int64		nfailed = 0;
	int64		nunsure = 0;
	HubspotUnpackedChange failure;
	HubspotSlice packed;
	int64		no;

	hubspot_differences_rewind(differences);
	while (hubspot_differences_next(differences, &no, &packed))
	{
		HubspotUnpackedChange unpacked;

		hubspot_unpack_change(packed, &unpacked);
		nunsure += (differences->marks[no] & HUBSPOT_DIFFERENCE_UNSURE) ? 1 : 0;
		if (hubspot_is_notice(unpacked.change.action) && unpacked.change.error &&
			!hubspot_is_of_record(unpacked.change.error->verdict) && nfailed++ == 0)
			failure = unpacked;
	}
	slice->unknown = drift->plan.counts.unreadable + drift->plan.counts.unresolved;
	if (exhausted && nfailed + nunsure > 0 && slice->links.nrecords > 1)
	{
		state->size = Max(slice->links.nrecords / 4, 1);
		hubspot_verify_save(state, &slice->sums);
		return false;
	}
	if (nfailed == 0 || exhausted || drift->plan.counts.records > nfailed ||
		(state->failures >= MOST_FAILURES && slice->links.nrecords == 1))
		return true;
	/* what was to be compared is said where the ERROR is caught */
	hubspot_throw_error(&failure.error, "could not read records from HubSpot", HUBSPOT_NOTHING_DONE);
}

/*
 * Which differences are there by what is committed now?  If some are to be put right, with
 * the lease of the server (repair.c), for which others are waited for, before anything else
 * is locked.  With it, nobody who has locked a table is waited for.  False: the sync has
 * ended meanwhile.
 */
static bool
look_again(HubspotVerifiedSlice *slice, HubspotDrift *drift)
{
	const HubspotSync *sync = slice->sync;
	bool		repairs = slice->state.repairs || strcmp(sync->on_drift, "add") == 0;

	if (repairs && drift->differences->count > 0)
	{
		bound_waits(MOST_LEASE_WAIT);
		hubspot_lease_wait(sync->server);
		bound_waits(LEAST_WAIT);
	}
	hubspot_drift_lock(drift);
	if (find_sync(sync) == NULL)
		return false;
	hubspot_drift_confirm(drift);
	slice->found = hubspot_found_differences(drift);
	hubspot_drift_rows(drift, take_row, slice);
	return true;
}

/*
 * The sync as it is now, when its table is locked: its columns may have other names.  NULL: it
 * has ended.
 */
static const HubspotSync *
find_sync(const HubspotSync *former)
{
	ListCell   *lc;

	foreach(lc, hubspot_syncs(hubspot_outbox_schema(false), former->link_table))
	{
		const HubspotSync *sync = lfirst(lc);

		if (sync->id == former->id)
		{
			hubspot_sync_check_columns(sync);
			return sync;
		}
	}
	return NULL;
}

/* Callback: a difference that is left. */
static void
take_row(void *state, const HubspotDrift *drift, const HubspotDriftRow *row)
{
	HubspotVerifiedSlice *slice = state;
	HubspotVerifyState *pass = &slice->state;
	HubspotAction action = row->unpacked.change.action;

	if (row->dead || hubspot_is_notice(action))
		return;

	/* the guard allows no more removals than are logged */
	if (hubspot_is_removal(action) && !pass->repairs)
	{
		if (pass->logged >= HUBSPOT_MOST_USUAL_REMOVALS)
			return;
		pass->logged++;
	}
	hubspot_found_difference_put(slice->found, row);
}

/* Count and log the differences, or enqueue what puts them right. */
static void
settle_differences(HubspotVerifiedSlice *slice, HubspotDrift *drift)
{
	const HubspotSync *sync = slice->sync;
	HubspotVerifyState *state = &slice->state;
	const HubspotPlanCounts *counts = &drift->plan.counts;
	Candidates	candidates;

	if (state->repairs)
	{
		repair(slice, drift, slice->found);
		return;
	}
	state->records += counts->records;
	state->wanted += counts->wanted;
	state->held += counts->held;
	state->missing += drift->counts.missing;
	state->extra += drift->counts.extra;
	state->unknown += slice->unknown + drift->counts.unsure + counts->spared;
	slice->sums.records = counts->records;

	candidates.open = palloc0(drift->differences->count + 1);
	candidates.found = hubspot_found_differences(drift);
	slice->sums.differences =
		hubspot_log_differences(slice->found, state->place,
								GetCurrentTimestamp() - REMEMBERED * hubspot_verify_period(sync),
								candidates.open);
	if (slice->sums.differences > 0)
		hubspot_event_note(sync->server, HUBSPOT_EVENT_DRIFT, slice->sums.differences);
	if (strcmp(sync->on_drift, "add") != 0)
		return;
	hubspot_drift_rows(drift, take_addition, &candidates);
	repair(slice, drift, candidates.found);
}

/* Callback: what may be added at once. */
static void
take_addition(void *state, const HubspotDrift *drift, const HubspotDriftRow *row)
{
	Candidates *candidates = state;

	if (candidates->open[row->no] && !hubspot_is_removal(row->unpacked.change.action))
		hubspot_found_difference_put(candidates->found, row);
}

/* Enqueue what puts these differences right, as far as they are open in the log of this pass. */
static void
repair(HubspotVerifiedSlice *slice, HubspotDrift *drift, const HubspotFoundDifferences *found)
{
	int64		count = drift->differences->count;
	bool	   *repaired = palloc0(count + 1);

	if (hubspot_log_repairs(found, slice->state.began_at, repaired) == 0)
		return;
	for (int64 i = 0; i < count; i++)
	{
		if (!repaired[i])
			drift->differences->marks[i] |= HUBSPOT_DIFFERENCE_STAYS;
	}
	hubspot_drift_keep_defaults(drift);
	slice->sums.repaired = hubspot_repair_enqueue(drift);
}

/* Where does the pass go on? */
static void
go_on(HubspotVerifiedSlice *slice)
{
	HubspotVerifyState *state = &slice->state;

	state->size = Min(2 * state->size, MOST_RECORDS);
	if (state->repairs)
		state->place = hubspot_log_next_place(state->sync, state->began_at, state->place);
	else
		state->place = slice->links.end;
	if (state->place == NULL && !state->repairs)
		end_reading(slice);
	else if (state->place == NULL)
		end_pass(slice, NULL);
	else
		hubspot_verify_save(state, &slice->sums);
}

/* The table was read to its end: is anything to be put right, and may it be? */
static void
end_reading(HubspotVerifiedSlice *slice)
{
	HubspotVerifyState *state = &slice->state;
	HubspotPlanCounts counts = {.wanted = state->wanted,.held = state->held};
	char	   *reason;

	if (strcmp(slice->sync->on_drift, "mirror") != 0)
	{
		end_pass(slice, NULL);
		return;
	}
	counts.removed = state->extra - hubspot_log_contested(state->sync, state->began_at);
	reason = hubspot_plan_excess(&counts, HUBSPOT_USUAL_REMOVALS);
	if (reason)
	{
		end_pass(slice, psprintf(ngettext("%lld association would be removed. %s",
										  "%lld associations would be removed. %s",
										  (unsigned long) counts.removed),
								 (long long) counts.removed, reason));
		return;
	}
	state->place = hubspot_log_next_place(state->sync, state->began_at, NULL);
	if (state->place == NULL)
	{
		end_pass(slice, NULL);
		return;
	}
	state->repairs = true;
	hubspot_verify_save(state, &slice->sums);
}

/* The pass is over; held_back: why it has put nothing right, or NULL. */
static void
end_pass(HubspotVerifiedSlice *slice, const char *held_back)
{
	const HubspotVerifyState *state = &slice->state;
	int64		period = hubspot_verify_period(slice->sync);

	hubspot_verify_save(state, &slice->sums);
	hubspot_log_forget(state->sync, state->began_at,
					   GetCurrentTimestamp() - REMEMBERED * period);
	hubspot_verify_end(state->sync, state->began_at + period, held_back);
}

/* Until when is nothing read of the server, so that all takes a part of its rate? */
TimestampTz
hubspot_verified_slice_paced(const HubspotVerifiedSlice *slice)
{
	TimestampTz now = GetCurrentTimestamp();
	const HubspotClient *client = slice->client;

	if (client == NULL || client->options->rate_limit == 0)
		return now;
	return now + *client->sent * RATE_PART * RATE_PERIOD / client->options->rate_limit;
}

/* Free what outlives transactions, also after an ERROR. */
void
hubspot_verified_slice_end(HubspotVerifiedSlice *slice)
{
	if (slice->links.rows)
		tuplestore_end(slice->links.rows);
	if (slice->pending)
		tuplestore_end(slice->pending);
	memset(slice, 0, sizeof(HubspotVerifiedSlice));
}
