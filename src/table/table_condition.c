/*-------------------------------------------------------------------------
 *
 * table_condition.c
 *	  Which records the conditions of a query name.
 *
 * These name records of a side: from_id = x, x = from_id, from_id = ANY (array), IN with a
 * list, several of them with OR, and any condition that has one of them with AND.  x may be
 * any expression that does not change from row to row: a constant, a parameter, the output
 * of an InitPlan, or columns of other tables, in a join.
 *
 * It need not be the whole truth, since conditions are checked again for each row.  It only
 * has to be true that a row of another record cannot fulfil the condition.  But a column with
 * = ANY (array) is not checked: all rows of the records that an array names have one of its
 * elements there, and to look for it would take longer than all else, in a long array.
 *
 * IDENTIFICATION
 *	  src/table/table_condition.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "base/compat.h"
#include "table/table_condition.h"

static bool match_comparison(PlannerInfo *root, const HubspotTable *table, const RelOptInfo *rel,
							 Oid function, Oid collation, List *arguments, bool is_array,
							 HubspotTableCondition *condition);
static bool match_operands(PlannerInfo *root, const HubspotTable *table, const RelOptInfo *rel,
						   Node *column, Node *value, bool is_array,
						   HubspotTableCondition *condition);
static bool match_any(PlannerInfo *root, const HubspotTable *table, const RelOptInfo *rel, List *clauses,
					  HubspotTableCondition *condition);
static bool match_all(PlannerInfo *root, const HubspotTable *table, const RelOptInfo *rel, List *clauses,
					  HubspotTableCondition *condition);
static bool is_equality(Oid function);

/* Does a condition on the rows of a foreign table name records?  Then say which. */
bool
hubspot_condition_match(PlannerInfo *root, const HubspotTable *table, const RelOptInfo *rel, Expr * clause,
						HubspotTableCondition *condition)
{
	condition->exact = NULL;
	if (IsA(clause, OpExpr))
	{
		OpExpr	   *comparison = (OpExpr *) clause;

		return match_comparison(root, table, rel, get_opcode(comparison->opno),
								comparison->inputcollid, comparison->args, false, condition);
	}
	if (IsA(clause, ScalarArrayOpExpr) && ((ScalarArrayOpExpr *) clause)->useOr)
	{
		ScalarArrayOpExpr *comparison = (ScalarArrayOpExpr *) clause;

		if (!match_comparison(root, table, rel, get_opcode(comparison->opno),
							  comparison->inputcollid, comparison->args, true, condition))
			return false;

		/*
		 * the executor looks constants up by a hash, but goes through other
		 * arrays
		 */
		if (!IsA(lsecond(comparison->args), Const))
			condition->exact = clause;
		return true;
	}
	if (is_andclause(clause))
		return match_any(root, table, rel, ((BoolExpr *) clause)->args, condition);
	if (is_orclause(clause))
		return match_all(root, table, rel, ((BoolExpr *) clause)->args, condition);
	return false;
}

/* column = value, value = column, or column = ANY (array) */
static bool
match_comparison(PlannerInfo *root, const HubspotTable *table, const RelOptInfo *rel, Oid function,
				 Oid collation, List *arguments, bool is_array,
				 HubspotTableCondition *condition)
{
	/* other collations may find texts equal that HubSpot does not */
	if (list_length(arguments) != 2 || !is_equality(function) ||
		(OidIsValid(collation) && !get_collation_isdeterministic(collation)))
		return false;
	return match_operands(root, table, rel, linitial(arguments), lsecond(arguments), is_array,
						  condition) ||
		(!is_array && match_operands(root, table, rel, lsecond(arguments), linitial(arguments),
									 false, condition));
}

static bool
match_operands(PlannerInfo *root, const HubspotTable *table, const RelOptInfo *rel, Node *column, Node *value,
			   bool is_array, HubspotTableCondition *condition)
{
	Var		   *var = (Var *) column;
	Oid			type = is_array ? get_base_element_type(exprType(value)) : exprType(value);

	if (!IsA(column, Var) || !bms_is_member(var->varno, rel->relids) || var->varlevelsup > 0)
		return false;
	if (!hubspot_table_side(table, var->varattno, &condition->side))
		return false;
	if (type != TEXTOID && type != INT8OID && type != INT4OID && type != INT2OID)
		return false;
	if (bms_overlap(pull_varnos(root, value), rel->relids) ||
		contain_volatile_functions(value) || contain_subplans(value))
		return false;
	condition->values = list_make1(value);
	return true;
}

/* Conditions that all hold: does one of them name records? */
static bool
match_any(PlannerInfo *root, const HubspotTable *table, const RelOptInfo *rel, List *clauses,
		  HubspotTableCondition *condition)
{
	ListCell   *lc;

	foreach(lc, clauses)
	{
		if (hubspot_condition_match(root, table, rel, lfirst(lc), condition))
		{
			condition->exact = NULL;	/* there are the others */
			return true;
		}
	}
	return false;
}

/* Conditions of which one holds: all must name records, of one side. */
static bool
match_all(PlannerInfo *root, const HubspotTable *table, const RelOptInfo *rel, List *clauses,
		  HubspotTableCondition *condition)
{
	HubspotTableCondition one = {0};
	List	   *values = NIL;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		if (!hubspot_condition_match(root, table, rel, lfirst(lc), &one) ||
			(values != NIL && one.side != condition->side))
			return false;
		condition->side = one.side;
		values = list_concat(values, one.values);
	}
	condition->values = values;
	condition->exact = NULL;
	return values != NIL;
}

/* Are texts or integers equal by this function if they are the same ids? */
static bool
is_equality(Oid function)
{
	switch (function)
	{
		case F_TEXTEQ:
		case F_INT8EQ:
		case F_INT84EQ:
		case F_INT82EQ:
		case F_INT48EQ:
		case F_INT28EQ:
			return true;
		default:
			return false;
	}
}

/* How many records a condition names, as far as is known. */
double
hubspot_condition_records(PlannerInfo *root, const HubspotTableCondition *condition)
{
	double		records = 0;
	ListCell   *lc;

	foreach(lc, condition->values)
	{
		Node	   *value = lfirst(lc);

		if (OidIsValid(get_base_element_type(exprType(value))))
			records += hubspot_estimate_array_length(root, value);
		else
			records += 1;
	}
	return Max(records, 1);
}
