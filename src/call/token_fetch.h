/*-------------------------------------------------------------------------
 *
 * token_fetch.h
 *	  Calls that need an access token, which is fetched beside them.
 *
 * IDENTIFICATION
 *	  src/call/token_fetch.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_TOKEN_FETCH_H
#define HUBSPOT_CALL_TOKEN_FETCH_H

#include "call/call.h"

extern HubspotCalls *hubspot_authorized_calls_create(MemoryContext context,
													 const HubspotClient *client);
extern const HubspotError *hubspot_authorize(const HubspotClient *client);

#endif							/* HUBSPOT_CALL_TOKEN_FETCH_H */
