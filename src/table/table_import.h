/*-------------------------------------------------------------------------
 *
 * table_import.h
 *	  IMPORT FOREIGN SCHEMA: a foreign table for each pair of object types.
 *
 * IDENTIFICATION
 *	  src/table/table_import.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_IMPORT_H
#define HUBSPOT_TABLE_TABLE_IMPORT_H

#include "nodes/parsenodes.h"

extern List *hubspot_table_import(ImportForeignSchemaStmt *statement, Oid serverid);

#endif							/* HUBSPOT_TABLE_TABLE_IMPORT_H */
