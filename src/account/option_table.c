/*-------------------------------------------------------------------------
 *
 * option_table.c
 *	  Which options there are: of servers, user mappings, foreign tables and
 *	  their columns.
 *
 * An option is a line of the table: its name, where it belongs, what its value
 * may be and where in HubspotOptions it goes.  option_validator.c checks values
 * by the table, and option.c reads them by it, so a new option takes a line of
 * the table and a member of HubspotOptions.
 *
 * IDENTIFICATION
 *	  src/account/option_table.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "utils/guc.h"

#include "account/option_table.h"
#include "account/throttle.h"

#define SERVER_OPTION(name, kind, default_value, min, max, superuser_only) \
	{#name, ForeignServerRelationId, kind, offsetof(HubspotOptions, name), \
	 default_value, min, max, superuser_only, NULL, false}
#define SERVER_CHOICE(name, default_value, choices) \
	{#name, ForeignServerRelationId, HUBSPOT_OPTION_CHOICE, \
	 offsetof(HubspotOptions, name), default_value, 0, 0, false, choices, false}
#define MAPPING_OPTION(name, kind, superuser_only) \
	{#name, UserMappingRelationId, kind, offsetof(HubspotOptions, name), \
	 NULL, 0, 0, superuser_only, NULL, false}
#define TABLE_OPTION(name, catalog, kind, default_value, min, max, choices, required) \
	{#name, catalog, kind, offsetof(HubspotTableOptions, name), \
	 default_value, min, max, false, choices, required}

#define MINUTE	(60 * 1000)
#define HOUR	(60 * MINUTE)

#define DAY_IN_MINUTES	(24 * 60)

/* in the order of HubspotNotify */
static const char *const notify_choices[] = {"off", "on", "records", NULL};

/* By their numbers, as in HubspotTableRole. */
const char *const hubspot_role_names[] = {
	"from_id", "to_id", "category", "type_id", "label", "is_primary", "from_type", "to_type",
	"object_type_id", "name", "error_category", "error_message", NULL
};

/* in the order of HubspotTableKind */
const char *const hubspot_kind_names[] = {"associations", "object_types", "labels", NULL};

/* in the order of HubspotOnError */
static const char *const on_error_names[] = {"raise", "row", NULL};

/* in the order of HubspotScanOption */
static const char *const scan_names[] = {"keys", "all", NULL};

/* in the order of HubspotWrites */
const char *const hubspot_writes_names[] = {"outbox", "direct", "off", NULL};

const HubspotOption hubspot_option_table[] = {
	SERVER_OPTION(base_url, HUBSPOT_OPTION_URL, "https://api.hubapi.com", 0, 0, false),
	SERVER_OPTION(api_version, HUBSPOT_OPTION_VERSION, "2026-03", 0, 0, false),
	SERVER_OPTION(connect_timeout, HUBSPOT_OPTION_DURATION, "10s", 1, HOUR, false),
	SERVER_OPTION(request_timeout, HUBSPOT_OPTION_DURATION, "60s", 1, HOUR, false),
	SERVER_OPTION(max_retries, HUBSPOT_OPTION_INTEGER, "5", 0, 100, false),
	SERVER_OPTION(max_retry_delay, HUBSPOT_OPTION_DURATION, "60s", 1, 24 * HOUR, false),
	SERVER_OPTION(concurrency, HUBSPOT_OPTION_INTEGER, "4", 1, 64, false),
	SERVER_OPTION(batch_size, HUBSPOT_OPTION_INTEGER, NULL, 1, 2000, false),
	SERVER_OPTION(rate_limit, HUBSPOT_OPTION_INTEGER, "100", 0, HUBSPOT_MAX_RATE_LIMIT, false),
	SERVER_OPTION(key_cache, HUBSPOT_OPTION_DURATION, "1min", 0, HOUR, false),
	SERVER_OPTION(max_attempts, HUBSPOT_OPTION_INTEGER, "20", 1, 1000, false),
	SERVER_OPTION(sent_retention, HUBSPOT_OPTION_DURATION, "0s", 0, 24 * 24 * HOUR, false),
	SERVER_OPTION(history_retention, HUBSPOT_OPTION_RETENTION, "0min", 0, 3660 * DAY_IN_MINUTES, false),
	SERVER_CHOICE(notify, "on", notify_choices),
	SERVER_OPTION(proxy, HUBSPOT_OPTION_PROXY, NULL, 0, 0, true),
	SERVER_OPTION(ca_file, HUBSPOT_OPTION_FILE, NULL, 0, 0, true),
	SERVER_OPTION(user_agent, HUBSPOT_OPTION_TEXT, "hubspot_assoc/1.0", 0, 0, false),

	MAPPING_OPTION(access_token, HUBSPOT_OPTION_SECRET, false),
	MAPPING_OPTION(access_token_file, HUBSPOT_OPTION_FILE, true),
	/* the id is not a secret, but a secret is easily put in its place */
	MAPPING_OPTION(client_id, HUBSPOT_OPTION_SECRET, false),
	MAPPING_OPTION(client_secret, HUBSPOT_OPTION_SECRET, false),
	MAPPING_OPTION(refresh_token, HUBSPOT_OPTION_SECRET, false),
	MAPPING_OPTION(proxy_username, HUBSPOT_OPTION_USERNAME, true),
	MAPPING_OPTION(proxy_password, HUBSPOT_OPTION_SECRET, true),

	TABLE_OPTION(kind, ForeignTableRelationId, HUBSPOT_OPTION_CHOICE, "associations", 0, 0, hubspot_kind_names, false),
	TABLE_OPTION(from_type, ForeignTableRelationId, HUBSPOT_OPTION_OBJECT_TYPE, NULL, 0, 0, NULL, true),
	TABLE_OPTION(to_type, ForeignTableRelationId, HUBSPOT_OPTION_OBJECT_TYPE, NULL, 0, 0, NULL, true),
	TABLE_OPTION(rows_per_key, ForeignTableRelationId, HUBSPOT_OPTION_INTEGER, "5", 1, 1000000, NULL, false),
	TABLE_OPTION(writes, ForeignTableRelationId, HUBSPOT_OPTION_CHOICE, "outbox", 0, 0, hubspot_writes_names, false),
	TABLE_OPTION(on_error, ForeignTableRelationId, HUBSPOT_OPTION_CHOICE, "raise", 0, 0, on_error_names, false),
	TABLE_OPTION(scan, ForeignTableRelationId, HUBSPOT_OPTION_CHOICE, "keys", 0, 0, scan_names, false),
	TABLE_OPTION(role, AttributeRelationId, HUBSPOT_OPTION_CHOICE, NULL, 0, 0, hubspot_role_names, false)
};

const size_t hubspot_noptions = lengthof(hubspot_option_table);

/* The option of that name in the catalog, or NULL. */
const HubspotOption *
hubspot_find_option(const char *name, Oid catalog)
{
	for (size_t i = 0; i < lengthof(hubspot_option_table); i++)
	{
		if (hubspot_option_table[i].catalog == catalog &&
			strcmp(hubspot_option_table[i].name, name) == 0)
			return &hubspot_option_table[i];
	}
	return NULL;
}

/*
 * Read a duration that is given with one of PostgreSQL's units, as a number of
 * the option's units; false: it is not one, or is too short or too long for the
 * option.  A bare number is refused: it would be read as seconds by some and as
 * milliseconds by others.
 */
bool
hubspot_option_duration(const HubspotOption *option, const char *value, int *result)
{
	const char *unit = value + strspn(value, "0123456789.");

	unit += strspn(unit, " ");
	return isdigit((unsigned char) value[0]) && *unit != '\0' &&
		unit[strspn(unit, "abcdefghijklmnopqrstuvwxyz")] == '\0' &&
		parse_int(value, result,
				  option->kind == HUBSPOT_OPTION_RETENTION ? GUC_UNIT_MIN : GUC_UNIT_MS,
				  NULL) &&
		*result >= option->min && *result <= option->max;
}

/* The number of a choice, or -1. */
int
hubspot_find_choice(const char *const *choices, const char *value)
{
	for (int i = 0; choices[i]; i++)
	{
		if (strcmp(choices[i], value) == 0)
			return i;
	}
	return -1;
}

/* Is a value printable ASCII without spaces, and not too long? */
bool
hubspot_is_token(const char *value)
{
	return hubspot_is_text(value, '!');
}

/* Is a value printable ASCII from first on, not empty, and not too long? */
bool
hubspot_is_text(const char *value, char first)
{
	size_t		len = strlen(value);

	for (size_t i = 0; i < len; i++)
	{
		if (value[i] < first || value[i] > '~')
			return false;
	}
	return len > 0 && len <= HUBSPOT_MAX_TEXT_LEN;
}
