/*-------------------------------------------------------------------------
 *
 * connection.h
 *	  A HubSpot account, as the current role may use it.
 *
 * IDENTIFICATION
 *	  src/connection.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CONNECTION_H
#define HUBSPOT_CONNECTION_H

#include "option.h"
#include "throttle.h"
#include "token.h"

typedef struct HubspotConnection
{
	const HubspotOptions *options;
	HubspotAccessToken *token;	/* NULL: its requests carry none */
	HubspotThrottle *throttle;	/* the account's, lives for the session */
} HubspotConnection;

extern HubspotConnection *hubspot_connect(const char *server);

#endif							/* HUBSPOT_CONNECTION_H */
