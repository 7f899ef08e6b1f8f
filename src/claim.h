/*-------------------------------------------------------------------------
 *
 * claim.h
 *	  What of the outbox is to be sent next.
 *
 * IDENTIFICATION
 *	  src/claim.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CLAIM_H
#define HUBSPOT_CLAIM_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/array.h"

#include "hubspot_assoc.h"
#include "outbox.h"

/* A server as a role uses it, with rows in the outbox. */
typedef struct HubspotClaimant
{
	const char *server;
	Oid			role;
	TimestampTz due;			/* when the first of its rows may be sent */
	bool		backing_off;	/* nothing could be sent to it the last time */
	bool		has_later;		/* rows that are not due yet; known under the
								 * lease */
	bool		has_company;	/* rows of other roles for the server */
	int64		turn;			/* sender.c's */
} HubspotClaimant;

/* Rows that can go into the same requests. */
typedef struct HubspotLane
{
	const char *operation;
	const char *from_type;
	const char *to_type;
	bool		keep_labels;
	int			attempts;		/* that failed, of each of them */
} HubspotLane;

/* A row that was picked. */
typedef struct HubspotClaim
{
	int64		id;
	int64		pair;
	HubspotSlice from_id;
	HubspotSlice to_id;
	ArrayType  *type_ids;		/* or NULL */
	const char *category;		/* or NULL */
	ArrayType  *labels;			/* or NULL */
} HubspotClaim;

/* A row that isn't done, and when it is to be sent again. */
typedef struct HubspotDeferral
{
	int64		id;
	TimestampTz not_before;
} HubspotDeferral;

extern List *hubspot_claimants(const HubspotSchema *schema, const char *server);
extern bool hubspot_claimant_renew(const HubspotSchema *schema,
								   HubspotClaimant *claimant);
extern int64 hubspot_claim_prune(const HubspotSchema *schema,
								 const HubspotClaimant *claimant, int window);
extern void hubspot_claim_prune_others(const HubspotSchema *schema,
									   const HubspotClaimant *claimant,
									   int window);
extern HubspotClaim *hubspot_claim_pick(const HubspotSchema *schema,
										const HubspotClaimant *claimant,
										int window, HubspotLane *lane,
										int *nclaims);
extern int64 hubspot_claim_defer_blocked(const HubspotSchema *schema,
										 const HubspotClaimant *claimant,
										 int window);
extern void hubspot_claim_defer(const HubspotSchema *schema,
								const HubspotDeferral *deferrals,
								int ndeferrals);

#endif							/* HUBSPOT_CLAIM_H */
