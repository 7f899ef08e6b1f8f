/*-------------------------------------------------------------------------
 *
 * seen_pairs.h
 *	  Which pairs have been read of some records, and the places of their types.
 *
 * IDENTIFICATION
 *	  src/table/seen_pairs.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_SEEN_PAIRS_H
#define HUBSPOT_TABLE_SEEN_PAIRS_H

#include "table/table_change.h"

typedef struct HubspotSeenPairs HubspotSeenPairs;

extern HubspotSeenPairs *hubspot_seen_pairs_create(void);
extern void hubspot_seen_pairs_place(HubspotSeenPairs *seen, const HubspotOutcome *outcome,
									 HubspotTypePlace *place);
extern void hubspot_seen_pairs_end(HubspotSeenPairs *seen, int64 record);

#endif							/* HUBSPOT_TABLE_SEEN_PAIRS_H */
