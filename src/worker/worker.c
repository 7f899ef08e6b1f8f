/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  A process that sends the outbox of a database.
 *
 * A worker goes from round to round (see sender.c) while there is something to
 * send.  Then it waits a few seconds for the next commit, or for what becomes
 * due in that time, and ends: a database where nothing happens has no process.
 * It tells the launcher when the next row will be due.
 *
 * While it waits it has no transaction, no snapshot and no lock.  An ERROR
 * that a row or an account causes is charged to it (see sender.c), and the
 * others go on.  An ERROR without such a cause ends the process, which is the
 * surest way to leave nothing behind; the launcher has another one started
 * after a delay that grows with each failure.
 *
 * All of this needs the launcher, and so the library to be preloaded; without
 * that, there is dynamic_worker.c.
 *
 * IDENTIFICATION
 *	  src/worker/worker.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "base/catalog_access.h"
#include "base/clock.h"
#include "drift/verify.h"
#include "outbox/sender.h"
#include "worker/slot.h"
#include "worker/wake.h"
#include "worker/worker.h"

/*
 * The most rows of a round, which has to end now and then so that the worker
 * hears what it is asked for.
 */
#define ROWS_PER_ROUND 10000

#define MS INT64CONST(1000)

/* How long a worker waits for the next commit before it ends. */
#define LINGER (5000 * MS)

/* How long a worker may work on while another database has none. */
#define SLICE (10000 * MS)

/*
 * When to look again at the accounts that others serve if nothing was
 * committed: a session's hs_assoc_flush may have ended.
 */
#define LOOK_AFTER_OTHERS (1000 * MS)

typedef struct Worker
{
	HubspotSender *sender;
	HubspotVerifier *verifier;
	TimeoutId	patience;
	int64		started_at;
	int64		linger_until;
	/* the last round */
	int64		looked_at;
	int64		due;
	bool		compared;		/* it has compared a slice of a table */
	HubspotRound round;
} Worker;

static void add_database(void *name);
static void serve(void);
static void look(Worker *worker);
static void compare(Worker *worker, bool woken);
static bool goes_on(Worker *worker);
static bool ends(bool installed, int64 next_due, bool waits);
static bool had_its_share(const Worker *worker);
static bool wait_for_work(Worker *worker);
static int64 next_look(const Worker *worker);
static void wait_until(int64 when);
static bool end_waiting(const Worker *worker);

/*
 * Ask for a process that takes that slot; false if there are no more
 * background workers.
 */
bool
hubspot_worker_start(Oid database, int slot, uint32 ticket,
					 BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker = {0};

	snprintf(worker.bgw_name, BGW_MAXLEN, "hubspot_assoc worker for database %u",
			 database);
	strlcpy(worker.bgw_type, "hubspot_assoc worker", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "hubspot_assoc", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "hubspot_worker_main", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = Int32GetDatum(slot);
	memcpy(worker.bgw_extra, &ticket, sizeof(ticket));
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

/* The entry point of the process. */
void
hubspot_worker_main(Datum main_arg)
{
	Oid			database;
	uint32		ticket;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	memcpy(&ticket, MyBgworkerEntry->bgw_extra, sizeof(ticket));
	database = hubspot_slot_enter(DatumGetInt32(main_arg), ticket);
	if (!OidIsValid(database))
		proc_exit(0);
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	hubspot_worker_take_settings();
	hubspot_worker_name_database();
	serve();
	proc_exit(0);
}

/*
 * Override what a database or role may have set for its sessions that would hinder this
 * process.
 */
void
hubspot_worker_take_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"lock_timeout", "0"},
		{"transaction_timeout", "0"},	/* from 17 on */
		{"exit_on_error", "off"},
		{"session_replication_role", "origin"}
	};

	for (size_t i = 0; i < lengthof(settings); i++)
	{
		if (GetConfigOption(settings[i][0], true, false))
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET,
							PGC_S_OVERRIDE);
	}
}

/*
 * Have each message of this process say in its CONTEXT which database it is about:
 * log_line_prefix has %d for sessions alone.
 */
void
hubspot_worker_name_database(void)
{
	static char name[NAMEDATALEN];
	static ErrorContextCallback callback =
	{
		.callback = add_database,.arg = name
	};
	HubspotCatalogAccess access = hubspot_begin_catalog_access();
	const char *found = get_database_name(MyDatabaseId);

	if (found)
		strlcpy(name, found, sizeof(name));
	hubspot_end_catalog_access(access);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
}

static void
add_database(void *name)
{
	errcontext("database \"%s\"", (const char *) name);
}

static void
serve(void)
{
	Worker		worker = {0};

	worker.patience = RegisterTimeout(USER_TIMEOUT, hubspot_call_launcher);
	worker.sender = hubspot_sender_create(HUBSPOT_SENDER_WORKER);
	worker.verifier = hubspot_verifier_create();
	worker.started_at = hubspot_now();
	worker.linger_until = worker.started_at + LINGER;

	do
		look(&worker);
	while (goes_on(&worker));
	hubspot_sender_end(worker.sender);
}

/* Run a round. */
static void
look(Worker *worker)
{
	bool		woken;

	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}

	woken = hubspot_wake_take(MyDatabaseId);
	hubspot_slot_look();
	worker->looked_at = hubspot_now();
	pgstat_report_activity(STATE_RUNNING, "looking at the outbox");

	/*
	 * The launcher has to know if the round takes long, because something
	 * else may be due that this round has not taken.
	 */
	enable_timeout_after(worker->patience, HUBSPOT_PATIENCE);
	PG_TRY();
	{
		hubspot_sender_round(worker->sender, NULL, ROWS_PER_ROUND,
							 hubspot_slot_serve, &worker->round);
		compare(worker, woken);
	}
	PG_CATCH();
	{
		hubspot_slot_fail();
		PG_RE_THROW();
	}
	PG_END_TRY();
	disable_timeout(worker->patience, false);
	worker->due = hubspot_worker_monotonic(worker->round.next_due);

	/* autovacuum has to learn of the rows that are gone */
	pgstat_report_stat(false);
	if (woken || worker->compared || worker->round.rows + worker->round.removed > 0)
		worker->linger_until = hubspot_now() + LINGER;
}

/* Compare some of a table in sync with HubSpot, if it is time for that. */
static void
compare(Worker *worker, bool woken)
{
	HubspotRound *round = &worker->round;
	TimestampTz due = DT_NOEND;

	worker->compared = round->installed && !round->held &&
		hubspot_verify(worker->verifier, woken, &due);
	round->next_due = Min(round->next_due, due);
}

/* After a round: does the worker go on? */
static bool
goes_on(Worker *worker)
{
	if (!worker->round.installed)
		return !ends(false, HUBSPOT_NEVER, false);
	if (worker->round.rows + worker->round.removed > 0 || worker->round.failed ||
		worker->compared)
		return !hubspot_slot_must_yield(had_its_share(worker)) ||
			!ends(true, hubspot_now(), false);
	return wait_for_work(worker);
}

/* End?  False: it has to go on, because something was committed just now. */
static bool
ends(bool installed, int64 next_due, bool waits)
{
	return hubspot_slot_end(installed, next_due, waits) ||
		!hubspot_wake_is_due(MyDatabaseId);
}

static bool
had_its_share(const Worker *worker)
{
	return hubspot_now() > worker->started_at + SLICE;
}

/*
 * Wait, since nothing was left to do.  True: there may be something again.
 * False: the worker has to end.
 */
static bool
wait_for_work(Worker *worker)
{
	int64		look_at = next_look(worker);
	int64		rest_until = 0;

	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
	if (worker->round.waiting_accounts > 0 || worker->round.paced)
		rest_until = Min(worker->looked_at + HUBSPOT_PATIENCE * MS, look_at);
	for (;;)
	{
		int64		now = hubspot_now();
		int64		until = rest_until;
		HubspotSlotAdvice advice;

		if (now < rest_until)
			advice = hubspot_slot_rest(had_its_share(worker));
		else if (now >= look_at)
			return true;
		else
		{
			advice = hubspot_slot_idle(had_its_share(worker));
			if (advice != HUBSPOT_LEAVE && hubspot_wake_is_due(MyDatabaseId))
				return true;
			until = Min(look_at, worker->linger_until);
		}
		if (advice != HUBSPOT_STAY || now >= worker->linger_until)
			return !end_waiting(worker);
		wait_until(until);
	}
}

/* When to look again if nothing is committed before. */
static int64
next_look(const Worker *worker)
{
	int64		due = worker->due;

	if (worker->round.waiting_accounts > 0)
		due = Min(due, worker->looked_at + LOOK_AFTER_OTHERS);
	/* what is due already and was not taken will not be taken at once */
	if (due <= hubspot_now())
		due = worker->looked_at + HUBSPOT_PATIENCE * MS;
	return due;
}

static void
wait_until(int64 when)
{
	hubspot_wait_until(when);
	if (ProcDiePending)
		proc_exit(0);			/* nothing is lost, so there is nothing to say */
	CHECK_FOR_INTERRUPTS();
}

/* That time on the monotonic clock, as far as can be foreseen. */
int64
hubspot_worker_monotonic(TimestampTz time)
{
	TimestampTz now = GetCurrentTimestamp();

	if (TIMESTAMP_IS_NOEND(time))
		return HUBSPOT_NEVER;
	return hubspot_now() + (time > now ? time - now : 0);
}

/*
 * End the wait.  False: there is something to do after all.  If accounts are served by others,
 * such as a session's hs_assoc_flush, a worker has to look after them later on; the launcher
 * knows whether another one is left that does.
 */
static bool
end_waiting(const Worker *worker)
{
	return ends(true, worker->due, worker->round.waiting_accounts > 0);
}
