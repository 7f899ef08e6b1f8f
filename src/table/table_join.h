/*-------------------------------------------------------------------------
 *
 * table_join.h
 *	  Joins of a foreign table that ask for a thousand rows' records at once.
 *
 * IDENTIFICATION
 *	  src/table/table_join.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_JOIN_H
#define HUBSPOT_TABLE_TABLE_JOIN_H

extern void hubspot_table_joins_add(void);

#endif							/* HUBSPOT_TABLE_TABLE_JOIN_H */
