/*-------------------------------------------------------------------------
 *
 * key_cache.h
 *	  Keys that a session keeps from one statement to the next.
 *
 * IDENTIFICATION
 *	  src/call/key_cache.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_KEY_CACHE_H
#define HUBSPOT_CALL_KEY_CACHE_H

#include "account/client.h"
#include "call/keys.h"

/* Keys while a statement uses them; see key_cache.c. */
typedef struct HubspotCachedKeys HubspotCachedKeys;

extern HubspotKeys *hubspot_key_cache_take(MemoryContext context,
										   const HubspotClient *client,
										   const HubspotObjectType *type,
										   bool takes_earlier,
										   HubspotCachedKeys **cached);
extern void hubspot_key_cache_give_back(HubspotCachedKeys *cached, bool in_order);

#endif							/* HUBSPOT_CALL_KEY_CACHE_H */
