/*-------------------------------------------------------------------------
 *
 * table_sample.h
 *	  ANALYZE of a foreign table.
 *
 * IDENTIFICATION
 *	  src/table/table_sample.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_SAMPLE_H
#define HUBSPOT_TABLE_TABLE_SAMPLE_H

#include "foreign/fdwapi.h"

extern bool hubspot_table_analyze(Relation relation, AcquireSampleRowsFunc * acquire,
								  BlockNumber * totalpages);

#endif							/* HUBSPOT_TABLE_TABLE_SAMPLE_H */
