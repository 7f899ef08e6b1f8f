/*-------------------------------------------------------------------------
 *
 * table_path.h
 *	  How a foreign table can be scanned, and what that costs.
 *
 * IDENTIFICATION
 *	  src/table/table_path.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_PATH_H
#define HUBSPOT_TABLE_TABLE_PATH_H

#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"

#include "table/table_condition.h"

/* What a plan says of a scan: a list of integers, in fdw_private. */
enum
{
	HUBSPOT_PLAN_SIDE,			/* a HubspotTableSide; -1: no records are
								 * named */
	HUBSPOT_PLAN_WHOLE,			/* all records of that side are read, unnamed */
	HUBSPOT_PLAN_FORWARD,		/* what is found from to_id is read forward:
								 * its types are needed */
	HUBSPOT_PLAN_REPEATED,		/* it is probably done again, for others */
	HUBSPOT_PLAN_NUMBER,		/* by which it is told ahead what it will be
								 * asked for; 0: it is not */
	HUBSPOT_NPLAN
};

extern void hubspot_table_size(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern void hubspot_table_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern const HubspotTableCondition *hubspot_table_path_condition(const ForeignPath *path);
extern Path *hubspot_table_path_ahead(const ForeignPath *path, int number, double rows);
extern List *hubspot_table_path_for_child(PlannerInfo *root, List *fdw_private,
										  RelOptInfo *child);
extern ForeignScan *hubspot_table_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid,
									   ForeignPath *path, List *tlist, List *clauses,
									   Plan *outer_plan);

#endif							/* HUBSPOT_TABLE_TABLE_PATH_H */
