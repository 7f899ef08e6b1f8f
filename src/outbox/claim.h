/*-------------------------------------------------------------------------
 *
 * claim.h
 *	  Rows of the outbox that are to be sent: what they override, and wait for.
 *
 * IDENTIFICATION
 *	  src/outbox/claim.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_CLAIM_H
#define HUBSPOT_OUTBOX_CLAIM_H

#include "datatype/timestamp.h"
#include "storage/itemptr.h"
#include "utils/array.h"

#include "hubspot.h"
#include "outbox/claimant.h"
#include "outbox/history.h"

/* Rows that can go into the same requests. */
typedef struct HubspotLane
{
	const char *operation;
	const char *from_type;
	const char *to_type;
	bool		keep_labels;
	bool		has_keys;		/* their records are not known yet */
	int			attempts;		/* failed ones, of each row */
} HubspotLane;

/* A row that was picked. */
typedef struct HubspotClaim
{
	int64		id;
	ItemPointerData tid;		/* where it was */
	int64		pair;
	HubspotSlice from_id;
	HubspotSlice to_id;
	ArrayType  *type_ids;		/* or NULL */
	const char *category;		/* or NULL */
	ArrayType  *labels;			/* or NULL */
	int64		last_id;		/* the last row of its pair that goes with it */
	bool		shares;			/* other rows of its pair go with it */
	int64		waited;			/* for its records, in microseconds, if they
								 * are not known yet */
	const HubspotHistoric *historic;	/* or NULL: no history is kept of it */
} HubspotClaim;

/* A row that isn't done, and when it is to be sent again. */
typedef struct HubspotDeferral
{
	int64		id;
	TimestampTz not_before;
} HubspotDeferral;

extern Datum hubspot_claim_ids(const HubspotClaim *const *claims, int nclaims);
extern Datum hubspot_claim_tids(const HubspotClaim *const *claims, int nclaims);
extern bool hubspot_claim_first(const HubspotClaimant *claimant, int64 *id);
extern int64 hubspot_claim_prune(const HubspotClaimant *claimant, int window);
extern void hubspot_claim_prune_others(const HubspotClaimant *claimant,
									   int window);
extern bool hubspot_claim_can_share(const HubspotLane *lane);
extern void hubspot_claim_link(const HubspotLane *lane, HubspotClaim *claims,
							   int nclaims);
extern int	hubspot_claim_group(HubspotClaim *claims, int nclaims,
								int max_groups);
extern int	hubspot_claim_count_records(const HubspotClaim *claims, int nclaims);
extern int64 hubspot_claim_defer_blocked(const HubspotClaimant *claimant,
										 int window);
extern void hubspot_claim_defer(const HubspotDeferral *deferrals,
								int ndeferrals);

#endif							/* HUBSPOT_OUTBOX_CLAIM_H */
