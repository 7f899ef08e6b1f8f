/*-------------------------------------------------------------------------
 *
 * pick.h
 *	  Picks rows of the outbox, lane by lane.
 *
 * IDENTIFICATION
 *	  src/outbox/pick.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_PICK_H
#define HUBSPOT_OUTBOX_PICK_H

#include "utils/hsearch.h"

#include "api/endpoint.h"
#include "outbox/claim.h"

/* Rows that can go into the same requests; at least one. */
typedef struct HubspotLot
{
	HubspotLane lane;
	HubspotOperation operation; /* selection.c's: the lane's, or the one that
								 * looks up its keys */
	HubspotClaim *claims;
	int			nclaims;
	int			room;			/* pick.c's */
	const HubspotWho *last_who; /* pick.c's, or NULL */
	HTAB	   *by_id;			/* pick.c's, or NULL */
} HubspotLot;

/* A row that is too large to be read; nothing else is known of it. */
typedef struct HubspotOversize
{
	int64		id;
	const char *problem;		/* of which there are only a few */
} HubspotOversize;

/* Standard object types, in either direction; 0: any others. */
typedef struct HubspotTypePair
{
	int			from;
	int			to;
} HubspotTypePair;

/* The rows that were picked, palloc'd. */
typedef struct HubspotPick
{
	HubspotLot *lots;			/* the first has the first row */
	int			nlots;
	int			nlooked_at;		/* rows of the window */
	Size		size;			/* of the claims, in bytes */
	int64		newest;			/* the latest id that any row has been given */
	HubspotOversize *oversize;
	int			noversize;
	HubspotTypePair *unknown;	/* pick.c's: types of rows with keys so far */
	int			nunknown;
} HubspotPick;

/* single: only the lane of the first row */
extern void hubspot_pick_alone(const HubspotClaimant *claimant, int window,
							   bool single, HubspotPick *pick);
extern void hubspot_pick_alone_of(const HubspotClaimant *claimant,
								  ItemPointerData * tids, int ntids,
								  HubspotPick *pick);
extern void hubspot_pick_latest(const HubspotClaimant *claimant, int window,
								bool unasked, HubspotPick *pick);
extern void hubspot_pick(const HubspotClaimant *claimant, int window,
						 bool single, HubspotPick *pick);

#endif							/* HUBSPOT_OUTBOX_PICK_H */
