/*-------------------------------------------------------------------------
 *
 * slot.c
 *	  The slots of workers, in shared memory.
 *
 * There is a slot for each worker that may exist.  The launcher takes one for
 * a database and has a process started for it; the process enters the slot
 * with the ticket that was issued for it, says there what it is doing, and in
 * the end leaves there what it knew, for the launcher to read before it frees
 * the slot.
 *
 * A hold is a database that is about to be dropped, copied or moved: workers
 * that are there are made to end, and none enters.
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

/* How long until another worker comes when somebody has terminated one. */
#define COMEBACK (1000 * INT64CONST(1000))

/* The database that a process wants workers to leave. */
typedef struct Hold
{
	Oid			database;		/* InvalidOid: free */
	struct Latch *latch;
} Hold;

typedef struct Area
{
	struct Latch *launcher;		/* or NULL: there is no launcher at the moment */
	bool		wanted;			/* a database waits for a slot: idle workers
								 * should leave theirs */
	bool		starved;		/* a database without any worker waits: busy
								 * workers should leave after a while, too */
	bool		several;		/* more than one database may have the
								 * extension */
	uint32		last_ticket;
	Hold	   *holds;
	HubspotSlot slots[FLEXIBLE_ARRAY_MEMBER];
} Area;

/*
 * How many workers send to any account, to accounts that failed, and to those
 * of one owner.
 */
typedef struct Count
{
	int			all;
	int			failing;
	int			of_owner;
} Count;

/* NULL: not preloaded */
static Area *area = NULL;
static LWLock *lock;

/* This process's slot in it. */
static HubspotSlot *my_slot = NULL;
static Hold *my_hold = NULL;

static int	count_slots(void);
static int	count_holds(void);
static void attach_area(void *shared, LWLock *shared_lock, bool found);
static void leave_launcher(int code, Datum arg);
static bool is_alive(const HubspotSlot *slot);
static bool is_held(Oid database);
static void leave_slot(int code, Datum arg);
static void end_slot(HubspotSlot *slot);
static Count count_serving(Oid owner);
static void wait_in(HubspotSlotState state);
static bool must_yield(bool long_enough);
static bool has_company(void);
static Hold *free_hold(void);
static int	evict(Oid database, int *pids);
static void leave_hold(int code, Datum arg);

/* To be called while the server starts. */
void
hubspot_slots_add(void)
{
	Size		size = offsetof(Area, slots);

	size = add_size(size, mul_size(count_slots(), sizeof(HubspotSlot)));
	size = add_size(MAXALIGN(size), mul_size(count_holds(), sizeof(Hold)));
	hubspot_shmem_add("hubspot_assoc slots", size, attach_area);
}

/* There cannot be more workers than background workers. */
static int
count_slots(void)
{
	return max_worker_processes;
}

/* Each process that can run a statement has at most one hold. */
static int
count_holds(void)
{
	return MaxConnections + max_worker_processes + max_wal_senders;
}

static void
attach_area(void *shared, LWLock *shared_lock, bool found)
{
	Size		size = offsetof(Area, slots) +
	count_slots() * sizeof(HubspotSlot);

	area = shared;
	lock = shared_lock;
	if (found)
		return;
	memset(area, 0, size);
	area->holds = (Hold *) ((char *) area + MAXALIGN(size));
	memset(area->holds, 0, count_holds() * sizeof(Hold));
}

/*
 * Wake an idle worker of that database, or else the launcher: a busy worker
 * looks by itself when its round is over, but that may take long.
 */
void
hubspot_slot_rouse(Oid database)
{
	struct Latch *latch;

	LWLockAcquire(lock, LW_SHARED);
	latch = area->launcher;
	for (int i = 0; i < count_slots(); i++)
	{
		if (area->slots[i].database == database &&
			area->slots[i].state == HUBSPOT_SLOT_IDLE)
		{
			latch = area->slots[i].latch;
			break;
		}
	}
	LWLockRelease(lock);
	if (latch)
		SetLatch(latch);
}

/* Is the library preloaded, so that there can be workers? */
bool
hubspot_slots_are_there(void)
{
	return area != NULL;
}

/* If the library is preloaded: does the launcher run? */
bool
hubspot_launcher_is_there(void)
{
	return *(struct Latch *volatile *) &area->launcher != NULL;
}

/* Wake the launcher.  May be called in a signal handler, or with the lock held. */
void
hubspot_call_launcher(void)
{
	struct Latch *launcher = *(struct Latch *volatile *) &area->launcher;

	if (launcher)
		SetLatch(launcher);
}

/*
 * Make this process the launcher, until it ends.  Slots that an earlier launcher has taken for
 * processes that have not come yet become free: should one still come, its ticket is no longer
 * valid.
 */
void
hubspot_slots_serve(void)
{
	before_shmem_exit(leave_launcher, 0);
	LWLockAcquire(lock, LW_EXCLUSIVE);
	area->launcher = MyLatch;
	for (int i = 0; i < count_slots(); i++)
	{
		if (area->slots[i].state == HUBSPOT_SLOT_STARTING &&
			area->slots[i].pid == 0)
			area->slots[i].state = HUBSPOT_SLOT_FREE;
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

/* All slots, palloc'd. */
HubspotSlot *
hubspot_slots_copy(int *count)
{
	HubspotSlot *slots = palloc(count_slots() * sizeof(HubspotSlot));

	LWLockAcquire(lock, LW_SHARED);
	memcpy(slots, area->slots, count_slots() * sizeof(HubspotSlot));
	LWLockRelease(lock);
	*count = count_slots();
	return slots;
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
 * Take a slot for a new worker of that database, with the ticket to enter it;
 * -1: none is free, or the database is held.
 */
int
hubspot_slot_take(Oid database, uint32 *ticket)
{
	int			number = -1;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < count_slots() && number < 0 && !is_held(database); i++)
	{
		HubspotSlot *slot = &area->slots[i];

		if (slot->state != HUBSPOT_SLOT_FREE)
			continue;
		memset(slot, 0, sizeof(HubspotSlot));
		slot->state = HUBSPOT_SLOT_STARTING;
		slot->failed = true;	/* until the worker looks */
		slot->database = database;
		slot->started_at = hubspot_now();
		*ticket = slot->ticket = ++area->last_ticket;
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

/* Free a slot that no process is in, or ever was. */
void
hubspot_slot_free(int number)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	area->slots[number].state = HUBSPOT_SLOT_FREE;
	LWLockRelease(lock);
}

/* Ask a worker to end after its round, or let it stay after all. */
void
hubspot_slot_ask_to_leave(int number, bool leave)
{
	HubspotSlot *slot = &area->slots[number];

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (is_alive(slot))
	{
		slot->leave = leave;
		/* setting one latch is quick enough to keep the lock */
		if (leave && slot->latch)
			SetLatch(slot->latch);
	}
	LWLockRelease(lock);
}

static bool
is_alive(const HubspotSlot *slot)
{
	return slot->state != HUBSPOT_SLOT_FREE &&
		slot->state != HUBSPOT_SLOT_ENDED;
}

/*
 * Say whether slots are wanted; idle workers are woken to hear it.  several:
 * more than one database may want them, now or later.
 */
void
hubspot_slots_demand(bool wanted, bool starved, bool several)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < count_slots() && wanted && !area->wanted; i++)
	{
		if (area->slots[i].state == HUBSPOT_SLOT_IDLE)
			SetLatch(area->slots[i].latch);
	}
	area->wanted = wanted;
	area->starved = starved;
	area->several = several;
	LWLockRelease(lock);
}

/*
 * Make this process a worker, until it ends.  Returns the database that it is for, or
 * InvalidOid if it came too late.  To be called before it connects: a process that has left
 * its slot is then no longer in the server's list of processes either.
 */
Oid
hubspot_slot_enter(int number, uint32 ticket)
{
	HubspotSlot *slot;
	Oid			database = InvalidOid;

	if (area == NULL || number < 0 || number >= count_slots())
		return InvalidOid;
	slot = &area->slots[number];
	on_shmem_exit(leave_slot, 0);

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (slot->state == HUBSPOT_SLOT_STARTING && slot->ticket == ticket)
	{
		my_slot = slot;
		database = slot->database;
		slot->pid = MyProcPid;
		slot->latch = MyLatch;
	}
	LWLockRelease(lock);
	return database;
}

static void
leave_slot(int code, Datum arg)
{
	if (my_slot == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	end_slot(my_slot);
	for (int i = 0; i < count_holds(); i++)
	{
		if (area->holds[i].database == my_slot->database)
			SetLatch(area->holds[i].latch);
	}
	LWLockRelease(lock);
	my_slot = NULL;
	hubspot_call_launcher();
}

static void
end_slot(HubspotSlot *slot)
{
	if (slot->state != HUBSPOT_SLOT_ENDING)
	{
		/* the worker has not said what it knew */
		slot->installed = true;
		slot->looked_at = hubspot_now();	/* other workers had to leave it
											 * to this one */
		slot->next_due = hubspot_now() + (slot->evicted ? 0 : COMEBACK);
	}
	if (slot->evicted)
		slot->failed = false;
	slot->state = HUBSPOT_SLOT_ENDED;
	slot->serving = false;
	slot->pid = 0;
	slot->latch = NULL;
}

/* Begin a round. */
void
hubspot_slot_look(void)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	my_slot->serving = false;
	my_slot->failed = false;
	my_slot->looked_at = hubspot_now();
	my_slot->state = HUBSPOT_SLOT_BUSY;
	LWLockRelease(lock);
}

/*
 * May this worker send to an account of that standing now?  If so, it counts
 * as doing so until it asks again or the round is over.  trusted: the owner of
 * its server is a superuser; sole: that role owns all servers of this
 * database.
 *
 * An account may keep a worker for as long as the owner of its server likes, who says where
 * requests go, and how long they may take.  So an owner that has a worker cannot have the last
 * one, too: that is for other owners, if there may be any to protect, and else for accounts
 * that are proven.  Accounts that have failed get half of the workers, but an owner's first
 * worker does not count among these.
 */
bool
hubspot_slot_serve(HubspotStanding standing, Oid owner, bool trusted, bool sole)
{
	int			most = hubspot_workers;
	Count		others;
	bool		may;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	my_slot->serving = false;
	others = count_serving(owner);
	if (others.of_owner > 0 &&
		!(standing == HUBSPOT_PROVEN && (trusted || (sole && !area->several))))
		most--;
	if (others.of_owner == 0 && standing == HUBSPOT_FAILING)
		most--;
	may = others.all < Max(most, 1);
	if (others.of_owner > 0 && standing == HUBSPOT_FAILING)
		may = may && others.failing < Max(hubspot_workers / 2, 1);
	if (may)
	{
		my_slot->serving = true;
		my_slot->failing = (standing == HUBSPOT_FAILING);
		my_slot->owner = owner;
	}
	LWLockRelease(lock);
	return may;
}

/* Count the workers that send to an account. */
static Count
count_serving(Oid owner)
{
	Count		count = {0};

	for (int i = 0; i < count_slots(); i++)
	{
		const HubspotSlot *slot = &area->slots[i];

		if (!slot->serving)
			continue;
		count.all++;
		count.failing += slot->failing;
		count.of_owner += (slot->owner == owner);
	}
	return count;
}

/* A round has ended with an ERROR, and so will the process. */
void
hubspot_slot_fail(void)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	my_slot->failed = true;
	LWLockRelease(lock);
}

/*
 * A round is over, and what is due has to wait a little: this worker will look
 * again soon, and need not be woken.  long_enough: the worker has had its
 * share of time.
 */
HubspotSlotAdvice
hubspot_slot_rest(bool long_enough)
{
	bool		leave;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	wait_in(HUBSPOT_SLOT_RESTING);
	leave = must_yield(long_enough) || (area->wanted && has_company());
	LWLockRelease(lock);
	return leave ? HUBSPOT_LEAVE : HUBSPOT_STAY;
}

/*
 * A round is over, and nothing is left to do.  If something is committed (hubspot_wake_is_due)
 * after this call, the latch will be set.
 */
HubspotSlotAdvice
hubspot_slot_idle(bool long_enough)
{
	HubspotSlotAdvice advice = HUBSPOT_STAY;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	wait_in(HUBSPOT_SLOT_IDLE);
	if (must_yield(long_enough))
		advice = HUBSPOT_LEAVE;
	else if (area->wanted)
		advice = HUBSPOT_GIVE_WAY;
	LWLockRelease(lock);
	return advice;
}

static void
wait_in(HubspotSlotState state)
{
	my_slot->state = state;
	my_slot->serving = false;
}

static bool
must_yield(bool long_enough)
{
	return my_slot->leave || (area->starved && long_enough);
}

/* Is there another worker in this database? */
static bool
has_company(void)
{
	for (int i = 0; i < count_slots(); i++)
	{
		const HubspotSlot *slot = &area->slots[i];

		if (slot != my_slot && is_alive(slot) &&
			slot->database == my_slot->database)
			return true;
	}
	return false;
}

/* A round is over, and there is more to do: should it be left to others? */
bool
hubspot_slot_must_yield(bool long_enough)
{
	bool		yield;

	LWLockAcquire(lock, LW_SHARED);
	yield = must_yield(long_enough);
	LWLockRelease(lock);
	return yield;
}

/*
 * This worker is about to end: tell the launcher what it knows.  waits: there are accounts
 * that others serve.  False: it should go on if something was committed in the meantime.
 * True: it should end even then, because its slot is wanted.
 */
bool
hubspot_slot_end(bool installed, int64 next_due, bool waits)
{
	bool		wanted;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	wait_in(HUBSPOT_SLOT_ENDING);
	my_slot->installed = installed;
	my_slot->next_due = next_due;
	my_slot->waits = waits;
	wanted = my_slot->leave || area->wanted;
	LWLockRelease(lock);
	return wanted;
}

/*
 * Keep workers out of the database until hubspot_hold_end(), and make those
 * that are there end.  Their latest requests may have been sent, and will be
 * sent again.
 */
void
hubspot_hold(Oid database)
{
	static bool registered = false;
	int		   *pids = palloc(count_slots() * sizeof(int));
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

/* A free hold.  There are enough of them. */
static Hold *
free_hold(void)
{
	Hold	   *hold = area->holds;

	while (OidIsValid(hold->database))
		hold++;
	Assert(hold < area->holds + count_holds());
	return hold;
}

/*
 * Find the workers that have to end, and return how many; those that have not come yet need
 * not come.
 */
static int
evict(Oid database, int *pids)
{
	int			npids = 0;

	for (int i = 0; i < count_slots(); i++)
	{
		HubspotSlot *slot = &area->slots[i];

		if (slot->database != database || !is_alive(slot))
			continue;
		slot->evicted = true;
		if (slot->pid != 0)
			pids[npids++] = slot->pid;
		else
			end_slot(slot);
	}
	return npids;
}

/* Have all workers left the database that this process holds? */
bool
hubspot_hold_is_clear(void)
{
	bool		clear = true;

	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < count_slots() && clear; i++)
		clear = area->slots[i].pid == 0 ||
			area->slots[i].database != my_hold->database;
	LWLockRelease(lock);
	return clear;
}

/* Let workers come back.  Nothing happens if this process holds nothing. */
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
