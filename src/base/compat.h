/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between the PostgreSQL versions 15 to 18, all of them.
 *
 * IDENTIFICATION
 *	  src/base/compat.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_COMPAT_H
#define HUBSPOT_BASE_COMPAT_H

#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_namespace.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "miscadmin.h"
#include "nodes/pathnodes.h"
#include "nodes/parsenodes.h"
#include "optimizer/appendinfo.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "parser/parsetree.h"
#include "postmaster/autovacuum.h"
#include "storage/buffile.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/sinvaladt.h"
#include "utils/acl.h"
#include "utils/selfuncs.h"
#include "utils/tuplesort.h"
#include "utils/wait_event.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
#if PG_VERSION_NUM >= 170000
#include "storage/dsm_registry.h"
#endif
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#include "storage/waiteventset.h"
#endif

/* 18 knows the name and version of a module. */
#if PG_VERSION_NUM >= 180000
#define HUBSPOT_MODULE_MAGIC(module_name, module_version) \
	PG_MODULE_MAGIC_EXT(.name = module_name, .version = module_version)
#else
#define HUBSPOT_MODULE_MAGIC(module_name, module_version) PG_MODULE_MAGIC
#endif

/* 18 has pg_noreturn instead, which stands before the declaration. */
#if PG_VERSION_NUM >= 180000
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

/* 16 has one function for the privileges of all kinds of objects. */
static inline AclResult
hubspot_server_aclcheck(Oid serverid, Oid userid, AclMode mode)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ForeignServerRelationId, serverid, userid, mode);
#else
	return pg_foreign_server_aclcheck(serverid, userid, mode);
#endif
}

static inline AclResult
hubspot_schema_aclcheck(Oid namespace, Oid userid, AclMode mode)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(NamespaceRelationId, namespace, userid, mode);
#else
	return pg_namespace_aclcheck(namespace, userid, mode);
#endif
}

/* Likewise for their owners. */
static inline bool
hubspot_owns_database(Oid database, Oid userid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, database, userid);
#else
	return pg_database_ownercheck(database, userid);
#endif
}

static inline bool
hubspot_owns_extension(Oid extension, Oid userid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(ExtensionRelationId, extension, userid);
#else
	return pg_extension_ownercheck(extension, userid);
#endif
}

static inline bool
hubspot_table_ownercheck(Oid relid, Oid userid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relid, userid);
#else
	return pg_class_ownercheck(relid, userid);
#endif
}

static inline bool
hubspot_owns_schema(Oid namespace, Oid userid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(NamespaceRelationId, namespace, userid);
#else
	return pg_namespace_ownercheck(namespace, userid);
#endif
}

/*
 * Set with whose privileges a query uses each of its relations; subqueries are
 * left as they are.  16 keeps this apart from the range table.
 */
static inline void
hubspot_set_privileges(Query * query, Oid (*privileges_on) (Oid relid, void *context),
					   void *context)
{
	ListCell   *lc;

#if PG_VERSION_NUM >= 160000
	foreach(lc, query->rteperminfos)
	{
		RTEPermissionInfo *info = lfirst_node(RTEPermissionInfo, lc);

		info->checkAsUser = privileges_on(info->relid, context);
	}
#else
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_RELATION)
			rte->checkAsUser = privileges_on(rte->relid, context);
	}
#endif
}

/*
 * The number of a transaction's process, with which arrays can be indexed; -1: it
 * has none.  17 counts from 0.
 */
static inline int
hubspot_process_number(const VirtualTransactionId * transaction)
{
#if PG_VERSION_NUM >= 170000
	return transaction->procNumber;
#else
	return transaction->backendId == InvalidBackendId ? -1 : transaction->backendId;
#endif
}

static inline PGPROC *
hubspot_process(int number)
{
#if PG_VERSION_NUM >= 170000
	return ProcNumberGetProc(number);
#else
	return BackendIdGetProc(number);
#endif
}

/* Which of its transactions a process is in: as in a VirtualTransactionId. */
static inline LocalTransactionId
hubspot_process_transaction(const PGPROC * process)
{
#if PG_VERSION_NUM >= 170000
	return process->vxid.lxid;
#else
	return process->lxid;
#endif
}

/*
 * Does a process hold that lock?  The caller has locked that partition of the lock
 * manager, which the lock is in.  16 has other lists.
 */
static inline bool
hubspot_process_has_lock(PGPROC * process, int partition, const LOCKTAG *tag)
{
#if PG_VERSION_NUM >= 160000
	dlist_iter	iter;

	dlist_foreach(iter, &process->myProcLocks[partition])
	{
		const		PROCLOCK *held = dlist_container(PROCLOCK, procLink, iter.cur);

		if (held->holdMask != 0 &&
			memcmp(&held->tag.myLock->tag, tag, sizeof(LOCKTAG)) == 0)
			return true;
	}
#else
	SHM_QUEUE  *locks = &process->myProcLocks[partition];
	const		PROCLOCK *held = (const PROCLOCK *)
	SHMQueueNext(locks, locks, offsetof(PROCLOCK, procLink));

	while (held)
	{
		if (held->holdMask != 0 &&
			memcmp(&held->tag.myLock->tag, tag, sizeof(LOCKTAG)) == 0)
			return true;
		held = (const PROCLOCK *)
			SHMQueueNext(locks, &held->procLink, offsetof(PROCLOCK, procLink));
	}
#endif
	return false;
}

/*
 * The segment of shared memory of that name, which the first process to ask for
 * it makes, and fills by init; ERROR if there is no memory left.  17 has such
 * segments.
 */
#if PG_VERSION_NUM >= 170000
#define HUBSPOT_HAS_NAMED_SEGMENTS	true
#else
#define HUBSPOT_HAS_NAMED_SEGMENTS	false
#endif

static inline void *
hubspot_named_segment(const char *name, Size size, void (*init) (void *memory), bool *found)
{
#if PG_VERSION_NUM >= 170000
	return GetNamedDSMSegment(name, size, init, found);
#else
	elog(ERROR, "this version of PostgreSQL has no segments with names");
	return NULL;
#endif
}

/* The most workers of autovacuum: 18 can change their number while it runs. */
static inline int
hubspot_autovacuum_workers(void)
{
#if PG_VERSION_NUM >= 180000
	return autovacuum_worker_slots;
#else
	return autovacuum_max_workers;
#endif
}

/* Begin an index scan.  18 counts what it does. */
static inline IndexScanDesc
hubspot_index_beginscan(Relation heap, Relation index, Snapshot snapshot, int nkeys)
{
#if PG_VERSION_NUM >= 180000
	return index_beginscan(heap, index, snapshot, NULL, nkeys, 0);
#else
	return index_beginscan(heap, index, snapshot, nkeys, 0);
#endif
}

/* Run a query to its end.  18 need not be told that it is run once. */
static inline void
hubspot_executor_run(QueryDesc * query)
{
#if PG_VERSION_NUM >= 180000
	ExecutorRun(query, ForwardScanDirection, 0);
#else
	ExecutorRun(query, ForwardScanDirection, 0, true);
#endif
}

/*
 * Run a query for its next rows, as many as count; 0 would mean all of them.
 */
static inline void
hubspot_executor_fetch(QueryDesc * query, uint64 count)
{
#if PG_VERSION_NUM >= 180000
	ExecutorRun(query, ForwardScanDirection, count);
#else
	ExecutorRun(query, ForwardScanDirection, count, false);
#endif
}

/* 18 has generated columns that are not stored. */
#if PG_VERSION_NUM >= 180000
#define HUBSPOT_GENERATED_VIRTUAL	ATTRIBUTE_GENERATED_VIRTUAL
#else
#define HUBSPOT_GENERATED_VIRTUAL	'v'
#endif

/* 17 can give a generated column another expression. */
#if PG_VERSION_NUM >= 170000
#define HUBSPOT_AT_SET_EXPRESSION	AT_SetExpression
#else
#define HUBSPOT_AT_SET_EXPRESSION	(-1)
#endif

/* 18 can leave room before the tuple. */
static inline MinimalTuple
hubspot_form_minimal_tuple(TupleDesc tupdesc, Datum *values, bool *isnull)
{
#if PG_VERSION_NUM >= 180000
	return heap_form_minimal_tuple(tupdesc, values, isnull, 0);
#else
	return heap_form_minimal_tuple(tupdesc, values, isnull);
#endif
}

/* The next datum of a sort, palloc'd if it is not passed by value; 16 can do without. */
static inline bool
hubspot_tuplesort_getdatum(Tuplesortstate *sort, Datum *datum, bool *isnull)
{
#if PG_VERSION_NUM >= 160000
	return tuplesort_getdatum(sort, true, true, datum, isnull, NULL);
#else
	return tuplesort_getdatum(sort, true, datum, isnull, NULL);
#endif
}

/*
 * The path of a foreign scan.  17 tells which conditions were pushed down, for joins, and
 * 18 compares plans by their disabled nodes before their costs: a path that only raises
 * an ERROR (without fdw_private) has more of them than any other.
 */
static inline ForeignPath *
hubspot_foreign_path(PlannerInfo *root, RelOptInfo *rel, double rows, Cost startup_cost,
					 Cost total_cost, Relids required_outer, List *fdw_private)
{
#if PG_VERSION_NUM >= 180000
	return create_foreignscan_path(root, rel, NULL, rows, fdw_private == NIL ? 1000 : 0,
								   startup_cost, total_cost, NIL,
								   required_outer, NULL, NIL, fdw_private);
#elif PG_VERSION_NUM >= 170000
	return create_foreignscan_path(root, rel, NULL, rows, startup_cost, total_cost, NIL,
								   required_outer, NULL, NIL, fdw_private);
#else
	return create_foreignscan_path(root, rel, NULL, rows, startup_cost, total_cost, NIL,
								   required_outer, NULL, fdw_private);
#endif
}

/* An expression with the columns of a partition in place of its parent's. */
static inline Node *
hubspot_adjust_for_child(PlannerInfo *root, Node *node, RelOptInfo *child)
{
#if PG_VERSION_NUM >= 160000
	return adjust_appendrel_attrs_multilevel(root, node, child, child->top_parent);
#else
	return adjust_appendrel_attrs_multilevel(root, node, child->relids,
											 child->top_parent_relids);
#endif
}

/* How many elements an array probably has.  17 looks at statistics, too. */
static inline double
hubspot_estimate_array_length(PlannerInfo *root, Node *array)
{
#if PG_VERSION_NUM >= 170000
	return estimate_array_length(root, array);
#else
	return estimate_array_length(array);
#endif
}

/* The role as which a scan of a foreign table reads.  16 keeps that in the plan. */
static inline Oid
hubspot_scan_user(ForeignScanState *node)
{
#if PG_VERSION_NUM >= 160000
	Oid			user = ((ForeignScan *) node->ss.ps.plan)->checkAsUser;
#else
	Oid			user = exec_rt_fetch(((ForeignScan *) node->ss.ps.plan)->scan.scanrelid,
									 node->ss.ps.state)->checkAsUser;
#endif

	return OidIsValid(user) ? user : GetUserId();
}

/*
 * The role as which rows are written to a table, which may be a partition.  16 keeps that
 * elsewhere.
 */
static inline Oid
hubspot_result_user(ResultRelInfo *relation, EState *estate)
{
#if PG_VERSION_NUM >= 160000
	return ExecGetResultRelCheckAsUser(relation, estate);
#else
	Index		rti = relation->ri_RangeTableIndex != 0 || relation->ri_RootResultRelInfo == NULL ?
	relation->ri_RangeTableIndex : relation->ri_RootResultRelInfo->ri_RangeTableIndex;
	Oid			user = exec_rt_fetch(rti, estate)->checkAsUser;

	return OidIsValid(user) ? user : GetUserId();
#endif
}

/* Read exactly size bytes.  16 has a function for it. */
static inline void
hubspot_buffile_read(BufFile *file, void *data, size_t size)
{
#if PG_VERSION_NUM >= 160000
	BufFileReadExact(file, data, size);
#else
	if (BufFileRead(file, data, size) != size)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read from temporary file: %m")));
#endif
}

/* 17 takes a resource owner, or none: then the caller has to free the set. */
static inline WaitEventSet *
hubspot_create_wait_event_set(int nevents)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, nevents);
#else
	return CreateWaitEventSet(CurrentMemoryContext, nevents);
#endif
}

/* 17 has named wait events for extensions. */
static inline uint32
hubspot_wait_event(void)
{
#if PG_VERSION_NUM >= 170000
	static uint32 event = 0;

	if (event == 0)
		event = WaitEventExtensionNew("HubspotAssoc");
	return event;
#else
	return PG_WAIT_EXTENSION;
#endif
}

#endif							/* HUBSPOT_BASE_COMPAT_H */
