/*-------------------------------------------------------------------------
 *
 * stream.h
 *	  Rows of a function one by one, as inputs are settled.
 *
 * IDENTIFICATION
 *	  src/rows/stream.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ROWS_STREAM_H
#define HUBSPOT_ROWS_STREAM_H

#include "nodes/execnodes.h"

#include "rows/pipeline.h"

typedef struct HubspotStream HubspotStream;

extern bool hubspot_may_stream(const ReturnSetInfo *rsinfo);
extern void hubspot_stream_begin(HubspotStream **place, ReturnSetInfo *rsinfo,
								 const HubspotPipeline *pipeline,
								 HubspotSource *source, HubspotResultRow *row);
extern bool hubspot_stream_next(HubspotStream *stream, Datum *row);

#endif							/* HUBSPOT_ROWS_STREAM_H */
