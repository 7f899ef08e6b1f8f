/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  Tables in sync, compared with HubSpot by workers, a slice at a time.
 *
 * A worker does a slice between two rounds of sending: at most 1,000 records of a table, in
 * two transactions.
 *
 *		read		a short one: whose turn it is, that table's rows from the place to
 *					which it has come, and what waits in the outbox
 *		compare		HubSpot is read and compared.  The machinery of plans needs a
 *					transaction for that; this one has no snapshot and no lock (but for
 *					what it looks up in the catalogs), so that it holds nothing back.
 *					Then it gets them: the differences that are left by what is committed
 *					now are logged, or put right, and the place is written.
 *
 * A slice has a bound in records, rows, requests and time, and each wait for a lock has one,
 * too.  After a slice, nothing is read of its server for as long as its requests take at a
 * tenth of the rate, and this process does nothing of the kind for four times as long as the
 * slice has taken.  One process of a database does that at a time.
 *
 * A pass goes through a table once.  Where something may be removed, the guard of plans needs
 * all of it: so a pass of 'mirror' puts nothing right before its end.  Then it goes through
 * those slices again in which something was found.  What is repaired is repaired as by hand
 * (repair.c), and only if it is in the log as found in this pass.
 *
 * An ERROR is charged to the sync whose slice it was, which has its next turn later, and
 * those of others come first.  Nobody else hears of it.
 *
 * IDENTIFICATION
 *	  src/drift/verify.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "base/attempt.h"
#include "base/clock.h"
#include "drift/verified_slice.h"
#include "drift/verify.h"
#include "outbox/charge.h"
#include "schema/origin.h"

/*
 * How long a slice may take, in ms: at first, and twice as long after each failure, up to the
 * most.  Nobody else is served by this process meanwhile.
 */
#define FIRST_SLICE		20000
#define MOST_SLICE		60000

/*
 * What a table's owner has put into an index is run when a statement is planned, and may catch
 * the ERROR that comes of that.  So this much later the process ends.
 */
#define MOST_OVERTIME	5000

/* How long this process rests after a slice, in parts of that one's time. */
#define REST_PART		4

/* When the tables are looked at again, in us: if another process is at it, if somebody has
 * committed something, and after an ERROR that is charged to no sync. */
#define BUSY_DELAY		(10 * USECS_PER_SEC)
#define WOKEN_DELAY		USECS_PER_SEC
#define ERROR_DELAY		(60 * USECS_PER_SEC)

/* After a failure, the next attempt is later by this much, which doubles; at most by that. */
#define FIRST_DELAY		USECS_PER_SEC
#define MOST_DELAY		(60 * 60 * USECS_PER_SEC)

/* The most bytes of a message that are kept. */
#define MAX_MESSAGE		1000

/* What tells the lock of who does this from those of other code ("hv"). */
#define VERIFY_KEY		0x6876

struct HubspotVerifier
{
	MemoryContext slice_context;	/* of all of a slice */
	MemoryContext fault_context;
	HubspotTransaction transaction;
	int64		look_at;		/* when to look, as of hubspot_now() */
	int64		looked_at;
	int64		rest_until;

	HubspotVerifiedSlice slice;
	bool		locked;			/* we are the one who compares */
	int64		began;			/* the slice, as of hubspot_now() */
	int64		deadline;		/* of the slice */
	int32		slow_sync;		/* whose slices have needed longer, or 0 */
	int			slow_time;		/* how long these may take, in ms */
	TimeoutId	overtime;		/* then this process ends */
};

static void end_process(void);
static bool perform(HubspotVerifier *verifier);
static bool choose(HubspotVerifier *verifier);
static void limit_time(HubspotVerifier *verifier, int most);
static int	most_time(const HubspotVerifier *verifier);
static void note_time(HubspotVerifier *verifier);
static const HubspotSync *take_turn(HubspotVerifier *verifier);
static bool lock_verifying(void);
static void unlock_verifying(void);
static void set_lock_tag(LOCKTAG *tag);
static void end_slice(HubspotVerifier *verifier);
static void take_fault(HubspotVerifier *verifier);
static bool charge_sync(HubspotVerifier *verifier, const ErrorData *fault);

/* Create a verifier, which lives as long as the process. */
HubspotVerifier *
hubspot_verifier_create(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "hubspot_assoc verifier",
												  ALLOCSET_SMALL_SIZES);
	HubspotVerifier *verifier = MemoryContextAllocZero(context, sizeof(HubspotVerifier));

	verifier->slice_context = AllocSetContextCreate(context, "hubspot_assoc verified slice",
													ALLOCSET_DEFAULT_SIZES);
	verifier->fault_context = AllocSetContextCreate(context, "hubspot_assoc fault",
													ALLOCSET_SMALL_SIZES);
	verifier->transaction.context = verifier->slice_context;
	verifier->overtime = RegisterTimeout(USER_TIMEOUT, end_process);
	return verifier;
}

/* Handler of a timeout: end this process, as pg_terminate_backend() does. */
static void
end_process(void)
{
	InterruptPending = true;
	ProcDiePending = true;
	SetLatch(MyLatch);
}

/*
 * Do a slice, if one is due; true: it was done, or has failed.  *due is when the next one
 * will be.  woken: something was committed, which may be a new sync.  Must be called without
 * a transaction, by a worker.
 */
bool
hubspot_verify(HubspotVerifier *verifier, bool woken, TimestampTz *due)
{
	MemoryContext old = CurrentMemoryContext;
	int64		now = hubspot_now();
	bool		done = false;

	if (woken)
		verifier->look_at = Min(verifier->look_at, verifier->looked_at + WOKEN_DELAY);
	if (now >= verifier->look_at && now >= verifier->rest_until)
	{
		PG_TRY();
		{
			done = perform(verifier);
		}
		PG_CATCH();
		{
			take_fault(verifier);
			done = true;
		}
		PG_END_TRY();
		end_slice(verifier);
		if (done)
			verifier->rest_until = hubspot_now() + REST_PART * (hubspot_now() - now);
	}
	*due = DT_NOEND;
	if (verifier->look_at != HUBSPOT_NEVER)
		*due = GetCurrentTimestamp() +
			Max(verifier->rest_until, verifier->look_at) - hubspot_now();
	MemoryContextSwitchTo(old);
	return done;
}

/* Do a slice; false: none is due. */
static bool
perform(HubspotVerifier *verifier)
{
	verifier->looked_at = hubspot_now();
	verifier->look_at = HUBSPOT_NEVER;
	MemoryContextSwitchTo(verifier->slice_context);
	if (!choose(verifier))
		return false;
	/* more may be due */
	verifier->look_at = verifier->looked_at;
	pgstat_report_activity(STATE_RUNNING,
						   psprintf("comparing sync %d with HubSpot, server %s",
									verifier->slice.sync->id, verifier->slice.sync->server));
	hubspot_verified_slice_compare(&verifier->slice, &verifier->transaction);
	note_time(verifier);
	return true;
}

/* Find a table whose turn it is, and read its rows; false: there is none. */
static bool
choose(HubspotVerifier *verifier)
{
	verifier->began = hubspot_now();
	limit_time(verifier, FIRST_SLICE);
	if (!hubspot_transaction_begin(&verifier->transaction))
		return false;
	hubspot_verify_bound_waits();
	if (hubspot_origin_sends())
		verifier->slice.sync = take_turn(verifier);
	if (verifier->slice.sync)
	{
		limit_time(verifier, most_time(verifier));
		/* if it ends this process, that is known */
		hubspot_verify_attempt(verifier->slice.sync->id);
		hubspot_transaction_end(&verifier->transaction);
		if (!hubspot_transaction_begin(&verifier->transaction))
			return false;
		hubspot_verify_bound_waits();
		if (!hubspot_verified_slice_read(&verifier->slice))
		{
			verifier->slice.sync = NULL;
			verifier->look_at = verifier->looked_at;	/* another one may be
														 * due */
		}
	}
	hubspot_transaction_end(&verifier->transaction);
	return verifier->slice.sync != NULL;
}

/* The slice ends that long after it has begun. */
static void
limit_time(HubspotVerifier *verifier, int most)
{
	int			left = most - (int) ((hubspot_now() - verifier->began) / 1000);

	verifier->slice.most_time = most;
	verifier->deadline = verifier->began + most * INT64CONST(1000);
	enable_timeout_after(STATEMENT_TIMEOUT, Max(left, 1));
	enable_timeout_after(verifier->overtime, Max(left, 1) + MOST_OVERTIME);
}

/* How long may a slice of the sync take whose turn it is? */
static int
most_time(const HubspotVerifier *verifier)
{
	const HubspotVerifyState *state = &verifier->slice.state;
	int			most = Min(FIRST_SLICE << Min(state->failures, 2), MOST_SLICE);

	return state->sync == verifier->slow_sync ? Max(most, verifier->slow_time) : most;
}

/* Remember a sync whose slices take longer: else every other one would fail. */
static void
note_time(HubspotVerifier *verifier)
{
	int			took = (int) ((hubspot_now() - verifier->began) / 1000);

	if (took > FIRST_SLICE / 2)
	{
		verifier->slow_sync = verifier->slice.state.sync;
		verifier->slow_time = Min(2 * took, MOST_SLICE);
	}
	else if (verifier->slow_sync == verifier->slice.state.sync)
		verifier->slow_sync = 0;
}

/*
 * The sync whose turn it is, with its state; NULL: no slice is due, or another process is
 * at it.
 */
static const HubspotSync *
take_turn(HubspotVerifier *verifier)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = DT_NOEND;
	List	   *syncs = hubspot_syncs(hubspot_outbox_schema(false), InvalidOid);
	const HubspotSync *found = NULL;
	bool		any = false;
	ListCell   *lc;

	foreach(lc, syncs)
		any |= (((const HubspotSync *) lfirst(lc))->verify != NULL);
	if (any && !lock_verifying())
	{
		verifier->look_at = hubspot_now() + BUSY_DELAY;
		return NULL;
	}
	verifier->locked = any;
	foreach(lc, any ? hubspot_verify_states() : NIL)
	{
		const HubspotVerifyState *state = lfirst(lc);
		ListCell   *lc2;

		foreach(lc2, syncs)
		{
			const HubspotSync *sync = lfirst(lc2);

			if (sync->id != state->sync)
				continue;
			/* the clock may have been set back */
			if (state->next_at > now &&
				state->next_at <= now + hubspot_verify_period(sync) + MOST_DELAY)
				due = Min(due, state->next_at);
			else if (found == NULL)
			{
				found = sync;
				verifier->slice.state = *state;
			}
		}
	}
	if (!TIMESTAMP_IS_NOEND(due))
		verifier->look_at = hubspot_now() + due - now;
	return found;
}

/*
 * Be the one process that compares tables of this database, until unlock_verifying(); false:
 * another one is.  No SQL takes that lock, and it ends with the process.
 */
static bool
lock_verifying(void)
{
	LOCKTAG		tag;

	set_lock_tag(&tag);
	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

static void
unlock_verifying(void)
{
	LOCKTAG		tag;

	set_lock_tag(&tag);
	(void) LockRelease(&tag, ExclusiveLock, true);
}

static void
set_lock_tag(LOCKTAG *tag)
{
	tag->locktag_field1 = MyDatabaseId;
	tag->locktag_field2 = 0;
	tag->locktag_field3 = 0;
	tag->locktag_field4 = VERIFY_KEY;
	tag->locktag_type = LOCKTAG_USERLOCK;
	tag->locktag_lockmethodid = USER_LOCKMETHOD;
}

/* Free all that the slice has, also after an ERROR. */
static void
end_slice(HubspotVerifier *verifier)
{
	disable_timeout(STATEMENT_TIMEOUT, false);
	disable_timeout(verifier->overtime, false);
	QueryCancelPending = false; /* it may have come just now */
	if (verifier->locked)
		unlock_verifying();
	verifier->locked = false;
	hubspot_verified_slice_end(&verifier->slice);
	MemoryContextReset(verifier->slice_context);
}

/*
 * An ERROR was caught: undo what was begun, and charge it.  What asks the process to end is
 * thrown on.
 */
static void
take_fault(HubspotVerifier *verifier)
{
	bool		too_long = geterrcode() == ERRCODE_QUERY_CANCELED &&
	hubspot_now() >= verifier->deadline;
	ErrorData  *fault;

	disable_timeout(STATEMENT_TIMEOUT, false);
	disable_timeout(verifier->overtime, false);
	hubspot_transaction_abort(&verifier->transaction);
	MemoryContextReset(verifier->fault_context);
	MemoryContextSwitchTo(verifier->fault_context);
	fault = CopyErrorData();
	FlushErrorState();
	if (too_long)
		fault->message = psprintf("it took longer than %d s", verifier->slice.most_time / 1000);
	if (!too_long && ERRCODE_TO_CATEGORY(fault->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
	{
		end_slice(verifier);
		hubspot_throw_again(fault);
	}
	ereport(WARNING,
			(errcode(fault->sqlerrcode),
			 verifier->slice.sync ?
			 errmsg("could not compare table \"%s\" with HubSpot: %s",
					verifier->slice.sync->table_name ? verifier->slice.sync->table_name : "?",
					fault->message) :
			 errmsg("could not compare tables with HubSpot: %s", fault->message),
			 fault->detail ? errdetail_internal("%s", fault->detail) : 0));
	/* more may be due, also if that was not known yet when it failed */
	verifier->look_at = verifier->looked_at;
	if (verifier->slice.sync == NULL || !charge_sync(verifier, fault))
		verifier->look_at = hubspot_now() + ERROR_DELAY;
}

/* Charge an ERROR to the sync; false: that has failed, too. */
static bool
charge_sync(HubspotVerifier *verifier, const ErrorData *fault)
{
	const HubspotVerifyState *state = &verifier->slice.state;
	int64		longest = Min(MOST_DELAY, Max(hubspot_verify_period(verifier->slice.sync), USECS_PER_MINUTE));
	int64		delay = Min(FIRST_DELAY << Min(state->failures, 10), longest);
	TimestampTz until = Max(GetCurrentTimestamp() + delay, hubspot_verified_slice_paced(&verifier->slice));
	char	   *message = fault->detail ? psprintf("%s: %s", fault->message, fault->detail) :
	fault->message;
	volatile bool done = true;

	message = pnstrdup(message, pg_mbcliplen(message, strlen(message), MAX_MESSAGE));
	PG_TRY();
	{
		if (hubspot_transaction_begin(&verifier->transaction))
		{
			hubspot_verify_bound_waits();
			hubspot_verify_fail(state->sync, Max(state->size / 4, 1), until, fault->sqlerrcode,
								message);
			hubspot_verify_pace(verifier->slice.sync->server, hubspot_verified_slice_paced(&verifier->slice));
			hubspot_transaction_end(&verifier->transaction);
		}
	}
	PG_CATCH();
	{
		/* next, the memory goes in which that is */
		hubspot_verified_slice_end(&verifier->slice);
		(void) hubspot_catch(&verifier->transaction, verifier->fault_context, true);
		done = false;
	}
	PG_END_TRY();
	return done;
}
