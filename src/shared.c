/*-------------------------------------------------------------------------
 *
 * shared.c
 *	  Areas of shared memory, if the library is preloaded.
 *
 * An area is asked for while the postmaster loads the library.  Its memory and
 * its lock come to be when the postmaster makes the shared memory, at its
 * start and after each crash of a process, and its init function is then
 * called.  A process that isn't forked attaches for itself, and calls it, too.
 *
 * IDENTIFICATION
 *	  src/shared.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "shared.h"

/* As many as there are callers of hubspot_shared_add, and some. */
#define MAX_AREAS	4

typedef struct Area
{
	const char *name;
	Size		size;
	HubspotSharedInit init;
} Area;

static Area areas[MAX_AREAS];
static int	nareas = 0;
static shmem_request_hook_type earlier_request_hook = NULL;
static shmem_startup_hook_type earlier_startup_hook = NULL;

static void request_areas(void);
static void start_areas(void);

/*
 * Have an area of that size in shared memory, and a lock of that name with it.
 * For _PG_init, while the library is preloaded.  name must live on.
 */
void
hubspot_shared_add(const char *name, Size size, HubspotSharedInit init)
{
	Assert(process_shared_preload_libraries_in_progress);
	if (nareas == MAX_AREAS)
		elog(ERROR, "too many areas of shared memory");
	if (nareas == 0)
	{
		earlier_request_hook = shmem_request_hook;
		shmem_request_hook = request_areas;
		earlier_startup_hook = shmem_startup_hook;
		shmem_startup_hook = start_areas;
	}
	areas[nareas].name = name;
	areas[nareas].size = size;
	areas[nareas].init = init;
	nareas++;
}

static void
request_areas(void)
{
	if (earlier_request_hook)
		earlier_request_hook();
	for (int i = 0; i < nareas; i++)
	{
		RequestAddinShmemSpace(MAXALIGN(areas[i].size));
		RequestNamedLWLockTranche(areas[i].name, 1);
	}
}

static void
start_areas(void)
{
	if (earlier_startup_hook)
		earlier_startup_hook();
	for (int i = 0; i < nareas; i++)
	{
		bool		found;
		void	   *area;

		LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
		area = ShmemInitStruct(areas[i].name, areas[i].size, &found);
		areas[i].init(area, &GetNamedLWLockTranche(areas[i].name)->lock, found);
		LWLockRelease(AddinShmemInitLock);
	}
}
