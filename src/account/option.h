/*-------------------------------------------------------------------------
 *
 * option.h
 *	  The options of servers, user mappings and foreign tables, as they stand in the catalogs.
 *
 * IDENTIFICATION
 *	  src/account/option.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ACCOUNT_OPTION_H
#define HUBSPOT_ACCOUNT_OPTION_H

#include "nodes/pg_list.h"

#include "account/option_table.h"

/* What a role lacks to use a server; the first thing that it does. */
typedef enum HubspotAccess
{
	HUBSPOT_ACCESS_GRANTED,
	HUBSPOT_ACCESS_NO_ROLE,		/* it was dropped */
	HUBSPOT_ACCESS_NO_USAGE,
	HUBSPOT_ACCESS_NO_MAPPING,	/* neither its own nor PUBLIC's */
	HUBSPOT_ACCESS_NO_LOGIN		/* the mapping has none of the tokens */
} HubspotAccess;

extern HubspotOptions *hubspot_get_options(Oid serverid, Oid userid);
extern void hubspot_require_mapping(Oid serverid, Oid userid);
extern Oid	hubspot_login(const char *server_name, Oid userid);
extern HubspotAccess hubspot_access(Oid serverid, Oid userid);
extern const char *hubspot_server_api_version(Oid serverid);
extern void hubspot_get_table_options(const List *list, HubspotTableOptions *options);
extern int	hubspot_get_column_role(const List *list);
extern List *hubspot_all_servers(void);
extern int	hubspot_history_retention(const char *server_name);
extern void hubspot_set_refresh_token(const HubspotOptions *options,
									  const char *refresh_token);

#endif							/* HUBSPOT_ACCOUNT_OPTION_H */
