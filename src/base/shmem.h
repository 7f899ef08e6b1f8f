/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  Areas of shared memory.
 *
 * IDENTIFICATION
 *	  src/base/shmem.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_SHMEM_H
#define HUBSPOT_BASE_SHMEM_H

#include "storage/lwlock.h"

/*
 * Called with an area and its lock when there is shared memory: in the
 * postmaster, again after each crash, and in processes that it doesn't fork, or
 * where the library is not preloaded; found: the area has been initialized
 * already.
 */
typedef void (*HubspotShmemInit) (void *area, LWLock *lock, bool found);

extern void hubspot_shmem_add(const char *name, Size size,
							  HubspotShmemInit init);
extern bool hubspot_shmem_is_there(void);

#endif							/* HUBSPOT_BASE_SHMEM_H */
