/*-------------------------------------------------------------------------
 *
 * seen_pairs.h
 *	  Which pairs have been read of some records, and with which types.
 *
 * IDENTIFICATION
 *	  src/table/seen_pairs.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_SEEN_PAIRS_H
#define HUBSPOT_TABLE_SEEN_PAIRS_H

#include "api/response.h"

typedef struct HubspotSeenPairs HubspotSeenPairs;

extern HubspotSeenPairs *hubspot_seen_pairs_create(void);
extern bool hubspot_seen_pair_note(HubspotSeenPairs *seen, int64 record,
								   const HubspotAssociation *types, int ntypes);
extern void hubspot_seen_pairs_end(HubspotSeenPairs *seen, int64 record);

#endif							/* HUBSPOT_TABLE_SEEN_PAIRS_H */
