/*-------------------------------------------------------------------------
 *
 * allowance.h
 *	  How many requests may be sent.
 *
 * IDENTIFICATION
 *	  src/call/allowance.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_ALLOWANCE_H
#define HUBSPOT_CALL_ALLOWANCE_H

#include "account/client.h"
#include "hubspot.h"

extern void hubspot_allowance_expect(const HubspotClient *client, int64 requests);
extern const HubspotError *hubspot_allowance_take(const HubspotClient *client);

#endif							/* HUBSPOT_CALL_ALLOWANCE_H */
