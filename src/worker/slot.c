/*-------------------------------------------------------------------------
 *
 * slot.c
 *	  The places of workers, in shared memory.
 *
 * There is a place for each worker that there can be.  The launcher takes one
 * for a database and has a process started for it; the process enters the
 * place with the ticket that was given out for it, says there what it is
 * doing, and leaves there what it knew in the end, for the launcher to read
 * before it frees the place.
 *
 * A hold is a database that is about to be dropped, copied or moved: workers
 * that are there are made to end, and none enters it.
 *
 * A worker that is about to wait, or to end, says so here before it looks for a
 * mark of wake.c, and a writer marks before it looks here.  So one of them sees
 * what the other has done.
 *
 * IDENTIFICATION
 *	  src/worker/slot.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <signal.h>

#include "miscadmin.h"
#include "replication/walsender.h"
#include "storage/ipc.h"
#include "storage/latch.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/setting.h"
#include "base/shmem.h"
#include "worker/slot.h"

/* When somebody has ended a worker, another one comes after a while. */
#define COMEBACK (1000 * INT64CONST(1000))

/* What a process wants workers out of. */
typedef struct Hold
{
	Oid			database;		/* InvalidOid: free */
	struct Latch *latch;
} Hold;

typedef struct Area
{
	struct Latch *launcher;		/* or NULL: there is none at the moment */
	bool		wanted;			/* a database waits for a place: those that
								 * have nothing to do should leave theirs */
	bool		starved;		/* one that has no worker at all: the others
								 * should, too, after a while */
	uint32		last_ticket;
	Hold	   *holds;
	HubspotPlace places[FLEXIBLE_ARRAY_MEMBER];
} Area;

/* NULL: not preloaded */
static Area *area = NULL;
static LWLock *lock;

/* This process's part in it. */
static HubspotPlace *my_place = NULL;
static Hold *my_hold = NULL;

static int	count_places(void);
static int	count_holds(void);
static void attach_area(void *shared, LWLock *shared_lock, bool found);
static void leave_launcher(int code, Datum arg);
static bool is_alive(const HubspotPlace *place);
static bool is_held(Oid database);
static void leave_place(int code, Datum arg);
static void end_place(HubspotPlace *place);
static int	count_failing(void);
static void wait_in(HubspotPlaceState state);
static bool must_yield(bool long_enough);
static bool has_company(void);
static Hold *free_hold(void);
static int	evict(Oid database, int *pids);
static void leave_hold(int code, Datum arg);

/* To be called while the server starts. */
void
hubspot_places_add(void)
{
	Size		size = offsetof(Area, places);

	size = add_size(size, mul_size(count_places(), sizeof(HubspotPlace)));
	size = add_size(MAXALIGN(size), mul_size(count_holds(), sizeof(Hold)));
	hubspot_shared_add("hubspot_assoc places", size, attach_area);
}

/* There can't be more workers than background workers. */
static int
count_places(void)
{
	return max_worker_processes;
}

/* Each process that can run a statement has one at most. */
static int
count_holds(void)
{
	return MaxConnections + max_worker_processes + max_wal_senders;
}

static void
attach_area(void *shared, LWLock *shared_lock, bool found)
{
	Size		size = offsetof(Area, places) +
	count_places() * sizeof(HubspotPlace);

	area = shared;
	lock = shared_lock;
	if (found)
		return;
	memset(area, 0, size);
	area->holds = (Hold *) ((char *) area + MAXALIGN(size));
	memset(area->holds, 0, count_holds() * sizeof(Hold));
}

/*
 * Wake an idle worker of that database; or else the launcher: a worker that is
 * busy looks for itself when its round is over, but that may be long.
 */
void
hubspot_place_rouse(Oid database)
{
	struct Latch *latch;

	LWLockAcquire(lock, LW_SHARED);
	latch = area->launcher;
	for (int i = 0; i < count_places(); i++)
	{
		if (area->places[i].database == database &&
			area->places[i].state == HUBSPOT_PLACE_IDLE)
		{
			latch = area->places[i].latch;
			break;
		}
	}
	LWLockRelease(lock);
	if (latch)
		SetLatch(latch);
}

/* Wake the launcher; also from the handler of a signal, or holding the lock. */
void
hubspot_call_launcher(void)
{
	struct Latch *launcher = *(struct Latch *volatile *) &area->launcher;

	if (launcher)
		SetLatch(launcher);
}

/*
 * This process is the launcher, until it ends.  Places that an earlier one has
 * taken for a process that has not come yet are free: should it still come,
 * its ticket is no good.
 */
void
hubspot_places_serve(void)
{
	before_shmem_exit(leave_launcher, 0);
	LWLockAcquire(lock, LW_EXCLUSIVE);
	area->launcher = MyLatch;
	for (int i = 0; i < count_places(); i++)
	{
		if (area->places[i].state == HUBSPOT_PLACE_STARTING &&
			area->places[i].pid == 0)
			area->places[i].state = HUBSPOT_PLACE_FREE;
	}
	LWLockRelease(lock);
}

static void
leave_launcher(int code, Datum arg)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	area->launcher = NULL;
	LWLockRelease(lock);
}

/* All places, palloc'd. */
HubspotPlace *
hubspot_places_copy(int *count)
{
	HubspotPlace *places = palloc(count_places() * sizeof(HubspotPlace));

	LWLockAcquire(lock, LW_SHARED);
	memcpy(places, area->places, count_places() * sizeof(HubspotPlace));
	LWLockRelease(lock);
	*count = count_places();
	return places;
}

/* The databases that are held, palloc'd. */
Oid *
hubspot_holds_copy(int *count)
{
	Oid		   *databases = palloc(count_holds() * sizeof(Oid));

	*count = 0;
	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < count_holds(); i++)
	{
		if (OidIsValid(area->holds[i].database))
			databases[(*count)++] = area->holds[i].database;
	}
	LWLockRelease(lock);
	return databases;
}

/*
 * A place for a new worker of that database, and the ticket to enter it with;
 * -1: none is free, or the database is held.
 */
int
hubspot_place_take(Oid database, uint32 *ticket)
{
	int			number = -1;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < count_places() && number < 0 && !is_held(database); i++)
	{
		HubspotPlace *place = &area->places[i];

		if (place->state != HUBSPOT_PLACE_FREE)
			continue;
		memset(place, 0, sizeof(HubspotPlace));
		place->state = HUBSPOT_PLACE_STARTING;
		place->failed = true;	/* until it looks */
		place->database = database;
		place->started_at = hubspot_now();
		*ticket = place->ticket = ++area->last_ticket;
		number = i;
	}
	LWLockRelease(lock);
	return number;
}

static bool
is_held(Oid database)
{
	for (int i = 0; i < count_holds(); i++)
	{
		if (area->holds[i].database == database)
			return true;
	}
	return false;
}

/* Nobody is there any more, or ever was. */
void
hubspot_place_free(int number)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	area->places[number].state = HUBSPOT_PLACE_FREE;
	LWLockRelease(lock);
}

/* Have a worker end after its round, or stay after all. */
void
hubspot_place_ask_to_leave(int number, bool leave)
{
	HubspotPlace *place = &area->places[number];

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (is_alive(place))
	{
		place->leave = leave;
		/* one process's latch is no reason to let go of the lock */
		if (leave && place->latch)
			SetLatch(place->latch);
	}
	LWLockRelease(lock);
}

static bool
is_alive(const HubspotPlace *place)
{
	return place->state != HUBSPOT_PLACE_FREE &&
		place->state != HUBSPOT_PLACE_ENDED;
}

/* Say whether places are wanted; those who are idle hear it at once. */
void
hubspot_places_demand(bool wanted, bool starved)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < count_places() && wanted && !area->wanted; i++)
	{
		if (area->places[i].state == HUBSPOT_PLACE_IDLE)
			SetLatch(area->places[i].latch);
	}
	area->wanted = wanted;
	area->starved = starved;
	LWLockRelease(lock);
}

/*
 * This process is a worker, until it ends: the database that it is for, or
 * InvalidOid if it came too late.  To be called before it connects: whoever
 * has left its place is then not in the server's list of processes either.
 */
Oid
hubspot_place_enter(int number, uint32 ticket)
{
	HubspotPlace *place;
	Oid			database = InvalidOid;

	if (area == NULL || number < 0 || number >= count_places())
		return InvalidOid;
	place = &area->places[number];
	on_shmem_exit(leave_place, 0);

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (place->state == HUBSPOT_PLACE_STARTING && place->ticket == ticket)
	{
		my_place = place;
		database = place->database;
		place->pid = MyProcPid;
		place->latch = MyLatch;
	}
	LWLockRelease(lock);
	return database;
}

static void
leave_place(int code, Datum arg)
{
	if (my_place == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	end_place(my_place);
	for (int i = 0; i < count_holds(); i++)
	{
		if (area->holds[i].database == my_place->database)
			SetLatch(area->holds[i].latch);
	}
	LWLockRelease(lock);
	my_place = NULL;
	hubspot_call_launcher();
}

static void
end_place(HubspotPlace *place)
{
	if (place->state != HUBSPOT_PLACE_ENDING)
	{
		/* it has not said what it knew */
		place->installed = true;
		place->next_due = hubspot_now() + (place->evicted ? 0 : COMEBACK);
	}
	if (place->evicted)
		place->failed = false;
	place->state = HUBSPOT_PLACE_ENDED;
	place->takes_failing = false;
	place->pid = 0;
	place->latch = NULL;
}

/*
 * Begin a round.  Answers whether it may take accounts that have failed
 * lately.  Half of the workers at most may, so that the other half is there
 * for accounts that are well; but one may in any case.
 */
bool
hubspot_place_look(void)
{
	bool		takes_failing;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	my_place->takes_failing = false;
	takes_failing = count_failing() < Max(hubspot_workers / 2, 1);
	my_place->takes_failing = takes_failing;
	my_place->failed = false;
	my_place->looked_at = hubspot_now();
	my_place->state = HUBSPOT_PLACE_BUSY;
	LWLockRelease(lock);
	return takes_failing;
}

static int
count_failing(void)
{
	int			count = 0;

	for (int i = 0; i < count_places(); i++)
	{
		if (area->places[i].takes_failing)
			count++;
	}
	return count;
}

/* A round has ended with an ERROR, and so will the process. */
void
hubspot_place_fail(void)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	my_place->failed = true;
	LWLockRelease(lock);
}

/*
 * A round is over, and what is due has to wait a little: this worker will look
 * again soon, and need not be woken.  long_enough: it has had its share of time.
 */
HubspotAdvice
hubspot_place_rest(bool long_enough)
{
	bool		leave;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	wait_in(HUBSPOT_PLACE_RESTING);
	leave = must_yield(long_enough) || (area->wanted && has_company());
	LWLockRelease(lock);
	return leave ? HUBSPOT_LEAVE : HUBSPOT_STAY;
}

/*
 * A round is over, and nothing is left to do.  If something was committed
 * (hubspot_wake_is_due) after this call, the latch will be set.
 */
HubspotAdvice
hubspot_place_idle(bool long_enough)
{
	HubspotAdvice advice = HUBSPOT_STAY;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	wait_in(HUBSPOT_PLACE_IDLE);
	if (must_yield(long_enough))
		advice = HUBSPOT_LEAVE;
	else if (area->wanted)
		advice = HUBSPOT_GIVE_WAY;
	LWLockRelease(lock);
	return advice;
}

static void
wait_in(HubspotPlaceState state)
{
	my_place->state = state;
	my_place->takes_failing = false;
}

static bool
must_yield(bool long_enough)
{
	return my_place->leave || (area->starved && long_enough);
}

/* Is there another worker in this database? */
static bool
has_company(void)
{
	for (int i = 0; i < count_places(); i++)
	{
		const HubspotPlace *place = &area->places[i];

		if (place != my_place && is_alive(place) &&
			place->database == my_place->database)
			return true;
	}
	return false;
}

/* A round is over, and there is more to do: should it be left to others? */
bool
hubspot_place_must_yield(bool long_enough)
{
	bool		yield;

	LWLockAcquire(lock, LW_SHARED);
	yield = must_yield(long_enough);
	LWLockRelease(lock);
	return yield;
}

/* Is there no other worker in this database? */
bool
hubspot_place_is_last(void)
{
	bool		last;

	LWLockAcquire(lock, LW_SHARED);
	last = !has_company();
	LWLockRelease(lock);
	return last;
}

/*
 * This worker is about to end, and this is what the launcher will know.  False:
 * it should go on if something was committed in the meantime; true: it should
 * not even then, because its place is wanted.
 */
bool
hubspot_place_end(bool installed, int64 next_due)
{
	bool		wanted;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	wait_in(HUBSPOT_PLACE_ENDING);
	my_place->installed = installed;
	my_place->next_due = next_due;
	wanted = my_place->leave || area->wanted;
	LWLockRelease(lock);
	return wanted;
}

/*
 * From now on no worker enters the database, until hubspot_hold_end; those that
 * are there are made to end.  Their latest requests may have been sent, and
 * will be sent again.
 */
void
hubspot_hold(Oid database)
{
	static bool registered = false;
	int		   *pids = palloc(count_places() * sizeof(int));
	int			npids;

	if (!registered)
	{
		before_shmem_exit(leave_hold, 0);
		registered = true;
	}
	Assert(my_hold == NULL);

	LWLockAcquire(lock, LW_EXCLUSIVE);
	my_hold = free_hold();
	my_hold->database = database;
	my_hold->latch = MyLatch;
	npids = evict(database, pids);
	LWLockRelease(lock);

	for (int i = 0; i < npids; i++)
		(void) kill(pids[i], SIGTERM);
	pfree(pids);
}

/* There are enough of them. */
static Hold *
free_hold(void)
{
	Hold	   *hold = area->holds;

	while (OidIsValid(hold->database))
		hold++;
	Assert(hold < area->holds + count_holds());
	return hold;
}

/* Whom to end; those who have not come yet need not come. */
static int
evict(Oid database, int *pids)
{
	int			npids = 0;

	for (int i = 0; i < count_places(); i++)
	{
		HubspotPlace *place = &area->places[i];

		if (place->database != database || !is_alive(place))
			continue;
		place->evicted = true;
		if (place->pid != 0)
			pids[npids++] = place->pid;
		else
			end_place(place);
	}
	return npids;
}

/* Have all workers left the database that this process holds? */
bool
hubspot_hold_is_clear(void)
{
	bool		clear = true;

	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < count_places() && clear; i++)
		clear = area->places[i].pid == 0 ||
			area->places[i].database != my_hold->database;
	LWLockRelease(lock);
	return clear;
}

/* Workers may come back.  Nothing happens if this process holds nothing. */
void
hubspot_hold_end(void)
{
	if (my_hold == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	my_hold->database = InvalidOid;
	my_hold->latch = NULL;
	LWLockRelease(lock);
	my_hold = NULL;
	hubspot_call_launcher();
}

static void
leave_hold(int code, Datum arg)
{
	hubspot_hold_end();
}
