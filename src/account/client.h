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

/*
 * How calls are made: as the options say, unless the sender changes that
 * before its first call; what may be in flight, it may change at any time.
 */
typedef struct HubspotCallPolicy
{
	int			max_retries;
	int			batch_size;		/* 0: as many as HubspotEndpoint's batch_limit */
	int			concurrency;	/* calls in flight */
	bool		impatient;		/* a call comes back rather than waits long:
								 * it is a sender's, not a statement's */
	int			max_requests;	/* of all its calls, tokens included; 0: no
								 * limit of its own */
	bool		is_preparation; /* inputs are not counted here, but later,
								 * when something is done with them */
	size_t		reply_budget;	/* bytes that the replies of all calls in
								 * flight may take; 0: HUBSPOT_MAX_REPLY each */
} HubspotCallPolicy;

typedef struct HubspotClient
{
	const HubspotOptions *options;
	HubspotAccessToken *token;	/* NULL: its requests carry none */
	HubspotAccount *account;	/* lives for the session */
	HubspotCallPolicy policy;
	int64	   *sent;			/* how many requests: allowance.c's */
} HubspotClient;

extern HubspotClient *hubspot_connect(const char *server);
extern HubspotClient *hubspot_connect_table(Oid serverid, Oid owner, Oid userid);
extern const HubspotError *hubspot_connect_as(Oid role, const char *server,
											  HubspotClient **client);
extern void hubspot_client_request(const HubspotClient *client,
								   HubspotHttpRequest *request);

#endif							/* HUBSPOT_ACCOUNT_CLIENT_H */
