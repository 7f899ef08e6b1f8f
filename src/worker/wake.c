/*-------------------------------------------------------------------------
 *
 * wake.c
 *	  Databases in which something was committed that is to be sent.
 *
 * A set of databases in shared memory: those in which something was committed
 * since a worker last began to look.  A writer marks its database after its
 * commit, and then wakes a worker or the launcher (see slot.c).  If the mark
 * is there already, which one read tells, a process was woken and has not
 * looked yet, and nothing is left to do.  So many writers that commit at the
 * same time do not get in each other's way.  The worker removes the mark
 * before it looks, never after.  If there is no room for another mark, the
 * launcher is told to have all databases looked at.
 *
 * If the library is not preloaded, there are no marks: the writer looks for the
 * dynamic worker of its database, or has one started (dynamic_lock.c).
 *
 * IDENTIFICATION
 *	  src/worker/wake.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "port/atomics.h"

#include "base/shmem.h"
#include "worker/dynamic_lock.h"
#include "worker/slot.h"
#include "worker/wake.h"

/* The most databases that can be marked; if there are more, all are looked at. */
#define MAX_MARKS 1024

typedef struct Area
{
	pg_atomic_uint32 lost;		/* not 0: there was no room for a mark */
	pg_atomic_uint32 marks[MAX_MARKS];	/* InvalidOid: free */
} Area;

/* NULL: not preloaded.  Changes need the lock, a look does not. */
static Area *area = NULL;
static LWLock *lock;

static bool wakes_at_commit = false;
static int	last_mark = 0;		/* where this process's database was last
								 * marked */

static void attach_area(void *shared, LWLock *shared_lock, bool found);
static void end_transaction(XactEvent event, void *arg);
static bool mark(Oid database);
static int	find_mark(Oid database);

/* To be called while the server starts. */
void
hubspot_wake_add(void)
{
	hubspot_shmem_add("hubspot_assoc wake", sizeof(Area), attach_area);
}

static void
attach_area(void *shared, LWLock *shared_lock, bool found)
{
	area = shared;
	lock = shared_lock;
	if (found)
		return;
	pg_atomic_init_u32(&area->lost, 0);
	for (int i = 0; i < MAX_MARKS; i++)
		pg_atomic_init_u32(&area->marks[i], InvalidOid);
}

/*
 * Have this database's outbox looked at when the transaction commits.  If the
 * transaction is prepared for two-phase commit, that is for COMMIT PREPARED to do
 * (utility_hook.c), if the library is preloaded, or else for the next commit.
 */
void
hubspot_wake_at_commit(void)
{
	static bool registered = false;

	if (!registered)
	{
		/* once only: each callback is called at every commit */
		RegisterXactCallback(end_transaction, NULL);
		registered = true;
	}
	wakes_at_commit = true;
}

static void
end_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			if (wakes_at_commit && area)
				hubspot_wake(MyDatabaseId);
			else if (wakes_at_commit)
				(void) hubspot_dynamic_rouse(MyDatabaseId);
			wakes_at_commit = false;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			wakes_at_commit = false;
			break;
		default:
			break;
	}
}

/* Have a database looked at, by an idle worker there or a new one. */
void
hubspot_wake(Oid database)
{
	bool		is_new;

	/*
	 * What was committed has to be visible before the mark is read: the
	 * process that removes the mark later will then see the rows.
	 */
	pg_memory_barrier();
	if (pg_atomic_read_u32(&area->marks[last_mark]) == database ||
		pg_atomic_read_u32(&area->lost) != 0)
		return;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	is_new = mark(database);
	LWLockRelease(lock);
	if (is_new)
		hubspot_slot_rouse(database);
}

/* Mark a database.  False: it was marked already. */
static bool
mark(Oid database)
{
	int			i = find_mark(database);
	bool		is_new = i < 0;

	if (is_new)
		i = find_mark(InvalidOid);
	if (i < 0)
		return pg_atomic_exchange_u32(&area->lost, 1) == 0;
	if (is_new)
		pg_atomic_write_u32(&area->marks[i], database);
	last_mark = i;
	return is_new;
}

/* Where a database is marked, or -1; for InvalidOid, where a mark is free. */
static int
find_mark(Oid database)
{
	for (int i = 0; i < MAX_MARKS; i++)
	{
		if (pg_atomic_read_u32(&area->marks[i]) == database)
			return i;
	}
	return -1;
}

/*
 * Is there a mark, that is, was something committed since the last one was
 * taken?
 */
bool
hubspot_wake_is_due(Oid database)
{
	pg_memory_barrier();
	return find_mark(database) >= 0;
}

/*
 * The same, and remove the mark: the caller is about to look, or knows that
 * nobody can.
 */
bool
hubspot_wake_take(Oid database)
{
	int			i;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	i = find_mark(database);
	if (i >= 0)
		pg_atomic_write_u32(&area->marks[i], InvalidOid);
	LWLockRelease(lock);
	return i >= 0;
}

/*
 * The databases that are marked, palloc'd.  lost: others may have to be looked
 * at as well, which is said once.
 */
Oid *
hubspot_wake_list(int *count, bool *lost)
{
	Oid		   *databases = palloc(MAX_MARKS * sizeof(Oid));

	*lost = pg_atomic_exchange_u32(&area->lost, 0) != 0;
	*count = 0;
	for (int i = 0; i < MAX_MARKS; i++)
	{
		Oid			database = pg_atomic_read_u32(&area->marks[i]);

		if (OidIsValid(database))
			databases[(*count)++] = database;
	}
	return databases;
}
