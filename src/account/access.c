/*-------------------------------------------------------------------------
 *
 * access.c
 *	  What a role lacks to use a server, in words.
 *
 * This is what the catalogs have.  What HubSpot says of the role's token is another matter.
 *
 * IDENTIFICATION
 *	  src/account/access.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "account/access.h"
#include "account/option.h"

/* Why nothing can be sent to the server on behalf of the role: a sentence; or NULL. */
const char *
hubspot_access_problem(const char *server, Oid role)
{
	Oid			serverid = get_foreign_server_oid(server, true);
	const char *name = GetUserNameFromId(role, true);

	if (!OidIsValid(serverid))
		return psprintf("Server \"%s\" does not exist.", server);
	switch (hubspot_access(serverid, role))
	{
		case HUBSPOT_ACCESS_GRANTED:
			return NULL;
		case HUBSPOT_ACCESS_NO_ROLE:
			return "The role on whose behalf it is sent was dropped.";
		case HUBSPOT_ACCESS_NO_USAGE:
			return psprintf("Role \"%s\" has no USAGE on server \"%s\".", name, server);
		case HUBSPOT_ACCESS_NO_MAPPING:
			return psprintf("Role \"%s\" has no user mapping for server \"%s\".", name, server);
		case HUBSPOT_ACCESS_NO_LOGIN:
			break;
	}
	return psprintf("The user mapping of role \"%s\" for server \"%s\" has no login.",
					name, server);
}

/*
 * The statement that gives the role what it lacks to use the server, which exists; NULL: there
 * is none, because it lacks nothing, or was dropped.
 */
const char *
hubspot_access_advice(const char *server, Oid role)
{
	const char *name = GetUserNameFromId(role, true);

	switch (hubspot_access(get_foreign_server_oid(server, false), role))
	{
		case HUBSPOT_ACCESS_GRANTED:
		case HUBSPOT_ACCESS_NO_ROLE:
			return NULL;
		case HUBSPOT_ACCESS_NO_USAGE:
			return psprintf("GRANT USAGE ON FOREIGN SERVER %s TO %s;", quote_identifier(server),
							quote_identifier(name));
		case HUBSPOT_ACCESS_NO_MAPPING:
			return psprintf("CREATE USER MAPPING FOR %s SERVER %s OPTIONS (access_token '...');",
							quote_identifier(name), quote_identifier(server));
		case HUBSPOT_ACCESS_NO_LOGIN:
			break;
	}
	return psprintf("ALTER USER MAPPING ... SERVER %s OPTIONS (ADD access_token '...');",
					quote_identifier(server));
}
