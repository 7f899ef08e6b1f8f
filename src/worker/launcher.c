/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  Starts workers in the databases that have something to send.
 *
 * The launcher is one process, connected to no database.  It knows when
 * databases are to be looked at (database.c), and has workers started there,
 * at most hubspot_assoc.workers.  Databases without a worker come first, and
 * among them those that have waited longest.  If no slot is left, workers are
 * asked to leave theirs: as soon as they have nothing to do, or, for a
 * database without any worker, when they have been there for long.
 *
 * What the launcher knows dies with it: after it has ended by an error or a
 * signal, the next one begins by looking at all databases.
 *
 * IDENTIFICATION
 *	  src/worker/launcher.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/setting.h"
#include "worker/database.h"
#include "worker/launcher.h"
#include "worker/slot.h"
#include "worker/worker.h"

#define MS INT64CONST(1000)

/*
 * After how many seconds the launcher is restarted, unless it ended by a
 * shutdown.
 */
#define RESTART_TIME 5

/* How long to wait when no background worker was to be had. */
#define NO_WORKER_DELAY (5000 * MS)

static BackgroundWorkerHandle **handles;	/* of the slots */
static int64 last_poll = 0;		/* 0: never */
static int64 next_start = 0;	/* set if no background worker was to be had */

static int64 take_turn(void);
static int64 next_poll(void);
static int	look_at_slots(HubspotSlot **slots);
static bool *find_gone(void);
static void bury(int number, const HubspotSlot *slot);
static int	start_workers(int free_slots);
static bool start_worker(HubspotDatabase *database);
static void complain(void);
static void say_what_is_wanted(void);
static void ask_surplus_to_leave(HubspotSlot *slots, int surplus);
static void wait_until(int64 when);

/* To be called while the server starts. */
void
hubspot_launcher_register(void)
{
	BackgroundWorker worker = {0};

	strlcpy(worker.bgw_name, "hubspot_assoc launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "hubspot_assoc launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "hubspot_assoc", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "hubspot_launcher_main", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = RESTART_TIME;
	RegisterBackgroundWorker(&worker);
}

/* The entry point of the process. */
void
hubspot_launcher_main(Datum main_arg)
{
	MemoryContext context;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	handles = MemoryContextAllocZero(TopMemoryContext,
									 max_worker_processes * sizeof(BackgroundWorkerHandle *));
	hubspot_databases_create();
	hubspot_slots_serve();
	pgstat_report_activity(STATE_IDLE, NULL);

	context = AllocSetContextCreate(TopMemoryContext, "hubspot_assoc launcher",
									ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		int64		when;

		MemoryContextSwitchTo(context);
		when = take_turn();
		MemoryContextSwitchTo(TopMemoryContext);
		MemoryContextReset(context);
		wait_until(when);
	}
}

/* Do what is to be done now; returns when to do so again at the latest. */
static int64
take_turn(void)
{
	HubspotSlot *slots;
	int			free_slots;
	int64		next;

	if (hubspot_now() >= next_poll())
	{
		hubspot_databases_list();
		hubspot_databases_poll();
		last_poll = hubspot_now();
	}
	hubspot_databases_begin_turn();
	free_slots = hubspot_workers - look_at_slots(&slots);
	hubspot_databases_come_back();
	hubspot_databases_wake();
	free_slots = start_workers(free_slots);
	say_what_is_wanted();
	ask_surplus_to_leave(slots, -free_slots);

	next = Min(next_poll(), hubspot_databases_next());
	if (next_start > hubspot_now())
		next = Min(next, next_start);
	return next;
}

static int64
next_poll(void)
{
	return last_poll == 0 ? 0 : last_poll + hubspot_poll_interval * MS;
}

/*
 * Look at what workers do, and take over what those that have ended knew;
 * returns how many there are.  One that has ended counts until the postmaster
 * has noticed, because it keeps its background worker slot until then.
 */
static int
look_at_slots(HubspotSlot **slots)
{
	bool	   *gone = find_gone();
	int			nslots;
	int			nworkers = 0;

	*slots = hubspot_slots_copy(&nslots);
	Assert(nslots == max_worker_processes);
	for (int i = 0; i < nslots; i++)
	{
		HubspotSlot *slot = &(*slots)[i];

		if (slot->state == HUBSPOT_SLOT_FREE)
			continue;
		if (gone[i] && (slot->state == HUBSPOT_SLOT_ENDED ||
						(slot->state == HUBSPOT_SLOT_STARTING && handles[i])))
			bury(i, slot);
		else
		{
			hubspot_database_count_worker(slot);
			nworkers++;
		}
	}
	return nworkers;
}

/*
 * Which of the processes that we have started are gone.  This is asked before
 * the slots are looked at: a slot that is still waiting for its process then
 * waits in vain.
 */
static bool *
find_gone(void)
{
	bool	   *gone = palloc(max_worker_processes * sizeof(bool));

	for (int i = 0; i < max_worker_processes; i++)
	{
		pid_t		pid;

		gone[i] = handles[i] == NULL ||
			GetBackgroundWorkerPid(handles[i], &pid) == BGWH_STOPPED;
	}
	return gone;
}

static void
bury(int number, const HubspotSlot *slot)
{
	hubspot_database_bury_worker(slot);
	hubspot_slot_free(number);
	if (handles[number])
		pfree(handles[number]);
	handles[number] = NULL;
}

/* Start workers; returns how many slots are still free, which may be negative. */
static int
start_workers(int free_slots)
{
	bool		listed = false;

	while (free_slots > 0 && hubspot_now() >= next_start)
	{
		HubspotDatabase *database = hubspot_database_most_urgent();

		if (database == NULL)
			break;
		if (!listed)
		{
			/* the database may have been dropped, or closed to connections */
			hubspot_databases_list();
			listed = true;
		}
		else if (start_worker(database))
			free_slots--;
	}
	return free_slots;
}

static bool
start_worker(HubspotDatabase *database)
{
	uint32		ticket;
	int			number = hubspot_slot_take(database->oid, &ticket);
	MemoryContext context;
	bool		started;

	if (number < 0)
	{
		database->held = true;	/* since we looked */
		return false;
	}
	context = MemoryContextSwitchTo(TopMemoryContext);
	started = hubspot_worker_start(database->oid, number, ticket,
								   &handles[number]);
	MemoryContextSwitchTo(context);
	if (started)
	{
		database->due = HUBSPOT_NEVER;
		database->nworkers++;
		database->has_reserve = true;
		next_start = 0;
		return true;
	}

	hubspot_slot_free(number);
	complain();
	next_start = hubspot_now() + NO_WORKER_DELAY;
	return false;
}

/* Warn that no background worker was to be had, once until there is one. */
static void
complain(void)
{
	if (next_start == 0)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start a worker of hubspot_assoc: out of background worker slots"),
				 errhint("You might need to increase max_worker_processes.")));
}

/* Tell the workers whether a database still waits for one. */
static void
say_what_is_wanted(void)
{
	HubspotDatabase *database = NULL;

	if (hubspot_workers > 0)
		database = hubspot_database_most_urgent();
	hubspot_slots_demand(database != NULL,
						 database != NULL && database->nworkers == 0,
						 hubspot_databases_are_several());
}

/*
 * Ask workers to leave if there are more than hubspot_assoc.workers; first
 * those that are not at work.
 */
static void
ask_surplus_to_leave(HubspotSlot *slots, int surplus)
{
	for (int busy = 0; busy <= 1; busy++)
	{
		for (int i = 0; i < max_worker_processes; i++)
		{
			const HubspotSlot *slot = &slots[i];

			if (slot->state == HUBSPOT_SLOT_FREE ||
				slot->state == HUBSPOT_SLOT_ENDED ||
				(slot->state == HUBSPOT_SLOT_BUSY) != busy)
				continue;
			if (slot->leave != (surplus > 0))
				hubspot_slot_ask_to_leave(i, surplus > 0);
			surplus--;
		}
	}
}

static void
wait_until(int64 when)
{
	hubspot_wait_until(when);
	if (ProcDiePending)
		proc_exit(1);			/* without a message; the launcher is started
								 * again */
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}
