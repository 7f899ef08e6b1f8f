/*-------------------------------------------------------------------------
 *
 * keep_labels.h
 *	  The labels that pairs have, read before they are replaced.
 *
 * IDENTIFICATION
 *	  src/call/keep_labels.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_KEEP_LABELS_H
#define HUBSPOT_CALL_KEEP_LABELS_H

#include "call/unit.h"

/* What is read for the units of one chunk; see keep_labels.c. */
typedef struct HubspotKeep HubspotKeep;

extern HubspotKeep *hubspot_keep_create(HubspotUnit **units, int nunits);
extern HubspotPairs *hubspot_keep_pairs(const HubspotKeep *keep);
extern HubspotUnit **hubspot_keep_unread(HubspotKeep *keep, int *nrecords);
extern void hubspot_keep_take(HubspotKeep *keep, HubspotUnit **records,
							  int nrecords, const HubspotPairs *pairs);
extern HubspotUnit **hubspot_keep_finish(HubspotKeep *keep, int *nunits);

#endif							/* HUBSPOT_CALL_KEEP_LABELS_H */
