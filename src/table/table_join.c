/*-------------------------------------------------------------------------
 *
 * table_join.c
 *	  Joins of a foreign table that ask for a thousand rows' records at once.
 *
 * A nested loop asks its inner side for one outer row at a time, which is a request for
 * each record.  So there is a path for it with a node of ours on the outer side:
 *
 *		Nested Loop
 *		  -> Custom Scan (HubspotAhead)		collects outer rows, and tells the scan
 *			   -> any plan					below which records they need
 *		  -> Foreign Scan					asks for all of these at the first one
 *
 * The node gives the rows that it has collected one by one, as they came.  The join is the
 * server's own, of whatever type, with all its conditions, and the scan is the one of any
 * other nested loop (table_scan.c), whose rows are kept.  What is told ahead is no more than
 * a hint: without it, the rows would be the same.
 *
 * The two find each other by a number that the planner gives them.
 *
 * IDENTIFICATION
 *	  src/table/table_join.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/tlist.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "table/table_condition.h"
#include "table/table_join.h"
#include "table/table_path.h"
#include "table/table_scan.h"

/* How many rows are collected. */
#define ROWS_AHEAD	1000

/* The node, in the executor. */
typedef struct AheadState
{
	CustomScanState css;		/* must be first */
	int			number;			/* of the scan */
	List	   *values;			/* that name records: ExprStates */
	List	   *value_types;
	Tuplestorestate *rows;
	TupleTableSlot *row;		/* of these */
	bool		at_end;			/* there are no more outer rows */
} AheadState;

static void add_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
					  RelOptInfo *innerrel, JoinType jointype, JoinPathExtraData *extra);
static void add_path_ahead(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
						   JoinType jointype, JoinPathExtraData *extra,
						   const ForeignPath *inner);
static Path *make_ahead_path(RelOptInfo *outerrel, Path *outer,
							 const HubspotTableCondition *condition, int number);
static bool has_all_columns(PlannerInfo *root, const Path *path, List *values);
static Plan *make_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
					   List *clauses, List *custom_plans);
static Node *create_state(CustomScan *plan);
static void begin(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *next(CustomScanState *node);
static bool collect(AheadState *ahead);
static void set_scan_slot(AheadState *ahead, TupleTableSlot *from);
static void end(CustomScanState *node);
static void again(CustomScanState *node);

static const CustomPathMethods path_methods = {
	.CustomName = "HubspotAhead",
	.PlanCustomPath = make_plan
};

static const CustomScanMethods scan_methods = {
	.CustomName = "HubspotAhead",
	.CreateCustomScanState = create_state
};

static const CustomExecMethods exec_methods = {
	.CustomName = "HubspotAhead",
	.BeginCustomScan = begin,
	.ExecCustomScan = next,
	.EndCustomScan = end,
	.ReScanCustomScan = again
};

static set_join_pathlist_hook_type former_hook = NULL;

/* Have the planner know of these joins. */
void
hubspot_table_joins_add(void)
{
	former_hook = set_join_pathlist_hook;
	set_join_pathlist_hook = add_paths;
	RegisterCustomScanMethods(&scan_methods);
}

/* Hook: add paths to a join. */
static void
add_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
		  RelOptInfo *innerrel, JoinType jointype, JoinPathExtraData *extra)
{
	ListCell   *lc;

	if (former_hook)
		former_hook(root, joinrel, outerrel, innerrel, jointype, extra);
	if (innerrel->fdwroutine == NULL ||
		innerrel->fdwroutine->IterateForeignScan != hubspot_table_scan_next ||
		!IS_SIMPLE_REL(innerrel) ||
		((const HubspotTable *) innerrel->fdw_private)->kind != HUBSPOT_KIND_ASSOCIATIONS)
		return;
	if (jointype != JOIN_INNER && jointype != JOIN_LEFT && jointype != JOIN_SEMI &&
		jointype != JOIN_ANTI && jointype != JOIN_UNIQUE_OUTER)
		return;
	foreach(lc, innerrel->pathlist)
	{
		Path	   *path = lfirst(lc);

		/*
		 * without a condition, it is the path that raises, or goes through
		 * the account; LATERAL gives it outer columns
		 */
		if (IsA(path, ForeignPath) &&
			hubspot_table_path_condition((ForeignPath *) path) != NULL &&
			PATH_REQ_OUTER(path) != NULL &&
			bms_is_subset(PATH_REQ_OUTER(path), outerrel->relids))
			add_path_ahead(root, joinrel, outerrel, jointype, extra, (ForeignPath *) path);
	}
}

/* Add the path of a join with a scan that is told ahead what it will be asked for. */
static void
add_path_ahead(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
			   JoinType jointype, JoinPathExtraData *extra, const ForeignPath *inner)
{
	static int	numbers = 0;
	const HubspotTableCondition *condition = hubspot_table_path_condition(inner);
	Path	   *outer = outerrel->cheapest_total_path;
	JoinCostWorkspace workspace;
	Path	   *ahead;
	Path	   *scan;

	if (outer && jointype == JOIN_UNIQUE_OUTER)
	{
		outer = (Path *) create_unique_path(root, outerrel, outer, extra->sjinfo);
		jointype = JOIN_INNER;
	}
	if (outer == NULL || PATH_REQ_OUTER(outer) != NULL ||
		!has_all_columns(root, outer, condition->values))
		return;
	numbers = numbers == PG_INT32_MAX ? 1 : numbers + 1;
	ahead = make_ahead_path(outerrel, outer, condition, numbers);
	scan = hubspot_table_path_ahead(inner, numbers, Min(outer->rows, ROWS_AHEAD));
	initial_cost_nestloop(root, &workspace, jointype, ahead, scan, extra);
	add_path(joinrel, (Path *)
			 create_nestloop_path(root, joinrel, jointype, &workspace, extra, ahead, scan,
								  extra->restrictlist,
								  build_join_pathkeys(root, joinrel, jointype, outer->pathkeys),
								  NULL));
}

/* The path of our node over an outer path. */
static Path *
make_ahead_path(RelOptInfo *outerrel, Path *outer, const HubspotTableCondition *condition,
				int number)
{
	CustomPath *ahead = makeNode(CustomPath);
	double		share = outer->rows > ROWS_AHEAD ? ROWS_AHEAD / outer->rows : 1;

	ahead->path.pathtype = T_CustomScan;
	ahead->path.parent = outerrel;
	ahead->path.pathtarget = outer->pathtarget;
	ahead->path.rows = outer->rows;
	ahead->path.startup_cost = outer->startup_cost +
		(outer->total_cost - outer->startup_cost) * share;
	ahead->path.total_cost = outer->total_cost + 2 * cpu_tuple_cost * outer->rows;
	ahead->path.pathkeys = outer->pathkeys;
	ahead->custom_paths = list_make1(outer);
	ahead->custom_private = list_make2(condition->values, makeInteger(number));
	ahead->methods = &path_methods;
	return &ahead->path;
}

/* Does a path give all columns from which the values are computed? */
static bool
has_all_columns(PlannerInfo *root, const Path *path, List *values)
{
	List	   *columns = pull_var_clause((Node *) values, PVC_INCLUDE_PLACEHOLDERS);
	ListCell   *lc;

	foreach(lc, columns)
	{
		if (!list_member(path->pathtarget->exprs, lfirst(lc)))
			return false;
	}
	return true;
}

/* The plan of our node's path.  What it reads is what the plan below gives. */
static Plan *
make_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
		  List *clauses, List *custom_plans)
{
	CustomScan *plan = makeNode(CustomScan);
	Plan	   *outer = linitial(custom_plans);

	plan->scan.plan.targetlist = tlist;
	plan->custom_plans = custom_plans;
	plan->custom_exprs = linitial(path->custom_private);
	plan->custom_private = list_make1(lsecond(path->custom_private));
	plan->custom_scan_tlist = copyObject(outer->targetlist);
	plan->methods = &scan_methods;
	return &plan->scan.plan;
}

static Node *
create_state(CustomScan *plan)
{
	AheadState *ahead = (AheadState *) newNode(sizeof(AheadState), T_CustomScanState);

	ahead->css.methods = &exec_methods;
	return (Node *) ahead;
}

static void
begin(CustomScanState *node, EState *estate, int eflags)
{
	AheadState *ahead = (AheadState *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;
	PlanState  *outer = ExecInitNode(linitial(plan->custom_plans), estate,
									 eflags & ~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK));
	ListCell   *lc;

	node->custom_ps = list_make1(outer);
	ahead->number = intVal(linitial(plan->custom_private));
	ahead->values = ExecInitExprList(plan->custom_exprs, &node->ss.ps);
	foreach(lc, plan->custom_exprs)
		ahead->value_types = lappend_oid(ahead->value_types, exprType(lfirst(lc)));
	ahead->row = ExecInitExtraTupleSlot(estate, ExecGetResultType(outer), &TTSOpsMinimalTuple);
}

/* The next outer row. */
static TupleTableSlot *
next(CustomScanState *node)
{
	AheadState *ahead = (AheadState *) node;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;

	if (ahead->rows == NULL || !tuplestore_gettupleslot(ahead->rows, true, false, ahead->row))
	{
		if (!collect(ahead) ||
			!tuplestore_gettupleslot(ahead->rows, true, false, ahead->row))
			return NULL;
	}
	ResetExprContext(econtext);
	set_scan_slot(ahead, ahead->row);
	if (node->ss.ps.ps_ProjInfo == NULL)
		return node->ss.ss_ScanTupleSlot;
	econtext->ecxt_scantuple = node->ss.ss_ScanTupleSlot;
	return ExecProject(node->ss.ps.ps_ProjInfo);
}

/* Collect outer rows, and tell the scan which records they need.  False: there are none. */
static bool
collect(AheadState *ahead)
{
	PlanState  *outer = linitial(ahead->css.custom_ps);
	ExprContext *econtext = ahead->css.ss.ps.ps_ExprContext;
	HubspotTableScan *scan = hubspot_table_scan_find(ahead->css.ss.ps.state, ahead->number);
	int			nrows = 0;

	if (ahead->at_end)
		return false;
	if (ahead->rows == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(ahead->css.ss.ps.state->es_query_cxt);

		ahead->rows = tuplestore_begin_heap(false, false, work_mem);
		MemoryContextSwitchTo(old);
	}
	tuplestore_clear(ahead->rows);
	if (scan)
		hubspot_table_scan_announce_begin(scan);
	while (nrows < ROWS_AHEAD)
	{
		TupleTableSlot *slot = ExecProcNode(outer);
		ListCell   *lc;
		ListCell   *type;

		if (TupIsNull(slot))
		{
			ahead->at_end = true;
			break;
		}
		CHECK_FOR_INTERRUPTS();
		nrows++;
		tuplestore_puttupleslot(ahead->rows, slot);
		if (scan == NULL)
			continue;
		ResetExprContext(econtext);
		set_scan_slot(ahead, slot);
		econtext->ecxt_scantuple = ahead->css.ss.ss_ScanTupleSlot;
		forboth(lc, ahead->values, type, ahead->value_types)
		{
			bool		isnull;
			Datum		value = ExecEvalExprSwitchContext(lfirst(lc), econtext, &isnull);
			MemoryContext old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);

			if (!isnull)
				hubspot_table_scan_announce(scan, value, lfirst_oid(type));
			MemoryContextSwitchTo(old);
		}
	}
	ExecClearTuple(ahead->css.ss.ss_ScanTupleSlot);
	return nrows > 0;
}

/* Put a row into the slot that expressions look at. */
static void
set_scan_slot(AheadState *ahead, TupleTableSlot *from)
{
	TupleTableSlot *slot = ahead->css.ss.ss_ScanTupleSlot;
	int			natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	slot_getallattrs(from);
	memcpy(slot->tts_values, from->tts_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, from->tts_isnull, sizeof(bool) * natts);
	ExecStoreVirtualTuple(slot);
}

static void
end(CustomScanState *node)
{
	AheadState *ahead = (AheadState *) node;

	ExecEndNode(linitial(node->custom_ps));
	if (ahead->rows)
		tuplestore_end(ahead->rows);
	ahead->rows = NULL;
}

static void
again(CustomScanState *node)
{
	AheadState *ahead = (AheadState *) node;
	PlanState  *outer = linitial(node->custom_ps);

	/* the executor has set this for our node alone */
	if (node->ss.ps.chgParam)
		UpdateChangedParamSet(outer, node->ss.ps.chgParam);
	if (outer->chgParam == NULL)
		ExecReScan(outer);
	ExecClearTuple(ahead->row);
	ExecClearTuple(node->ss.ss_ScanTupleSlot);
	if (ahead->rows)
		tuplestore_clear(ahead->rows);
	ahead->at_end = false;
}
