/*-------------------------------------------------------------------------
 *
 * statistics_functions.c
 *	  SQL functions that show the throttles and statistics of accounts.
 *
 * They go through the servers that exist, not through what is counted: a
 * server that was dropped is no longer shown, and one of another database
 * never is.
 *
 * IDENTIFICATION
 *	  src/sql/statistics_functions.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid_d.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "account/account.h"
#include "account/option.h"
#include "account/server.h"
#include "base/clock.h"
#include "outbox/fault.h"
#include "sql/argument.h"

/* The columns of hs_assoc_stat. */
enum
{
	STAT_SERVER,
	STAT_REQUESTS,
	STAT_RETRIES,
	STAT_RATE_LIMITED,
	STAT_LOOKUPS,
	STAT_INPUTS,
	STAT_CONFIRMED,
	STAT_FAILED,
	STAT_SKIPPED,
	STAT_ERRORS,
	STAT_BYTES_SENT,
	STAT_BYTES_RECEIVED,
	STAT_REQUEST_TIME,
	STAT_MAX_REQUEST_TIME,
	STAT_SINCE,
	STAT_NCOLUMNS
};

/* The columns of hs_assoc_throttle. */
enum
{
	THROTTLE_SERVER,
	THROTTLE_RATE_LIMIT,
	THROTTLE_USED,
	THROTTLE_FREE_AT,
	THROTTLE_PARKED_UNTIL,
	THROTTLE_NCOLUMNS
};

/* The columns of hs_assoc_fault. */
enum
{
	FAULT_SERVER,
	FAULT_ROLE,
	FAULT_SINCE,
	FAULT_SQLSTATE,
	FAULT_MESSAGE,
	FAULT_NCOLUMNS
};

/* Stands for the categories that have no place of their own. */
#define OTHER_CATEGORIES	"other"

PG_FUNCTION_INFO_V1(hs_assoc_stat);
PG_FUNCTION_INFO_V1(hs_assoc_stat_reset);
PG_FUNCTION_INFO_V1(hs_assoc_throttle);
PG_FUNCTION_INFO_V1(hs_assoc_fault);

static Datum server_datum(const HubspotOptions *server);
static HubspotOperationCounts add_up(const HubspotAccountCounts *counts);
static Datum errors_datum(const HubspotAccountCounts *counts);
static void add_error(StringInfo json, const char *category, int64 rows);
static bool set_time(Datum *value, int64 when, int64 now, TimestampTz clock);

/*
 * hs_assoc_stat(): what was sent to each account of this database
 *
 * A row for each server that was used since the start of PostgreSQL (or of
 * this session, if the library is not preloaded), unless its counters have
 * made room for another account's since.  Times are in milliseconds.
 */
Datum
hs_assoc_stat(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, hubspot_all_servers())
	{
		const HubspotOptions *server = lfirst(lc);
		HubspotAccountCounts counts;
		HubspotOperationCounts sums;
		Datum		values[STAT_NCOLUMNS];
		bool		isnull[STAT_NCOLUMNS] = {false};

		if (!hubspot_account_read(server->server, &counts, NULL))
			continue;
		sums = add_up(&counts);
		values[STAT_SERVER] = server_datum(server);
		values[STAT_REQUESTS] = Int64GetDatum(sums.requests);
		values[STAT_RETRIES] = Int64GetDatum(counts.retries);
		values[STAT_RATE_LIMITED] = Int64GetDatum(counts.rate_limited);
		values[STAT_LOOKUPS] = Int64GetDatum(counts.operations[HUBSPOT_RECORDS_READ].requests +
											 counts.operations[HUBSPOT_RECORDS_SEARCH].requests);
		values[STAT_INPUTS] = Int64GetDatum(sums.inputs);
		values[STAT_CONFIRMED] = Int64GetDatum(sums.confirmed);
		values[STAT_FAILED] = Int64GetDatum(sums.inputs - sums.confirmed);
		values[STAT_SKIPPED] = Int64GetDatum(counts.skipped);
		values[STAT_ERRORS] = errors_datum(&counts);
		values[STAT_BYTES_SENT] = Int64GetDatum(counts.bytes_sent);
		values[STAT_BYTES_RECEIVED] = Int64GetDatum(counts.bytes_received);
		values[STAT_REQUEST_TIME] = Float8GetDatum(counts.request_time / 1000.0);
		values[STAT_MAX_REQUEST_TIME] = Float8GetDatum(counts.max_request_time / 1000.0);
		values[STAT_SINCE] = TimestampTzGetDatum(counts.since);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	return (Datum) 0;
}

static Datum
server_datum(const HubspotOptions *server)
{
	return DirectFunctionCall1(namein, CStringGetDatum(server->server_name));
}

/* What all operations come to. */
static HubspotOperationCounts
add_up(const HubspotAccountCounts *counts)
{
	HubspotOperationCounts sums = {0};

	for (int i = 0; i < HUBSPOT_NOPERATIONS; i++)
	{
		sums.requests += counts->operations[i].requests;
		sums.inputs += counts->operations[i].inputs;
		sums.confirmed += counts->operations[i].confirmed;
	}
	return sums;
}

/* A jsonb object: how many rows have failed with each category, whatever the operation. */
static Datum
errors_datum(const HubspotAccountCounts *counts)
{
	StringInfoData json;
	int64		other = counts->other_errors;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = 0; i < counts->nerrors; i++)
	{
		const char *category = counts->errors[i].category;
		bool		counted = false;
		int64		rows = 0;

		for (int j = 0; j < i && !counted; j++)
			counted = strcmp(counts->errors[j].category, category) == 0;
		for (int j = i; j < counts->nerrors && !counted; j++)
		{
			if (strcmp(counts->errors[j].category, category) == 0)
				rows += counts->errors[j].rows;
		}
		/* HubSpot may have a category of that name */
		if (strcmp(category, OTHER_CATEGORIES) == 0)
			other += rows;
		else if (!counted)
			add_error(&json, category, rows);
	}
	if (other > 0)
		add_error(&json, OTHER_CATEGORIES, other);
	appendStringInfoChar(&json, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

static void
add_error(StringInfo json, const char *category, int64 rows)
{
	if (json->len > 1)
		appendStringInfoChar(json, ',');
	escape_json(json, category);
	appendStringInfo(json, ":%lld", (long long) rows);
}

/*
 * hs_assoc_stat_reset(server): count anew
 *
 * For all accounts of this database if server is null; ERROR if there is no
 * such server.  The throttle is left as it is.
 */
Datum
hs_assoc_stat_reset(PG_FUNCTION_ARGS)
{
	Oid			serverid = InvalidOid;

	if (!PG_ARGISNULL(0))
		serverid = hubspot_get_server(hubspot_server_argument(fcinfo, 0));
	hubspot_accounts_reset(serverid);
	PG_RETURN_VOID();
}

/*
 * hs_assoc_throttle(): how much of its rate each account has used
 *
 * A row for each server of this database, even if nobody has used it.
 */
Datum
hs_assoc_throttle(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, hubspot_all_servers())
	{
		const HubspotOptions *server = lfirst(lc);
		HubspotThrottle throttle = {0};
		int64		now = hubspot_now();
		TimestampTz clock = GetCurrentTimestamp();
		int64		when;
		Datum		values[THROTTLE_NCOLUMNS];
		bool		isnull[THROTTLE_NCOLUMNS] = {false};

		(void) hubspot_account_read(server->server, NULL, &throttle);
		when = hubspot_throttle_when(&throttle, server->rate_limit, now);
		values[THROTTLE_SERVER] = server_datum(server);
		values[THROTTLE_RATE_LIMIT] = Int32GetDatum(server->rate_limit);
		values[THROTTLE_USED] = Int32GetDatum(hubspot_throttle_used(&throttle, now));
		isnull[THROTTLE_FREE_AT] =
			!set_time(&values[THROTTLE_FREE_AT], when, now, clock);
		isnull[THROTTLE_PARKED_UNTIL] =
			!set_time(&values[THROTTLE_PARKED_UNTIL], throttle.parked_until, now,
					  clock);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	return (Datum) 0;
}

/*
 * Set the time of when by the system's clock, if it is yet to come; now and clock are the
 * present by both clocks.
 */
static bool
set_time(Datum *value, int64 when, int64 now, TimestampTz clock)
{
	if (when > now)
		*value = TimestampTzGetDatum(clock + (when - now));
	return when > now;
}

/*
 * hs_assoc_fault(): what this server lacked for sending the outbox of accounts
 *
 * A row for each account whose last ERROR was of such a kind, until something
 * is sent for it.  The caller sees those whose role's privileges it has;
 * pg_monitor sees all, but without the message, which may say anything.
 */
Datum
hs_assoc_fault(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		monitors = has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);
	HubspotFault *faults;
	int			nfaults = hubspot_faults(&faults);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < nfaults; i++)
	{
		const HubspotFault *fault = &faults[i];
		bool		own = has_privs_of_role(GetUserId(), fault->role);
		Datum		values[FAULT_NCOLUMNS];
		bool		isnull[FAULT_NCOLUMNS] = {false};

		if (!own && !monitors)
			continue;
		values[FAULT_SERVER] = CStringGetTextDatum(fault->server);
		values[FAULT_ROLE] = ObjectIdGetDatum(fault->role);
		values[FAULT_SINCE] = TimestampTzGetDatum(fault->since);
		values[FAULT_SQLSTATE] = CStringGetTextDatum(unpack_sql_state(fault->sqlstate));
		isnull[FAULT_MESSAGE] = !own;
		if (own)
			values[FAULT_MESSAGE] = CStringGetTextDatum(fault->message);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	return (Datum) 0;
}
