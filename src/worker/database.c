/*-------------------------------------------------------------------------
 *
 * database.c
 *	  What the launcher knows of databases.
 *
 * A database is looked at, that is, a worker is started in it, or an idle one
 * of its workers is woken,
 *	- when it is new, or the launcher is: it is not yet known what it has;
 *	- when something was committed in it (see wake.c);
 *	- when a row of its outbox that had to wait is due;
 *	- if it has the extension, every hubspot_assoc.poll_interval, for what was
 *	committed without waking anybody;
 *	- when all of its workers are busy, and the last one that looked has been
 *	in its round for long: there may be an account that nobody serves.
 *
 * Most of that the launcher knows from workers that have ended.
 *
 * IDENTIFICATION
 *	  src/worker/database.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "worker/database.h"
#include "worker/wake.h"

#define MS INT64CONST(1000)

/* How long the next worker waits when one has failed: twice as long each time. */
#define FIRST_DELAY (1000 * MS)
#define LONGEST_DELAY (60000 * MS)

/* When to look again at accounts that no worker serves, but another process does. */
#define COME_BACK (5000 * MS)

/*
 * datconnlimit of a database that is half dropped, for which early minor
 * releases have no name.
 */
#define CONNLIMIT_INVALID (-2)

static HTAB *databases;

static HubspotDatabase *find(Oid oid);
static void note(Form_pg_database form);
static void forget_unlisted(void);
static void set_due(HubspotDatabase *database, int64 due);
static void count_failure(HubspotDatabase *database, int64 started_at);
static bool needs_worker(const HubspotDatabase *database, int64 now);
static int64 next_change(const HubspotDatabase *database, int64 now);
static int64 later(int64 when, int64 now);

/* To be called once. */
void
hubspot_databases_create(void)
{
	HASHCTL		control = {
		.keysize = sizeof(Oid),
		.entrysize = sizeof(HubspotDatabase),
		.hcxt = TopMemoryContext
	};

	databases = hash_create("hubspot_assoc databases", 64, &control,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Read the list of databases. */
void
hubspot_databases_list(void)
{
	MemoryContext context = CurrentMemoryContext;
	HASH_SEQ_STATUS all;
	HubspotDatabase *database;
	Relation	catalog;
	SysScanDesc scan;
	HeapTuple	tuple;

	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
		database->listed = false;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	catalog = table_open(DatabaseRelationId, AccessShareLock);
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		note((Form_pg_database) GETSTRUCT(tuple));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	forget_unlisted();
}

/*
 * Note a database.  A new one is to be looked at, except a template: that is
 * left alone until something is committed in it.
 */
static void
note(Form_pg_database form)
{
	bool		known;
	HubspotDatabase *database;

	if (!form->datallowconn || form->datconnlimit == CONNLIMIT_INVALID)
		return;
	(void) hash_search(databases, &form->oid, HASH_FIND, &known);
	database = find(form->oid);
	database->listed = true;
	if (!known && !form->datistemplate)
		database->due = hubspot_now();
}

/* What we know of a database, which is nothing if it is new. */
static HubspotDatabase *
find(Oid oid)
{
	bool		found;
	HubspotDatabase *database = hash_search(databases, &oid, HASH_ENTER, &found);

	if (!found)
	{
		memset(database, 0, sizeof(HubspotDatabase));
		database->oid = oid;
		database->due = HUBSPOT_NEVER;
	}
	return database;
}

static void
forget_unlisted(void)
{
	HASH_SEQ_STATUS all;
	HubspotDatabase *database;

	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
	{
		if (database->listed)
			continue;
		(void) hubspot_wake_take(database->oid);
		hash_search(databases, &database->oid, HASH_REMOVE, NULL);
	}
}

/* Have all databases that have the extension looked at. */
void
hubspot_databases_poll(void)
{
	int64		now = hubspot_now();
	HASH_SEQ_STATUS all;
	HubspotDatabase *database;

	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
	{
		if (database->installed)
			set_due(database, now);
	}
}

static void
set_due(HubspotDatabase *database, int64 due)
{
	database->due = Min(database->due, due);
}

/* Begin a turn: learn what has been committed and which databases are held. */
void
hubspot_databases_begin_turn(void)
{
	int64		now = hubspot_now();
	bool		lost;
	int			npending;
	Oid		   *pending = hubspot_wake_list(&npending, &lost);
	int			nholds;
	Oid		   *holds = hubspot_holds_copy(&nholds);
	HASH_SEQ_STATUS all;
	HubspotDatabase *database;

	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
	{
		database->held = database->pending = database->has_reserve = false;
		database->nworkers = 0;
		database->busy_look = 0;
		if (lost)
			set_due(database, now);
	}
	for (int i = 0; i < npending; i++)
	{
		database = find(pending[i]);
		database->pending = true;
		set_due(database, now);
	}
	for (int i = 0; i < nholds; i++)
		find(holds[i])->held = true;
}

/* Count a worker that is at work. */
void
hubspot_database_count_worker(const HubspotSlot *slot)
{
	HubspotDatabase *database = find(slot->database);

	database->nworkers++;
	if (slot->state == HUBSPOT_SLOT_BUSY)
		database->busy_look = Max(database->busy_look, slot->looked_at);
	else
		database->has_reserve = true;
}

/* A worker has ended: take over what it knew. */
void
hubspot_database_bury_worker(const HubspotSlot *slot)
{
	HubspotDatabase *database = find(slot->database);

	if (slot->failed)
		count_failure(database, slot->started_at);
	else
	{
		database->failures = 0;
		database->installed = slot->installed;
		/* the worker that looked last knows best */
		if (slot->looked_at >= database->looked_at)
		{
			database->due = slot->next_due;
			database->waits = slot->waits;
		}
		if (database->pending)
			set_due(database, hubspot_now());
	}
	database->looked_at = Max(database->looked_at, slot->looked_at);
}

static void
count_failure(HubspotDatabase *database, int64 started_at)
{
	int64		now = hubspot_now();
	int64		delay = FIRST_DELAY;

	if (now - started_at > LONGEST_DELAY)
		database->failures = 0; /* the worker has worked for a while */
	for (int i = 0; i < database->failures && delay < LONGEST_DELAY; i++)
		delay *= 2;
	database->failures++;
	database->not_before = now + Min(delay, LONGEST_DELAY);
	set_due(database, now);
}

/*
 * To be called when workers have been counted.  Where the last one has ended, and has left
 * accounts to others, one has to come back, lest what these leave be forgotten.  No worker can
 * tell whether it is the last one: two may end at the same time.
 */
void
hubspot_databases_come_back(void)
{
	HASH_SEQ_STATUS all;
	HubspotDatabase *database;

	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
	{
		if (!database->waits || database->nworkers > 0)
			continue;
		set_due(database, hubspot_now() + COME_BACK);
		database->waits = false;
	}
}

/* Where a database is to be looked at and has workers, wake one of them. */
void
hubspot_databases_wake(void)
{
	int64		now = hubspot_now();
	HASH_SEQ_STATUS all;
	HubspotDatabase *database;

	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
	{
		if (database->nworkers == 0 || database->due > now)
			continue;
		if (!database->pending)
			hubspot_wake(database->oid);
		database->pending = true;
		database->due = HUBSPOT_NEVER;
	}
}

/* The database to start a worker in, or NULL. */
HubspotDatabase *
hubspot_database_most_urgent(void)
{
	int64		now = hubspot_now();
	HASH_SEQ_STATUS all;
	HubspotDatabase *database;
	HubspotDatabase *best = NULL;

	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
	{
		if (!needs_worker(database, now))
			continue;
		if (best == NULL || database->nworkers < best->nworkers ||
			(database->nworkers == best->nworkers &&
			 database->due < best->due))
			best = database;
	}
	return best;
}

/* Is a database to be looked at (see above), and no worker there is going to? */
static bool
needs_worker(const HubspotDatabase *database, int64 now)
{
	if (database->held || now < database->not_before)
		return false;
	if (database->nworkers == 0)
		return database->due <= now;
	return !database->has_reserve &&
		now - database->busy_look >= HUBSPOT_PATIENCE * MS &&
		(database->pending || database->busy_look > database->looked_at);
}

/*
 * May more than one database have something to send?  One that was never
 * looked at may.
 */
bool
hubspot_databases_are_several(void)
{
	HASH_SEQ_STATUS all;
	HubspotDatabase *database;
	int			count = 0;

	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
	{
		if (database->listed &&
			(database->installed ||
			 (database->looked_at == 0 &&
			  (database->nworkers > 0 || database->due != HUBSPOT_NEVER))))
			count++;
	}
	return count > 1;
}

/*
 * When something about databases will change by itself, after now: anything
 * else sets our latch.
 */
int64
hubspot_databases_next(void)
{
	int64		now = hubspot_now();
	int64		next = HUBSPOT_NEVER;
	HASH_SEQ_STATUS all;
	HubspotDatabase *database;

	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
		next = Min(next, next_change(database, now));
	return next;
}

static int64
next_change(const HubspotDatabase *database, int64 now)
{
	int64		impatient = database->busy_look + HUBSPOT_PATIENCE * MS;

	if (database->nworkers == 0)
		return later(Max(database->due, database->not_before), now);
	if (database->has_reserve)
		return later(database->due, now);
	return Min(later(database->due, now),
			   later(Max(impatient, database->not_before), now));
}

static int64
later(int64 when, int64 now)
{
	return when > now ? when : HUBSPOT_NEVER;
}
