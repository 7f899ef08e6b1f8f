/*-------------------------------------------------------------------------
 *
 * table_statement.h
 *	  What a statement writes to foreign tables.
 *
 * IDENTIFICATION
 *	  src/table/table_statement.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_STATEMENT_H
#define HUBSPOT_TABLE_TABLE_STATEMENT_H

#include "nodes/execnodes.h"

#include "table/target_rows.h"

/* Whoever writes to one table in a statement; see table_statement.c. */
typedef struct HubspotTableWriter HubspotTableWriter;

extern HubspotTableWriter *hubspot_writer_begin(const EState *estate, const HubspotTable *table,
												Oid user, CmdType operation);
extern void hubspot_writer_insert(HubspotTableWriter *writer, TupleTableSlot *slot);
extern void hubspot_writer_flush(HubspotTableWriter *writer);
extern void hubspot_writer_delete(HubspotTableWriter *writer, TupleTableSlot *slot,
								  const HubspotTargetRow *target);
extern void hubspot_writer_update(HubspotTableWriter *writer, TupleTableSlot *old_slot,
								  TupleTableSlot *new_slot, const HubspotTargetRow *target);
extern void hubspot_writer_finish(HubspotTableWriter *writer);
extern void hubspot_writer_end(HubspotTableWriter *writer);
extern int64 hubspot_writer_count(const HubspotTableWriter *writer);

#endif							/* HUBSPOT_TABLE_TABLE_STATEMENT_H */
