/*-------------------------------------------------------------------------
 *
 * wake.h
 *	  Databases in which something was committed that is to be sent.
 *
 * IDENTIFICATION
 *	  src/worker/wake.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_WORKER_WAKE_H
#define HUBSPOT_WORKER_WAKE_H

extern void hubspot_wake_add(void);

/* for writers */
extern void hubspot_wake_at_commit(void);
extern void hubspot_wake(Oid database);

/* for processes that look */
extern bool hubspot_wake_is_due(Oid database);
extern bool hubspot_wake_take(Oid database);
extern Oid *hubspot_wake_list(int *count, bool *lost);

#endif							/* HUBSPOT_WORKER_WAKE_H */
