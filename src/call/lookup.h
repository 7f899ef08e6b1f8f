/*-------------------------------------------------------------------------
 *
 * lookup.h
 *	  Look-ups: HubSpot is asked for the records of keys.
 *
 * IDENTIFICATION
 *	  src/call/lookup.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_LOOKUP_H
#define HUBSPOT_CALL_LOOKUP_H

#include "call/call.h"
#include "call/keys.h"

/* The look-ups of the keys of one object type; see lookup.c. */
typedef struct HubspotLookups HubspotLookups;

extern HubspotLookups *hubspot_lookups_create(MemoryContext context,
											  const HubspotClient *client,
											  HubspotCalls *calls, HubspotKeys *keys);
extern void hubspot_lookups_add(HubspotLookups *lookups, HubspotKey *key);
extern void hubspot_lookups_start(HubspotLookups *lookups, bool all);
extern const HubspotError *hubspot_lookups_stopped(const HubspotLookups *lookups);

#endif							/* HUBSPOT_CALL_LOOKUP_H */
