/*-------------------------------------------------------------------------
 *
 * client.h
 *	  A HubSpot account, as the current role may use it.
 *
 * IDENTIFICATION
 *	  src/account/client.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ACCOUNT_CLIENT_H
#define HUBSPOT_ACCOUNT_CLIENT_H

#include "account/account.h"
#include "account/option.h"
#include "account/token.h"

typedef struct HubspotClient
{
	const HubspotOptions *options;
	HubspotAccessToken *token;	/* NULL: its requests carry none */
	HubspotAccount *account;	/* lives for the session */
	bool		impatient;		/* a call comes back rather than wait long */
	size_t		reply_budget;	/* bytes that the replies of all calls in
								 * flight may take; 0: HUBSPOT_MAX_REPLY each */
} HubspotClient;

extern HubspotClient *hubspot_connect(const char *server);
extern const HubspotError *hubspot_connect_as(Oid role, const char *server,
											  HubspotClient **client);

#endif							/* HUBSPOT_ACCOUNT_CLIENT_H */
