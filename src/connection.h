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

#include "account.h"
#include "option.h"
#include "token.h"

typedef struct HubspotConnection
{
	const HubspotOptions *options;
	HubspotAccessToken *token;	/* NULL: its requests carry none */
	HubspotAccount *account;	/* lives for the session */
	bool		impatient;		/* a call comes back rather than wait long */
} HubspotConnection;

extern HubspotConnection *hubspot_connect(const char *server);

#endif							/* HUBSPOT_CONNECTION_H */
