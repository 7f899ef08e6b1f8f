/*-------------------------------------------------------------------------
 *
 * claim.h
 *	  What of the outbox is to be sent next.
 *
 * IDENTIFICATION
 *	  src/outbox/claim.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_CLAIM_H
#define HUBSPOT_OUTBOX_CLAIM_H

#include "datatype/timestamp.h"
#include "utils/array.h"

#include "hubspot.h"
#include "outbox/claimant.h"

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
	int64		last_id;		/* of the rows of its pair that go with it */
	bool		shares;			/* there are others of its pair */
} HubspotClaim;

/* A row that is too large to be read; nothing else is known of it. */
typedef struct HubspotOversize
{
	int64		id;
	const char *problem;		/* of which there are only a few */
} HubspotOversize;

/* The rows that were picked, palloc'd. */
typedef struct HubspotPick
{
	HubspotLane lane;
	HubspotClaim *claims;
	int			nclaims;
	int64		newest;			/* the last number that any row was given by
								 * now */
	HubspotOversize *oversize;
	int			noversize;
} HubspotPick;

/* A row that isn't done, and when it is to be sent again. */
typedef struct HubspotDeferral
{
	int64		id;
	TimestampTz not_before;
} HubspotDeferral;

/* Pieces of statements that agree with each other, and with an index */

/* What the index of the pairs is on. */
#define HUBSPOT_SQL_PAIR(row) \
	"%1$s.hs_assoc_pair(" row ".server, " row ".from_type, " row ".from_id, " \
	row ".to_type, " row ".to_id)"

/*
 * Are two names of object types, columns or texts, surely of the same one?  That
 * is more than it takes to be of one pair: here, rows may be deleted.
 */
#define HUBSPOT_SQL_TYPE_HASH(name)	"%1$s.hs_assoc_pair('', " name ", '', '', '')"
#define HUBSPOT_SQL_SAME_TYPE(a, b) \
	"(" a " = " b " OR " HUBSPOT_SQL_TYPE_HASH(a) " = " HUBSPOT_SQL_TYPE_HASH(b) \
	" AND " HUBSPOT_SQL_TYPE_HASH(a) " <> " HUBSPOT_SQL_TYPE_HASH("''") ")"

/* Are n and o rows of the same pair and direction, n the later one? */
#define HUBSPOT_SQL_SAME_PAIR \
	HUBSPOT_SQL_PAIR("n") " = " HUBSPOT_SQL_PAIR("o") " AND n.id > o.id" \
	" AND n.server IS NOT DISTINCT FROM o.server" \
	" AND n.from_id = o.from_id AND n.to_id = o.to_id" \
	" AND " HUBSPOT_SQL_SAME_TYPE("n.from_type", "o.from_type") \
	" AND " HUBSPOT_SQL_SAME_TYPE("n.to_type", "o.to_type")

#define HUBSPOT_SQL_SAME_TYPES \
	"n.type_ids IS NOT DISTINCT FROM o.type_ids" \
	" AND n.category IS NOT DISTINCT FROM o.category" \
	" AND n.labels IS NOT DISTINCT FROM o.labels"

extern bool hubspot_claim_first(const HubspotClaimant *claimant, int64 *id);
extern int64 hubspot_claim_prune(const HubspotClaimant *claimant, int window);
extern void hubspot_claim_prune_others(const HubspotClaimant *claimant,
									   int window);
extern void hubspot_claim_pick(const HubspotClaimant *claimant,
							   int window, HubspotPick *pick);
extern void hubspot_claim_link(const HubspotLane *lane, HubspotClaim *claims,
							   int nclaims);
extern int	hubspot_claim_group(HubspotClaim *claims, int nclaims,
								int max_groups);
extern int64 hubspot_claim_defer_blocked(const HubspotClaimant *claimant,
										 int window);
extern void hubspot_claim_defer(const HubspotDeferral *deferrals,
								int ndeferrals);

#endif							/* HUBSPOT_OUTBOX_CLAIM_H */
