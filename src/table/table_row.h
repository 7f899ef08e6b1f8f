/*-------------------------------------------------------------------------
 *
 * table_row.h
 *	  A row that was read, as the columns of a foreign table have it.
 *
 * IDENTIFICATION
 *	  src/table/table_row.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_ROW_H
#define HUBSPOT_TABLE_TABLE_ROW_H

#include "executor/tuptable.h"

#include "table/table_reading.h"

extern void hubspot_table_row_set(const HubspotTable *table, const HubspotTableRow *row,
								  TupleTableSlot *slot);

#endif							/* HUBSPOT_TABLE_TABLE_ROW_H */
