/*-------------------------------------------------------------------------
 *
 * option_validator.c
 *	  Checks of options when they are set.
 *
 * CREATE and ALTER SERVER, USER MAPPING and FOREIGN TABLE call the validator with
 * all options that the object would have.  It refuses names that are not options,
 * wrong values, and logins or tables that are incomplete or ambiguous, with an ERROR
 * that says what is allowed, so that a mistake is seen when it is made.
 *
 * IDENTIFICATION
 *	  src/account/option_validator.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "account/option_table.h"
#include "api/endpoint.h"
#include "api/key.h"
#include "base/closest.h"
#include "base/compat.h"
#include "base/host.h"
#include "base/setting.h"
#include "base/shown.h"

/* in milliseconds */
#define MINUTE	(60 * INT64CONST(1000))

/* The options that OAuth needs, all of them. */
static const char *const oauth_options[] = {
	"client_id", "client_secret", "refresh_token"
};

/* The objects that have options, in words. */
static const struct
{
	Oid			catalog;
	const char *things;
}			catalogs[] = {
	{UserMappingRelationId, "user mappings"},
	{ForeignServerRelationId, "servers"},
	{ForeignTableRelationId, "foreign tables"},
	{AttributeRelationId, "columns of foreign tables"}
};

/* What is allowed: the hint when a value is refused. */
static const char *const allowed_values[] = {
	[HUBSPOT_OPTION_URL] = "It must be https://host or https://host:port, without a path; plain http only to localhost, 127.x.x.x or [::1].",
	[HUBSPOT_OPTION_VERSION] = "It must be \"v4\", or a dated version of March or September, from 2025-09 on, such as \"2026-03\" or \"2026-09-beta\".",
	[HUBSPOT_OPTION_TEXT] = "It must be printable ASCII, at most 4096 characters.",
	[HUBSPOT_OPTION_PROXY] = "It must be http://host:port, https://host:port or socks5h://host:port, without a user name or a path.",
	[HUBSPOT_OPTION_USERNAME] = "It must be printable ASCII without spaces and colons, at most 255 characters.",
	[HUBSPOT_OPTION_FILE] = "It must be the absolute path of a file on the server.",
	[HUBSPOT_OPTION_SECRET] = "It must be printable ASCII without spaces, at most 4096 characters."
};

/*
 * The most bytes of a value, well below what libcurl or the operating system
 * would refuse when it is used.
 */
static const size_t max_lengths[] = {
	[HUBSPOT_OPTION_URL] = 2000,
	[HUBSPOT_OPTION_VERSION] = 100,
	[HUBSPOT_OPTION_DURATION] = 100,
	[HUBSPOT_OPTION_RETENTION] = 100,
	[HUBSPOT_OPTION_INTEGER] = 100,
	[HUBSPOT_OPTION_CHOICE] = 100,
	[HUBSPOT_OPTION_TEXT] = HUBSPOT_MAX_TEXT_LEN,
	[HUBSPOT_OPTION_PROXY] = 2000,
	[HUBSPOT_OPTION_FILE] = MAXPGPATH - 1,
	[HUBSPOT_OPTION_USERNAME] = 255,	/* SOCKS has no room for more */
	[HUBSPOT_OPTION_SECRET] = HUBSPOT_MAX_TEXT_LEN,
	[HUBSPOT_OPTION_OBJECT_TYPE] = 300
};

PG_FUNCTION_INFO_V1(hs_assoc_fdw_validator);

static void refuse_option(const char *name, Oid catalog) pg_attribute_noreturn();
static const char *catalog_things(Oid catalog);
static char *option_names(Oid catalog);
static const char *closest_option(const char *name, Oid catalog);
static void check_option(const HubspotOption *option, const char *value);
static bool is_allowed(const HubspotOption *option, const char *value);
static const char *duration_text(int64 milliseconds);
static const char *hint_for(const HubspotOption *option, const char *value);
static const char *object_type_hint(const char *value);
static const char *choice_hint(const HubspotOption *option, const char *value);
static void check_required(const List *list, Oid catalog);
static void check_kind(const List *list);
static void check_mapping(const List *list);
static bool has_option(const List *list, const char *name);

/* Refuse wrong options when they are set, not when they are used. */
Datum
hs_assoc_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *list = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	ListCell   *lc;

	foreach(lc, list)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const HubspotOption *option = hubspot_find_option(def->defname, catalog);

		if (option == NULL)
			refuse_option(def->defname, catalog);
		check_option(option, defGetString(def));
	}
	if (catalog == ForeignTableRelationId && has_option(list, "kind"))
		check_kind(list);
	else
		check_required(list, catalog);
	if (catalog == UserMappingRelationId)
		check_mapping(list);
	PG_RETURN_VOID();
}

/*
 * Refuse a name.  The ERROR says where the option belongs, or which one may
 * have been meant.
 */
static void
refuse_option(const char *name, Oid catalog)
{
	const char *closest = closest_option(name, catalog);
	const char *mine = catalog_things(catalog);
	const char *hint = NULL;

	for (size_t i = 0; i < lengthof(catalogs) && mine; i++)
	{
		if (hubspot_find_option(name, catalogs[i].catalog))
			hint = psprintf("It is an option of %s, not of %s.", catalogs[i].things, mine);
	}
	if (mine == NULL)
		hint = "There are no valid options in this context.";
	else if (hint == NULL && closest)
		hint = psprintf("Perhaps you meant the option \"%s\".", closest);
	else if (hint == NULL)
		hint = psprintf("The valid options are: %s.", option_names(catalog));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 errhint("%s", hint)));
}

/* The objects that have the options of a catalog, in words, or NULL: there are none. */
static const char *
catalog_things(Oid catalog)
{
	for (size_t i = 0; i < lengthof(catalogs); i++)
	{
		if (catalogs[i].catalog == catalog)
			return catalogs[i].things;
	}
	return NULL;
}

/* The names of a catalog's options, as a list. */
static char *
option_names(Oid catalog)
{
	StringInfoData names;

	initStringInfo(&names);
	for (size_t i = 0; i < hubspot_noptions; i++)
	{
		if (hubspot_option_table[i].catalog == catalog)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
							 hubspot_option_table[i].name);
	}
	return names.data;
}

/* The option of the catalog that may have been meant, or NULL. */
static const char *
closest_option(const char *name, Oid catalog)
{
	HubspotClosest closest = {.name = name};

	for (size_t i = 0; i < hubspot_noptions; i++)
	{
		if (hubspot_option_table[i].catalog == catalog)
			hubspot_closest_try(&closest, hubspot_option_table[i].name);
	}
	return closest.found;
}

/*
 * Check a value.  The ERROR names it (unless it is secret) and says what is
 * allowed.
 */
static void
check_option(const HubspotOption *option, const char *value)
{
	if (option->superuser_only && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", option->name),
				 errhint("Only a superuser may set it.")));
	if (strlen(value) > max_lengths[option->kind] || !is_allowed(option, value))
	{
		if (option->kind == HUBSPOT_OPTION_SECRET ||
			option->kind == HUBSPOT_OPTION_USERNAME)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid value for option \"%s\"", option->name),
					 errhint("%s", hint_for(option, value))));
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid value for option \"%s\": \"%s\"",
						option->name, hubspot_shown(value)),
				 errhint("%s", hint_for(option, value))));
	}
	if (option->kind == HUBSPOT_OPTION_URL)
		hubspot_check_host(NULL, value);
}

/* May the option have this value, whose length has been checked? */
static bool
is_allowed(const HubspotOption *option, const char *value)
{
	static const char *const url_schemes[] = {"https", "http", NULL};
	static const char *const proxy_schemes[] = {"http", "https", "socks5h", NULL};
	const char *scheme = NULL;
	HubspotObjectType type;
	char	   *host;
	int			number;

	switch (option->kind)
	{
		case HUBSPOT_OPTION_URL:
			host = hubspot_url_host(value, url_schemes, &scheme);
			return host && (strcmp(scheme, "https") == 0 || hubspot_is_loopback(host));
		case HUBSPOT_OPTION_PROXY:
			return hubspot_url_host(value, proxy_schemes, &scheme) != NULL;
		case HUBSPOT_OPTION_VERSION:
			return hubspot_is_api_version(value);
		case HUBSPOT_OPTION_DURATION:
		case HUBSPOT_OPTION_RETENTION:
			return hubspot_option_duration(option, value, &number);
		case HUBSPOT_OPTION_INTEGER:
			return value[strspn(value, "0123456789")] == '\0' &&
				parse_int(value, &number, 0, NULL) &&
				number >= option->min && number <= option->max;
		case HUBSPOT_OPTION_CHOICE:
			return hubspot_find_choice(option->choices, value) >= 0;
		case HUBSPOT_OPTION_TEXT:
			return hubspot_is_text(value, ' ');
		case HUBSPOT_OPTION_FILE:
			return is_absolute_path(value);
		case HUBSPOT_OPTION_USERNAME:
			/* a colon would end it */
			return hubspot_is_token(value) && strchr(value, ':') == NULL;
		case HUBSPOT_OPTION_OBJECT_TYPE:
			return hubspot_parse_object_type(value, &type, &host) == NULL;
		case HUBSPOT_OPTION_SECRET:
			break;
	}
	return hubspot_is_token(value);
}

/* A hint: what the value of an option may be, which this value is not. */
static const char *
hint_for(const HubspotOption *option, const char *value)
{
	if (strlen(value) > max_lengths[option->kind])
		return psprintf("It must have at most %zu characters.",
						max_lengths[option->kind]);
	if (option->kind == HUBSPOT_OPTION_DURATION)
		return psprintf("It must be a number with a unit (us, ms, s, min, h, d), from %s to %s.",
						duration_text(option->min), duration_text(option->max));
	if (option->kind == HUBSPOT_OPTION_RETENTION)
		return psprintf("It must be a number with a unit (s, min, h, d), from %s to %s.",
						duration_text((int64) option->min * MINUTE),
						duration_text((int64) option->max * MINUTE));
	if (option->kind == HUBSPOT_OPTION_INTEGER)
		return psprintf("It must be a whole number from %d to %d.",
						option->min, option->max);
	if (option->kind == HUBSPOT_OPTION_OBJECT_TYPE)
		return object_type_hint(value);
	if (option->kind == HUBSPOT_OPTION_CHOICE)
		return choice_hint(option, value);
	return allowed_values[option->kind];
}

/* A number of milliseconds as an option may have it, in the largest unit of which it is a multiple. */
static const char *
duration_text(int64 milliseconds)
{
	static const struct
	{
		int64		length;
		const char *name;
	}			units[] = {
		{24 * 60 * MINUTE, "d"},
		{60 * MINUTE, "h"},
		{MINUTE, "min"},
		{1000, "s"},
	};

	for (size_t i = 0; milliseconds > 0 && i < lengthof(units); i++)
	{
		if (milliseconds % units[i].length == 0)
			return psprintf("%lld%s", (long long) (milliseconds / units[i].length), units[i].name);
	}
	return psprintf("%lld%s", (long long) milliseconds, milliseconds == 0 ? "s" : "ms");
}

/* What is wrong with an object type, and what it may be. */
static const char *
object_type_hint(const char *value)
{
	HubspotObjectType type;
	char	   *hint;
	char	   *problem = hubspot_parse_object_type(value, &type, &hint);

	/* problems have no capital letter, since they stand in messages elsewhere */
	problem[0] = pg_toupper((unsigned char) problem[0]);
	return psprintf("%s. %s", problem,
					hint ? hint : "An object type is \"contacts\", \"0-1\" or \"2-12345\", for example, and \"contacts:email\" where records are called by a property.");
}

/* The word that may have been meant, or all of them. */
static const char *
choice_hint(const HubspotOption *option, const char *value)
{
	HubspotClosest closest = {.name = value};
	StringInfoData words;

	initStringInfo(&words);
	for (int i = 0; option->choices[i]; i++)
	{
		hubspot_closest_try(&closest, option->choices[i]);
		appendStringInfo(&words, "%s\"%s\"",
						 i == 0 ? "" : option->choices[i + 1] ? ", " : " or ",
						 option->choices[i]);
	}
	if (closest.found)
		return psprintf("Perhaps you meant \"%s\".", closest.found);
	return psprintf("It must be %s.", words.data);
}

/* Refuse an object that lacks an option. */
static void
check_required(const List *list, Oid catalog)
{
	for (size_t i = 0; i < hubspot_noptions; i++)
	{
		const HubspotOption *option = &hubspot_option_table[i];

		if (option->catalog == catalog && option->required && !has_option(list, option->name))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
					 errmsg("missing option \"%s\"", option->name),
					 errhint("A foreign table has OPTIONS (from_type 'contacts', to_type 'companies'), for example.")));
	}
}

/*
 * Refuse options that a foreign table's kind does not have, and a table that lacks those
 * that its kind needs.
 */
static void
check_kind(const List *list)
{
	const char *kind = NULL;
	const char *other = NULL;
	ListCell   *lc;

	foreach(lc, list)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "kind") == 0)
			kind = defGetString(def);
		else
			other = def->defname;
	}
	if (hubspot_find_choice(hubspot_kind_names, kind) == HUBSPOT_KIND_ASSOCIATIONS)
		check_required(list, ForeignTableRelationId);
	else if (other)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", other),
				 errhint("A foreign table whose kind is \"%s\" has no other option.", kind)));
}

/*
 * Check that a token comes from one place only.  No place at all is allowed,
 * for a mapping that will get its options later.
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
				 errmsg("options \"%s\" and \"%s\" cannot be used together",
						sources[1], sources[0]),
				 errhint("A user mapping has access_token, %s.", HUBSPOT_OTHER_TOKEN_OPTIONS)));
	if (noauth > 0 && missing)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("missing OAuth options: %s", missing),
				 errhint("A user mapping has access_token, %s.", HUBSPOT_OTHER_TOKEN_OPTIONS)));
	if (has_option(list, "proxy_password") && !has_option(list, "proxy_username"))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"proxy_password\" requires option \"proxy_username\""),
				 errhint("Set proxy_username, too.")));
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
