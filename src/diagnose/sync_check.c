/*-------------------------------------------------------------------------
 *
 * sync_check.c
 *	  The tables that are kept in sync with a server: roles, and triggers.
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
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "account/server.h"
#include "base/compat.h"
#include "diagnose/check.h"
#include "schema/prepared.h"
#include "schema/subscription.h"
#include "sync/config.h"
#include "sync/link_state.h"
#include "sync/link_table.h"
#include "sync/link_trigger.h"

/* What becomes of what a subscription brings. */
enum
{
	SUBSCRIPTION_OID
};

enum
{
	SUBSCRIPTION_IS_APPLIED,
	SUBSCRIPTION_APPLY_ERRORS,
	SUBSCRIPTION_COPY_ERRORS
};

static HubspotStatement subscription_statement = {
	.text =
	"SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_get_subscription($1) AS w WHERE w.relid IS NULL),"
	" s.apply_error_count, s.sync_error_count FROM pg_catalog.pg_stat_get_subscription_stats($1) AS s",
	.types = {[SUBSCRIPTION_OID] = OIDOID}
};

static void check_sync(HubspotDiagnosis *diagnosis, const HubspotSync *sync);
static const char *table_name(Oid table);
static void check_subscriptions(HubspotDiagnosis *diagnosis, const HubspotSync *sync);
static void check_subscription(HubspotDiagnosis *diagnosis, Oid table,
							   const HubspotSubscription *subscription);
static const char *trigger_advice(const HubspotSync *sync, HubspotSyncState state);
static bool check_event_triggers(HubspotDiagnosis *diagnosis);
static void check_lost_syncs(HubspotDiagnosis *diagnosis);

/* The syncs to a server (NULL: to any) that the user may know of. */
List *
hubspot_visible_syncs(HubspotDiagnosis *diagnosis, const char *server)
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
	List	   *syncs = hubspot_visible_syncs(diagnosis, diagnosis->name);
	ListCell   *lc;

	diagnosis->in_use |= (syncs != NIL);
	foreach(lc, syncs)
		check_sync(diagnosis, lfirst(lc));

	/* a server may have been renamed, or dropped */
	foreach(lc, hubspot_visible_syncs(diagnosis, NULL))
	{
		const HubspotSync *sync = lfirst(lc);

		if (!OidIsValid(hubspot_server_owner(sync->server)))
			hubspot_find(diagnosis, HUBSPOT_TOPIC_SYNCS, HUBSPOT_STATE_PROBLEM,
						 psprintf("Rename the server back, or create it again; or SELECT hs_assoc_disable_sync(%s) and enable the sync with another server.",
								  quote_literal_cstr(hubspot_table_text(sync))),
						 "table %s is in sync with server \"%s\", which does not exist",
						 hubspot_table_text(sync), sync->server);
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
						 hubspot_table_text(sync));
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
				 "table %s is in sync on behalf of %s, which %s", hubspot_table_text(sync),
				 quote_identifier(GetUserNameFromId(sync->role, false)), lack);
}

const char *
hubspot_table_text(const HubspotSync *sync)
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
	bool		follows_ddl = check_event_triggers(diagnosis);
	List	   *seen = NIL;		/* tables that subscriptions fill */
	ListCell   *lc;

	check_lost_syncs(diagnosis);

	/*
	 * In a copy, no sync is active, and the topic copy says what to do; nor
	 * is one without the event triggers
	 */
	if (!follows_ddl || diagnosis->findings[HUBSPOT_TOPIC_COPY].state != HUBSPOT_STATE_OK)
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
	foreach(lc, hubspot_visible_syncs(diagnosis, diagnosis->name))
	{
		const HubspotSync *sync = lfirst(lc);
		const char *problem;
		HubspotSyncState state = hubspot_sync_state(diagnosis->schema, sync, &problem);

		/* what its role lacks to use the server is told by the topic syncs */
		if (state != HUBSPOT_SYNC_ACTIVE && state != HUBSPOT_SYNC_NO_ACCESS &&
			state != HUBSPOT_SYNC_IN_COPY)
			hubspot_find(diagnosis, HUBSPOT_TOPIC_TRIGGERS, HUBSPOT_STATE_PROBLEM,
						 trigger_advice(sync, state),
						 "changes of table %s are not followed: %s", hubspot_table_text(sync), problem);
		else if (sync->replicated && !list_member_oid(seen, sync->link_table))
		{
			seen = lappend_oid(seen, sync->link_table);
			check_subscriptions(diagnosis, sync);
		}
	}
	hubspot_find(diagnosis, HUBSPOT_TOPIC_TRIGGERS, HUBSPOT_STATE_OK, NULL,
				 "all are there and enabled");
}

/* Does what is to come by subscriptions come? */
static void
check_subscriptions(HubspotDiagnosis *diagnosis, const HubspotSync *sync)
{
	ListCell   *table;

	foreach(table, find_all_inheritors(sync->link_table, NoLock, NULL))
	{
		ListCell   *lc;

		foreach(lc, hubspot_subscriptions(lfirst_oid(table)))
			check_subscription(diagnosis, lfirst_oid(table), lfirst(lc));
	}
}

/*
 * An apply worker that has failed is started again some seconds later, and so is a copy: while
 * they fail, there is none most of the time.
 */
static void
check_subscription(HubspotDiagnosis *diagnosis, Oid table, const HubspotSubscription *subscription)
{
	HubspotValues values = {0};
	HubspotRows rows;
	HubspotRow	row;

	hubspot_set_oid(&values, SUBSCRIPTION_OID, subscription->oid);
	if (hubspot_query(&subscription_statement, &values, &rows) > 0)
	{
		hubspot_read_row(&rows, 0, &row);
		if (!hubspot_get_bool(&row, SUBSCRIPTION_IS_APPLIED))
			hubspot_find(diagnosis, HUBSPOT_TOPIC_TRIGGERS, HUBSPOT_STATE_WARNING,
						 "If it lasts, this server's log says why: for example that somebody has written here, and the key of a row is taken. Mend that; what has come meanwhile is then applied, and sent.",
						 "nobody applies what subscription %s brings to table %s; errors so far: %lld",
						 quote_identifier(subscription->name), table_name(table),
						 (long long) hubspot_get_int64(&row, SUBSCRIPTION_APPLY_ERRORS));
		else if (!subscription->has_copied)
			hubspot_find(diagnosis, HUBSPOT_TOPIC_TRIGGERS, HUBSPOT_STATE_WARNING,
						 "If it lasts, this server's log says why: for example that the table had rows here before, that SELECT is missing over there, or that all of max_logical_replication_workers are in use.",
						 "subscription %s has not copied table %s yet; errors so far: %lld",
						 quote_identifier(subscription->name), table_name(table),
						 (long long) hubspot_get_int64(&row, SUBSCRIPTION_COPY_ERRORS));
	}
	hubspot_rows_free(&rows);
}

/*
 * To enable all triggers alike would be wrong where some are for changes that a
 * subscription applies, and would mend nothing where none is disabled.
 */
static const char *
trigger_advice(const HubspotSync *sync, HubspotSyncState state)
{
	const char *table = hubspot_table_text(sync);
	const char *name = quote_literal_cstr(table);

	if (state == HUBSPOT_SYNC_REPLACED)
		return psprintf("If that one is to be in sync, SELECT hs_assoc_enable_sync(%s, ...) as for this one, with backfill, and SELECT hs_assoc_disable_sync(%s).",
						quote_literal_cstr(quote_qualified_identifier(get_namespace_name(get_rel_namespace(sync->link_table)),
																	  sync->table_name)),
						name);
	if (state == HUBSPOT_SYNC_SUBSCRIBED)
		return psprintf("SELECT hs_assoc_disable_sync(%s) and enable the sync anew, with replicated => true and backfill.",
						name);
	if (state == HUBSPOT_SYNC_DISTRIBUTED)
		return psprintf("SELECT hs_assoc_disable_sync(%s) and enable the sync of its shards.", name);
	if (sync->replicated)
		return psprintf("See to the subscription that is to fill it. If a trigger is disabled, SELECT hs_assoc_disable_sync(%s) and enable the sync anew, with replicated => true.",
						name);
	return psprintf("ALTER TABLE %s ENABLE TRIGGER USER; if that is not it, or to send what was written meanwhile, SELECT hs_assoc_disable_sync(%s) and enable the sync anew, with backfill.",
					table, name);
}

/* Are the event triggers there that follow DDL, and are they enabled? */
static bool
check_event_triggers(HubspotDiagnosis *diagnosis)
{
	static const char *const names[] = {
		"hs_assoc_sync_ddl", "hs_assoc_sync_drop", "hs_assoc_sync_before_drop"
	};

	bool		all = true;

	for (size_t i = 0; i < lengthof(names); i++)
	{
		HeapTuple	tuple = SearchSysCache1(EVENTTRIGGERNAME, CStringGetDatum(names[i]));
		char		enabled = TRIGGER_DISABLED;

		if (HeapTupleIsValid(tuple))
		{
			enabled = ((Form_pg_event_trigger) GETSTRUCT(tuple))->evtenabled;
			ReleaseSysCache(tuple);
		}
		if (enabled != TRIGGER_DISABLED && enabled != TRIGGER_FIRES_ON_REPLICA)
			continue;
		all = false;
		hubspot_find(diagnosis, HUBSPOT_TOPIC_TRIGGERS, HUBSPOT_STATE_PROBLEM,
					 psprintf("ALTER EVENT TRIGGER %s ENABLE ALWAYS;", names[i]),
					 "event trigger %s is disabled or missing: DDL on tables in sync is not followed",
					 names[i]);
	}
	return all;
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
