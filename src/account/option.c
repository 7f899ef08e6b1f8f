/*-------------------------------------------------------------------------
 *
 * option.c
 *	  The options of servers, user mappings and foreign tables, as they stand in the catalogs.
 *
 * option_table.c has the table of options.  The validator (option_validator.c)
 * refuses a wrong value when the server is created; only what depends on a
 * setting or may have become wrong since (the allowed hosts, a missing token)
 * is checked again when the server is used.
 *
 * Options are read from the catalogs for each call.  That costs a few
 * microseconds beside a request's milliseconds, and a changed option or a
 * rotated token counts from the next call without any invalidation.
 *
 * IDENTIFICATION
 *	  src/account/option.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "account/option.h"
#include "account/option_table.h"
#include "account/server.h"
#include "base/compat.h"
#include "base/host.h"
#include "base/setting.h"
#include "base/shown.h"

static int	compare_servers(const ListCell *a, const ListCell *b);
static HubspotOptions *server_options(const ForeignServer *server);
static const HubspotOptions *default_options(void);
static void set_defaults(void *options, Oid catalog);
static void set_option(void *options, const HubspotOption *option,
					   const char *value);
static void set_options(void *options, const List *list, Oid catalog);
static UserMapping *get_user_mapping(const ForeignServer *server, Oid userid);
static bool has_own_mapping(const ForeignServer *server, Oid userid);
static HeapTuple find_mapping(Oid serverid, Oid userid);
static bool has_login(const HubspotOptions *options);

/*
 * The options of a server and of the user's mapping for it, or PUBLIC's, as
 * they stand now; palloc'd.
 */
HubspotOptions *
hubspot_get_options(Oid serverid, Oid userid)
{
	ForeignServer *server = GetForeignServer(serverid);
	UserMapping *mapping = get_user_mapping(server, userid);
	HubspotOptions *options = server_options(server);

	options->user = userid;
	options->mapping = mapping->umid;
	options->own_mapping = has_own_mapping(server, userid);
	set_options(options, mapping->options, UserMappingRelationId);

	hubspot_check_host(server->servername, options->base_url);
	if (!has_login(options))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("user mapping for server \"%s\" has no access token",
						server->servername),
				 errhint("Set it with ALTER USER MAPPING ... SERVER %s OPTIONS (ADD access_token '...'), %s.",
						 quote_identifier(server->servername),
						 HUBSPOT_OTHER_TOKEN_OPTIONS)));
	return options;
}

/*
 * The servers of this database that are accounts, by their names: a list of
 * HubspotOptions without those of user mappings; palloc'd.
 */
List *
hubspot_all_servers(void)
{
	Oid			wrapper = get_foreign_data_wrapper_oid(HUBSPOT_WRAPPER, true);
	Relation	relation = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	List	   *servers = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);
		ForeignServer *server;

		if (form->srvfdw != wrapper)
			continue;
		/* it may have been dropped since */
		server = GetForeignServerExtended(form->oid, FSV_MISSING_OK);
		if (server)
			servers = lappend(servers, server_options(server));
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	list_sort(servers, compare_servers);
	return servers;
}

/* For how many minutes a server's history is kept; 0: it has none, or there is no server. */
int
hubspot_history_retention(const char *server_name)
{
	Oid			serverid = get_foreign_server_oid(server_name, true);
	const ForeignServer *server =
	OidIsValid(serverid) ? GetForeignServerExtended(serverid, FSV_MISSING_OK) : NULL;

	return server ? server_options(server)->history_retention : 0;
}

static int
compare_servers(const ListCell *a, const ListCell *b)
{
	return strcmp(((HubspotOptions *) lfirst(a))->server_name,
				  ((HubspotOptions *) lfirst(b))->server_name);
}

/* The options of a server as they stand now, none of a user mapping. */
static HubspotOptions *
server_options(const ForeignServer *server)
{
	HubspotOptions *options = palloc(sizeof(HubspotOptions));

	*options = *default_options();
	options->server_name = server->servername;
	options->server = server->serverid;
	set_options(options, server->options, ForeignServerRelationId);
	return options;
}

/*
 * Store a new refresh token in the user mapping that the options come from, as
 * ALTER USER MAPPING does, with its checks and its errors.  After an ERROR, the
 * subtransaction has to be rolled back.
 */
void
hubspot_set_refresh_token(const HubspotOptions *options,
						  const char *refresh_token)
{
	AlterUserMappingStmt *statement = makeNode(AlterUserMappingStmt);
	RoleSpec   *role = makeNode(RoleSpec);
	DefElem    *option;

	role->roletype = options->own_mapping ? ROLESPEC_CSTRING : ROLESPEC_PUBLIC;
	role->rolename = options->own_mapping ?
		GetUserNameFromId(options->user, false) : NULL;
	role->location = -1;
	option = makeDefElemExtended(NULL, pstrdup("refresh_token"),
								 (Node *) makeString(pstrdup(refresh_token)),
								 DEFELEM_SET, -1);
	statement->user = role;
	statement->servername = pstrdup(options->server_name);
	statement->options = list_make1(option);

	/* the command goes by names, which may mean something else by now */
	if (AlterUserMapping(statement).objectId != options->mapping)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the server or the role has been renamed")));
	CommandCounterIncrement();
}

/* The version of the API that a server's requests use. */
const char *
hubspot_server_api_version(Oid serverid)
{
	return server_options(GetForeignServer(serverid))->api_version;
}

/* Read the options of a foreign table, which have passed the validator. */
void
hubspot_get_table_options(const List *list, HubspotTableOptions *options)
{
	memset(options, 0, sizeof(HubspotTableOptions));
	set_defaults(options, ForeignTableRelationId);
	set_options(options, list, ForeignTableRelationId);
}

/* What a column holds, as its options say: a HubspotTableRole; -1: they say nothing. */
int
hubspot_get_column_role(const List *list)
{
	HubspotTableOptions options = {.role = -1};

	set_options(&options, list, AttributeRelationId);
	return options.role;
}

/* All defaults, which are constants and need no other memory. */
static const HubspotOptions *
default_options(void)
{
	static HubspotOptions defaults;
	static bool made = false;

	if (!made)
		set_defaults(&defaults, ForeignServerRelationId);
	made = true;
	return &defaults;
}

/* Set the defaults of a catalog's options. */
static void
set_defaults(void *options, Oid catalog)
{
	for (size_t i = 0; i < hubspot_noptions; i++)
	{
		const HubspotOption *option = &hubspot_option_table[i];

		if (option->catalog == catalog && option->default_value)
			set_option(options, option, option->default_value);
	}
}

/* Set an option to a value, which has passed the validator. */
static void
set_option(void *options, const HubspotOption *option, const char *value)
{
	void	   *member = (char *) options + option->offset;

	switch (option->kind)
	{
		case HUBSPOT_OPTION_DURATION:
		case HUBSPOT_OPTION_RETENTION:
			(void) hubspot_option_duration(option, value, (int *) member);
			break;
		case HUBSPOT_OPTION_INTEGER:
			(void) parse_int(value, (int *) member, 0, NULL);
			break;
		case HUBSPOT_OPTION_URL:
			/* a path, which begins with a slash, is appended */
			if (value[strlen(value) - 1] == '/')
				value = pnstrdup(value, strlen(value) - 1);
			*(const char **) member = value;
			break;
		case HUBSPOT_OPTION_CHOICE:
			*(int *) member = hubspot_find_choice(option->choices, value);
			break;
		default:
			*(const char **) member = value;
			break;
	}
}

/*
 * Set the options of a list.  Names of an earlier version that are no longer
 * options are skipped.
 */
static void
set_options(void *options, const List *list, Oid catalog)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const HubspotOption *option = hubspot_find_option(def->defname, catalog);

		if (option)
			set_option(options, option, defGetString(def));
	}
}

/* Like GetUserMapping(), with an ERROR that says what to do. */
static UserMapping *
get_user_mapping(const ForeignServer *server, Oid userid)
{
	if (!has_own_mapping(server, userid) && !has_own_mapping(server, InvalidOid))
	{
		const char *user = GetUserNameFromId(userid, false);

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("user mapping for user \"%s\" and server \"%s\" not found",
						user, server->servername),
				 errhint("Create it with CREATE USER MAPPING FOR %s SERVER %s OPTIONS (access_token '...'), %s.",
						 quote_identifier(user),
						 quote_identifier(server->servername), HUBSPOT_OTHER_TOKEN_OPTIONS)));
	}
	return GetUserMapping(userid, server->serverid);
}

/* ERROR if the user has no mapping for the server, nor has PUBLIC. */
void
hubspot_require_mapping(Oid serverid, Oid userid)
{
	(void) get_user_mapping(GetForeignServer(serverid), userid);
}

/* Does the user have a mapping?  InvalidOid stands for PUBLIC. */
static bool
has_own_mapping(const ForeignServer *server, Oid userid)
{
	return SearchSysCacheExists2(USERMAPPINGUSERSERVER,
								 ObjectIdGetDatum(userid),
								 ObjectIdGetDatum(server->serverid));
}

/*
 * The user mapping by which a role uses a server, its own or PUBLIC's, or
 * InvalidOid: there is none.  No ERROR.
 */
Oid
hubspot_login(const char *server_name, Oid userid)
{
	HeapTuple	tuple = find_mapping(get_foreign_server_oid(server_name, true), userid);
	Oid			mapping = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		mapping = ((Form_pg_user_mapping) GETSTRUCT(tuple))->oid;
		ReleaseSysCache(tuple);
	}
	return mapping;
}

/* What a role lacks to use a server.  No ERROR. */
HubspotAccess
hubspot_access(Oid serverid, Oid userid)
{
	HubspotOptions options = {0};
	HeapTuple	tuple;
	Datum		mapping;
	bool		isnull;

	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(userid)))
		return HUBSPOT_ACCESS_NO_ROLE;
	if (hubspot_server_aclcheck(serverid, userid, ACL_USAGE) != ACLCHECK_OK)
		return HUBSPOT_ACCESS_NO_USAGE;
	tuple = find_mapping(serverid, userid);
	if (!HeapTupleIsValid(tuple))
		return HUBSPOT_ACCESS_NO_MAPPING;
	mapping = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		set_options(&options, untransformRelOptions(mapping), UserMappingRelationId);
	ReleaseSysCache(tuple);
	return has_login(&options) ? HUBSPOT_ACCESS_GRANTED : HUBSPOT_ACCESS_NO_LOGIN;
}

/* The user mapping of a role for a server, or PUBLIC's, to be released; NULL: there is none. */
static HeapTuple
find_mapping(Oid serverid, Oid userid)
{
	HeapTuple	tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(userid),
										ObjectIdGetDatum(serverid));

	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
								ObjectIdGetDatum(serverid));
	return tuple;
}

/* Does the user mapping say how to log in? */
static bool
has_login(const HubspotOptions *options)
{
	return options->access_token || options->access_token_file || options->client_id;
}
