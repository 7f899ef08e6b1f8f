/*-------------------------------------------------------------------------
 *
 * keyed.h
 *	  Rows that name records by keys: which of them are looked up in a round.
 *
 * IDENTIFICATION
 *	  src/outbox/keyed.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_KEYED_H
#define HUBSPOT_OUTBOX_KEYED_H

#include "outbox/pick.h"

extern char *hubspot_keyed_problem(const HubspotLane *lane);
extern bool hubspot_keyed_is_full(const HubspotLot *lot);
extern bool hubspot_keyed_have_waited(const HubspotPick *pick);
extern void hubspot_keyed_limit(HubspotReask *reask, HubspotLot *lots, int nlots);
extern void hubspot_keyed_hold(HubspotLot *lot);

#endif							/* HUBSPOT_OUTBOX_KEYED_H */
