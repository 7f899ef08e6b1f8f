/*-------------------------------------------------------------------------
 *
 * table_scan.h
 *	  A scan of a foreign table, in the executor.
 *
 * IDENTIFICATION
 *	  src/table/table_scan.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_SCAN_H
#define HUBSPOT_TABLE_TABLE_SCAN_H

#include "nodes/execnodes.h"

#include "base/compat.h"

/* See table_scan.c. */
typedef struct HubspotTableScan HubspotTableScan;

extern HubspotTableScan *hubspot_table_scan_find(const EState *estate, int number);
extern void hubspot_table_scan_announce_begin(HubspotTableScan *scan);
extern void hubspot_table_scan_announce(HubspotTableScan *scan, Datum value, Oid type);
extern void hubspot_table_scan_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *hubspot_table_scan_next(ForeignScanState *node);
extern void hubspot_table_scan_again(ForeignScanState *node);
extern void hubspot_table_scan_end(ForeignScanState *node);
extern void hubspot_table_scan_explain(ForeignScanState *node, struct ExplainState *es);

#endif							/* HUBSPOT_TABLE_TABLE_SCAN_H */
