/*-------------------------------------------------------------------------
 *
 * table_path.c
 *	  How a foreign table can be scanned, and what that costs.
 *
 * HubSpot gives the associations of records that are named, a thousand in a request.  So
 * there is a path for each set of conditions that name some: those of the query on the
 * table itself, and those that join it to others, which make a scan for each of their rows.
 * What it costs is requests.
 *
 * Where nothing names records, there is a path all the same.  If the table's options allow
 * it, it goes through the account, which takes a request for each hundred of its records and
 * one for each thousand; how many there are, ANALYZE tells.  Else it is there so that EXPLAIN
 * works and the planner never fails: it costs more than any other one, and is an ERROR when
 * it is executed (table_scan.c).
 *
 * IDENTIFICATION
 *	  src/table/table_path.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/selfuncs.h"

#include "api/endpoint.h"
#include "base/compat.h"
#include "table/list_table.h"
#include "table/table_condition.h"
#include "table/table_path.h"

/* What a row of an answer costs, beside what any row does. */
#define ROW_COST		0.01

/* Records of an operation's request. */
#define RECORDS_A_REQUEST	1000.0

/* Rows of a page. */
#define ROWS_A_PAGE		500.0

/* Records of a page of a list. */
#define RECORDS_A_PAGE	100.0

/*
 * How many records an account is taken to have until a table is analyzed: many, where there is
 * another way to go; else not so many that a query of a small account were compiled for what
 * it does not have.
 */
#define UNKNOWN_RECORDS	100000.0
#define FEW_RECORDS		10000.0

/* A walk over expressions for parameters. */
typedef struct ParamWalk
{
	PlannerInfo *root;
	bool		changing;		/* there is one that may change from scan to
								 * scan */
} ParamWalk;

/* A search for the joins that name records. */
typedef struct JoinSearch
{
	const HubspotTable *table;
	Expr	   *current;		/* the member of an equivalence class that is
								 * looked at */
	List	   *used;			/* those that were */
} JoinSearch;

static bool best_condition(PlannerInfo *root, RelOptInfo *rel, HubspotTableSide side,
						   HubspotTableCondition *best);
static void add_path_for(PlannerInfo *root, RelOptInfo *rel,
						 const HubspotTableCondition *condition, Relids required_outer);
static void add_path_without_condition(PlannerInfo *root, RelOptInfo *rel, bool joined);
static bool add_join_paths(PlannerInfo *root, RelOptInfo *rel);
static bool try_join_clause(PlannerInfo *root, RelOptInfo *rel, RestrictInfo *clause);
static bool is_current_member(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
							  EquivalenceMember *em, void *arg);
static bool needs_types(const HubspotTable *table, const RelOptInfo *rel,
						const List *clauses);
static void refuse_current_of(const HubspotTable *table, const List *clauses);
static bool has_changing_param(Node *node, void *context);
static bool is_initplan_output(PlannerInfo *root, int paramid);

/*
 * Set how many rows a foreign table has, for the conditions of a query on it.  Without
 * statistics, the planner takes a column to have 200 values; so many records, with as many
 * rows each as the table's options say, make its estimates of joins come out at that.
 */
void
hubspot_table_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	HubspotTable *table = hubspot_table_read(relid);
	double		rows_per_key = table->options.rows_per_key;
	double		analyzed = table->options.scan == HUBSPOT_SCAN_ALL ? rel->tuples : -1;

	rel->fdw_private = table;
	if (table->kind != HUBSPOT_KIND_ASSOCIATIONS)
	{
		hubspot_list_size(root, rel);
		return;
	}
	rel->tuples = analyzed < 0 ? 200.0 * rows_per_key : Max(analyzed, 1);
	table->records = analyzed < 0 ? 0 : Max(analyzed / rows_per_key, 1);
	set_baserel_size_estimates(root, rel);
	for (HubspotTableSide side = HUBSPOT_SIDE_FROM; side <= HUBSPOT_SIDE_TO; side++)
	{
		HubspotTableCondition condition;
		double		rows;

		if (!best_condition(root, rel, side, &condition))
			continue;
		rows = hubspot_condition_records(root, &condition) * rows_per_key;
		if (rows > rel->tuples)
		{
			/* there are more records than that */
			rel->rows = clamp_row_est(rel->rows * rows / rel->tuples);
			rel->tuples = rows;
		}
		break;
	}
}

/* The condition on a side that names the fewest records.  False: none does. */
static bool
best_condition(PlannerInfo *root, RelOptInfo *rel, HubspotTableSide side,
			   HubspotTableCondition *best)
{
	double		fewest = 0;
	bool		found = false;
	ListCell   *lc;

	foreach(lc, rel->baserestrictinfo)
	{
		RestrictInfo *clause = lfirst_node(RestrictInfo, lc);
		HubspotTableCondition condition;
		double		records;

		if (!restriction_is_securely_promotable(clause, rel) ||
			!hubspot_condition_match(root, rel->fdw_private, rel, clause->clause, &condition) ||
			condition.side != side)
			continue;
		records = hubspot_condition_records(root, &condition);
		if (!found || records < fewest)
		{
			found = true;
			fewest = records;
			*best = condition;
		}
	}
	return found;
}

/* Add the paths of a foreign table. */
void
hubspot_table_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	const HubspotTable *table = rel->fdw_private;
	bool		possible = false;
	bool		joined;

	if (table->kind != HUBSPOT_KIND_ASSOCIATIONS)
	{
		hubspot_list_paths(root, rel);
		return;
	}
	for (HubspotTableSide side = HUBSPOT_SIDE_FROM; side <= HUBSPOT_SIDE_TO; side++)
	{
		HubspotTableCondition condition;

		if (!best_condition(root, rel, side, &condition))
			continue;
		add_path_for(root, rel, &condition, rel->lateral_relids);
		possible = true;
	}
	joined = add_join_paths(root, rel);
	if (!possible)
		add_path_without_condition(root, rel, joined);
}

/*
 * Add the path that no condition leads to: by all records of the account, or an ERROR.  joined:
 * conditions that join the table to others may lead to it.
 */
static void
add_path_without_condition(PlannerInfo *root, RelOptInfo *rel, bool joined)
{
	const HubspotTable *table = rel->fdw_private;
	Cost		startup_cost = HUBSPOT_IMPOSSIBLE_COST;
	Cost		total_cost = HUBSPOT_IMPOSSIBLE_COST + rel->tuples;
	List	   *fdw_private = NIL;

	if (table->options.scan == HUBSPOT_SCAN_ALL)
	{
		double		records = table->records > 0 ? table->records :
		joined ? UNKNOWN_RECORDS : FEW_RECORDS;
		double		fetched = records * table->options.rows_per_key;

		/* the first page, and what its records have */
		startup_cost = 2 * HUBSPOT_REQUEST_COST + rel->baserestrictcost.startup;
		total_cost = startup_cost +
			HUBSPOT_REQUEST_COST * (ceil(records / RECORDS_A_PAGE) +
									ceil(records / RECORDS_A_REQUEST)) +
			fetched * (ROW_COST + cpu_tuple_cost + rel->baserestrictcost.per_tuple);
		fdw_private = list_make1(makeInteger(1));
	}
	add_path(rel, (Path *)
			 hubspot_foreign_path(root, rel, rel->rows, startup_cost, total_cost,
								  rel->lateral_relids, fdw_private));
}

/* Add the path by a condition, whose values are other relations' columns, in a join. */
static void
add_path_for(PlannerInfo *root, RelOptInfo *rel, const HubspotTableCondition *condition,
			 Relids required_outer)
{
	const HubspotTable *table = rel->fdw_private;
	HubspotTableCondition *copy = palloc(sizeof(HubspotTableCondition));
	double		records = hubspot_condition_records(root, condition);
	double		fetched = records * table->options.rows_per_key;
	double		rows = rel->rows;
	double		requests;
	Cost		startup_cost;
	Cost		total_cost;

	if (!bms_is_empty(required_outer))
		rows = get_baserel_parampathinfo(root, rel, required_outer)->ppi_rows;
	requests = ceil(records / RECORDS_A_REQUEST);
	*copy = *condition;
	copy->nforward = 0;
	if (condition->side == HUBSPOT_SIDE_TO && needs_types(table, rel, NIL))
	{
		/* the records that are found are read, too, with all that they have */
		copy->nforward = fetched;
		requests += ceil(fetched / RECORDS_A_REQUEST);
		fetched += fetched * table->options.rows_per_key;
	}
	startup_cost = HUBSPOT_REQUEST_COST + rel->baserestrictcost.startup;
	total_cost = startup_cost + HUBSPOT_REQUEST_COST * (requests - 1) +
		HUBSPOT_REQUEST_COST * floor(fetched / (ROWS_A_PAGE * records)) +
		fetched * (ROW_COST + cpu_tuple_cost + rel->baserestrictcost.per_tuple);
	add_path(rel, (Path *) hubspot_foreign_path(root, rel, rows, startup_cost, total_cost,
												required_outer, list_make1(copy)));
}

/*
 * A path that names records by a condition, as it is if it is told ahead, by that number,
 * which records so many scans of it will ask for: these share a request.
 */
Path *
hubspot_table_path_ahead(const ForeignPath *path, int number, double rows)
{
	const HubspotTableCondition *condition = hubspot_table_path_condition(path);
	ForeignPath *copy = makeNode(ForeignPath);
	double		nforward;

	Assert(condition != NULL);
	nforward = condition->nforward / RECORDS_A_REQUEST;
	*copy = *path;
	copy->path.total_cost -= copy->path.startup_cost;
	copy->path.startup_cost /= Max(rows, 1);
	copy->path.total_cost += copy->path.startup_cost;
	if (nforward > 0)
		copy->path.total_cost += HUBSPOT_REQUEST_COST *
			(Max(nforward, 1 / Max(rows, 1)) - ceil(nforward));
	copy->fdw_private = list_make2(linitial(path->fdw_private), makeInteger(number));
	return &copy->path;
}

/* The condition by which a path names records; NULL: there is none. */
const HubspotTableCondition *
hubspot_table_path_condition(const ForeignPath *path)
{
	if (path->fdw_private == NIL || IsA(linitial(path->fdw_private), Integer))
		return NULL;
	return linitial(path->fdw_private);
}

/*
 * The fdw_private of a path that is used for a join with a partition, whose columns take the
 * place of those of the whole table.
 */
List *
hubspot_table_path_for_child(PlannerInfo *root, List *fdw_private, RelOptInfo *child)
{
	HubspotTableCondition *condition;

	/* that of a list, or of the whole account, has no condition */
	if (fdw_private == NIL || IsA(linitial(fdw_private), Integer))
		return fdw_private;
	condition = palloc(sizeof(HubspotTableCondition));
	*condition = *(const HubspotTableCondition *) linitial(fdw_private);
	condition->values = castNode(List, hubspot_adjust_for_child(root, (Node *) condition->values,
																child));
	fdw_private = list_copy(fdw_private);
	linitial(fdw_private) = condition;
	return fdw_private;
}

/* Add the paths by conditions that join the table to others.  False: there are none. */
static bool
add_join_paths(PlannerInfo *root, RelOptInfo *rel)
{
	bool		any = false;
	ListCell   *lc;

	foreach(lc, rel->joininfo)
		any |= try_join_clause(root, rel, lfirst(lc));
	if (rel->has_eclass_joins)
	{
		JoinSearch	search = {.table = rel->fdw_private};

		for (;;)
		{
			List	   *clauses;

			search.current = NULL;
			clauses = generate_implied_equalities_for_column(root, rel, is_current_member,
															 &search,
															 rel->lateral_referencers);
			if (search.current == NULL)
				break;
			foreach(lc, clauses)
				any |= try_join_clause(root, rel, lfirst(lc));
			search.used = lappend(search.used, search.current);
		}
	}
	return any;
}

/* Add a path by a condition that joins the table to others, if it names records. */
static bool
try_join_clause(PlannerInfo *root, RelOptInfo *rel, RestrictInfo *clause)
{
	HubspotTableCondition condition;
	Relids		required_outer;

	if (!join_clause_is_movable_to(clause, rel) ||
		!restriction_is_securely_promotable(clause, rel) ||
		!hubspot_condition_match(root, rel->fdw_private, rel, clause->clause, &condition))
		return false;
	required_outer = bms_union(clause->clause_relids, rel->lateral_relids);
	required_outer = bms_del_members(required_outer, rel->relids);
	if (bms_is_empty(required_outer))
		return false;
	add_path_for(root, rel, &condition, required_outer);
	return true;
}

/* Is a member of an equivalence class one of our ids, and the one to look at now? */
static bool
is_current_member(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
				  EquivalenceMember *em, void *arg)
{
	JoinSearch *search = arg;
	const		Var *var = (const Var *) em->em_expr;

	if (search->current)
		return equal(em->em_expr, search->current);
	if (!IsA(var, Var) || !bms_is_member(var->varno, rel->relids) ||
		list_member(search->used, em->em_expr) ||
		(var->varattno != search->table->columns[HUBSPOT_ROLE_FROM_ID] &&
		 var->varattno != search->table->columns[HUBSPOT_ROLE_TO_ID]))
		return false;
	search->current = em->em_expr;
	return true;
}

/* Does a query use columns of types, in its output or its conditions? */
static bool
needs_types(const HubspotTable *table, const RelOptInfo *rel, const List *clauses)
{
	Bitmapset  *used = NULL;
	ListCell   *lc;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &used);
	foreach(lc, rel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, lc)->clause, rel->relid, &used);
	foreach(lc, clauses)
		pull_varattnos(lfirst(lc), rel->relid, &used);
	if (!table->typed)
		return false;
	if (bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used))
		return true;			/* the whole row */
	for (HubspotTableRole role = HUBSPOT_ROLE_CATEGORY; role <= HUBSPOT_ROLE_IS_PRIMARY; role++)
	{
		if (table->columns[role] != 0 &&
			bms_is_member(table->columns[role] - FirstLowInvalidHeapAttributeNumber, used))
			return true;
	}
	return false;
}

/* The plan of a path. */
ForeignScan *
hubspot_table_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path,
				   List *tlist, List *clauses, Plan *outer_plan)
{
	const HubspotTable *table = rel->fdw_private;
	const HubspotTableCondition *condition = hubspot_table_path_condition(path);
	ParamWalk	walk = {.root = root};
	int			plan[HUBSPOT_NPLAN];
	List	   *fdw_private = NIL;
	List	   *fulfilled = NIL;

	if (table->kind != HUBSPOT_KIND_ASSOCIATIONS)
		return hubspot_list_plan(root, rel, tlist, clauses);
	clauses = extract_actual_clauses(clauses, false);
	refuse_current_of(table, clauses);
	(void) has_changing_param((Node *) clauses, &walk);
	plan[HUBSPOT_PLAN_WHOLE] = condition == NULL && table->options.scan == HUBSPOT_SCAN_ALL;
	plan[HUBSPOT_PLAN_SIDE] = condition ? (int) condition->side :
		plan[HUBSPOT_PLAN_WHOLE] ? (int) HUBSPOT_SIDE_FROM : -1;
	plan[HUBSPOT_PLAN_FORWARD] = condition && condition->side == HUBSPOT_SIDE_TO &&
		needs_types(rel->fdw_private, rel, clauses);
	plan[HUBSPOT_PLAN_NUMBER] = list_length(path->fdw_private) > 1 ?
		intVal(lsecond(path->fdw_private)) : 0;
	plan[HUBSPOT_PLAN_REPEATED] = walk.changing || path->path.param_info != NULL;
	for (int i = 0; i < HUBSPOT_NPLAN; i++)
		fdw_private = lappend_int(fdw_private, plan[i]);
	if (condition && condition->exact && list_member(clauses, condition->exact))
	{
		fulfilled = list_make1(unconstify(Expr *, condition->exact));
		clauses = list_difference(clauses, fulfilled);
	}
	return make_foreignscan(tlist, clauses, rel->relid,
							condition ? condition->values : NIL, fdw_private, NIL, fulfilled,
							outer_plan);
}

/* ERROR if the row at which a cursor stands is wanted: nothing of it leads back to a record. */
static void
refuse_current_of(const HubspotTable *table, const List *clauses)
{
	ListCell   *lc;

	foreach(lc, clauses)
	{
		if (IsA(lfirst(lc), CurrentOfExpr))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("WHERE CURRENT OF is not supported for foreign table %s", table->name),
					 errhint("Name the row by its columns.")));
	}
}

/* Is there a parameter that may have another value in a later scan? */
static bool
has_changing_param(Node *node, void *context)
{
	ParamWalk  *walk = context;

	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC &&
		!is_initplan_output(walk->root, ((Param *) node)->paramid))
		walk->changing = true;
	return expression_tree_walker(node, has_changing_param, context);
}

/* Is it the output of an InitPlan, which is computed once? */
static bool
is_initplan_output(PlannerInfo *root, int paramid)
{
	ListCell   *lc;

	foreach(lc, root->init_plans)
	{
		if (list_member_int(lfirst_node(SubPlan, lc)->setParam, paramid))
			return true;
	}
	return root->parent_root && is_initplan_output(root->parent_root, paramid);
}
