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

#include "catalog/pg_authid.h"
#include "common/base64.h"
#include "miscadmin.h"
#include "utils/syscache.h"

#include "account/client.h"
#include "account/server.h"
#include "account/version_end.h"
#include "api/error.h"
#include "base/attempt.h"
#include "base/secret.h"
#include "schema/rights.h"

/* An account that a role is to use. */
typedef struct Connection
{
	Oid			role;
	const char *server;
	HubspotClient *client;
} Connection;

static HubspotClient *connect_by_mapping(Oid serverid, Oid userid);
static void connect_for(void *state);
static void remember_proxy_login(const HubspotOptions *options);

/*
 * The account of a server (NULL: of the setting hubspot_assoc.server), with
 * its present options; palloc'd.  ERROR if there is none, or if the current
 * role lacks USAGE on the server or a user mapping.
 */
HubspotClient *
hubspot_connect(const char *server)
{
	Oid			userid = GetUserId();

	return connect_by_mapping(hubspot_get_usable_server(server, userid), userid);
}

/*
 * The account of a foreign table, for a user of it; palloc'd.  The table's owner must
 * have USAGE on the server, and the user needs no more than a user mapping; else an ERROR.
 */
HubspotClient *
hubspot_connect_table(Oid serverid, Oid owner, Oid userid)
{
	hubspot_require_usage(serverid, owner);
	return connect_by_mapping(serverid, userid);
}

/* An account, by the user's mapping. */
static HubspotClient *
connect_by_mapping(Oid serverid, Oid userid)
{
	HubspotClient *client = palloc0(sizeof(HubspotClient));

	client->options = hubspot_get_options(serverid, userid);
	hubspot_warn_of_version_end(client->options);
	client->token = hubspot_token_create(client->options);
	client->account = hubspot_account(serverid);
	client->sent = palloc0(sizeof(int64));
	client->policy.max_retries = client->options->max_retries;
	client->policy.batch_size = client->options->batch_size;
	client->policy.concurrency = client->options->concurrency;
	return client;
}

/*
 * The server's account, as the role may use it, in the current memory context;
 * an ERROR (no such server, no USAGE, no user mapping) as a value.
 */
const HubspotError *
hubspot_connect_as(Oid role, const char *server, HubspotClient **client)
{
	Connection	connection = {.role = role,.server = server};
	ErrorData  *data;
	HubspotError *error;

	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)))
		return hubspot_make_error(HUBSPOT_VERDICT_NOT_SENT,
								  ERRCODE_UNDEFINED_OBJECT,
								  psprintf("role with OID %u does not exist", role));
	data = hubspot_attempt(connect_for, &connection);
	*client = connection.client;
	if (data == NULL)
		return NULL;
	error = hubspot_make_error(HUBSPOT_VERDICT_NOT_SENT, data->sqlerrcode,
							   pstrdup(data->message));
	FreeErrorData(data);
	return error;
}

static void
connect_for(void *state)
{
	Connection *connection = state;
	HubspotFormerUser former = hubspot_act_as(connection->role);

	connection->client = hubspot_connect(connection->server);
	hubspot_act_as_before(former);
}

/* Set those members of a request that are the same for all requests of an account. */
void
hubspot_client_request(const HubspotClient *client, HubspotHttpRequest *request)
{
	const HubspotOptions *options = client->options;

	request->connect_timeout = options->connect_timeout;
	request->request_timeout = options->request_timeout;
	request->proxy = options->proxy;
	request->proxy_username = options->proxy_username;
	request->proxy_password = options->proxy_password;
	remember_proxy_login(options);
	request->ca_file = options->ca_file;
	request->user_agent = options->user_agent;
}

/*
 * The login at the proxy goes along with a request.  An answer that repeats
 * the request shows it as HTTP encodes it.
 */
static void
remember_proxy_login(const HubspotOptions *options)
{
	const char *username = options->proxy_username;
	const char *password = options->proxy_password;
	char	   *plain;
	char	   *encoded;
	int			len;
	int			encoded_len;

	if (options->proxy == NULL || username == NULL || password == NULL)
		return;
	hubspot_remember_secret(options->server, password);
	plain = psprintf("%s:%s", username, password);
	len = strlen(plain);
	encoded_len = pg_b64_enc_len(len);
	encoded = palloc0(encoded_len + 1);
	if (pg_b64_encode((void *) plain, len, encoded, encoded_len) < 0)
		elog(ERROR, "could not encode the login of the proxy");
	hubspot_remember_secret(options->server, encoded);
	explicit_bzero(plain, len);
	explicit_bzero(encoded, encoded_len);
	pfree(plain);
	pfree(encoded);
}
