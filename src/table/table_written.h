/*-------------------------------------------------------------------------
 *
 * table_written.h
 *	  Which object types this transaction has written associations of.
 *
 * IDENTIFICATION
 *	  src/table/table_written.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_WRITTEN_H
#define HUBSPOT_TABLE_TABLE_WRITTEN_H

#include "table/table_definition.h"

extern void hubspot_table_written_note(const HubspotTable *table);
extern bool hubspot_table_is_written(const HubspotTable *table);

#endif							/* HUBSPOT_TABLE_TABLE_WRITTEN_H */
