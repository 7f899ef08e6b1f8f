/*-------------------------------------------------------------------------
 *
 * sync_check.c
 *	  The tables that are kept in sync with a server: roles, triggers, labels.
 *
 * IDENTIFICATION
 *	  src/diagnose/sync_check.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_event_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "account/option.h"
#include "account/server.h"
#include "api/endpoint.h"
#include "api/error.h"
#include "api/record.h"
#include "base/compat.h"
#include "call/labels.h"
#include "call/perform.h"
#include "diagnose/check.h"
#include "rows/report.h"
#include "schema/prepared.h"
#include "sync/config.h"
#include "sync/link_state.h"
#include "sync/link_table.h"
#include "sync/link_trigger.h"

/*
 * For how many pairs of object types labels are looked up, and with these for how many
 * object types properties: with the other requests, there are no more than ten.
 */
#define MAX_PAIRS	5
#define MAX_LOOKUPS	6

/* A comparison is not late before it is this many seconds overdue. */
#define LATE		60

/* The object types that are asked about if no table is in sync. */
static const HubspotSync usual_pair = {.from_type = "contacts",.to_type = "companies"};

enum
{
	VERIFY_SYNC,
	VERIFY_PERIOD,				/* in seconds, and the next two */
	VERIFY_TOOK,
	VERIFY_AGE,
	VERIFY_FAILURES,
	VERIFY_ERROR,
	VERIFY_HELD_BACK,
	VERIFY_OPEN,
	VERIFY_CONTESTED,
	VERIFY_LAST_AGE				/* since a pass has ended, or null: none has */
};

static HubspotStatement verify_statement = {
	.text =
	"SELECT s.sync, extract(epoch FROM s.verify)::int8, extract(epoch FROM greatest("
	"  s.last_ended_at - s.last_began_at,"
	"  CASE WHEN s.failures = 0 THEN clock_timestamp() - s.began_at END))::int8,"
	" extract(epoch FROM clock_timestamp() - coalesce(s.last_ended_at, c.enabled_at))::int8,"
	" s.failures, v.error_message, s.held_back, s.open, s.contested,"
	" extract(epoch FROM clock_timestamp() - s.last_ended_at)::int8"
	" FROM %1$s.hs_assoc_verify_stat AS s JOIN %1$s.hs_assoc_sync_config AS c ON c.id = s.sync"
	" LEFT JOIN %1$s.hs_assoc_verify AS v ON v.sync = s.sync"
};

/* What is wrong with comparing a table, the worst first */
typedef enum DriftWeight
{
	NOT_COMPARABLE,
	NOT_COMPARED,
	TOO_SLOW,
	HELD_BACK,
	LEFT_ALONE,
	DIFFERS
} DriftWeight;

typedef struct Drift
{
	DriftWeight weight;
	int			number;			/* in the order of the syncs */
	const char *detail;
	const char *advice;
} Drift;

static List *visible_syncs(HubspotDiagnosis *diagnosis, const char *server);
static void check_sync(HubspotDiagnosis *diagnosis, const HubspotSync *sync);
static const char *table_text(const HubspotSync *sync);
static const char *table_name(Oid table);
static const char *compared_text(int ncompared, int nfirst, int64 oldest);
static List *check_verify(const HubspotDiagnosis *diagnosis, const HubspotSync *sync,
						  const HubspotRow *row, List *drifts);
static List *add_drift(List *drifts, DriftWeight weight, const char *detail, const char *advice);
static int	compare_drifts(const ListCell *a, const ListCell *b);
static void find_drifts(HubspotDiagnosis *diagnosis, List *drifts);
static const char *trigger_advice(const HubspotSync *sync);
static void check_event_triggers(HubspotDiagnosis *diagnosis);
static void check_lost_syncs(HubspotDiagnosis *diagnosis);
static const char *type_name(const char *given);
static void check_properties(HubspotDiagnosis *diagnosis, List *syncs, int most);
static bool check_properties_of(HubspotDiagnosis *diagnosis, List *syncs, const char *object_type);
static bool is_same_pair(const HubspotSync *sync, const HubspotSync *other);
static const HubspotError *look_up_labels(HubspotDiagnosis *diagnosis,
										  const HubspotSync *pair,
										  const List *syncs);

/* The syncs to a server (NULL: to any) that the user may know of. */
static List *
visible_syncs(HubspotDiagnosis *diagnosis, const char *server)
{
	List	   *syncs = NIL;
	ListCell   *lc;

	if (diagnosis->schema == NULL)
		return NIL;
	foreach(lc, hubspot_syncs(diagnosis->schema, InvalidOid))
	{
		HubspotSync *sync = lfirst(lc);

		if ((server == NULL || strcmp(sync->server, server) == 0) &&
			(hubspot_may_know(diagnosis, sync->role) ||
			 (get_rel_name(sync->link_table) != NULL &&
			  hubspot_table_ownercheck(sync->link_table, diagnosis->user))))
			syncs = lappend(syncs, sync);
	}
	return syncs;
}

/* Can what the syncs enqueue be sent on behalf of their roles? */
void
hubspot_check_syncs(HubspotDiagnosis *diagnosis)
{
	List	   *syncs = visible_syncs(diagnosis, diagnosis->name);
	ListCell   *lc;

	diagnosis->in_use |= (syncs != NIL);
	foreach(lc, syncs)
		check_sync(diagnosis, lfirst(lc));

	/* a server may have been renamed, or dropped */
	foreach(lc, visible_syncs(diagnosis, NULL))
	{
		const HubspotSync *sync = lfirst(lc);

		if (!OidIsValid(hubspot_server_owner(sync->server)))
			hubspot_find(diagnosis, HUBSPOT_TOPIC_SYNCS, HUBSPOT_STATE_PROBLEM,
						 psprintf("Rename the server back, or create it again; or SELECT hs_assoc_disable_sync('%s') and enable the sync with another server.",
								  table_text(sync)),
						 "table %s is in sync with server \"%s\", which does not exist",
						 table_text(sync), sync->server);
	}
	if (syncs == NIL)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_SYNCS, HUBSPOT_STATE_OK, NULL,
					 "no table is in sync with this server%s", hubspot_whose(diagnosis));
	else
		hubspot_find(diagnosis, HUBSPOT_TOPIC_SYNCS, HUBSPOT_STATE_OK, NULL,
					 "%d, whose roles may use the server%s", list_length(syncs),
					 hubspot_whose(diagnosis));
}

static void
check_sync(HubspotDiagnosis *diagnosis, const HubspotSync *sync)
{
	const char *lack = NULL;

	if (!OidIsValid(diagnosis->server))
		return;
	switch (hubspot_access(diagnosis->server, sync->role))
	{
		case HUBSPOT_ACCESS_GRANTED:
			return;
		case HUBSPOT_ACCESS_NO_ROLE:
			hubspot_find(diagnosis, HUBSPOT_TOPIC_SYNCS, HUBSPOT_STATE_PROBLEM,
						 hubspot_sync_account_advice(sync),
						 "table %s is in sync on behalf of a role that was dropped",
						 table_text(sync));
			return;
		case HUBSPOT_ACCESS_NO_USAGE:
			lack = "has no USAGE on the server";
			break;
		case HUBSPOT_ACCESS_NO_MAPPING:
			lack = "has no user mapping";
			break;
		case HUBSPOT_ACCESS_NO_LOGIN:
			lack = "has a user mapping without a login";
			break;
	}
	hubspot_find(diagnosis, HUBSPOT_TOPIC_SYNCS, HUBSPOT_STATE_PROBLEM,
				 hubspot_sync_account_advice(sync),
				 "table %s is in sync on behalf of %s, which %s", table_text(sync),
				 quote_identifier(GetUserNameFromId(sync->role, false)), lack);
}

static const char *
table_text(const HubspotSync *sync)
{
	return table_name(sync->link_table);
}

static const char *
table_name(Oid table)
{
	char	   *name = get_rel_name(table);

	return name ? quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)), name) :
		psprintf("with OID %u", table);
}

/* Are the triggers there by which changes are followed, and do they fire? */
void
hubspot_check_triggers(HubspotDiagnosis *diagnosis)
{
	ListCell   *lc;

	check_event_triggers(diagnosis);
	check_lost_syncs(diagnosis);
	/* in a copy, no sync is active, and the topic copy says what to do */
	if (diagnosis->findings[HUBSPOT_TOPIC_COPY].state != HUBSPOT_STATE_OK)
		return;
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
	{
		/* for such a session, no sync is active */
		hubspot_find(diagnosis, HUBSPOT_TOPIC_TRIGGERS, HUBSPOT_STATE_WARNING,
					 "SET session_replication_role = origin;",
					 "session_replication_role is replica: no trigger of a sync fires in this session");
		return;
	}
	if (hubspot_event_triggers_are_off())
	{
		hubspot_find(diagnosis, HUBSPOT_TOPIC_TRIGGERS, HUBSPOT_STATE_PROBLEM,
					 "ALTER SYSTEM RESET event_triggers; SELECT pg_reload_conf(); or the same of the database, the role or the session.",
					 "event_triggers is off: DDL on tables in sync is not followed");
		return;
	}
	foreach(lc, visible_syncs(diagnosis, diagnosis->name))
	{
		const HubspotSync *sync = lfirst(lc);
		const char *problem;

		/* what its role lacks to use the server is told by the topic syncs */
		if (hubspot_sync_state(diagnosis->schema, sync, &problem) == HUBSPOT_SYNC_NOT_FOLLOWED)
			hubspot_find(diagnosis, HUBSPOT_TOPIC_TRIGGERS, HUBSPOT_STATE_PROBLEM,
						 trigger_advice(sync),
						 "changes of table %s are not followed: %s", table_text(sync), problem);
	}
	hubspot_find(diagnosis, HUBSPOT_TOPIC_TRIGGERS, HUBSPOT_STATE_OK, NULL,
				 "all are there and enabled");
}

/*
 * To enable all triggers alike would be wrong where some are for changes that a
 * subscription applies.
 */
static const char *
trigger_advice(const HubspotSync *sync)
{
	const char *table = table_text(sync);

	if (sync->replicated)
		return psprintf("See to the subscription that is to fill it. If a trigger is disabled, SELECT hs_assoc_disable_sync(%s) and enable the sync anew, with replicated => true.",
						quote_literal_cstr(table));
	return psprintf("ALTER TABLE %s ENABLE TRIGGER USER; if that is not it, or to send what was written meanwhile, SELECT hs_assoc_disable_sync(%s) and enable the sync anew, with backfill.",
					table, quote_literal_cstr(table));
}

/* What have workers found by comparing tables with HubSpot, and are they able to? */
void
hubspot_check_drift(HubspotDiagnosis *diagnosis)
{
	HubspotRows rows;
	int			ncompared = 0;
	int			nfirst = 0;		/* syncs whose first pass has not ended yet */
	int64		oldest = 0;
	List	   *drifts = NIL;
	ListCell   *lc;

	hubspot_query(&verify_statement, NULL, &rows);
	foreach(lc, visible_syncs(diagnosis, diagnosis->name))
	{
		const HubspotSync *sync = lfirst(lc);

		for (uint64 i = 0; i < rows.count; i++)
		{
			HubspotRow	row;

			hubspot_read_row(&rows, i, &row);
			if (hubspot_get_int32(&row, VERIFY_SYNC) != sync->id)
				continue;
			ncompared++;
			if (row.isnull[VERIFY_LAST_AGE])
				nfirst++;
			else
				oldest = Max(oldest, hubspot_get_int64(&row, VERIFY_LAST_AGE));
			drifts = check_verify(diagnosis, sync, &row, drifts);
		}
	}
	hubspot_rows_free(&rows);
	if (drifts)
		find_drifts(diagnosis, drifts);
	else
		hubspot_find(diagnosis, HUBSPOT_TOPIC_DRIFT, HUBSPOT_STATE_OK, NULL,
					 "%s%s", compared_text(ncompared, nfirst, oldest), hubspot_whose(diagnosis));
}

static const char *
compared_text(int ncompared, int nfirst, int64 oldest)
{
	if (ncompared == 0)
		return "no sync has verify, by which its table is compared with HubSpot";
	if (nfirst == ncompared)
		return psprintf("syncs that are compared with HubSpot: %d, none to its end yet", ncompared);
	return psprintf("syncs that are compared with HubSpot: %d%s; no difference was found by the last passes, the oldest of which ended %s ago",
					ncompared,
					nfirst == 0 ? "" : psprintf(", %d of them not to the end yet", nfirst),
					hubspot_duration_text(oldest));
}

/* Add what is wrong with comparing a table. */
static List *
check_verify(const HubspotDiagnosis *diagnosis, const HubspotSync *sync, const HubspotRow *row,
			 List *drifts)
{
	const char *table = table_text(sync);
	int64		period = hubspot_get_int64(row, VERIFY_PERIOD);
	int64		took = hubspot_get_int64(row, VERIFY_TOOK);
	int64		age = hubspot_get_int64(row, VERIFY_AGE);
	const char *error = hubspot_get_text(row, VERIFY_ERROR);
	const char *held_back = hubspot_get_text(row, VERIFY_HELD_BACK);
	const char *repair = psprintf("See hs_assoc_drift_log. SELECT hs_assoc_repair(%s, mode => 'mirror', max_removals => ...) puts it right.",
								  quote_literal_cstr(table));

	if (hubspot_get_int32(row, VERIFY_FAILURES) > 0)
		drifts = add_drift(drifts, NOT_COMPARABLE,
						   psprintf("table %s cannot be compared with HubSpot: %s", table,
									error && has_privs_of_role(diagnosis->user, sync->role) ? error :
									"its role can see why"),
						   "It is tried again, later each time. See hs_assoc_verify_stat.");
	else if (took > period)
		drifts = add_drift(drifts, TOO_SLOW,
						   psprintf("comparing table %s takes %s, and verify is %s", table,
									hubspot_duration_text(took), hubspot_duration_text(period)),
						   "Enable the sync anew with a longer verify, or raise the server's rate_limit, if HubSpot allows that.");
	else if (age > 2 * period + LATE)
		drifts = add_drift(drifts, NOT_COMPARED,
						   psprintf("table %s has not been compared for %s, and verify is %s", table,
									hubspot_duration_text(age), hubspot_duration_text(period)),
						   "See the topics workers and pause.");
	if (held_back)
		drifts = add_drift(drifts, HELD_BACK,
						   psprintf("nothing of table %s was put right: %s", table, held_back),
						   repair);
	if (hubspot_get_int64(row, VERIFY_CONTESTED) > 0)
		drifts = add_drift(drifts, LEFT_ALONE,
						   psprintf("differences of table %s that came back after two repairs, and are left alone: %lld",
									table, (long long) hubspot_get_int64(row, VERIFY_CONTESTED)),
						   repair);
	if (hubspot_get_int64(row, VERIFY_OPEN) > 0)
		drifts = add_drift(drifts, DIFFERS,
						   psprintf("HubSpot differs from table %s: %lld", table,
									(long long) hubspot_get_int64(row, VERIFY_OPEN)),
						   repair);
	return drifts;
}

static List *
add_drift(List *drifts, DriftWeight weight, const char *detail, const char *advice)
{
	Drift	   *drift = palloc(sizeof(Drift));

	drift->weight = weight;
	drift->number = list_length(drifts);
	drift->detail = detail;
	drift->advice = advice;
	return lappend(drifts, drift);
}

static int
compare_drifts(const ListCell *a, const ListCell *b)
{
	const Drift *one = lfirst(a);
	const Drift *other = lfirst(b);

	if (one->weight != other->weight)
		return one->weight < other->weight ? -1 : 1;
	return one->number < other->number ? -1 : 1;
}

/* All of it is one finding: the worst, how many others there are, and these, as far as they fit. */
static void
find_drifts(HubspotDiagnosis *diagnosis, List *drifts)
{
	const Drift *worst;
	StringInfoData detail;
	ListCell   *lc;

	list_sort(drifts, compare_drifts);
	worst = linitial(drifts);
	initStringInfo(&detail);
	appendStringInfoString(&detail, worst->detail);
	if (list_length(drifts) > 1)
		appendStringInfo(&detail, "\n%d more:", list_length(drifts) - 1);
	for_each_from(lc, drifts, 1)
		appendStringInfo(&detail, "\n- %s", ((const Drift *) lfirst(lc))->detail);
	hubspot_find(diagnosis, HUBSPOT_TOPIC_DRIFT, HUBSPOT_STATE_WARNING,
				 list_length(drifts) == 1 ? worst->advice :
				 psprintf("Of the first: %s The others are in hs_assoc_verify_stat and hs_assoc_drift_log.",
						  worst->advice),
				 "%s", detail.data);
}

/* Are the event triggers there that follow DDL, and are they enabled? */
static void
check_event_triggers(HubspotDiagnosis *diagnosis)
{
	static const char *const names[] = {
		"hs_assoc_sync_ddl", "hs_assoc_sync_drop", "hs_assoc_sync_before_drop"
	};

	for (size_t i = 0; i < lengthof(names); i++)
	{
		HeapTuple	tuple = SearchSysCache1(EVENTTRIGGERNAME, CStringGetDatum(names[i]));
		char		enabled = TRIGGER_DISABLED;

		if (HeapTupleIsValid(tuple))
		{
			enabled = ((Form_pg_event_trigger) GETSTRUCT(tuple))->evtenabled;
			ReleaseSysCache(tuple);
		}
		if (enabled == TRIGGER_DISABLED || enabled == TRIGGER_FIRES_ON_REPLICA)
			hubspot_find(diagnosis, HUBSPOT_TOPIC_TRIGGERS, HUBSPOT_STATE_PROBLEM,
						 psprintf("ALTER EVENT TRIGGER %s ENABLE ALWAYS;", names[i]),
						 "event trigger %s is disabled or missing: DDL on tables in sync is not followed",
						 names[i]);
	}
}

/*
 * Tables that have our triggers, and are not in sync: they were restored from a dump without
 * data, in which their syncs are.  Whoever writes to them gets an ERROR.
 */
static void
check_lost_syncs(HubspotDiagnosis *diagnosis)
{
	List	   *seen = NIL;
	List	   *lost = NIL;
	StringInfoData names;
	ListCell   *lc;

	foreach(lc, hubspot_link_triggered(diagnosis->schema))
	{
		Oid			table = hubspot_link_root(lfirst_oid(lc));

		if (list_member_oid(seen, table))
			continue;
		seen = lappend_oid(seen, table);
		if (hubspot_syncs(diagnosis->schema, table) == NIL &&
			(diagnosis->monitors || hubspot_table_ownercheck(table, diagnosis->user)))
			lost = lappend_oid(lost, table);
	}
	if (lost == NIL)
		return;
	initStringInfo(&names);
	foreach(lc, lost)
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", table_name(lfirst_oid(lc)));
	hubspot_find(diagnosis, HUBSPOT_TOPIC_TRIGGERS, HUBSPOT_STATE_PROBLEM,
				 psprintf("SELECT hs_assoc_enable_sync(%1$s, ...) as it was, with backfill => true; or SELECT hs_assoc_disable_sync(%1$s), which drops the triggers.",
						  quote_literal_cstr(table_name(linitial_oid(lost)))),
				 "nobody can write to what has the triggers of a sync without being in sync, as after restoring a dump without data: %s",
				 names.data);
}

/*
 * Do the labels exist that syncs name, and may the token read them?  That also
 * shows whether HubSpot knows the version of the API.
 */
void
hubspot_check_labels(HubspotDiagnosis *diagnosis)
{
	List	   *syncs = visible_syncs(diagnosis, diagnosis->name);
	List	   *pairs = NIL;
	int			skipped = 0;
	int			read = 0;
	ListCell   *lc;

	foreach(lc, syncs)
	{
		const HubspotSync *sync = lfirst(lc);
		ListCell   *known;

		foreach(known, pairs)
		{
			if (is_same_pair(sync, lfirst(known)))
				break;
		}
		if (known)
			continue;
		if (list_length(pairs) < MAX_PAIRS)
			pairs = lappend(pairs, unconstify(HubspotSync *, sync));
		else
			skipped++;
	}
	if (pairs == NIL)
		pairs = list_make1(unconstify(HubspotSync *, &usual_pair));

	foreach(lc, pairs)
	{
		const HubspotError *error = look_up_labels(diagnosis, lfirst(lc), syncs);

		if (error == NULL)
			read++;
		else if (error->verdict != HUBSPOT_VERDICT_SCOPE &&
				 error->verdict != HUBSPOT_VERDICT_REQUEST)
			break;				/* no more can be had */
	}
	if (skipped > 0)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_LABELS, HUBSPOT_STATE_WARNING,
					 "hs_assoc_labels shows those of a pair of object types.",
					 "labels of further syncs were not looked up: %d",
					 skipped);
	if (read == list_length(pairs))
		hubspot_find(diagnosis, HUBSPOT_TOPIC_LABELS, HUBSPOT_STATE_OK, NULL,
					 "those that syncs name are there");
	if (diagnosis->answered)
		check_properties(diagnosis, syncs, MAX_LOOKUPS - list_length(pairs));
}

/* Do the properties exist by which syncs call records?  Of at most so many object types. */
static void
check_properties(HubspotDiagnosis *diagnosis, List *syncs, int most)
{
	List	   *types = NIL;
	ListCell   *lc;

	foreach(lc, syncs)
	{
		const HubspotSync *sync = lfirst(lc);
		const char *sides[] = {sync->from_type, sync->to_type};

		for (size_t i = 0; i < lengthof(sides); i++)
		{
			if (strchr(sides[i], ':'))
				types = list_append_unique(types, makeString(pstrdup(type_name(sides[i]))));
		}
	}
	foreach(lc, types)
	{
		if (most-- == 0)
		{
			hubspot_find(diagnosis, HUBSPOT_TOPIC_SYNCS, HUBSPOT_STATE_WARNING,
						 "hs_assoc_resolve shows whether a property of theirs is there.",
						 "object types whose properties were not looked up, since there are many syncs: %d",
						 list_length(types) - foreach_current_index(lc));
			break;
		}
		if (!check_properties_of(diagnosis, syncs, strVal(lfirst(lc))))
			break;
	}
}

/*
 * False: no more can be had.  That they cannot be read is no finding: sending does without
 * them, and the token may lack the scope.
 */
static bool
check_properties_of(HubspotDiagnosis *diagnosis, List *syncs, const char *object_type)
{
	const char *arguments[] = {object_type};
	HubspotCall call;
	const HubspotError *error = hubspot_call_operation(diagnosis->client, HUBSPOT_PROPERTIES_LIST,
													   arguments, NULL, false, &call);
	List	   *names;
	ListCell   *lc;

	if (error)
		return error->verdict == HUBSPOT_VERDICT_SCOPE || error->verdict == HUBSPOT_VERDICT_REQUEST;
	if (!hubspot_read_property_names(call.reply, &names))
		return true;
	foreach(lc, syncs)
	{
		const HubspotSync *sync = lfirst(lc);
		const char *sides[] = {sync->from_type, sync->to_type};

		for (size_t i = 0; i < lengthof(sides); i++)
		{
			const char *property = strchr(sides[i], ':');
			const char *problem = NULL;

			if (property && strcmp(type_name(sides[i]), object_type) == 0)
				problem = hubspot_property_problem(names, property + 1);
			if (problem)
				hubspot_find(diagnosis, HUBSPOT_TOPIC_SYNCS, HUBSPOT_STATE_PROBLEM,
							 psprintf("SELECT hs_assoc_disable_sync(%s), and enable the sync with a property that there is; or create it in HubSpot.",
									  quote_literal_cstr(table_text(sync))),
							 "table %s, %s: %s", table_text(sync), object_type, problem);
		}
	}
	return true;
}

static bool
is_same_pair(const HubspotSync *sync, const HubspotSync *other)
{
	return strcmp(type_name(sync->from_type), type_name(other->from_type)) == 0 &&
		strcmp(type_name(sync->to_type), type_name(other->to_type)) == 0;
}

/* An object type without its property, palloc'd. */
static const char *
type_name(const char *given)
{
	return pnstrdup(given, strcspn(given, ":"));
}

/* Returns why they cannot be looked up, or NULL. */
static const HubspotError *
look_up_labels(HubspotDiagnosis *diagnosis, const HubspotSync *pair, const List *syncs)
{
	const char *from_type = type_name(pair->from_type);
	const char *to_type = type_name(pair->to_type);
	HubspotLabels *labels = hubspot_labels_create(diagnosis->client, from_type, to_type);
	const HubspotError *error = hubspot_labels_look_up(labels);
	ListCell   *lc;

	if (error && error->verdict == HUBSPOT_VERDICT_FOREIGN && error->http_status == 404)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_VERSION, HUBSPOT_STATE_PROBLEM,
					 "Set the option api_version of the server to one that HubSpot has.",
					 "HubSpot does not have %s: %s",
					 diagnosis->options->api_version, hubspot_error_detail(error));
	else if (error && error->verdict == HUBSPOT_VERDICT_REQUEST && OidIsValid(pair->link_table))
		hubspot_find(diagnosis, HUBSPOT_TOPIC_SYNCS, HUBSPOT_STATE_PROBLEM,
					 "Enable the sync with object types that there are; hs_assoc_object_types() lists them.",
					 "table %s, from %s to %s: %s", table_text(pair), from_type, to_type, error->message);
	else if (error)
		hubspot_check_failure(diagnosis, HUBSPOT_TOPIC_SCOPES,
							  psprintf("from %s to %s", from_type, to_type), error);
	if (error)
		return error;

	hubspot_find(diagnosis, HUBSPOT_TOPIC_SCOPES, HUBSPOT_STATE_OK, NULL,
				 "the token may read associations; only a write shows what it may write");
	foreach(lc, syncs)
	{
		const HubspotSync *sync = lfirst(lc);

		if (sync->label && is_same_pair(sync, pair) &&
			hubspot_labels_find(labels, sync->label, sync->category, &error) == NULL)
			hubspot_find(diagnosis, HUBSPOT_TOPIC_LABELS, HUBSPOT_STATE_PROBLEM,
						 "Create the label in HubSpot or with hs_assoc_label_create, or enable the sync with another one.",
						 "table %s: %s", table_text(sync), error->message);
	}
	return NULL;
}
