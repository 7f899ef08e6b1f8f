/*-------------------------------------------------------------------------
 *
 * lease.h
 *	  Who sends to a server: one process at a time, by a lease.
 *
 * IDENTIFICATION
 *	  src/lease.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_LEASE_H
#define HUBSPOT_LEASE_H

#include "claim.h"

extern bool hubspot_lease_take(const char *server);
extern void hubspot_lease_keep(const char *server);
extern bool hubspot_lease_is_kept(void);
extern void hubspot_lease_let_go(void);
extern void hubspot_lease_describe(const HubspotClaimant *claimant,
								   const HubspotLane *lane,
								   const HubspotClaim *claims, int nclaims,
								   int request_timeout);
extern void hubspot_lease_release(const char *server);

#endif							/* HUBSPOT_LEASE_H */
