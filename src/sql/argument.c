/*-------------------------------------------------------------------------
 *
 * argument.c
 *	  Arguments of SQL functions, checked.
 *
 * Each function here returns the value of an argument, palloc'd.  If it is
 * wrong, an ERROR names the argument and the value.  A null is wrong unless a
 * comment says otherwise.
 *
 * IDENTIFICATION
 *	  src/sql/argument.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/objectaddress.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "account/server.h"
#include "api/endpoint.h"
#include "base/compat.h"
#include "base/shown.h"
#include "hubspot.h"
#include "rows/query.h"
#include "sql/argument.h"

#define WHITE_SPACE		" \t\r\n\f\v"

/* The longest that operations may wait for records. */
#define MAX_WAIT_YEARS	10

/* The longest between two comparisons of a table with HubSpot. */
#define MAX_PERIOD_DAYS	365

static char *read_object_type(FunctionCallInfo fcinfo, int argument, const char *name,
							  HubspotObjectType *type);
static bool is_word(const char *text);
static void refuse_null(FunctionCallInfo fcinfo, int argument,
						const char *name, const char *hint);
static int	compare_intervals(const Interval *a, const Interval *b);
static int64 check_number(int64 number, const char *name);

/* The name of an object type, as it stands in a path, palloc'd. */
char *
hubspot_object_type_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	HubspotObjectType type;
	char	   *given = read_object_type(fcinfo, argument, name, &type);

	if (type.property)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" takes no property: \"%s\"", name,
						hubspot_shown(given)),
				 errhint("Write \"%s\".", hubspot_shown(type.name))));
	return given;
}

/*
 * Are the first two arguments, the object types, both null, which stands for all pairs?  ERROR
 * if only one of them is; its hint names these things.
 */
bool
hubspot_all_directions(FunctionCallInfo fcinfo, const char *things)
{
	if (PG_ARGISNULL(0) != PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null if \"%s\" is not",
						PG_ARGISNULL(0) ? "from_type" : "to_type",
						PG_ARGISNULL(0) ? "to_type" : "from_type"),
				 errhint("Give both object types, or neither for all %s.", things)));
	return PG_ARGISNULL(0);
}

/* An object type, or one with a property by which its records are named. */
void
hubspot_record_type_argument(FunctionCallInfo fcinfo, int argument, const char *name,
							 HubspotObjectType *type)
{
	(void) read_object_type(fcinfo, argument, name, type);
}

/* Likewise, as it was given.  *has_keys becomes true if it has a property. */
char *
hubspot_given_type_argument(FunctionCallInfo fcinfo, int argument, const char *name,
							bool *has_keys)
{
	HubspotObjectType type;
	char	   *given = read_object_type(fcinfo, argument, name, &type);

	*has_keys |= (type.property != NULL);
	return given;
}

static char *
read_object_type(FunctionCallInfo fcinfo, int argument, const char *name,
				 HubspotObjectType *type)
{
	static const char usual_hint[] = "It is an object type, such as \"contacts\", \"0-1\" or \"2-12345\".";
	char	   *given;
	char	   *problem;
	char	   *hint;

	refuse_null(fcinfo, argument, name, usual_hint);
	given = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	problem = hubspot_parse_object_type(given, type, &hint);
	if (problem)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid object type \"%s\" in argument \"%s\": %s",
						hubspot_shown(given), name, problem),
				 errhint("%s", hint ? hint : usual_hint)));
	return given;
}

/* A text that is not empty.  hint: what it may be, or NULL if that goes without saying. */
char *
hubspot_text_argument(FunctionCallInfo fcinfo, int argument, const char *name,
					  const char *hint)
{
	char	   *value;

	refuse_null(fcinfo, argument, name, hint);
	value = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	if (value[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be empty", name),
				 hint ? errhint("%s", hint) : 0));
	return value;
}

/*
 * A query, which is looked at later.  array_type is the type of the array that
 * the function also takes, or NULL: an array without a cast ends up here, and so does
 * a key or an id alone, of which the parser would say no more than "at or near".
 */
char *
hubspot_query_argument(FunctionCallInfo fcinfo, int argument, const char *name,
					   const char *array_type)
{
	char	   *query;
	char	   *start;

	refuse_null(fcinfo, argument, name, HUBSPOT_QUERY_HINT);
	query = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	start = query + strspn(query, WHITE_SPACE);
	if (*start == '{' || *start == '[' || is_word(start))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("argument \"%s\" is not a query: \"%s\"", name,
						hubspot_shown(start)),
				 array_type ?
				 errhint("%s Cast an array, as in '{...}'::%s.", HUBSPOT_QUERY_HINT, array_type) :
				 errhint("%s", HUBSPOT_QUERY_HINT)));
	return query;
}

/* Is it one word?  What returns rows has white space, or one of these. */
static bool
is_word(const char *text)
{
	return *text != '\0' && strpbrk(text, WHITE_SPACE "'\"(/;-") == NULL;
}

/*
 * A label or its name.  hubspot_raw_input_check() refuses those of rows in the
 * same way.
 */
char *
hubspot_label_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	char	   *label = hubspot_text_argument(fcinfo, argument, name, NULL);

	if (strlen(label) > HUBSPOT_MAX_TEXT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be longer than %d bytes",
						name, HUBSPOT_MAX_TEXT)));
	return label;
}

/* A category of association types. */
char *
hubspot_category_argument(FunctionCallInfo fcinfo, int argument,
						  const char *name)
{
	static const char hint[] = "It must be HUBSPOT_DEFINED, USER_DEFINED, INTEGRATOR_DEFINED or another one in capital letters.";
	char	   *category;

	refuse_null(fcinfo, argument, name, hint);
	category = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	if (!hubspot_is_category(category))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": \"%s\"", name,
						hubspot_shown(category)),
				 errhint("%s", hint)));
	return category;
}

/* A number from 1. */
int32
hubspot_int_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	refuse_null(fcinfo, argument, name, NULL);
	return (int32) check_number(PG_GETARG_INT32(argument), name);
}

/* A number from 1. */
int64
hubspot_bigint_argument(FunctionCallInfo fcinfo, int argument,
						const char *name)
{
	refuse_null(fcinfo, argument, name, NULL);
	return check_number(PG_GETARG_INT64(argument), name);
}

/* A number from 0 that is not null. */
int64
hubspot_count_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	int32		count = PG_GETARG_INT32(argument);

	if (count < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": %d", name, count),
				 errhint("It must be at least 0.")));
	return count;
}

bool
hubspot_bool_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	refuse_null(fcinfo, argument, name, NULL);
	return PG_GETARG_BOOL(argument);
}

/* Are failures to be raised as errors, rather than be rows? */
bool
hubspot_on_error_argument(FunctionCallInfo fcinfo, int argument)
{
	static const char hint[] = "It must be \"row\" (a failure is a row) or \"raise\" (a failure is an error).";
	char	   *on_error;

	refuse_null(fcinfo, argument, "on_error", hint);
	on_error = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	if (strcmp(on_error, "raise") != 0 && strcmp(on_error, "row") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": \"%s\"", "on_error",
						hubspot_shown(on_error)),
				 errhint("%s", hint)));
	return on_error[1] == 'a';
}

/* Is what is not wanted removed? */
bool
hubspot_mode_argument(FunctionCallInfo fcinfo, int argument)
{
	static const char hint[] = "It must be \"mirror\" (what is not wanted is removed) or \"add\" (nothing is removed).";
	char	   *mode;

	refuse_null(fcinfo, argument, "mode", hint);
	mode = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	if (strcmp(mode, "mirror") != 0 && strcmp(mode, "add") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": \"%s\"", "mode",
						hubspot_shown(mode)),
				 errhint("%s", hint)));
	return mode[0] == 'm';
}

/* Is it true?  Null counts as false, since the value may come from a column. */
bool
hubspot_flag_argument(FunctionCallInfo fcinfo, int argument)
{
	return !PG_ARGISNULL(argument) && PG_GETARG_BOOL(argument);
}

/*
 * For how long operations wait for records that HubSpot does not have; by default, a day.
 * NULL: no record is named by a key.
 */
const Interval *
hubspot_wait_argument(FunctionCallInfo fcinfo, int argument, const char *name, bool has_keys)
{
	static const Interval usual = {.day = 1};
	static const Interval none = {0};
	static const Interval most = {.month = MAX_WAIT_YEARS * MONTHS_PER_YEAR};
	const Interval *wait;

	if (PG_ARGISNULL(argument))
		return has_keys ? &usual : NULL;
	wait = PG_GETARG_INTERVAL_P(argument);
	if (!has_keys)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" is only for records that are named by keys", name),
				 errhint("An object type with a property has keys, such as \"contacts:email\".")));
	if (compare_intervals(wait, &none) < 0 || compare_intervals(wait, &most) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": \"%s\"", name,
						DatumGetCString(DirectFunctionCall1(interval_out, PG_GETARG_DATUM(argument)))),
				 errhint("It must be from 0 to %d years, such as '1 day'.", MAX_WAIT_YEARS)));
	return wait;
}

/* How often something is done. */
const Interval *
hubspot_period_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	static const Interval least = {.time = USECS_PER_SEC};
	static const Interval most = {.day = MAX_PERIOD_DAYS};
	const Interval *period = PG_GETARG_INTERVAL_P(argument);

	if (compare_intervals(period, &least) < 0 || compare_intervals(period, &most) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": \"%s\"", name,
						DatumGetCString(DirectFunctionCall1(interval_out, PG_GETARG_DATUM(argument)))),
				 errhint("It must be from 1 second to %d days, such as '1 day'.", MAX_PERIOD_DAYS)));
	return period;
}

/* What becomes of differences from HubSpot that workers find. */
const char *
hubspot_on_drift_argument(FunctionCallInfo fcinfo, int argument)
{
	char	   *value = text_to_cstring(PG_GETARG_TEXT_PP(argument));

	if (strcmp(value, "report") != 0 && strcmp(value, "add") != 0 &&
		strcmp(value, "mirror") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": \"%s\"", "on_drift",
						hubspot_shown(value)),
				 errhint("It must be \"report\" (nothing is changed), \"add\" (what is missing is added) or \"mirror\" (what is not in the table is removed, too).")));
	return value;
}

static int
compare_intervals(const Interval *a, const Interval *b)
{
	return DatumGetInt32(DirectFunctionCall2(interval_cmp, IntervalPGetDatum(a),
											 IntervalPGetDatum(b)));
}

/* The name of something other than a server, not copied. */
const char *
hubspot_name_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	refuse_null(fcinfo, argument, name, NULL);
	return NameStr(*PG_GETARG_NAME(argument));
}

Oid
hubspot_oid_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	refuse_null(fcinfo, argument, name, NULL);
	return PG_GETARG_OID(argument);
}

/* A relation that the current role owns. */
Oid
hubspot_link_table_argument(FunctionCallInfo fcinfo, int argument)
{
	Oid			link_table = hubspot_oid_argument(fcinfo, argument, "link_table");

	hubspot_check_owner(link_table);
	return link_table;
}

/* ERROR unless the current role owns the relation. */
void
hubspot_check_owner(Oid link_table)
{
	char	   *name = get_rel_name(link_table);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", link_table)));
	if (!hubspot_table_ownercheck(link_table, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER,
					   get_relkind_objtype(get_rel_relkind(link_table)), name);
}

ArrayType *
hubspot_array_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	refuse_null(fcinfo, argument, name,
				"Where there are no rows, array_agg gives null, and ARRAY(SELECT ...) an empty array.");
	return PG_GETARG_ARRAYTYPE_P(argument);
}

/*
 * The name of a server, not copied; NULL, which stands for the setting's, if
 * it is null.
 */
const char *
hubspot_server_argument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : NameStr(*PG_GETARG_NAME(argument));
}

/*
 * The server that the argument or else the setting names; the current role
 * must have USAGE on it.
 */
Oid
hubspot_usable_server_argument(FunctionCallInfo fcinfo, int argument)
{
	return hubspot_get_usable_server(hubspot_server_argument(fcinfo, argument),
									 GetUserId());
}

static void
refuse_null(FunctionCallInfo fcinfo, int argument, const char *name,
			const char *hint)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name),
				 hint ? errhint("%s", hint) : 0));
}

static int64
check_number(int64 number, const char *name)
{
	if (number < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": %lld", name,
						(long long) number),
				 errhint("It must be at least 1.")));
	return number;
}
