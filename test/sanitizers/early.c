/*-------------------------------------------------------------------------
 *
 * early.c
 *	  Preloaded into a server beside libasan: allocates memory once, before
 *	  anything else does.
 *
 * Without it, Debian's PostgreSQL 15 hangs at its start under gcc 12's libasan,
 * before main(): the first allocation comes out of the dynamic loader while it
 * holds its lock, and what libasan does at the first allocation takes that lock
 * again.  Linked with -z initfirst, this constructor runs before all others,
 * when the lock is free.
 *
 * IDENTIFICATION
 *	  test/sanitizers/early.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

__attribute__((constructor))
static void
allocate(void)
{
	void	   *volatile block = malloc(1);

	free(block);
}
