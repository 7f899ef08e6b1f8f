/*-------------------------------------------------------------------------
 *
 * table_modify.h
 *	  INSERT, UPDATE and DELETE of a foreign table, in planner and executor.
 *
 * IDENTIFICATION
 *	  src/table/table_modify.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_MODIFY_H
#define HUBSPOT_TABLE_TABLE_MODIFY_H

#include "foreign/fdwapi.h"

extern void hubspot_table_modify_add(FdwRoutine *routine);

#endif							/* HUBSPOT_TABLE_TABLE_MODIFY_H */
