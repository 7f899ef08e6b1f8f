/*-------------------------------------------------------------------------
 *
 * option.c
 *	  What the user said: options of servers and user mappings.
 *
 * An option is a line of the table below: its name, where it belongs, what it
 * may be.  The validator refuses what is wrong when the server is created;
 * only what depends on a setting, or can have become wrong since (the allowed
 * hosts, a missing token), is checked again when the server is used.
 *
 * Options are read from the catalogs for each call.  That costs a few
 * microseconds beside a request's milliseconds, and makes a changed option or
 * a rotated token count from the next call without any invalidation.
 *
 * IDENTIFICATION
 *	  src/account/option.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "account/option.h"
#include "account/throttle.h"
#include "api/endpoint.h"
#include "base/compat.h"
#include "base/host.h"
#include "base/setting.h"
#include "base/shown.h"

#define WRAPPER_NAME	"hubspot_assoc"
#define MAX_TEXT_LEN	4096

/* How many letters a misspelled name may be off, as in core's own hints. */
#define MAX_NAME_DISTANCE	4

typedef enum OptionKind
{
	OPTION_URL,
	OPTION_VERSION,
	OPTION_DURATION,			/* with a unit; in ms */
	OPTION_INTEGER,
	OPTION_TEXT,				/* printable ASCII, may go into a header */
	OPTION_PROXY,
	OPTION_FILE,
	OPTION_SECRET,				/* a text that no message may show */
	OPTION_TOO_LONG				/* none, whatever it was to be */
} OptionKind;

typedef struct Option
{
	const char *name;
	Oid			catalog;
	OptionKind	kind;
	size_t		offset;			/* in HubspotOptions */
	const char *default_value;	/* or NULL: none */
	int			min,			/* of a DURATION (ms) or an INTEGER */
				max;
	bool		superuser_only;
} Option;

#define SERVER_OPTION(name, kind, default_value, min, max, superuser_only) \
	{#name, ForeignServerRelationId, kind, offsetof(HubspotOptions, name), \
	 default_value, min, max, superuser_only}
#define MAPPING_OPTION(name, kind, superuser_only) \
	{#name, UserMappingRelationId, kind, offsetof(HubspotOptions, name), \
	 NULL, 0, 0, superuser_only}

#define MINUTE	(60 * 1000)
#define HOUR	(60 * MINUTE)

static const Option option_table[] = {
	SERVER_OPTION(base_url, OPTION_URL, "https://api.hubapi.com", 0, 0, false),
	SERVER_OPTION(api_version, OPTION_VERSION, "2026-03", 0, 0, false),
	SERVER_OPTION(connect_timeout, OPTION_DURATION, "10s", 1, HOUR, false),
	SERVER_OPTION(request_timeout, OPTION_DURATION, "60s", 1, HOUR, false),
	SERVER_OPTION(max_retries, OPTION_INTEGER, "5", 0, 100, false),
	SERVER_OPTION(max_retry_delay, OPTION_DURATION, "60s", 1, 24 * HOUR, false),
	SERVER_OPTION(concurrency, OPTION_INTEGER, "4", 1, 64, false),
	SERVER_OPTION(batch_size, OPTION_INTEGER, NULL, 1, 2000, false),
	SERVER_OPTION(rate_limit, OPTION_INTEGER, "100", 0, HUBSPOT_MAX_RATE_LIMIT, false),
	SERVER_OPTION(max_attempts, OPTION_INTEGER, "20", 1, 1000, false),
	SERVER_OPTION(sent_retention, OPTION_DURATION, "0s", 0, 24 * 24 * HOUR, false),
	SERVER_OPTION(proxy, OPTION_PROXY, NULL, 0, 0, true),
	SERVER_OPTION(ca_file, OPTION_FILE, NULL, 0, 0, true),
	SERVER_OPTION(user_agent, OPTION_TEXT, "hubspot_assoc/1.0", 0, 0, false),

	MAPPING_OPTION(access_token, OPTION_SECRET, false),
	MAPPING_OPTION(access_token_file, OPTION_FILE, true),
	/* the id is no secret, but easily mistaken for one */
	MAPPING_OPTION(client_id, OPTION_SECRET, false),
	MAPPING_OPTION(client_secret, OPTION_SECRET, false),
	MAPPING_OPTION(refresh_token, OPTION_SECRET, false)
};

/* The options that OAuth needs, all of them. */
static const char *const oauth_options[] = {
	"client_id", "client_secret", "refresh_token"
};

/* What may stand in a user mapping in place of access_token, for hints. */
#define OTHER_TOKEN_OPTIONS	"or access_token_file, or client_id, client_secret and refresh_token"

/* What is allowed, said in the hint when a value isn't. */
static const char *const allowed_values[] = {
	[OPTION_URL] = "It must be https://host or https://host:port, without a path; plain http only to localhost, 127.x.x.x or [::1].",
	[OPTION_VERSION] = "It must be a dated version, such as \"2026-03\", from 2025-09 on, or \"v4\".",
	[OPTION_TEXT] = "It must be printable ASCII, at most 4096 characters.",
	[OPTION_PROXY] = "It must be http://host:port, https://host:port or socks5h://host:port, without a user name or a path.",
	[OPTION_FILE] = "It must be the absolute path of a file on the server.",
	[OPTION_SECRET] = "It must be printable ASCII without spaces, at most 4096 characters."
};

/*
 * Bytes that a value may have, well below what libcurl or the server's operating
 * system would refuse when it is used.
 */
static const size_t max_lengths[] = {
	[OPTION_URL] = 2000,
	[OPTION_VERSION] = 100,
	[OPTION_DURATION] = 100,
	[OPTION_INTEGER] = 100,
	[OPTION_TEXT] = MAX_TEXT_LEN,
	[OPTION_PROXY] = 2000,
	[OPTION_FILE] = MAXPGPATH - 1,
	[OPTION_SECRET] = MAX_TEXT_LEN
};

PG_FUNCTION_INFO_V1(hs_assoc_fdw_validator);

static int	compare_servers(const ListCell *a, const ListCell *b);
static HubspotOptions *server_options(const ForeignServer *server);
static const HubspotOptions *default_options(void);
static const Option *find_option(const char *name, Oid catalog);
static void check_mapping(const List *list);
static bool has_option(const List *list, const char *name);
static void refuse_option(const char *name, Oid catalog) pg_attribute_noreturn();
static char *option_names(Oid catalog);
static const char *closest_option(const char *name, Oid catalog);
static void check_option(const Option *option, const char *value);
static bool parse_duration(const Option *option, const char *value,
						   int *result);
static bool is_text(const char *value, char first);
static void set_option(HubspotOptions *options, const Option *option,
					   const char *value);
static void set_options(HubspotOptions *options, const List *list, Oid catalog);
static UserMapping *get_user_mapping(const ForeignServer *server, Oid userid);
static bool has_own_mapping(const ForeignServer *server, Oid userid);

/*
 * The server of that name, or of hubspot_assoc.server if name is NULL.  The
 * ERROR says what to create if there is none.
 */
Oid
hubspot_get_server(const char *name)
{
	ForeignServer *server;

	if (name == NULL)
		name = hubspot_server_setting;
	server = GetForeignServerByName(name, true);
	if (server == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("server \"%s\" does not exist", hubspot_shown(name)),
				 errhint("Create it with CREATE SERVER %s FOREIGN DATA WRAPPER %s, or name another one in the argument server or the setting hubspot_assoc.server.",
						 quote_identifier(hubspot_shown(name)), WRAPPER_NAME)));
	if (strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, WRAPPER_NAME) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is no HubSpot account", name),
				 errdetail("It belongs to another foreign-data wrapper than %s.",
						   WRAPPER_NAME)));
	return server->serverid;
}

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
	if (options->access_token == NULL && options->access_token_file == NULL &&
		options->client_id == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("user mapping for server \"%s\" has no access token",
						server->servername),
				 errhint("Set it with ALTER USER MAPPING ... SERVER %s OPTIONS (ADD access_token '...'), %s.",
						 quote_identifier(server->servername),
						 OTHER_TOKEN_OPTIONS)));
	return options;
}

/*
 * The servers of this database that are accounts, by their names: a list of
 * HubspotOptions without those of user mappings; palloc'd.
 */
List *
hubspot_all_servers(void)
{
	Oid			wrapper = get_foreign_data_wrapper_oid(WRAPPER_NAME, true);
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

/* Printable ASCII without spaces, not too long? */
bool
hubspot_is_token(const char *value)
{
	return is_text(value, '!');
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

	/* the command goes by names, which may have moved */
	if (AlterUserMapping(statement).objectId != options->mapping)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the server or the role has been renamed")));
	CommandCounterIncrement();
}

/* All defaults, which are constants and need no memory but this. */
static const HubspotOptions *
default_options(void)
{
	static HubspotOptions defaults;
	static bool made = false;

	for (size_t i = 0; i < lengthof(option_table) && !made; i++)
	{
		if (option_table[i].default_value)
			set_option(&defaults, &option_table[i], option_table[i].default_value);
	}
	made = true;
	return &defaults;
}

/* Refuse what is wrong when it is said, not when it is used. */
Datum
hs_assoc_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *list = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	ListCell   *lc;

	foreach(lc, list)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const Option *option = find_option(def->defname, catalog);

		if (option == NULL)
			refuse_option(def->defname, catalog);
		check_option(option, defGetString(def));
	}
	if (catalog == UserMappingRelationId)
		check_mapping(list);
	PG_RETURN_VOID();
}

/*
 * A token comes from one place.  None at all is allowed, for a mapping that is
 * to get its options later.
 */
static void
check_mapping(const List *list)
{
	const char *sources[lengthof(oauth_options) + 2];
	const char *missing = NULL;
	int			nsources = 0;
	int			noauth = 0;

	for (size_t i = 0; i < lengthof(oauth_options); i++)
	{
		if (!has_option(list, oauth_options[i]))
			missing = missing ? psprintf("%s, %s", missing, oauth_options[i]) :
				oauth_options[i];
		else if (noauth++ == 0)
			sources[nsources++] = oauth_options[i];
	}
	if (has_option(list, "access_token_file"))
		sources[nsources++] = "access_token_file";
	if (has_option(list, "access_token"))
		sources[nsources++] = "access_token";

	if (nsources > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("options \"%s\" and \"%s\" exclude each other",
						sources[1], sources[0]),
				 errhint("A user mapping has access_token, %s.", OTHER_TOKEN_OPTIONS)));
	if (noauth > 0 && missing)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("missing options of OAuth: %s", missing),
				 errhint("A user mapping has access_token, %s.", OTHER_TOKEN_OPTIONS)));
}

static bool
has_option(const List *list, const char *name)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		if (strcmp(lfirst_node(DefElem, lc)->defname, name) == 0)
			return true;
	}
	return false;
}

static const Option *
find_option(const char *name, Oid catalog)
{
	for (size_t i = 0; i < lengthof(option_table); i++)
	{
		if (option_table[i].catalog == catalog &&
			strcmp(option_table[i].name, name) == 0)
			return &option_table[i];
	}
	return NULL;
}

/* The ERROR says where the option belongs, or which one may have been meant. */
static void
refuse_option(const char *name, Oid catalog)
{
	const char *closest = closest_option(name, catalog);
	const char *hint;

	if (find_option(name, UserMappingRelationId))
		hint = "It is an option of user mappings, not of servers.";
	else if (find_option(name, ForeignServerRelationId))
		hint = "It is an option of servers, not of user mappings.";
	else if (closest)
		hint = psprintf("Perhaps you meant the option \"%s\".", closest);
	else
		hint = psprintf("The options here are: %s.", option_names(catalog));
	if (catalog != ForeignServerRelationId && catalog != UserMappingRelationId)
		hint = "There are no valid options in this context.";
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 errhint("%s", hint)));
}

/* The names of a catalog's options, as a list. */
static char *
option_names(Oid catalog)
{
	StringInfoData names;

	initStringInfo(&names);
	for (size_t i = 0; i < lengthof(option_table); i++)
	{
		if (option_table[i].catalog == catalog)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
							 option_table[i].name);
	}
	return names.data;
}

/*
 * The option of the catalog whose name is the least away, or NULL if none is
 * close enough to be meant.
 */
static const char *
closest_option(const char *name, Oid catalog)
{
	const char *closest = NULL;
	int			least = Min(MAX_NAME_DISTANCE, (int) strlen(name) / 2) + 1;

	for (size_t i = 0; i < lengthof(option_table); i++)
	{
		const Option *option = &option_table[i];
		int			distance;

		if (option->catalog != catalog)
			continue;
		/* names are identifiers, so never too long for the function */
		distance = varstr_levenshtein(name, strlen(name), option->name,
									  strlen(option->name), 1, 1, 1, true);
		if (distance < least)
		{
			least = distance;
			closest = option->name;
		}
	}
	return closest;
}

/* The ERROR names the value (unless it is secret) and says what is allowed. */
static void
check_option(const Option *option, const char *value)
{
	static const char *const url_schemes[] = {"https", "http", NULL};
	static const char *const proxy_schemes[] = {"http", "https", "socks5h", NULL};
	const char *hint = allowed_values[option->kind];
	const char *scheme = NULL;
	char	   *host;
	bool		valid = false;
	int			number;

	if (option->superuser_only && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", option->name),
				 errhint("Only a superuser may set it.")));

	switch (strlen(value) <= max_lengths[option->kind] ? option->kind : OPTION_TOO_LONG)
	{
		case OPTION_TOO_LONG:
			hint = psprintf("It must have at most %zu characters.", max_lengths[option->kind]);
			break;
		case OPTION_URL:
			host = hubspot_url_host(value, url_schemes, &scheme);
			valid = host && (strcmp(scheme, "https") == 0 || hubspot_is_loopback(host));
			break;
		case OPTION_PROXY:
			valid = hubspot_url_host(value, proxy_schemes, &scheme) != NULL;
			break;
		case OPTION_VERSION:
			valid = hubspot_is_api_version(value);
			break;
		case OPTION_DURATION:
			valid = parse_duration(option, value, &number);
			hint = psprintf("It must be a number with a unit (us, ms, s, min, h, d), from %dms to %ds.",
							option->min, option->max / 1000);
			break;
		case OPTION_INTEGER:
			valid = value[strspn(value, "0123456789")] == '\0' &&
				parse_int(value, &number, 0, NULL) &&
				number >= option->min && number <= option->max;
			hint = psprintf("It must be a whole number from %d to %d.",
							option->min, option->max);
			break;
		case OPTION_TEXT:
			valid = is_text(value, ' ');
			break;
		case OPTION_FILE:
			valid = is_absolute_path(value);
			break;
		case OPTION_SECRET:
			valid = hubspot_is_token(value);
			break;
	}
	if (!valid && option->kind == OPTION_SECRET)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid value for option \"%s\"", option->name),
				 errhint("%s", hint)));
	if (!valid)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid value for option \"%s\": \"%s\"",
						option->name, hubspot_shown(value)),
				 errhint("%s", hint)));
	if (option->kind == OPTION_URL)
		hubspot_check_host(NULL, value);
}

/*
 * A duration with PostgreSQL's units.  A bare number is refused: it would be
 * read as seconds by some and as milliseconds by others.
 */
static bool
parse_duration(const Option *option, const char *value, int *result)
{
	const char *unit = value + strspn(value, "0123456789.");

	unit += strspn(unit, " ");
	return isdigit((unsigned char) value[0]) && *unit != '\0' &&
		unit[strspn(unit, "abcdefghijklmnopqrstuvwxyz")] == '\0' &&
		parse_int(value, result, GUC_UNIT_MS, NULL) &&
		*result >= option->min && *result <= option->max;
}

/* Printable ASCII from first on, not empty, not too long? */
static bool
is_text(const char *value, char first)
{
	size_t		len = strlen(value);

	for (size_t i = 0; i < len; i++)
	{
		if (value[i] < first || value[i] > '~')
			return false;
	}
	return len > 0 && len <= MAX_TEXT_LEN;
}

/* The value has passed check_option. */
static void
set_option(HubspotOptions *options, const Option *option, const char *value)
{
	void	   *member = (char *) options + option->offset;

	switch (option->kind)
	{
		case OPTION_DURATION:
			(void) parse_duration(option, value, (int *) member);
			break;
		case OPTION_INTEGER:
			(void) parse_int(value, (int *) member, 0, NULL);
			break;
		case OPTION_URL:
			/* the path, which begins with a slash, follows it */
			if (value[strlen(value) - 1] == '/')
				value = pnstrdup(value, strlen(value) - 1);
			*(const char **) member = value;
			break;
		default:
			*(const char **) member = value;
			break;
	}
}

/* Options that are none by now, of an earlier version, are passed over. */
static void
set_options(HubspotOptions *options, const List *list, Oid catalog)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const Option *option = find_option(def->defname, catalog);

		if (option)
			set_option(options, option, defGetString(def));
	}
}

/* As GetUserMapping, with an ERROR that says what to do. */
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
						 quote_identifier(server->servername), OTHER_TOKEN_OPTIONS)));
	}
	return GetUserMapping(userid, server->serverid);
}

/* InvalidOid stands for PUBLIC. */
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
	Oid			serverid = get_foreign_server_oid(server_name, true);
	Oid			mapping;

	mapping = GetSysCacheOid2(USERMAPPINGUSERSERVER, Anum_pg_user_mapping_oid,
							  ObjectIdGetDatum(userid),
							  ObjectIdGetDatum(serverid));
	if (!OidIsValid(mapping))
		mapping = GetSysCacheOid2(USERMAPPINGUSERSERVER, Anum_pg_user_mapping_oid,
								  ObjectIdGetDatum(InvalidOid),
								  ObjectIdGetDatum(serverid));
	return mapping;
}
