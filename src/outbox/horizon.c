/*-------------------------------------------------------------------------
 *
 * horizon.c
 *	  The time before which no row of an account is due, or will be.
 *
 * Rows that were sent leave dead entries in the index of what is due, at its
 * head.  As long as an old snapshot could see these rows, each look at an
 * account would walk past all of them.  So we remember how far a look has
 * come: an account's horizon is a not_before below which it has no row, for
 * any snapshot.
 *
 * It must not pass rows that nobody sees yet.  If these are in the index
 * already, by transactions that have not ended, the look that raises it sees
 * them (oldest.c).  The others are yet to be written, by transactions that
 * have a lock on the table now, or will have one.  A row gets the time of the
 * clock when it is written, which is later than the time when the lock was
 * taken.  Therefore each look notes the time, and which processes have such a
 * lock; a process that had none at the look before has taken it since then.
 * No horizon is raised beyond the earliest of these times.  (Prepared
 * transactions have locks, too, but write nothing more.)
 *
 * Rows may come to be below the horizon all the same.  If the clock is set
 * back, a look sees that, and begins anew.  If an UPDATE makes a row due
 * earlier or moves it to another account, or an INSERT gives one a time that
 * is past, triggers tell us, and until that transaction has ended there is no
 * horizon.  If somebody has disabled these triggers, or the INSERT computes
 * the time itself, the row is found when the horizon is HORIZON_AGE old and
 * dropped.
 *
 * All of it is in shared memory if the library is preloaded; else each sender
 * has its own, and does not hear what triggers tell.
 *
 * IDENTIFICATION
 *	  src/outbox/horizon.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "replication/walsender.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/shmem.h"
#include "outbox/horizon.h"

#define SECOND			INT64CONST(1000000) /* in microseconds */

/* A horizon is dropped this long after it was raised from nothing. */
#define HORIZON_AGE		(60 * SECOND)

/*
 * By how much, in microseconds, the clock may fall behind the monotonic one
 * before it counts as set back.
 */
#define MAX_BACK		INT64CONST(1000)

/* How far horizons keep behind the clock: more than MAX_BACK. */
#define SLACK			INT64CONST(5000)

#define MAX_DATABASES	64

/* Launchers and the like, which have a process of their own */
#define SPECIAL_PROCESSES	8

/*
 * Horizons are in sets by their hash; a new one takes the place of the oldest
 * in its set.
 */
#define NSETS			256
#define SET_SIZE		4

/* A process that can write to the outbox of its database. */
typedef struct Writer
{
	LocalTransactionId transaction;
	TimestampTz since;			/* it writes no earlier time */
} Writer;

/* A database in which some process has looked. */
typedef struct Database
{
	Oid			oid;			/* InvalidOid: free */
	TimestampTz looked_at;
	int64		monotonic;		/* the same, as of hubspot_now() */
	uint64		generation;		/* changes when its horizons are dropped */
} Database;

typedef struct Horizon
{
	Oid			database;		/* InvalidOid: free */
	Oid			role;
	char		server[NAMEDATALEN];
	TimestampTz time;
	int64		begun;			/* when it was raised from nothing, as of
								 * hubspot_now() */
	int64		used;			/* when it was last asked for, likewise */
} Horizon;

typedef struct Area
{
	uint64		last_generation;
	Database	databases[MAX_DATABASES];
	Horizon		horizons[NSETS][SET_SIZE];
	Writer		writers[FLEXIBLE_ARRAY_MEMBER]; /* by the number of their
												 * process */
} Area;

/* NULL: not preloaded, and not used yet; no lock: the process's own */
static Area *area = NULL;
static LWLock *lock = NULL;

static Size area_size(void);
static int	count_writers(void);
static void attach_area(void *shared, LWLock *shared_lock, bool found);
static void lock_area(void);
static void unlock_area(void);
static Database *take_database(void);
static void drop_horizons(Database *database);
static TimestampTz earliest_time(const Database *database, Oid outbox);
static bool writes(const VirtualTransactionId * transaction);
static void read_clocks(TimestampTz *wall, int64 *now);
static bool is_set_back(const Database *database, TimestampTz wall, int64 now);
static void raise_horizon(const char *server, Oid role, TimestampTz from,
						  TimestampTz to);
static Horizon *set_of(const char *server, Oid role);
static bool is_of(const Horizon *horizon, const char *server, Oid role);

/* To be called while the server starts. */
void
hubspot_horizon_add(void)
{
	hubspot_shmem_add("hubspot_assoc horizons", area_size(), attach_area);
}

static Size
area_size(void)
{
	return add_size(offsetof(Area, writers), mul_size(count_writers(), sizeof(Writer)));
}

/* How many processes may have a lock. */
static int
count_writers(void)
{
	return MaxConnections + hubspot_autovacuum_workers() + max_worker_processes +
		max_wal_senders + NUM_AUXILIARY_PROCS + SPECIAL_PROCESSES;
}

static void
attach_area(void *shared, LWLock *shared_lock, bool found)
{
	area = shared;
	lock = shared_lock;
	if (!found)
		memset(area, 0, area_size());
}

static void
lock_area(void)
{
	if (area == NULL)
		area = MemoryContextAllocZero(TopMemoryContext, area_size());
	if (lock)
		LWLockAcquire(lock, LW_EXCLUSIVE);
}

static void
unlock_area(void)
{
	if (lock)
		LWLockRelease(lock);
}

/*
 * A sender begins.  Horizons of its own from before are outdated by now, and
 * dropped.
 */
void
hubspot_horizon_begin(void)
{
	if (lock == NULL && area)
		memset(area, 0, area_size());
}

/* Begin a look at this database's outbox: note which processes can write to it. */
HubspotLook
hubspot_horizon_look(Oid outbox)
{
	HubspotLook look;
	Database   *database;
	TimestampTz wall;
	int64		now;

	lock_area();
	database = take_database();
	read_clocks(&wall, &now);
	if (is_set_back(database, wall, now))
	{
		drop_horizons(database);
		database->looked_at = DT_NOBEGIN;
		memset(area->writers, 0, sizeof(Writer) * count_writers());
	}
	look.safe = Min(earliest_time(database, outbox), wall - SLACK);
	look.generation = database->generation;
	database->looked_at = wall - SLACK;
	database->monotonic = now;
	unlock_area();
	return look;
}

/* Read both clocks at the same moment, unless we are interrupted at each try. */
static void
read_clocks(TimestampTz *wall, int64 *now)
{
	for (int tries = 0; tries < 10; tries++)
	{
		*now = hubspot_now();
		*wall = GetCurrentTimestamp();
		if (hubspot_now() < *now + MAX_BACK / 4)
			return;
	}
}

static bool
is_set_back(const Database *database, TimestampTz wall, int64 now)
{
	return database->looked_at != DT_NOBEGIN &&
		(now - database->monotonic) - (wall - (database->looked_at + SLACK)) > MAX_BACK;
}

/* The earliest time that a process with a lock on the table may write. */
static TimestampTz
earliest_time(const Database *database, Oid outbox)
{
	TimestampTz earliest = DT_NOEND;
	VirtualTransactionId *holders;
	LOCKTAG		tag;
	int			count;

	/* ShareLock conflicts with the locks of all writers, and a few others */
	SET_LOCKTAG_RELATION(tag, MyDatabaseId, outbox);
	holders = GetLockConflicts(&tag, ShareLock, &count);
	for (int i = 0; i < count; i++)
	{
		int			number = hubspot_process_number(&holders[i]);
		Writer	   *writer;

		if (!writes(&holders[i]))
			continue;
		if (number >= count_writers())
			return DT_NOBEGIN;
		writer = &area->writers[number];
		if (writer->transaction != holders[i].localTransactionId)
		{
			writer->transaction = holders[i].localTransactionId;
			writer->since = database->looked_at;
		}
		earliest = Min(earliest, writer->since);
	}
	pfree(holders);
	return earliest;
}

/*
 * May the transaction write more?  Not if it is in VACUUM, whose lock conflicts,
 * or prepared: then it has no process, or that of the session that has prepared
 * it and has left it.
 */
static bool
writes(const VirtualTransactionId * transaction)
{
	int			number = hubspot_process_number(transaction);
	const		PGPROC *process = number < 0 ? NULL : hubspot_process(number);

	return process && (process->statusFlags & PROC_IN_VACUUM) == 0 &&
		hubspot_process_transaction(process) == transaction->localTransactionId;
}

/*
 * The entry of this database.  If need be, it takes that of the database that
 * was not looked at for longest.
 */
static Database *
take_database(void)
{
	Database   *database = &area->databases[0];

	for (int i = 0; i < MAX_DATABASES; i++)
	{
		if (area->databases[i].oid == MyDatabaseId)
			return &area->databases[i];
		if (area->databases[i].monotonic < database->monotonic)
			database = &area->databases[i];
	}
	drop_horizons(database);
	database->oid = MyDatabaseId;
	database->looked_at = DT_NOBEGIN;
	return database;
}

static void
drop_horizons(Database *database)
{
	database->generation = ++area->last_generation;
	for (int i = 0; i < NSETS; i++)
	{
		for (int j = 0; j < SET_SIZE; j++)
		{
			if (area->horizons[i][j].database == database->oid)
				area->horizons[i][j].database = InvalidOid;
		}
	}
}

/* An account's horizon; DT_NOBEGIN: it has none. */
TimestampTz
hubspot_horizon(const char *server, Oid role)
{
	TimestampTz time = DT_NOBEGIN;
	Horizon    *set;

	lock_area();
	set = set_of(server, role);
	for (int i = 0; i < SET_SIZE; i++)
	{
		if (!is_of(&set[i], server, role))
			continue;
		set[i].used = hubspot_now();
		if (set[i].used < set[i].begun + HORIZON_AGE)
			time = set[i].time;
		else
			set[i].database = InvalidOid;
	}
	unlock_area();
	return time;
}

/*
 * Raise an account's horizon: since it began, a look has seen no row of the account that is
 * due between the two times; from was the horizon.  A name that is too long for a server gets
 * none.
 */
void
hubspot_horizon_raise(const HubspotLook *look, const char *server, Oid role,
					  TimestampTz from, TimestampTz to)
{
	to = Min(to, look->safe);
	if (to <= from || strlen(server) >= NAMEDATALEN)
		return;
	lock_area();
	/* what the look has seen is void if horizons were dropped meanwhile */
	if (take_database()->generation == look->generation)
		raise_horizon(server, role, from, to);
	unlock_area();
}

static void
raise_horizon(const char *server, Oid role, TimestampTz from, TimestampTz to)
{
	Horizon    *set = set_of(server, role);
	Horizon    *place = &set[0];
	int64		now = hubspot_now();

	for (int i = 0; i < SET_SIZE; i++)
	{
		if (is_of(&set[i], server, role))
		{
			if (set[i].time >= from)
				set[i].time = Max(set[i].time, to);
			return;
		}
		if (place->database != InvalidOid &&
			(set[i].database == InvalidOid || set[i].used < place->used))
			place = &set[i];
	}
	if (from != DT_NOBEGIN)
		return;					/* another one has taken its place */
	place->database = MyDatabaseId;
	place->role = role;
	strlcpy(place->server, server, NAMEDATALEN);
	place->time = to;
	place->begun = place->used = now;
}

/*
 * Drop the horizons of this database, until this transaction has ended: it may make rows due
 * earlier than the clock says.
 */
void
hubspot_horizon_void(void)
{
	VirtualTransactionId transaction;
	int			number;

	GET_VXID_FROM_PGPROC(transaction, *MyProc);
	number = hubspot_process_number(&transaction);
	lock_area();
	drop_horizons(take_database());
	if (number >= 0 && number < count_writers())
	{
		area->writers[number].transaction = transaction.localTransactionId;
		area->writers[number].since = DT_NOBEGIN;
	}
	unlock_area();
}

static Horizon *
set_of(const char *server, Oid role)
{
	uint32		hash = hash_bytes((const unsigned char *) server, strlen(server));

	hash = hash_combine(hash_combine(hash, role), MyDatabaseId);
	return area->horizons[hash % NSETS];
}

static bool
is_of(const Horizon *horizon, const char *server, Oid role)
{
	return horizon->database == MyDatabaseId && horizon->role == role &&
		strcmp(horizon->server, server) == 0;
}
