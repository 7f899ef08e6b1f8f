/*-------------------------------------------------------------------------
 *
 * sync_functions.c
 *	  SQL functions on tables that are kept in sync.
 *
 * IDENTIFICATION
 *	  src/sql/sync_functions.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_inherits.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "api/association_type.h"
#include "base/compat.h"
#include "base/shown.h"
#include "schema/origin.h"
#include "sql/argument.h"
#include "sync/change.h"
#include "sync/link_state.h"
#include "sync/link_trigger.h"
#include "sync/removal.h"
#include "worker/sending.h"
#include "worker/wake.h"

/* The arguments of hs_assoc_enable_sync. */
enum
{
	ENABLE_LINK_TABLE,
	ENABLE_FROM_TYPE,
	ENABLE_FROM_COLUMN,
	ENABLE_TO_TYPE,
	ENABLE_TO_COLUMN,
	ENABLE_TYPE_ID,
	ENABLE_LABEL,
	ENABLE_TYPE_ID_COLUMN,
	ENABLE_LABEL_COLUMN,
	ENABLE_CATEGORY,
	ENABLE_BACKFILL,
	ENABLE_IS_PRIMARY,
	ENABLE_WAIT_FOR_RECORDS,
	ENABLE_REPLICATED,
	ENABLE_VERIFY,
	ENABLE_ON_DRIFT,
	ENABLE_SERVER
};

PG_FUNCTION_INFO_V1(hs_assoc_enable_sync);
PG_FUNCTION_INFO_V1(hs_assoc_disable_sync);
PG_FUNCTION_INFO_V1(hs_assoc_sync_problem);
PG_FUNCTION_INFO_V1(hs_assoc_keep_locked);

static HubspotSync *sync_arguments(FunctionCallInfo fcinfo);
static void set_verify(FunctionCallInfo fcinfo, HubspotSync *sync);
static void set_type(FunctionCallInfo fcinfo, HubspotSync *sync);
static int32 primary_type(const HubspotSync *sync);
static void lock_link_table(Oid link_table, LOCKMODE lock);
static void check_sync(const HubspotSchema *schema, const HubspotSync *sync);
static void refuse_without_key(const HubspotSync *sync, const char *name) pg_attribute_noreturn();
static char *column_list(const HubspotSync *sync);
static bool same_sync(const HubspotSync *a, const HubspotSync *b);
static bool same_text(const char *a, const char *b);

/*
 * hs_assoc_enable_sync(link_table, from_type, from_column, to_type, to_column,
 * type_id, label, type_id_column, label_column, category, backfill, is_primary,
 * wait_for_records, replicated, verify, on_drift, server)
 *
 * From now on, what happens to the rows of the table is enqueued, on behalf of
 * the current role.  With backfill, so are the rows that exist already: the
 * lock that is taken for the triggers waits for all writers, and none goes on
 * before the transaction has ended.  Returns how many rows.  In a copy of a
 * database, a WARNING says that nothing is sent; another one says so, once a session,
 * if there can be no worker.
 *
 * replicated: what a subscription applies to the table is enqueued, too; without that, a
 * WARNING says that it is not, if there is a subscription.
 *
 * Where an object type has a property, its column holds keys: see hs_assoc_enqueue.
 *
 * verify: a worker compares the table with HubSpot that often, a slice at a time, and does
 * what on_drift says ('report', 'add' or 'mirror') about the differences.  Where there are
 * to be no workers, a WARNING says that nobody does.
 */
Datum
hs_assoc_enable_sync(PG_FUNCTION_ARGS)
{
	const HubspotSchema *schema = hubspot_outbox_schema(false);
	HubspotSync *sync = sync_arguments(fcinfo);
	Oid			serverid = hubspot_usable_server_argument(fcinfo, ENABLE_SERVER);
	bool		with_backfill = !PG_ARGISNULL(ENABLE_BACKFILL) &&
	PG_GETARG_BOOL(ENABLE_BACKFILL);
	int64		enqueued = 0;
	ListCell   *lc;

	PreventCommandIfReadOnly("hs_assoc_enable_sync()");
	sync->server = GetForeignServer(serverid)->servername;
	sync->role = GetUserId();
	lock_link_table(sync->link_table, ShareRowExclusiveLock);
	check_sync(schema, sync);

	if (!hubspot_origin_claim())
		hubspot_origin_warn();
	else
	{
		hubspot_sending_warn();
		if (sync->verify)
			hubspot_comparing_warn(sync->link_table);
	}
	hubspot_sync_insert(sync);
	if (sync->verify)
		hubspot_wake_at_commit();
	hubspot_removal_doubt();
	foreach(lc, hubspot_link_tree(sync->link_table, ShareRowExclusiveLock))
		hubspot_link_add_triggers(schema, lfirst_oid(lc), sync->replicated);
	hubspot_link_tell_writers(sync);
	hubspot_sync_tell_account(sync);
	if (with_backfill)
		enqueued = hubspot_change_enqueue_table(hubspot_change_create(sync, sync->link_table),
												HUBSPOT_TABLE_BACKFILLED);
	PG_RETURN_INT64(enqueued);
}

static HubspotSync *
sync_arguments(FunctionCallInfo fcinfo)
{
	HubspotSync *sync = palloc0(sizeof(HubspotSync));
	bool		has_keys = false;

	sync->link_table = hubspot_link_table_argument(fcinfo, ENABLE_LINK_TABLE);
	sync->from_type = hubspot_given_type_argument(fcinfo, ENABLE_FROM_TYPE, "from_type", &has_keys);
	sync->from_column = hubspot_name_argument(fcinfo, ENABLE_FROM_COLUMN, "from_column");
	sync->to_type = hubspot_given_type_argument(fcinfo, ENABLE_TO_TYPE, "to_type", &has_keys);
	sync->to_column = hubspot_name_argument(fcinfo, ENABLE_TO_COLUMN, "to_column");
	sync->wait_for_records = hubspot_wait_argument(fcinfo, ENABLE_WAIT_FOR_RECORDS,
												   "wait_for_records", has_keys);
	sync->replicated = hubspot_flag_argument(fcinfo, ENABLE_REPLICATED);
	set_verify(fcinfo, sync);
	set_type(fcinfo, sync);
	return sync;
}

/* How often the table is compared with HubSpot, and to what end. */
static void
set_verify(FunctionCallInfo fcinfo, HubspotSync *sync)
{
	if (!PG_ARGISNULL(ENABLE_VERIFY))
	{
		sync->verify = hubspot_period_argument(fcinfo, ENABLE_VERIFY, "verify");
		sync->on_drift = "report";
	}
	if (PG_ARGISNULL(ENABLE_ON_DRIFT))
		return;
	sync->on_drift = hubspot_on_drift_argument(fcinfo, ENABLE_ON_DRIFT);
	if (sync->verify == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" needs the argument \"%s\"", "on_drift", "verify"),
				 errhint("verify says how often the table is compared with HubSpot, as in verify => '1 day'.")));
}

/*
 * The association type: at most one of five arguments, and its category.  The
 * primary type is a number like any other from here on.
 */
static void
set_type(FunctionCallInfo fcinfo, HubspotSync *sync)
{
	bool		is_primary = hubspot_flag_argument(fcinfo, ENABLE_IS_PRIMARY);
	int			given = is_primary ? 1 : 0;

	for (int i = ENABLE_TYPE_ID; i <= ENABLE_LABEL_COLUMN; i++)
		given += PG_ARGISNULL(i) ? 0 : 1;
	if (given > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("only one of the arguments \"type_id\", \"label\", \"type_id_column\", \"label_column\" and \"is_primary\" may be given"),
				 errhint("To keep several association types in sync, call hs_assoc_enable_sync for each.")));
	if (given == 0 && !PG_ARGISNULL(ENABLE_CATEGORY))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"category\" needs an association type"),
				 errhint("Give one of the arguments type_id, label, type_id_column, label_column and is_primary.")));

	if (is_primary)
		sync->type_id = primary_type(sync);
	if (!PG_ARGISNULL(ENABLE_TYPE_ID))
		sync->type_id = hubspot_int_argument(fcinfo, ENABLE_TYPE_ID, "type_id");
	if (!PG_ARGISNULL(ENABLE_LABEL))
		sync->label = hubspot_label_argument(fcinfo, ENABLE_LABEL, "label");
	if (!PG_ARGISNULL(ENABLE_TYPE_ID_COLUMN))
		sync->type_id_column = hubspot_name_argument(fcinfo, ENABLE_TYPE_ID_COLUMN,
													 "type_id_column");
	if (!PG_ARGISNULL(ENABLE_LABEL_COLUMN))
		sync->label_column = hubspot_name_argument(fcinfo, ENABLE_LABEL_COLUMN,
												   "label_column");
	if (!PG_ARGISNULL(ENABLE_CATEGORY))
		sync->category = hubspot_category_argument(fcinfo, ENABLE_CATEGORY,
												   "category");
	if (is_primary && sync->category &&
		strcmp(sync->category, HUBSPOT_DEFINED_CATEGORY) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" is true, but \"%s\" is \"%s\"",
						"is_primary", "category", hubspot_shown(sync->category)),
				 errhint("The primary type is %s.", HUBSPOT_DEFINED_CATEGORY)));
}

/* The number of the primary type of the sync's object types; ERROR: there is none. */
static int32
primary_type(const HubspotSync *sync)
{
	HubspotObjectType from_type;
	HubspotObjectType to_type;
	char	   *hint;
	int32		type_id = 0;

	if (!hubspot_parse_object_type(sync->from_type, &from_type, &hint) &&
		!hubspot_parse_object_type(sync->to_type, &to_type, &hint))
		type_id = hubspot_primary_type(from_type.name, to_type.name);
	if (type_id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no primary type from %s to %s; %s",
						sync->from_type, sync->to_type, HUBSPOT_PRIMARY_DIRECTIONS)));
	return type_id;
}

/*
 * Lock the table until the end of the transaction; ERROR if the role no longer
 * owns it.
 */
static void
lock_link_table(Oid link_table, LOCKMODE lock)
{
	LockRelationOid(link_table, lock);
	hubspot_check_owner(link_table);
}

/* ERROR unless the table is fit for the sync. */
static void
check_sync(const HubspotSchema *schema, const HubspotSync *sync)
{
	const char *name = get_rel_name(sync->link_table);
	ListCell   *lc;

	hubspot_link_check(sync->link_table);
	hubspot_link_refuse_distributed(schema, sync->link_table);
	hubspot_sync_check_columns(sync);
	foreach(lc, hubspot_syncs(schema, sync->link_table))
	{
		if (same_sync(lfirst(lc), sync))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("columns \"%s\" and \"%s\" of table \"%s\" are already kept in sync",
							sync->from_column, sync->to_column, name),
					 errhint("To change a sync, call hs_assoc_disable_sync first, which ends all syncs of the table.")));
	}
	if (!OidIsValid(hubspot_sync_key(sync)))
		refuse_without_key(sync, name);
}

static void
refuse_without_key(const HubspotSync *sync, const char *name)
{
	const char *other = hubspot_sync_partitioned_otherwise(sync);

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" has no unique index on columns of the sync alone", name),
			 errdetail("Without one, rows of the same pair could be written at the same time, and it would be unknown which came last."),
			 other ?
			 errhint("It cannot have one, since table \"%s\" is partitioned by more than (%s). Partition by these alone, or keep the pairs in a table of their own.",
					 other, column_list(sync)) :
			 errhint("Create it with CREATE UNIQUE INDEX ON %s (%s). It must not be partial, on expressions or deferrable.",
					 hubspot_link_name(sync->link_table), column_list(sync))));
}

/* The columns of the sync, for SQL; both sides may have the same one. */
static char *
column_list(const HubspotSync *sync)
{
	const char *columns[HUBSPOT_SYNC_COLUMNS];
	int			ncolumns = hubspot_sync_columns(sync, columns);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < ncolumns; i++)
	{
		if (i == 0 || strcmp(columns[i], columns[i - 1]) != 0)
			appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", quote_identifier(columns[i]));
	}
	return list.data;
}

/* Are two syncs the same, whichever role enabled them? */
static bool
same_sync(const HubspotSync *a, const HubspotSync *b)
{
	return same_text(a->from_type, b->from_type) &&
		same_text(a->from_column, b->from_column) &&
		same_text(a->to_type, b->to_type) &&
		same_text(a->to_column, b->to_column) &&
		a->type_id == b->type_id &&
		same_text(a->label, b->label) &&
		same_text(a->type_id_column, b->type_id_column) &&
		same_text(a->label_column, b->label_column) &&
		same_text(a->category, b->category) &&
		same_text(a->server, b->server);
}

static bool
same_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

/*
 * hs_assoc_disable_sync(link_table)
 *
 * Ends all syncs of the table, and drops the triggers, even if nothing else is
 * left.  Returns how many syncs there were.  It is not SQL of ours that does
 * that, which would be refused in a read-only transaction, or in a parallel plan,
 * by itself.
 */
Datum
hs_assoc_disable_sync(PG_FUNCTION_ARGS)
{
	const HubspotSchema *schema = hubspot_outbox_schema(false);
	Oid			link_table = hubspot_link_table_argument(fcinfo, 0);
	Oid			root;
	List	   *syncs;
	ListCell   *lc;
	int			dropped = 0;

	PreventCommandIfReadOnly("hs_assoc_disable_sync()");
	PreventCommandIfParallelMode("hs_assoc_disable_sync()");
	lock_link_table(link_table, AccessExclusiveLock);
	root = hubspot_link_root(link_table);
	if (root != link_table && hubspot_syncs(schema, root) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("partition \"%s\" is kept in sync with the whole table \"%s\"",
						get_rel_name(link_table), get_rel_name(root)),
				 errhint("Detach it first, or end the sync of the whole table.")));
	syncs = hubspot_syncs(schema, link_table);
	foreach(lc, syncs)
		hubspot_sync_delete(schema, ((HubspotSync *) lfirst(lc))->id);
	foreach(lc, hubspot_link_tree(link_table, AccessExclusiveLock))
		dropped += hubspot_link_drop_triggers(schema, lfirst_oid(lc));
	if (syncs == NIL)
		ereport(NOTICE,
				(errmsg("table \"%s\" is not kept in sync", get_rel_name(link_table)),
				 dropped > 0 ?
				 errdetail("Triggers of hs_assoc_sync_rows were dropped: %d.", dropped) : 0));
	PG_RETURN_INT32(list_length(syncs));
}

/*
 * hs_assoc_sync_problem(id, link_table)
 *
 * Why changes of the table are not sent as the sync of that number says: a
 * sentence, for the view hs_assoc_sync; null if they are, or if there is no such
 * sync.
 */
Datum
hs_assoc_sync_problem(PG_FUNCTION_ARGS)
{
	const HubspotSchema *schema = hubspot_outbox_schema(false);
	const char *problem = NULL;
	ListCell   *lc;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	foreach(lc, hubspot_syncs(schema, PG_GETARG_OID(1)))
	{
		const HubspotSync *sync = lfirst(lc);

		if (sync->id == PG_GETARG_INT32(0))
			(void) hubspot_sync_state(schema, sync, &problem);
	}
	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}

/*
 * hs_assoc_keep_locked(link_table, locked)
 *
 * Locks the table beyond the next commit, against no more than other pulls of it, which lock
 * it as this one has, or unlocks it.  An ERROR that ends the procedure unlocks it as well.
 */
Datum
hs_assoc_keep_locked(PG_FUNCTION_ARGS)
{
	Relation	relation = PG_ARGISNULL(0) || PG_ARGISNULL(1) ? NULL :
	relation_open(PG_GETARG_OID(0), AccessShareLock);
	LockRelId	table;

	/* whoever has that lock has had the privilege for it */
	if (relation == NULL || !SPI_inside_nonatomic_context() ||
		!CheckRelationLockedByMe(relation, ShareUpdateExclusiveLock, true))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("only hs_assoc_pull can call function \"%s\"", "hs_assoc_keep_locked")));
	table = relation->rd_lockInfo.lockRelId;
	if (PG_GETARG_BOOL(1))
		LockRelationIdForSession(&table, ShareUpdateExclusiveLock);
	else
		UnlockRelationIdForSession(&table, ShareUpdateExclusiveLock);
	relation_close(relation, AccessShareLock);
	PG_RETURN_VOID();
}
