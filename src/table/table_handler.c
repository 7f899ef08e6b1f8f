/*-------------------------------------------------------------------------
 *
 * table_handler.c
 *	  Foreign tables, as the planner and the executor call them.
 *
 * IDENTIFICATION
 *	  src/table/table_handler.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "foreign/fdwapi.h"

#include "table/table_import.h"
#include "table/table_modify.h"
#include "table/table_path.h"
#include "table/table_sample.h"
#include "table/table_scan.h"

PG_FUNCTION_INFO_V1(hs_assoc_fdw_handler);

/* The functions of foreign tables. */
Datum
hs_assoc_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = hubspot_table_size;
	routine->GetForeignPaths = hubspot_table_paths;
	routine->ReparameterizeForeignPathByChild = hubspot_table_path_for_child;
	routine->GetForeignPlan = hubspot_table_plan;
	routine->BeginForeignScan = hubspot_table_scan_begin;
	routine->IterateForeignScan = hubspot_table_scan_next;
	routine->ReScanForeignScan = hubspot_table_scan_again;
	routine->EndForeignScan = hubspot_table_scan_end;
	routine->ExplainForeignScan = hubspot_table_scan_explain;
	hubspot_table_modify_add(routine);
	routine->AnalyzeForeignTable = hubspot_table_analyze;
	routine->ImportForeignSchema = hubspot_table_import;
	PG_RETURN_POINTER(routine);
}
