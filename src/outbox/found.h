/*-------------------------------------------------------------------------
 *
 * found.h
 *	  Records that were found for rows, or not, until that is recorded.
 *
 * IDENTIFICATION
 *	  src/outbox/found.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_FOUND_H
#define HUBSPOT_OUTBOX_FOUND_H

#include "account/account.h"
#include "outbox/claim.h"
#include "outbox/claimant.h"

/* Rows whose keys were looked up; see found.c. */
typedef struct HubspotFound HubspotFound;

extern HubspotFound *hubspot_found_create(int max_rows, const HubspotClaimant *claimant,
										  const HubspotTally *tally);
extern void hubspot_found_note(HubspotFound *found, const HubspotClaim *claim,
							   HubspotSlice from_record, HubspotSlice to_record);
extern void hubspot_missing_note(HubspotFound *found, const HubspotClaim *claim,
								 bool removes, const HubspotError *error);
extern void hubspot_found_settle(HubspotFound *found);

#endif							/* HUBSPOT_OUTBOX_FOUND_H */
