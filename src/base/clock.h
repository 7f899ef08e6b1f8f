/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  A clock that nobody can set, and waiting by it.
 *
 * IDENTIFICATION
 *	  src/base/clock.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_CLOCK_H
#define HUBSPOT_BASE_CLOCK_H

/* A time of hubspot_now() that never comes. */
#define HUBSPOT_NEVER	PG_INT64_MAX

extern int64 hubspot_now(void);
extern int64 hubspot_coarse_now(void);
extern void hubspot_wait_until(int64 when);

extern void hubspot_watch(void (*look) (void), int64 interval);
extern int64 hubspot_next_watch(void);
extern void hubspot_keep_watch(void);

#endif							/* HUBSPOT_BASE_CLOCK_H */
