/*-------------------------------------------------------------------------
 *
 * list_table.h
 *	  Foreign tables of what an account defines: object types, and labels.
 *
 * IDENTIFICATION
 *	  src/table/list_table.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_LIST_TABLE_H
#define HUBSPOT_TABLE_LIST_TABLE_H

#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"

#include "base/compat.h"
#include "table/table_definition.h"

extern void hubspot_list_size(PlannerInfo *root, RelOptInfo *rel);
extern void hubspot_list_paths(PlannerInfo *root, RelOptInfo *rel);
extern ForeignScan *hubspot_list_plan(PlannerInfo *root, RelOptInfo *rel, List *tlist,
									  List *clauses);
extern bool hubspot_is_list_scan(const ForeignScanState *node);
extern void hubspot_list_scan_begin(ForeignScanState *node);
extern TupleTableSlot *hubspot_list_scan_next(ForeignScanState *node);
extern void hubspot_list_scan_again(ForeignScanState *node);
extern void hubspot_list_scan_end(ForeignScanState *node);
extern void hubspot_list_scan_explain(ForeignScanState *node, struct ExplainState *es);

#endif							/* HUBSPOT_TABLE_LIST_TABLE_H */
