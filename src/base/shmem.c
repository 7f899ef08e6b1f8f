/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Areas of shared memory.
 *
 * If the library is preloaded, an area is asked for while the postmaster loads
 * the library.  The postmaster makes its memory and its lock with the rest of
 * the shared memory, at its start and after each crash of a process, and then
 * calls the area's init function.  A process that is not forked attaches to the
 * area itself, and calls that function, too.
 *
 * If the library is not preloaded, PostgreSQL 17 and later have named segments:
 * the first process that needs one makes it, and it stays until the server
 * stops.  Their names have the version of the layout and the size: a library
 * that has been replaced since shares nothing with the new one.  15 and 16 have
 * none, and neither has a server that can make no segment: then there are no
 * areas.
 *
 * IDENTIFICATION
 *	  src/base/shmem.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "base/attempt.h"
#include "base/compat.h"
#include "base/shmem.h"

/*
 * To be changed with the contents of any area, or with what processes do to
 * them.
 */
#define LAYOUT_VERSION	2

typedef struct Area
{
	const char *name;
	Size		size;
	HubspotShmemInit init;
} Area;

/* The named segment: a lock for each area, and then the areas. */
typedef struct Segment
{
	bool		ready;
	LWLock		locks[FLEXIBLE_ARRAY_MEMBER];
} Segment;

static List *areas = NIL;		/* of Area, in TopMemoryContext */
static bool preloaded = false;
static bool attached = false;	/* to the named segment, or there is none */
static bool shared = false;		/* there are areas */
static shmem_request_hook_type earlier_request_hook = NULL;
static shmem_startup_hook_type earlier_startup_hook = NULL;

static void request_areas(void);
static void start_areas(void);
static void attach(void);
static void attach_segment(void *state);
static Size segment_size(void);
static void init_segment(void *memory);
static void start_in_segment(Segment *segment, bool found);

/*
 * Ask for an area of that size in shared memory, with a lock of that name.
 * For _PG_init.  name must live on.
 */
void
hubspot_shmem_add(const char *name, Size size, HubspotShmemInit init)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Area	   *area = palloc(sizeof(Area));

	if (areas == NIL && process_shared_preload_libraries_in_progress)
	{
		preloaded = true;
		earlier_request_hook = shmem_request_hook;
		shmem_request_hook = request_areas;
		earlier_startup_hook = shmem_startup_hook;
		shmem_startup_hook = start_areas;
	}
	area->name = name;
	area->size = size;
	area->init = init;
	areas = lappend(areas, area);
	MemoryContextSwitchTo(old);
}

static void
request_areas(void)
{
	ListCell   *lc;

	if (earlier_request_hook)
		earlier_request_hook();
	foreach(lc, areas)
	{
		const Area *area = lfirst(lc);

		RequestAddinShmemSpace(MAXALIGN(area->size));
		RequestNamedLWLockTranche(area->name, 1);
	}
}

static void
start_areas(void)
{
	ListCell   *lc;

	if (earlier_startup_hook)
		earlier_startup_hook();
	foreach(lc, areas)
	{
		const Area *area = lfirst(lc);
		bool		found;
		void	   *memory;

		LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
		memory = ShmemInitStruct(area->name, area->size, &found);
		area->init(memory, &GetNamedLWLockTranche(area->name)->lock, found);
		LWLockRelease(AddinShmemInitLock);
	}
	shared = true;
}

/*
 * Does this process share areas with others?  If it has not looked yet, it
 * attaches to them now, provided that it is in a transaction.  The room of an
 * area calls this before it uses the area.
 */
bool
hubspot_shmem_is_there(void)
{
	if (!preloaded && !attached && IsTransactionState())
		attach();
	return shared;
}

/*
 * Attach to the named segment, once.  It is not an ERROR if none can be had:
 * then each process does without.
 */
static void
attach(void)
{
	ErrorData  *volatile error = NULL;

	if (!HUBSPOT_HAS_NAMED_SEGMENTS || !IsUnderPostmaster || IsBinaryUpgrade)
	{
		attached = true;
		return;
	}

	/*
	 * a cancel is no answer, but whoever asks within this is not to begin
	 * anew
	 */
	attached = true;
	PG_TRY();
	{
		error = hubspot_attempt(attach_segment, NULL);
	}
	PG_CATCH();
	{
		attached = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	shared = (error == NULL);
	if (error == NULL)
		return;
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("could not share the rates of accounts with other sessions"),
			 errdetail("%s", error->message),
			 errhint("This session keeps to the rate of an account by itself, without counting the requests of others.")));
	FreeErrorData(error);
}

static void
attach_segment(void *state)
{
	char		name[NAMEDATALEN];
	Size		size = segment_size();
	Segment    *segment;
	bool		found;

	snprintf(name, sizeof(name), "hubspot_assoc %d %zu", LAYOUT_VERSION, size);
	segment = hubspot_named_segment(name, size, init_segment, &found);
	if (!segment->ready)
		elog(ERROR, "segment \"%s\" of shared memory was not initialized", name);
	LWLockRegisterTranche(segment->locks[0].tranche, "hubspot_assoc");
	if (found)
		start_in_segment(segment, true);
}

static Size
segment_size(void)
{
	Size		size = offsetof(Segment, locks);
	ListCell   *lc;

	size = MAXALIGN(add_size(size, mul_size(list_length(areas), sizeof(LWLock))));
	foreach(lc, areas)
		size = add_size(size, MAXALIGN(((const Area *) lfirst(lc))->size));
	return size;
}

/* Initialize the named segment, in the process that has made it. */
static void
init_segment(void *memory)
{
	Segment    *segment = memory;
	int			tranche = LWLockNewTrancheId();

	segment->ready = false;
	for (int i = 0; i < list_length(areas); i++)
		LWLockInitialize(&segment->locks[i], tranche);
	start_in_segment(segment, false);
	segment->ready = true;
}

static void
start_in_segment(Segment *segment, bool found)
{
	char	   *memory = (char *) segment +
	MAXALIGN(offsetof(Segment, locks) + list_length(areas) * sizeof(LWLock));
	int			i = 0;
	ListCell   *lc;

	foreach(lc, areas)
	{
		const Area *area = lfirst(lc);

		area->init(memory, &segment->locks[i++], found);
		memory += MAXALIGN(area->size);
	}
}
