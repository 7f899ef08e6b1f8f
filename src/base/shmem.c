/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Areas of shared memory, if the library is preloaded.
 *
 * An area is asked for while the postmaster loads the library.  The postmaster
 * makes its memory and its lock with the rest of the shared memory, at its
 * start and after each crash of a process, and then calls the area's init
 * function.  A process that is not forked attaches to the area itself, and
 * calls that function, too.
 *
 * IDENTIFICATION
 *	  src/base/shmem.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "base/shmem.h"

typedef struct Area
{
	const char *name;
	Size		size;
	HubspotShmemInit init;
} Area;

static List *areas = NIL;		/* of Area, in TopMemoryContext */
static shmem_request_hook_type earlier_request_hook = NULL;
static shmem_startup_hook_type earlier_startup_hook = NULL;

static void request_areas(void);
static void start_areas(void);

/*
 * Ask for an area of that size in shared memory, with a lock of that name.
 * For _PG_init, while the library is preloaded.  name must live on.
 */
void
hubspot_shmem_add(const char *name, Size size, HubspotShmemInit init)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Area	   *area = palloc(sizeof(Area));

	Assert(process_shared_preload_libraries_in_progress);
	if (areas == NIL)
	{
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
}
