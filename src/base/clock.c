/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  A clock that nobody can set, and waiting by it.
 *
 * Deadlines and intervals are times of this clock; the time of day, which
 * anybody may set, is for what is shown and for what outlives the machine.
 *
 * IDENTIFICATION
 *	  src/base/clock.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "miscadmin.h"
#include "storage/latch.h"

#include "base/clock.h"
#include "base/compat.h"

/* What this process calls now and then while it waits; look is NULL: nothing. */
static struct
{
	void		(*look) (void);
	int64		interval;
	int64		next;
}			watch;

/* Microseconds since an arbitrary start. */
int64
hubspot_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/*
 * The same clock, a few milliseconds behind, but cheap enough to be read for
 * each row.
 */
int64
hubspot_coarse_now(void)
{
#ifdef CLOCK_MONOTONIC_COARSE
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
#else
	return hubspot_now();
#endif
}

/*
 * Wait until the latch is set or the time has come, and reset the latch; it may
 * also end earlier.  The caller checks for interrupts.
 */
void
hubspot_wait_until(int64 when)
{
	int64		until = Min(when, hubspot_next_watch());
	int64		ms = Max(until - hubspot_now(), 0) / 1000 + 1;

	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 Min(ms, INT_MAX), hubspot_wait_event());
	ResetLatch(MyLatch);
	hubspot_keep_watch();
}

/*
 * Have this process call look at that interval (in microseconds) wherever it
 * waits for the latch or the network.  look may end the process.
 */
void
hubspot_watch(void (*look) (void), int64 interval)
{
	watch.look = look;
	watch.interval = interval;
	watch.next = hubspot_now() + interval;
}

/* When look is to be called next, or HUBSPOT_NEVER. */
int64
hubspot_next_watch(void)
{
	return watch.look ? watch.next : HUBSPOT_NEVER;
}

/* Call look, if it is time. */
void
hubspot_keep_watch(void)
{
	if (watch.look == NULL || hubspot_now() < watch.next)
		return;
	watch.next = hubspot_now() + watch.interval;
	watch.look();
}
