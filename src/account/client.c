/*-------------------------------------------------------------------------
 *
 * client.c
 *	  A HubSpot account, as the current role may use it.
 *
 * The throttle and the statistics of the account outlive it (account.c): HubSpot
 * counts the requests of the last ten seconds, whichever statement sent them.
 * (The network connections live for the session, in transport.c, and so do
 * OAuth's access tokens, in token.c.)  The options belong to one statement,
 * which must not see them change halfway.
 *
 * IDENTIFICATION
 *	  src/account/client.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "account/client.h"
#include "account/server.h"

/*
 * The account of a server (NULL: of the setting hubspot_assoc.server), with
 * the options that hold now; palloc'd.  ERROR if there is none, or if the
 * current role lacks USAGE on the server or a user mapping.
 */
HubspotClient *
hubspot_connect(const char *server)
{
	HubspotClient *client = palloc0(sizeof(HubspotClient));
	Oid			userid = GetUserId();
	Oid			serverid = hubspot_get_usable_server(server, userid);

	client->options = hubspot_get_options(serverid, userid);
	client->token = hubspot_token_create(client->options);
	client->account = hubspot_account(serverid);
	return client;
}
