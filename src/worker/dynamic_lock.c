/*-------------------------------------------------------------------------
 *
 * dynamic_lock.c
 *	  The dynamic worker of a database, where the library is not preloaded.
 *
 * Without preloading there is no launcher and, on PostgreSQL 15 and 16, no
 * shared memory of ours.  What all sessions share all the same is the server's
 * lock manager.  So the worker of a database is the process that has a lock, of a
 * kind that no SQL function takes: nobody can pretend to be it, or keep it from
 * being found, and it is gone with the process, in whatever way that ends.
 *
 * A session that has committed rows looks for the process with that lock, and
 * sends it a signal, which it remembers until it looks at the outbox.  If there is
 * none, the session asks the postmaster for one.  A worker that is about to end
 * gives up the lock, and then looks once more.  So one of the two sees what the
 * other has done, and no commit is missed.  Sessions that commit at the same time
 * may each have one started; all but the first end at once, before they connect.
 *
 * All of that is done after a commit, when an ERROR would be a PANIC: nothing here
 * that sessions call allocates, waits for more than an LWLock, or throws.
 *
 * What fails must not take more and more of max_worker_processes.  So the process
 * that a session asks for is never started again by the postmaster: if it cannot
 * even load the library, nothing of it remains.  It has only to have a lasting one
 * started, which the postmaster brings back after a crash of the server's processes
 * (though not after a restart of the server).  That one always ends with exit code
 * 0, which frees its place, and has a successor started, if there has to be one: it
 * takes the lock before it rests, so sessions that commit meanwhile find it there.
 *
 * IDENTIFICATION
 *	  src/worker/dynamic_lock.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xlog.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "storage/proc.h"

#include "base/compat.h"
#include "base/setting.h"
#include "worker/dynamic_lock.h"

/* What tells our lock from those of other code ("hw"), and from a lease's. */
#define WORKER_KEY	0x6877

/* After a crash it is started at once; any number does. */
#define RESTART_TIME 5

static void worker_tag(LOCKTAG *tag, Oid database);
static int	find_process(Oid database, int signal);
static void release_all(int code, Datum arg);

/*
 * Have the outbox of a database looked at: by its worker, if there is one, or by
 * one that is started.  May be called after a commit.
 */
HubspotDynamicStart
hubspot_dynamic_rouse(Oid database)
{
	if (find_process(database, SIGUSR2) != 0)
		return HUBSPOT_DYNAMIC_THERE;
	if (hubspot_workers == 0 || !IsUnderPostmaster || IsBinaryUpgrade || RecoveryInProgress())
		return HUBSPOT_DYNAMIC_OFF;
	return hubspot_dynamic_start(database, HUBSPOT_DYNAMIC_FIRST) ? HUBSPOT_DYNAMIC_STARTED : HUBSPOT_DYNAMIC_NO_SLOT;
}

/* The process id of the worker of a database; 0: there is none. */
int
hubspot_dynamic_pid(Oid database)
{
	return find_process(database, 0);
}

static void
worker_tag(LOCKTAG *tag, Oid database)
{
	tag->locktag_field1 = database;
	tag->locktag_field2 = 0;
	tag->locktag_field3 = 0;
	tag->locktag_field4 = WORKER_KEY;
	tag->locktag_type = LOCKTAG_USERLOCK;
	tag->locktag_lockmethodid = USER_LOCKMETHOD;
}

/*
 * Find the process that has the lock, and send it a signal (0: none).  It cannot
 * give up the lock meanwhile, so the signal reaches it before that.  Returns its
 * id, or 0.
 */
static int
find_process(Oid database, int signal)
{
	LOCKTAG		tag;
	uint32		hash;
	int			pid = 0;

	worker_tag(&tag, database);
	/* mostly there is none, or there is one that is found in the first look */
	if (LockWaiterCount(&tag) == 0)
		return 0;
	hash = LockTagHashCode(&tag);
	LWLockAcquire(LockHashPartitionLock(hash), LW_SHARED);
	for (uint32 i = 0; i < ProcGlobal->allProcCount && pid == 0; i++)
	{
		PGPROC	   *process = &ProcGlobal->allProcs[i];

		if (hubspot_process_has_lock(process, LockHashPartition(hash), &tag))
			pid = process->pid;
	}
	if (pid != 0 && signal != 0)
		(void) kill(pid, signal);
	LWLockRelease(LockHashPartitionLock(hash));
	return pid;
}

/* Ask the postmaster for a process; false: no background worker is to be had. */
bool
hubspot_dynamic_start(Oid database, HubspotDynamicKind kind)
{
	BackgroundWorker worker = {0};

	snprintf(worker.bgw_name, BGW_MAXLEN, "hubspot_assoc worker for database %u",
			 database);
	strlcpy(worker.bgw_type, "hubspot_assoc worker", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "hubspot_assoc", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "hubspot_dynamic_main", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = kind == HUBSPOT_DYNAMIC_FIRST ? BGW_NEVER_RESTART : RESTART_TIME;
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	worker.bgw_extra[0] = (char) kind;
	return RegisterDynamicBackgroundWorker(&worker, NULL);
}

/* What this process was started for. */
HubspotDynamicKind
hubspot_dynamic_kind(void)
{
	return (HubspotDynamicKind) MyBgworkerEntry->bgw_extra[0];
}

/*
 * Make this process the worker of a database; false: another one is.  May be called before it
 * connects.
 */
bool
hubspot_dynamic_enter(Oid database)
{
	static bool registered = false;
	LOCKTAG		tag;

	if (!registered)
	{
		/* the server does not see to a process that has not connected yet */
		before_shmem_exit(release_all, 0);
		registered = true;
	}
	worker_tag(&tag, database);
	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

static void
release_all(int code, Datum arg)
{
	LockReleaseAll(USER_LOCKMETHOD, true);
}

/* Give up the lock; this process is about to look once more. */
void
hubspot_dynamic_leave(Oid database)
{
	LOCKTAG		tag;

	worker_tag(&tag, database);
	(void) LockRelease(&tag, ExclusiveLock, true);
}

/*
 * Does a statement want the database without anybody in it?  DROP DATABASE, CREATE
 * DATABASE ... TEMPLATE and the like have a lock on it that keeps sessions from
 * connecting, while they wait some seconds for those that are connected.  (Where
 * the library is preloaded, utility_hook.c makes workers leave.)
 */
bool
hubspot_dynamic_is_wanted(Oid database)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, database, 0);
	if (LockWaiterCount(&tag) == 0)
		return false;
	if (LockAcquire(&tag, RowExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	(void) LockRelease(&tag, RowExclusiveLock, true);
	return false;
}
