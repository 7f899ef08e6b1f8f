/*-------------------------------------------------------------------------
 *
 * utility_hook.h
 *	  Statements that our workers have to know of.
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
