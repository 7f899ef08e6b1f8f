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
#include "utils/snapshot.h"

#include "call/batch.h"
#include "call/listing.h"
#include "rows/raw_input.h"

typedef struct HubspotSource HubspotSource;

typedef void (*HubspotTakeRawInput) (void *state, const HubspotRawInput *raw);

/*
 * Makes the next row, in the current memory context, which lives as long as the row; what it
 * does not set is zero.  False: there are no more.
 */
typedef bool (*HubspotMakeRawInput) (void *state, HubspotRawInput *raw);

/*
 * Makes the next input of a batch, or its error; both need to be valid only until the one
 * after it.  False: there are no more.
 */
typedef bool (*HubspotMakeInput) (void *state, HubspotInput *input,
								  const HubspotError **error);

extern HubspotSource *hubspot_source_query(const char *query,
										   HubspotInputShape shape,
										   const HubspotDirection *direction,
										   HubspotLabels *labels);
extern HubspotSource *hubspot_source_query_at(const char *query,
											  HubspotInputShape shape,
											  const HubspotDirection *direction,
											  Snapshot snapshot);
extern HubspotSource *hubspot_source_rows(HubspotMakeRawInput make, void *state,
										  HubspotInputShape shape,
										  const HubspotDirection *direction);
extern bool hubspot_source_is_typed(const HubspotSource *source);
extern HubspotSource *hubspot_source_made(HubspotMakeInput make, void *state);
extern HubspotSource *hubspot_source_listed(HubspotListing *listing);
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
