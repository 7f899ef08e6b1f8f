/*-------------------------------------------------------------------------
 *
 * ddl_partition.c
 *	  Partitions that come to tables kept in sync, and leave them.
 *
 * Partitions get the triggers of their table when they come, and lose them when
 * they go.  The rows that come with a partition are enqueued as if they had
 * been inserted, and those that go with one as if it had been truncated; so
 * nothing is enqueued where the trigger of that would not fire.  What cannot
 * be kept in sync is refused: inheritance, and partitions that are kept in
 * sync by themselves.  (Foreign tables cannot be partitions of a table with a
 * unique index.)
 *
 * When an event trigger is told what has been dropped, the rows can no longer
 * be read.  So they are enqueued before DROP TABLE is done.  At that moment,
 * and only then, we have to believe a command: the names in it are looked up.
 * They may have another meaning when PostgreSQL looks them up, and partitions
 * may be dropped by other commands, with their schema or owner.  Therefore
 * what was enqueued is remembered, and the drop of any other partition is
 * refused.
 *
 * IDENTIFICATION
 *	  src/sync/ddl_partition.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "sync/change.h"
#include "sync/ddl_partition.h"
#include "sync/link_trigger.h"
#include "sync/removal.h"

/* A table whose rows have been enqueued, so that it may be dropped. */
typedef struct Leaving
{
	Oid			relid;
	TransactionId transaction;	/* the transaction that has enqueued them */
} Leaving;

/* The tables that leave in this transaction, in its memory. */
static Leaving *leaving = NULL;
static int	nleaving = 0;
static FullTransactionId leaving_transaction;

static Oid	newest_child(Oid parent);
static void refuse_inheritance(const HubspotSchema *schema, Oid relid);
static List *former_children(Oid parent);
static void has_left(const HubspotSchema *schema, const List *syncs, Oid relid);
static bool is_deleted_here(HeapTuple tuple);
static void enqueue_rows(const List *syncs, Oid relid, HubspotTableChange what);
static void enqueue_removal(const HubspotSchema *schema, const List *syncs,
							Oid relid);
static bool has_parent_among(Oid relid, const List *relids);
static Oid	find_table(List *name);
static void drop_partition(const HubspotSchema *schema, List *name);
static bool may_drop_partition(const HubspotSchema *schema, Oid relid);
static void remember_leaving(Oid relid);
static bool is_leaving(Oid relid);
static bool was_partition(Oid relid);
static Oid	former_parent(Oid relid);

/*
 * A table has a new partition.  The catalog tells which one: the last that this transaction
 * has attached.  Others may have come in the same command, by an event trigger of the user's.
 */
void
hubspot_partition_attached(const HubspotSchema *schema, Oid parent)
{
	List	   *syncs = hubspot_syncs(schema, hubspot_link_root(parent));
	Oid			newest = newest_child(parent);
	ListCell   *lc;

	foreach(lc, find_inheritance_children(parent, NoLock))
	{
		Oid			child = lfirst_oid(lc);

		if (child != newest && hubspot_link_has_triggers(schema, child) &&
			hubspot_syncs(schema, child) == NIL)
			continue;
		hubspot_table_joined(schema, child);
		if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
			hubspot_removal_doubt();
		else
			enqueue_rows(syncs, child, HUBSPOT_TABLE_ADDED);
	}
}

/* The last child that this transaction has given a table; InvalidOid: none. */
static Oid
newest_child(Oid parent)
{
	Relation	catalog = table_open(InheritsRelationId, AccessShareLock);
	CommandId	newest = 0;
	Oid			child = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_inherits_inhparent, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(parent));
	scan = systable_beginscan(catalog, InheritsParentIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		HeapTupleHeader header = tuple->t_data;

		if (!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(header)) ||
			HeapTupleHeaderGetCmin(header) < newest)
			continue;
		newest = HeapTupleHeaderGetCmin(header);
		child = ((Form_pg_inherits) GETSTRUCT(tuple))->inhrelid;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return child;
}

/* A relation may have become a partition of a table, or a child of some. */
void
hubspot_table_joined(const HubspotSchema *schema, Oid relid)
{
	List	   *syncs;
	ListCell   *lc;

	if (!get_rel_relispartition(relid))
	{
		refuse_inheritance(schema, relid);
		return;
	}
	if (hubspot_syncs(schema, relid) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is kept in sync and cannot become a partition",
						get_rel_name(relid)),
				 errhint("End its sync first with SELECT %s.hs_assoc_disable_sync(%s).",
						 schema->name, quote_literal_cstr(hubspot_link_name(relid)))));
	syncs = hubspot_syncs(schema, hubspot_link_root(relid));
	if (syncs == NIL)
		return;
	foreach(lc, find_all_inheritors(relid, ShareRowExclusiveLock, NULL))
	{
		hubspot_link_check_persistence(lfirst_oid(lc));
		hubspot_link_add_triggers(schema, lfirst_oid(lc), hubspot_syncs_are_replicated(syncs));
	}
}

static void
refuse_inheritance(const HubspotSchema *schema, Oid relid)
{
	List	   *tables = lcons_oid(relid, hubspot_link_parents(relid));
	ListCell   *lc;

	foreach(lc, tables)
	{
		if (hubspot_syncs(schema, lfirst_oid(lc)) != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("table \"%s\" is kept in sync and cannot take part in inheritance",
							get_rel_name(lfirst_oid(lc))),
					 errhint("Use a partitioned table.")));
	}
}

/* A table has lost a partition. */
void
hubspot_partition_detached(const HubspotSchema *schema, Oid parent)
{
	List	   *syncs = hubspot_syncs(schema, hubspot_link_root(parent));
	ListCell   *lc;

	if (syncs == NIL)
		return;
	foreach(lc, former_children(parent))
		has_left(schema, syncs, lfirst_oid(lc));
}

/*
 * The former partitions and children of the table that this transaction has
 * taken from it.  Their rows are still in the catalog, but no snapshot shows
 * them.
 */
static List *
former_children(Oid parent)
{
	Relation	catalog = table_open(InheritsRelationId, AccessShareLock);
	List	   *children = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_inherits_inhparent, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(parent));
	scan = systable_beginscan(catalog, InheritsParentIndexId, true, SnapshotAny,
							  1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (is_deleted_here(tuple))
			children = list_append_unique_oid(children,
											  ((Form_pg_inherits) GETSTRUCT(tuple))->inhrelid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return children;
}

/* Has this transaction deleted a row, or made a new version of it? */
static bool
is_deleted_here(HeapTuple tuple)
{
	HeapTupleHeader header = tuple->t_data;

	return !(header->t_infomask & HEAP_XMAX_INVALID) &&
		!HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask) &&
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(header));
}

/*
 * A table is no longer a partition, and may even be gone: enqueue the removal
 * of its rows, and drop its triggers, which belonged to the whole table.  One
 * without triggers has left before.
 */
static void
has_left(const HubspotSchema *schema, const List *syncs, Oid relid)
{
	ListCell   *lc;

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)) ||
		get_rel_relispartition(relid) || hubspot_syncs(schema, relid) != NIL)
		return;
	foreach(lc, hubspot_link_tree(relid, NoLock))
	{
		enqueue_removal(schema, syncs, lfirst_oid(lc));
		hubspot_link_drop_triggers(schema, lfirst_oid(lc));
	}
}

/* Enqueue the rows of one table, unless TRUNCATE of it would not do so. */
static void
enqueue_removal(const HubspotSchema *schema, const List *syncs, Oid relid)
{
	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE ||
		!hubspot_link_heeds_truncate(schema, relid))
		return;
	LockRelationOid(relid, AccessExclusiveLock);
	enqueue_rows(syncs, relid, HUBSPOT_TABLE_REMOVED);
}

static void
enqueue_rows(const List *syncs, Oid relid, HubspotTableChange what)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc partition",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ListCell   *lc;

	foreach(lc, syncs)
		(void) hubspot_change_enqueue_table(hubspot_change_create(lfirst(lc), relid), what);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * DROP TABLE is about to be done: enqueue the rows of the partitions in it,
 * unless their whole table is dropped as well, which ends its sync.
 */
void
hubspot_before_drop(const HubspotSchema *schema, Node *command)
{
	List	   *relids = NIL;
	ListCell   *lc;

	if (!IsA(command, DropStmt) ||
		castNode(DropStmt, command)->removeType != OBJECT_TABLE ||
		hubspot_syncs(schema, InvalidOid) == NIL)
		return;
	foreach(lc, castNode(DropStmt, command)->objects)
	{
		Oid			relid = find_table(lfirst(lc));

		if (OidIsValid(relid))
			relids = lappend_oid(relids, relid);
	}
	foreach(lc, castNode(DropStmt, command)->objects)
	{
		if (!has_parent_among(find_table(lfirst(lc)), relids))
			drop_partition(schema, lfirst(lc));
	}
}

/* The table that a name stands for now, without a lock; InvalidOid: there is none. */
static Oid
find_table(List *name)
{
	return RangeVarGetRelid(makeRangeVarFromNameList(name), NoLock, true);
}

static bool
has_parent_among(Oid relid, const List *relids)
{
	while (OidIsValid(relid = hubspot_link_parent(relid)))
	{
		if (list_member_oid(relids, relid))
			return true;
	}
	return false;
}

/*
 * A table is to be dropped: if it is a partition, and the user may drop it,
 * enqueue its rows.  The locks are those of DROP TABLE, in its order.  While
 * we wait for them, the name may come to stand for another table, which is
 * then the one that is dropped.
 */
static void
drop_partition(const HubspotSchema *schema, List *name)
{
	Oid			relid = find_table(name);
	Oid			locked = InvalidOid;
	List	   *syncs;
	ListCell   *lc;

	while (relid != locked)
	{
		Oid			parent = hubspot_link_parent(relid);

		if (!OidIsValid(parent) || !may_drop_partition(schema, relid))
			return;
		LockRelationOid(parent, AccessExclusiveLock);
		LockRelationOid(relid, AccessExclusiveLock);
		locked = relid;
		relid = find_table(name);
	}
	if (!OidIsValid(relid) || !get_rel_relispartition(relid))
		return;					/* it is no longer a partition */
	syncs = hubspot_syncs(schema, hubspot_link_root(relid));
	foreach(lc, hubspot_link_tree(relid, AccessExclusiveLock))
	{
		enqueue_removal(schema, syncs, lfirst_oid(lc));
		remember_leaving(lfirst_oid(lc));
	}
}

/* Is it a partition of a table in sync, and may the current user drop it? */
static bool
may_drop_partition(const HubspotSchema *schema, Oid relid)
{
	return OidIsValid(relid) && get_rel_relispartition(relid) &&
		hubspot_syncs(schema, hubspot_link_root(relid)) != NIL &&
		(hubspot_table_ownercheck(relid, GetUserId()) ||
		 hubspot_owns_schema(get_rel_namespace(relid), GetUserId()));
}

static void
remember_leaving(Oid relid)
{
	FullTransactionId transaction = GetTopFullTransactionId();

	if (!FullTransactionIdEquals(leaving_transaction, transaction))
	{
		leaving = MemoryContextAlloc(TopTransactionContext, sizeof(Leaving));
		nleaving = 0;
		leaving_transaction = transaction;
	}
	else
		leaving = repalloc(leaving, sizeof(Leaving) * (nleaving + 1));
	leaving[nleaving].relid = relid;
	/* if this transaction is rolled back, so is what it has enqueued */
	leaving[nleaving++].transaction = GetCurrentTransactionId();
}

static bool
is_leaving(Oid relid)
{
	if (!FullTransactionIdEquals(leaving_transaction, GetTopFullTransactionIdIfAny()))
		return false;
	for (int i = 0; i < nleaving; i++)
	{
		if (leaving[i].relid == relid &&
			TransactionIdIsCurrentTransactionId(leaving[i].transaction))
			return true;
	}
	return false;
}

/* A table has been dropped.  ERROR if it was a partition whose rows are lost. */
void
hubspot_partition_dropped(const HubspotSchema *schema, Oid relid,
						  const char *name)
{
	Oid			parent = relid;

	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA ||
		!was_partition(relid) || is_leaving(relid))
		return;
	while (OidIsValid(parent) && get_rel_name(parent) == NULL)
		parent = former_parent(parent);
	if (!OidIsValid(parent) ||
		hubspot_syncs(schema, hubspot_link_root(parent)) == NIL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop partition \"%s\" because table \"%s\" is kept in sync",
					name, get_rel_name(hubspot_link_root(parent))),
			 errdetail("Associations of its rows would stay in HubSpot."),
			 errhint("Detach the partition first, or drop it with DROP TABLE, to have them removed.")));
}

/*
 * Was a table a partition when this transaction dropped it, and one that has
 * rows itself?
 */
static bool
was_partition(Oid relid)
{
	Relation	catalog = table_open(RelationRelationId, AccessShareLock);
	bool		found = false;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, ClassOidIndexId, true, SnapshotAny, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class row = (Form_pg_class) GETSTRUCT(tuple);

		/* an earlier version of a row points to the next one */
		if (is_deleted_here(tuple) &&
			ItemPointerEquals(&tuple->t_data->t_ctid, &tuple->t_self))
			found = row->relispartition && row->relkind != RELKIND_PARTITIONED_TABLE;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

/* The last table of which it was a partition; InvalidOid: none. */
static Oid
former_parent(Oid relid)
{
	Relation	catalog = table_open(InheritsRelationId, AccessShareLock);
	CommandId	last = 0;
	Oid			parent = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, InheritsRelidSeqnoIndexId, true, SnapshotAny,
							  1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (!is_deleted_here(tuple) || HeapTupleHeaderGetCmax(tuple->t_data) < last)
			continue;
		last = HeapTupleHeaderGetCmax(tuple->t_data);
		parent = ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return parent;
}
