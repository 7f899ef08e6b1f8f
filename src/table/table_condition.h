/*-------------------------------------------------------------------------
 *
 * table_condition.h
 *	  Which records the conditions of a query name.
 *
 * IDENTIFICATION
 *	  src/table/table_condition.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_CONDITION_H
#define HUBSPOT_TABLE_TABLE_CONDITION_H

#include "nodes/pathnodes.h"

#include "table/table_definition.h"

/*
 * What a request costs, in the planner's unit, a page that is read in sequence.  It takes as
 * long as thousands of these.  But by its costs PostgreSQL also decides whether to compile a
 * query (jit_above_cost, 100,000), and a request is no work that this would save.  So it costs
 * enough for the plan with fewer requests to win, and not so much that a plan with a hundred is
 * compiled.
 */
#define HUBSPOT_REQUEST_COST	200.0

/* What cannot be done costs more than what the user has disabled, 1e10 for each node. */
#define HUBSPOT_IMPOSSIBLE_COST	1.0e13

/* Records that a condition names: no row of others can fulfil it. */
typedef struct HubspotTableCondition
{
	HubspotTableSide side;
	List	   *values;			/* expressions: ids or keys, and arrays of
								 * these */
	const		Expr *exact;	/* a condition with an array that all of their
								 * rows fulfil; or NULL */
	double		nforward;		/* how many records of the other side are read
								 * after them: the path's */
} HubspotTableCondition;

extern bool hubspot_condition_match(PlannerInfo *root, const HubspotTable *table, const RelOptInfo *rel,
									Expr * clause, HubspotTableCondition *condition);
extern double hubspot_condition_records(PlannerInfo *root, const HubspotTableCondition *condition);

#endif							/* HUBSPOT_TABLE_TABLE_CONDITION_H */
