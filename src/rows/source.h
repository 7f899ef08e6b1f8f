/*-------------------------------------------------------------------------
 *
 * source.h
 *	  Inputs from SQL: the rows of a query, or the elements of an array.
 *
 * IDENTIFICATION
 *	  src/rows/source.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ROWS_SOURCE_H
#define HUBSPOT_ROWS_SOURCE_H

#include "utils/array.h"

#include "call/batch.h"
#include "rows/raw_input.h"

typedef struct HubspotSource HubspotSource;

typedef void (*HubspotTakeRawInput) (void *state, const HubspotRawInput *raw);

extern HubspotSource *hubspot_source_query(const char *query,
										   HubspotInputShape shape,
										   const HubspotDirection *direction,
										   HubspotLabels *labels);
extern HubspotSource *hubspot_source_array(ArrayType *inputs,
										   HubspotInputShape shape,
										   const HubspotDirection *direction,
										   HubspotLabels *labels);
extern HubspotSource *hubspot_source_single(const HubspotInput *ids,
											HubspotInputShape shape,
											const HubspotDirection *direction,
											HubspotLabels *labels,
											ArrayType *type_ids,
											const char *category,
											ArrayType *label_array);
extern int64 hubspot_source_count(const HubspotSource *source);
extern void hubspot_source_fill(HubspotSource *source, HubspotBatch *batch,
								bool eager, void (*tick) (void *state), void *state);
extern bool hubspot_source_read(HubspotSource *source, int count,
								HubspotTakeRawInput take, void *state);
extern void hubspot_source_close(HubspotSource *source);

#endif							/* HUBSPOT_ROWS_SOURCE_H */
