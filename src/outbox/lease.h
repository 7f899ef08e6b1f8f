/*-------------------------------------------------------------------------
 *
 * lease.h
 *	  Who sends to a server: one process at a time, by a lease.
 *
 * IDENTIFICATION
 *	  src/outbox/lease.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_LEASE_H
#define HUBSPOT_OUTBOX_LEASE_H

#include "outbox/pick.h"

/* How many leases can be kept at a time. */
#define HUBSPOT_MAX_LEASES	64

extern bool hubspot_lease_take(const char *server);
extern void hubspot_lease_wait(const char *server);
extern void hubspot_lease_keep(const char *server);
extern bool hubspot_lease_is_kept(const char *server);
extern void hubspot_lease_let_go(const char *server);
extern void hubspot_leases_let_go(void);
extern void hubspot_lease_describe(const HubspotClaimant *claimant,
								   const HubspotLot *lots, int nlots,
								   int request_timeout);
extern void hubspot_lease_release(const char *server);

#endif							/* HUBSPOT_OUTBOX_LEASE_H */
