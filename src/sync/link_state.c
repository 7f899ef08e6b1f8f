/*-------------------------------------------------------------------------
 *
 * link_state.c
 *	  Is what happens to a link table sent, as its sync promises?
 *
 * A sync works by statement triggers.  They do not fire for what comes another way: rows that
 * a subscription applies, or that a distributed engine writes into the shards of the table;
 * nor where somebody has disabled them, or sets session_replication_role.  A sync that is to
 * send what a subscription applies has others, which have to be there, too.  And what is
 * enqueued is sent on behalf of a role, which has to be able to use the server.  The view
 * hs_assoc_sync asks here, so that it calls no sync active whose changes are not sent.
 *
 * Only catalogs are read, with no lock but theirs: a table may change at any
 * moment, and what is told was true just now.
 *
 * IDENTIFICATION
 *	  src/sync/link_state.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_event_trigger.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "account/access.h"
#include "schema/origin.h"
#include "schema/subscription.h"
#include "sync/link_state.h"
#include "sync/link_trigger.h"

/* The catalog of Citus, which has its tables, and its column for them. */
#define DISTRIBUTED_TABLES	"pg_dist_partition"
#define DISTRIBUTED_TABLE	"logicalrelid"

static const char *const event_triggers[] = {
	"hs_assoc_sync_ddl", "hs_assoc_sync_drop", "hs_assoc_sync_before_drop"
};

static HubspotSyncState following_state(const HubspotSchema *schema, const HubspotSync *sync,
										const char **problem);
static HubspotSyncState table_state(const HubspotSchema *schema, const HubspotSync *sync,
									const char **problem);
static const char *trigger_problem(const HubspotSchema *schema, Oid table, bool replicated);
static const char *event_trigger_problem(void);
static const char *subscription_problem(const HubspotSync *sync);
static const char *column_problem(const HubspotSync *sync);
static bool is_replaced(const HubspotSchema *schema, const HubspotSync *sync);
static bool is_distributed(Oid table);
static bool is_subscribed(Oid table);
static bool is_tree_subscribed(Oid table);
static const char *disabled_subscription(Oid table);

/*
 * Are changes of the table sent as the sync says?  *problem is a sentence that says why not, or
 * NULL.
 */
HubspotSyncState
hubspot_sync_state(const HubspotSchema *schema, const HubspotSync *sync, const char **problem)
{
	HubspotSyncState state;

	*problem = NULL;
	state = following_state(schema, sync, problem);
	if (*problem)
		return state;
	*problem = hubspot_access_problem(sync->server, sync->role);
	if (*problem)
		return HUBSPOT_SYNC_NO_ACCESS;
	*problem = hubspot_origin_problem();
	return *problem ? HUBSPOT_SYNC_IN_COPY : HUBSPOT_SYNC_ACTIVE;
}

/* The same, as far as it decides whether they are enqueued. */
static HubspotSyncState
following_state(const HubspotSchema *schema, const HubspotSync *sync, const char **problem)
{
	HubspotSyncState state = HUBSPOT_SYNC_NOT_FOLLOWED;

	if (get_rel_name(sync->link_table) == NULL)
		*problem = "The table does not exist any more.";
	else
		state = table_state(schema, sync, problem);
	if (*problem == NULL && sync->replicated)
		*problem = subscription_problem(sync);
	if (*problem == NULL)
		*problem = column_problem(sync);
	if (*problem == NULL)
		*problem = event_trigger_problem();
	if (*problem == NULL && is_replaced(schema, sync))
	{
		*problem = psprintf("Another table has the name that it had, \"%s\", and is not kept in sync.",
							sync->table_name);
		return HUBSPOT_SYNC_REPLACED;
	}
	return state;
}

/* The same, as far as the table and its partitions are concerned. */
static HubspotSyncState
table_state(const HubspotSchema *schema, const HubspotSync *sync, const char **problem)
{
	List	   *tables = find_all_inheritors(sync->link_table, NoLock, NULL);
	ListCell   *lc;

	foreach(lc, tables)
	{
		Oid			table = lfirst_oid(lc);

		if (is_distributed(table))
		{
			*problem = psprintf("Table \"%s\" is distributed: what is written into its shards fires no trigger here.",
								get_rel_name(table));
			return HUBSPOT_SYNC_DISTRIBUTED;
		}
		if (!sync->replicated && is_subscribed(table))
		{
			*problem = psprintf("Table \"%s\" is filled by a subscription: what that applies fires no trigger.",
								get_rel_name(table));
			return HUBSPOT_SYNC_SUBSCRIBED;
		}
		*problem = trigger_problem(schema, table, sync->replicated);
		if (*problem)
			break;
	}
	return HUBSPOT_SYNC_NOT_FOLLOWED;
}

static const char *
trigger_problem(const HubspotSchema *schema, Oid table, bool replicated)
{
	bool		always;
	const char *role = GetConfigOptionResetString("session_replication_role");

	if (get_rel_name(table) == NULL)
		return NULL;			/* dropped just now */
	if (!hubspot_link_is_followed(schema, table, &always))
		return psprintf("A trigger of table \"%s\" is missing, disabled, or not as hs_assoc_enable_sync makes it.",
						get_rel_name(table));
	if (replicated && !hubspot_link_is_replicated(schema, table))
		return psprintf("A trigger of table \"%s\" that follows what a subscription applies is missing, disabled, or not as hs_assoc_enable_sync makes it.",
						get_rel_name(table));
	if (!always && !replicated &&
		(SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA ||
		 (role && strcmp(role, "replica") == 0)))
		return psprintf("The setting session_replication_role is \"replica\": triggers of table \"%s\" do not fire.",
						get_rel_name(table));
	return NULL;
}

/*
 * Why no subscription brings what such a sync is to send, or NULL.  The table may be filled
 * through itself, or through its partitions.
 */
static const char *
subscription_problem(const HubspotSync *sync)
{
	ListCell   *lc;

	if (!is_tree_subscribed(sync->link_table))
		return psprintf("No subscription of this database fills table \"%s\": only what is written here is sent.",
						get_rel_name(sync->link_table));
	foreach(lc, find_all_inheritors(sync->link_table, NoLock, NULL))
	{
		const char *subscription = disabled_subscription(lfirst_oid(lc));

		if (subscription)
			return psprintf("Subscription \"%s\", which fills table \"%s\", is disabled.",
							subscription, get_rel_name(lfirst_oid(lc)));
	}
	return NULL;
}

/*
 * What DDL does to the table is followed by event triggers: columns that are renamed, and
 * partitions that come and go.
 */
static const char *
event_trigger_problem(void)
{
	if (hubspot_event_triggers_are_off())
		return "The setting event_triggers is \"off\": what becomes of partitions is not followed.";
	for (size_t i = 0; i < lengthof(event_triggers); i++)
	{
		HeapTuple	tuple = SearchSysCache1(EVENTTRIGGERNAME,
											CStringGetDatum(event_triggers[i]));
		char		enabled = TRIGGER_DISABLED;

		if (HeapTupleIsValid(tuple))
		{
			enabled = ((Form_pg_event_trigger) GETSTRUCT(tuple))->evtenabled;
			ReleaseSysCache(tuple);
		}
		if (enabled != TRIGGER_FIRES_ON_ORIGIN && enabled != TRIGGER_FIRES_ALWAYS)
			return psprintf("Event trigger \"%s\", which follows what becomes of partitions, is missing or disabled.",
							event_triggers[i]);
	}
	return NULL;
}

/*
 * Are there no event triggers, in this session or in a new one?  PostgreSQL 17 has a setting
 * for that.
 */
bool
hubspot_event_triggers_are_off(void)
{
	const char *now = GetConfigOption("event_triggers", true, false);

	return now && (strcmp(now, "off") == 0 ||
				   strcmp(GetConfigOptionResetString("event_triggers"), "off") == 0);
}

static const char *
column_problem(const HubspotSync *sync)
{
	const char *columns[HUBSPOT_SYNC_COLUMNS];
	int			ncolumns = hubspot_sync_columns(sync, columns);

	for (int i = 0; i < ncolumns; i++)
	{
		if (get_attnum(sync->link_table, columns[i]) == InvalidAttrNumber)
			return psprintf("The table has no column \"%s\" any more: nothing can be written to it.",
							columns[i]);
	}
	return NULL;
}

/*
 * Has another table taken the name that the table had when its sync was enabled?
 * Then people write to that one.
 */
static bool
is_replaced(const HubspotSchema *schema, const HubspotSync *sync)
{
	Oid			other;
	char		relkind;

	if (sync->table_name == NULL)
		return false;
	other = get_relname_relid(sync->table_name, get_rel_namespace(sync->link_table));
	if (!OidIsValid(other) || other == sync->link_table)
		return false;
	relkind = get_rel_relkind(other);
	return (relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE) &&
		hubspot_syncs(schema, hubspot_link_root(other)) == NIL;
}

/* Before a sync is enabled: ERROR if the table is distributed. */
void
hubspot_link_refuse_distributed(const HubspotSchema *schema, Oid link_table)
{
	if (is_distributed(link_table))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" cannot be kept in sync, because it is distributed",
						get_rel_name(link_table)),
				 errdetail("What is written into its shards fires no trigger of this table."),
				 errhint("With the extension on each node, keep the shards in sync: SELECT run_command_on_shards(%s, $$ SELECT %s.hs_assoc_enable_sync('%%s', ...) $$).",
						 quote_literal_cstr(hubspot_link_name(link_table)), schema->name)));
}

/*
 * To be called when a sync is enabled: a WARNING if its table is filled by a subscription,
 * whose rows it does not send; a NOTICE if it is to be filled by one, and there is none yet.
 */
void
hubspot_link_tell_writers(const HubspotSync *sync)
{
	Oid			link_table = sync->link_table;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(link_table, NoLock, NULL))
	{
		if (!sync->replicated && is_subscribed(lfirst_oid(lc)))
			ereport(WARNING,
					(errmsg("table \"%s\" is filled by a subscription, and what that applies is not sent",
							get_rel_name(lfirst_oid(lc))),
					 errdetail("It fires no statement triggers."),
					 errhint("Enable the sync with replicated => true, or where the rows are written.")));
	}
	if (sync->replicated && !is_tree_subscribed(link_table))
		ereport(NOTICE,
				(errmsg("no subscription of this database fills table \"%s\" yet",
						get_rel_name(link_table)),
				 errdetail("Until one does, the sync is not active, and only what is written here is sent."),
				 errhint("CREATE SUBSCRIPTION ... CONNECTION '...' PUBLICATION ..., which has the table; or, for an existing subscription, ALTER SUBSCRIPTION ... REFRESH PUBLICATION.")));
}

/* What gives the sync's role what it lacks to use the server, which exists; or NULL. */
const char *
hubspot_sync_account_advice(const HubspotSync *sync)
{
	if (GetUserNameFromId(sync->role, true) == NULL)
		return psprintf("SELECT hs_assoc_disable_sync(%s), and enable the sync anew as a role that there is.",
						quote_literal_cstr(hubspot_link_name(sync->link_table)));
	return hubspot_access_advice(sync->server, sync->role);
}

/*
 * To be called when a sync is enabled: a WARNING if its role cannot use the server, so that
 * what is enqueued waits.
 */
void
hubspot_sync_tell_account(const HubspotSync *sync)
{
	const char *problem = hubspot_access_problem(sync->server, sync->role);
	const char *advice = problem ? hubspot_sync_account_advice(sync) : NULL;

	if (advice)
		ereport(WARNING,
				(errmsg("changes of table \"%s\" are enqueued, but cannot be sent yet",
						get_rel_name(sync->link_table)),
				 errdetail("%s", problem),
				 errhint("%s", advice)));
}

/*
 * Does Citus have it, as a distributed, reference or local table with metadata?
 * Shards are tables of their own, which it doesn't have there.
 */
static bool
is_distributed(Oid table)
{
	Oid			relid = get_relname_relid(DISTRIBUTED_TABLES, PG_CATALOG_NAMESPACE);
	AttrNumber	column = OidIsValid(relid) ? get_attnum(relid, DISTRIBUTED_TABLE) : 0;
	bool		found;
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;

	if (column <= 0 || get_rel_relkind(relid) != RELKIND_RELATION ||
		get_atttype(relid, column) != REGCLASSOID)
		return false;
	catalog = try_table_open(relid, AccessShareLock);
	if (catalog == NULL)
		return false;
	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

static bool
is_subscribed(Oid table)
{
	return hubspot_subscriptions(table) != NIL;
}

/* Is the table or one of its partitions filled by a subscription? */
static bool
is_tree_subscribed(Oid table)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(table, NoLock, NULL))
	{
		if (is_subscribed(lfirst_oid(lc)))
			return true;
	}
	return false;
}

/* The name of a subscription that fills the table, but is disabled; or NULL. */
static const char *
disabled_subscription(Oid table)
{
	ListCell   *lc;

	foreach(lc, hubspot_subscriptions(table))
	{
		const HubspotSubscription *subscription = lfirst(lc);

		if (!subscription->enabled)
			return subscription->name;
	}
	return NULL;
}
