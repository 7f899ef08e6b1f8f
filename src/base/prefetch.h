/*-------------------------------------------------------------------------
 *
 * prefetch.h
 *	  Memory that is going to be looked at, or written to.
 *
 * IDENTIFICATION
 *	  src/base/prefetch.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_PREFETCH_H
#define HUBSPOT_BASE_PREFETCH_H

/* Have it fetched while there is something else to do; it may be any address. */
#if defined(__GNUC__) || defined(__clang__)
#define HUBSPOT_PREFETCH(address)	__builtin_prefetch(address)
#define HUBSPOT_PREFETCH_TO_WRITE(address)	__builtin_prefetch(address, 1)
#else
#define HUBSPOT_PREFETCH(address)	((void) (address))
#define HUBSPOT_PREFETCH_TO_WRITE(address)	((void) (address))
#endif

#endif							/* HUBSPOT_BASE_PREFETCH_H */
