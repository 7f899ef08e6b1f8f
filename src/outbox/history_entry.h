/*-------------------------------------------------------------------------
 *
 * history_entry.h
 *	  Puts rows of the outbox that are done into the history.
 *
 * IDENTIFICATION
 *	  src/outbox/history_entry.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_HISTORY_ENTRY_H
#define HUBSPOT_OUTBOX_HISTORY_ENTRY_H

#include "outbox/claim.h"

extern void hubspot_history_put(const HubspotClaimant *claimant, const HubspotLane *lane,
								const HubspotClaim *const *claims, int nclaims);

#endif							/* HUBSPOT_OUTBOX_HISTORY_ENTRY_H */
