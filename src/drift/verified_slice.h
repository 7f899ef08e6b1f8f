/*-------------------------------------------------------------------------
 *
 * verified_slice.h
 *	  A slice of a table in sync, compared with HubSpot.
 *
 * IDENTIFICATION
 *	  src/drift/verified_slice.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DRIFT_VERIFIED_SLICE_H
#define HUBSPOT_DRIFT_VERIFIED_SLICE_H

#include "drift/difference_log.h"
#include "drift/link_slice.h"
#include "drift/verify_state.h"
#include "outbox/short_transaction.h"

/* A slice; all zeroes but for the first two members and most_time before it is read. */
typedef struct HubspotVerifiedSlice
{
	const HubspotSync *sync;	/* NULL: there is none */
	HubspotVerifyState state;	/* of the pass */
	HubspotLinkSlice links;
	Tuplestorestate *pending;	/* what waited in the outbox */
	const HubspotClient *client;	/* NULL: nothing was sent */
	int			most_time;		/* ms that it may take in all */
	int			most_requests;
	int64		unknown;		/* records that could not be read, and rows
								 * that are not resolved */
	HubspotFoundDifferences *found;
	HubspotVerifySums sums;
} HubspotVerifiedSlice;

extern void hubspot_verify_bound_waits(void);
extern int64 hubspot_verify_period(const HubspotSync *sync);
extern bool hubspot_verified_slice_read(HubspotVerifiedSlice *slice);
extern void hubspot_verified_slice_compare(HubspotVerifiedSlice *slice,
										   HubspotTransaction *transaction);
extern TimestampTz hubspot_verified_slice_paced(const HubspotVerifiedSlice *slice);
extern void hubspot_verified_slice_end(HubspotVerifiedSlice *slice);

#endif							/* HUBSPOT_DRIFT_VERIFIED_SLICE_H */
