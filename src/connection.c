/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  A HubSpot account, as the current role may use it.
 *
 * What lives for the session is the throttle of each account: HubSpot counts
 * the requests of the last ten seconds, whichever statement sent them.  (The
 * network connections live for it, too, in transport.c, and so do OAuth's
 * access tokens, in token.c.)  The options belong to one statement, which must
 * not see them change halfway.
 *
 * IDENTIFICATION
 *	  src/connection.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "compat.h"
#include "connection.h"

typedef struct Account
{
	Oid			serverid;		/* hash key */
	HubspotThrottle *throttle;
} Account;

static HTAB *accounts = NULL;

static HubspotThrottle *account_throttle(Oid serverid);

/*
 * The account of a server (NULL: of the setting hubspot_assoc.server), with
 * the options that hold now; palloc'd.  ERROR if there is none, or if the
 * current role lacks USAGE on the server or a user mapping.
 */
HubspotConnection *
hubspot_connect(const char *server)
{
	HubspotConnection *connection = palloc(sizeof(HubspotConnection));
	Oid			userid = GetUserId();
	Oid			serverid = hubspot_get_server(server);
	AclResult	aclresult;

	aclresult = hubspot_server_aclcheck(serverid, userid, ACL_USAGE);
	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_FOREIGN_SERVER,
					   GetForeignServer(serverid)->servername);
	connection->options = hubspot_get_options(serverid, userid);
	connection->token = hubspot_token_create(connection->options);
	connection->throttle = account_throttle(serverid);
	return connection;
}

static HubspotThrottle *
account_throttle(Oid serverid)
{
	Account    *account;
	bool		found;

	if (accounts == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(Oid);
		control.entrysize = sizeof(Account);
		accounts = hash_create("hubspot_assoc accounts", 8, &control,
							   HASH_ELEM | HASH_BLOBS);
	}
	account = hash_search(accounts, &serverid, HASH_ENTER, &found);
	if (!found)
		account->throttle = NULL;
	if (account->throttle == NULL)
		account->throttle = MemoryContextAllocZero(TopMemoryContext,
												   sizeof(HubspotThrottle));
	return account->throttle;
}
