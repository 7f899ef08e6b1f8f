/*-------------------------------------------------------------------------
 *
 * dynamic_worker.c
 *	  A process that sends the outbox of a database, without preloading.
 *
 * There is one for a database at most (dynamic_lock.c), which serves all of its
 * accounts.  Nobody else knows when a row will be due.  So it stays as long as some
 * row will be, and beyond that a few seconds for the next commit.  Then it gives up
 * its lock, looks once more, and ends.
 *
 * It has a successor started, which goes on after some seconds' rest, where it has to come
 * back: after an ERROR that is charged to nobody (see sender.c), when it was terminated, and
 * when it has made way for a statement that wants the database for itself.  Such a statement
 * waits no longer than 5 s, so it is looked for wherever this process waits, even while
 * requests are in flight; these may have been sent, and will be sent again.  A database that
 * is gone when the successor comes, or does not let it in, is left alone; whatever else keeps
 * it out may pass, so another one tries again.
 *
 * To the server it is a process of the database's owner, who may therefore end it, as
 * DROP DATABASE ... WITH (FORCE) does.
 *
 * IDENTIFICATION
 *	  src/worker/dynamic_worker.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/htup_details.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "base/catalog_access.h"
#include "base/clock.h"
#include "base/setting.h"
#include "drift/verify.h"
#include "outbox/horizon.h"
#include "outbox/sender.h"
#include "worker/dynamic_lock.h"
#include "worker/dynamic_worker.h"
#include "worker/worker.h"

#define MS INT64CONST(1000)

/* As of worker.c */
#define ROWS_PER_ROUND 10000
#define LINGER (5000 * MS)
#define REST (100 * MS)
#define LOOK_AFTER_OTHERS (1000 * MS)

/* How long a successor waits before it begins. */
#define REST_OF_SUCCESSOR (5000 * MS)

/* How often to look whether a statement wants the database. */
#define LOOK_AROUND (500 * MS)

/*
 * What triggers tell of rows that are due earlier (horizon.c) does not reach this process.  So
 * horizons are dropped when it is woken, but no more often than this.
 */
#define HORIZON_AGE (1000 * MS)

typedef struct Worker
{
	HubspotSender *sender;
	HubspotVerifier *verifier;
	int64		linger_until;
	int64		looked_at;
	int64		dropped_at;		/* when it dropped the horizons */
	bool		was_woken;		/* since then */
	bool		compared;		/* it has compared a slice of a table */
	HubspotRound round;
} Worker;

static volatile sig_atomic_t is_woken = false;
static bool comes_back = false; /* it has a successor if it ends now with an
								 * exit code */
static emit_log_hook_type former_log_hook = NULL;

static void be_woken(SIGNAL_ARGS);
static void see_to_successor(int code, Datum database);
static void end_with_zero(int code, Datum arg);
static void hand_over(Oid database);
static void rest(void);
static void connect_to(Oid database);
static void hear_refusal(ErrorData *error);
static void belong_to_owner(void);
static void make_way(void);
static void serve(Worker *worker);
static void look(Worker *worker);
static bool found_something(const Worker *worker);
static int64 next_look(const Worker *worker);
static bool waits_for_something(const Worker *worker);
static void wait_until(int64 when);
static void take_reload(void);

/* The entry point of the process. */
void
hubspot_dynamic_main(Datum main_arg)
{
	Oid			database = DatumGetObjectId(main_arg);
	Worker		worker = {0};

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	pqsignal(SIGUSR2, be_woken);
	on_proc_exit(end_with_zero, 0);
	before_shmem_exit(see_to_successor, main_arg);
	BackgroundWorkerUnblockSignals();

	if (hubspot_workers == 0 || !hubspot_dynamic_enter(database))
		proc_exit(0);
	if (hubspot_dynamic_kind() == HUBSPOT_DYNAMIC_FIRST)
		hand_over(database);
	if (hubspot_dynamic_kind() == HUBSPOT_DYNAMIC_SUCCESSOR)
		rest();
	connect_to(database);
	hubspot_worker_take_settings();
	hubspot_worker_name_database();
	hubspot_watch(make_way, LOOK_AROUND);

	worker.sender = hubspot_sender_create(HUBSPOT_SENDER_WORKER);
	worker.verifier = hubspot_verifier_create();
	worker.linger_until = hubspot_now() + LINGER;
	do
	{
		serve(&worker);
		hubspot_dynamic_leave(database);
		look(&worker);
	} while (waits_for_something(&worker) && hubspot_dynamic_enter(database));
	hubspot_sender_end(worker.sender);
	proc_exit(0);
}

/* Something was committed.  Unlike the latch, this lasts until it is looked at. */
static void
be_woken(SIGNAL_ARGS)
{
	int			save_errno = errno;

	is_woken = true;
	SetLatch(MyLatch);
	errno = save_errno;
}

/* This process ends; it has given up the lock (dynamic_lock.c). */
static void
see_to_successor(int code, Datum database)
{
	if (code != 0 && comes_back)
		(void) hubspot_dynamic_start(DatumGetObjectId(database), HUBSPOT_DYNAMIC_SUCCESSOR);
}

/* Keep the postmaster from starting it once more; proc_exit() goes on with the end. */
static void
end_with_zero(int code, Datum arg)
{
	if (code != 0)
		proc_exit(0);
}

/*
 * Have a lasting process started, and end.  If there is no room for another one,
 * this one does its work; after a crash, it is the next commit that brings one.
 */
static void
hand_over(Oid database)
{
	hubspot_dynamic_leave(database);
	if (hubspot_dynamic_start(database, HUBSPOT_DYNAMIC_LASTING) ||
		!hubspot_dynamic_enter(database))
		proc_exit(0);
}

/* What has failed is not to be tried again at once. */
static void
rest(void)
{
	int64		until = hubspot_now() + REST_OF_SUCCESSOR;

	comes_back = true;
	while (hubspot_now() < until)
		wait_until(until);
	comes_back = false;
}

/* Connect.  Whatever ends it from then on is no reason to stay away. */
static void
connect_to(Oid database)
{
	former_log_hook = emit_log_hook;
	emit_log_hook = hear_refusal;
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	emit_log_hook = former_log_hook;
	comes_back = true;
	belong_to_owner();
}

/*
 * Hear why it could not connect: there is no other way to learn that.  If it is not logged,
 * the next commit has it tried again.
 */
static void
hear_refusal(ErrorData *error)
{
	if (error->elevel == FATAL)
		comes_back = error->sqlerrcode != ERRCODE_UNDEFINED_DATABASE &&
			error->sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
	if (former_log_hook)
		former_log_hook(error);
}

/*
 * Let the process be the database owner's, who may end it then: one without a role is a
 * superuser's.  That says nothing of the rights with which it runs.
 */
static void
belong_to_owner(void)
{
	HubspotCatalogAccess access = hubspot_begin_catalog_access();
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));

	if (HeapTupleIsValid(tuple))
	{
		MyProc->roleId = ((Form_pg_database) GETSTRUCT(tuple))->datdba;
		ReleaseSysCache(tuple);
	}
	hubspot_end_catalog_access(access);
}

/* Leave the database to a statement that wants it, and come back later. */
static void
make_way(void)
{
	if (InterruptHoldoffCount == 0 && CritSectionCount == 0 &&
		hubspot_dynamic_is_wanted(MyDatabaseId))
		proc_exit(1);
}

/* Send until nothing has been left for a while, and nothing will be due. */
static void
serve(Worker *worker)
{
	for (;;)
	{
		int64		until;

		look(worker);
		if (found_something(worker))
			continue;
		pgstat_report_stat(true);
		pgstat_report_activity(STATE_IDLE, NULL);
		if (!worker->round.installed)
			return;
		until = next_look(worker);
		while (!is_woken && hubspot_now() < until)
		{
			if (!waits_for_something(worker))
			{
				if (hubspot_now() >= worker->linger_until)
					return;
				until = Min(until, worker->linger_until);
			}
			wait_until(until);
		}
	}
}

/* Run a round. */
static void
look(Worker *worker)
{
	bool		woken = is_woken;
	TimestampTz due = DT_NOEND;

	CHECK_FOR_INTERRUPTS();
	take_reload();
	if (is_woken)
	{
		is_woken = false;
		worker->was_woken = true;
		worker->linger_until = hubspot_now() + LINGER;
	}
	worker->looked_at = hubspot_now();
	if (worker->was_woken && worker->looked_at >= worker->dropped_at + HORIZON_AGE)
	{
		hubspot_horizon_begin();
		worker->dropped_at = worker->looked_at;
		worker->was_woken = false;
	}
	pgstat_report_activity(STATE_RUNNING, "looking at the outbox");
	hubspot_sender_round(worker->sender, NULL, ROWS_PER_ROUND, NULL, &worker->round);
	worker->compared = worker->round.installed && !worker->round.held &&
		hubspot_verify(worker->verifier, woken, &due);
	worker->round.next_due = Min(worker->round.next_due, due);

	/* autovacuum has to learn of the rows that are gone */
	pgstat_report_stat(false);
	if (found_something(worker))
		worker->linger_until = hubspot_now() + LINGER;
}

/* Should the next round follow at once? */
static bool
found_something(const Worker *worker)
{
	const HubspotRound *round = &worker->round;

	return round->installed &&
		(round->rows + round->removed > 0 || round->failed || worker->compared);
}

/* When to look again if nothing is committed before. */
static int64
next_look(const Worker *worker)
{
	const HubspotRound *round = &worker->round;
	int64		when = Min(hubspot_worker_monotonic(round->next_due),
						   worker->looked_at + hubspot_poll_interval * MS);

	if (round->waiting_accounts > 0)
		when = Min(when, worker->looked_at + LOOK_AFTER_OTHERS);
	if (worker->was_woken)
		when = Min(when, worker->dropped_at + HORIZON_AGE);
	/* what is due already and was not taken will not be taken at once */
	return Max(when, worker->looked_at + REST);
}

/* Will there be something to do without another commit? */
static bool
waits_for_something(const Worker *worker)
{
	const HubspotRound *round = &worker->round;

	return round->installed && !round->held &&
		(found_something(worker) || round->waiting_accounts > 0 || round->paced ||
		 worker->was_woken || is_woken || !TIMESTAMP_IS_NOEND(round->next_due));
}

static void
wait_until(int64 when)
{
	hubspot_wait_until(when);
	if (ProcDiePending)
		proc_exit(1);			/* without a message; a successor comes */
	CHECK_FOR_INTERRUPTS();
	take_reload();
}

/* Take new settings; with no workers allowed, this one ends. */
static void
take_reload(void)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	if (hubspot_workers == 0)
		proc_exit(0);
}
