/*-------------------------------------------------------------------------
 *
 * planned_code.c
 *	  Which tables run somebody's functions when a query on them is planned.
 *
 * The planner evaluates what is constant in the expressions of a table's indexes, extended
 * statistics and partition key.  The table's owner decides what that is, and how long it
 * takes.  Whoever has to be done soon, or acts for somebody else, leaves such a table alone.
 *
 * CHECK constraints are not looked at: constraint_exclusion is to be off.
 *
 * IDENTIFICATION
 *	  src/sync/planned_code.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_index.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_statistic_ext.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "sync/planned_code.h"

static bool have_code(int cache, List *oids, const AttrNumber *columns, int ncolumns);
static bool runs_code(Node *node, void *context);
static bool is_somebodys(Oid function, void *context);

/*
 * Does planning a query on the table, which is locked, run anything but functions that only
 * a superuser can make, on a row's values?  Its partitions are tables of their own.
 */
bool
hubspot_planning_runs_code(Oid table)
{
	static const AttrNumber of_index[] = {Anum_pg_index_indexprs, Anum_pg_index_indpred};
	static const AttrNumber of_statistics[] = {Anum_pg_statistic_ext_stxexprs};
	static const AttrNumber of_key[] = {Anum_pg_partitioned_table_partexprs};
	Relation	relation = table_open(table, NoLock);
	bool		found = relation->rd_rel->relkind == RELKIND_FOREIGN_TABLE ||
	have_code(INDEXRELID, RelationGetIndexList(relation), of_index, lengthof(of_index)) ||
	have_code(STATEXTOID, RelationGetStatExtList(relation), of_statistics, lengthof(of_statistics)) ||
	have_code(PARTRELID, list_make1_oid(table), of_key, lengthof(of_key));

	table_close(relation, NoLock);
	return found;
}

/* Do expressions that these columns of a catalog have of these objects run code? */
static bool
have_code(int cache, List *oids, const AttrNumber *columns, int ncolumns)
{
	ListCell   *lc;

	foreach(lc, oids)
	{
		HeapTuple	tuple = SearchSysCache1(cache, ObjectIdGetDatum(lfirst_oid(lc)));
		bool		found = false;

		if (!HeapTupleIsValid(tuple))
			continue;
		for (int i = 0; i < ncolumns && !found; i++)
		{
			bool		is_null;
			Datum		list = SysCacheGetAttr(cache, tuple, columns[i], &is_null);

			found = !is_null && runs_code(stringToNode(TextDatumGetCString(list)), NULL);
		}
		ReleaseSysCache(tuple);
		if (found)
			return true;
	}
	return false;
}

static bool
runs_code(Node *node, void *context)
{
	if (node == NULL)
		return false;
	/* a domain's constraints are functions */
	if (IsA(node, CoerceToDomain) || check_functions_in_node(node, is_somebodys, NULL))
		return true;

	/*
	 * what has none of a row's values is evaluated then, for as long as it
	 * takes
	 */
	if ((IsA(node, FuncExpr) || IsA(node, OpExpr) || IsA(node, ScalarArrayOpExpr) ||
		 IsA(node, CoerceViaIO)) && !contain_var_clause(node))
		return true;
	return expression_tree_walker(node, runs_code, context);
}

/* Can others than superusers make a function like that? */
static bool
is_somebodys(Oid function, void *context)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		found = true;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);

		found = form->pronamespace != PG_CATALOG_NAMESPACE &&
			form->prolang != INTERNALlanguageId && form->prolang != ClanguageId;
		ReleaseSysCache(tuple);
	}
	return found;
}
