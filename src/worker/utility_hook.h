/*-------------------------------------------------------------------------
 *
 * utility_hook.h
 *	  Statements that need our workers out of the way.
 *
 * IDENTIFICATION
 *	  src/worker/utility_hook.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_WORKER_UTILITY_HOOK_H
#define HUBSPOT_WORKER_UTILITY_HOOK_H

extern void hubspot_hold_add(void);

#endif							/* HUBSPOT_WORKER_UTILITY_HOOK_H */
