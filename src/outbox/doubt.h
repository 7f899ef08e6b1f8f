/*-------------------------------------------------------------------------
 *
 * doubt.h
 *	  Operations that were not confirmed, but may still be done.
 *
 * IDENTIFICATION
 *	  src/outbox/doubt.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_DOUBT_H
#define HUBSPOT_OUTBOX_DOUBT_H

#include "outbox/claim.h"

extern int	hubspot_doubt_time(int request_timeout);
extern void hubspot_doubt_add(const char *server,
							  const int64 *pairs, const int64 *ids, int count,
							  int request_timeout);
extern int	hubspot_doubt_defer(const HubspotClaim **claims, int nclaims);
extern void hubspot_doubt_forget(void);

#endif							/* HUBSPOT_OUTBOX_DOUBT_H */
