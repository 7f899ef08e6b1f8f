/*-------------------------------------------------------------------------
 *
 * pipeline.h
 *	  One call of a function that associates, from its inputs to its rows.
 *
 * IDENTIFICATION
 *	  src/rows/pipeline.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ROWS_PIPELINE_H
#define HUBSPOT_ROWS_PIPELINE_H

#include "utils/tuplestore.h"

#include "account/client.h"
#include "api/endpoint.h"
#include "base/compat.h"
#include "rows/result.h"
#include "rows/source.h"

/* What is asked for, apart from the inputs. */
typedef struct HubspotPipeline
{
	const HubspotClient *client;
	HubspotOperation operation;
	HubspotObjectType from_type;
	HubspotObjectType to_type;	/* no name: there is none */
	bool		keep_labels;
	bool		raise;			/* on_error => 'raise' */
	bool		missing_ok;		/* a key without a record is not a failure */
	bool		tells_ends;		/* one more outcome tells when a record has
								 * been read to its end */
	bool		lists;			/* its inputs are all records of the from
								 * side, and there is no source */
} HubspotPipeline;

/* Where the outcomes go. */
typedef struct HubspotSink
{
	HubspotResultRow *row;
	Tuplestorestate *tupstore;	/* of a set; NULL: there is one row */
	Datum		result;			/* that row, palloc'd */
} HubspotSink;

/* A call while it runs; see pipeline.c. */
typedef struct HubspotRun HubspotRun;

extern HubspotRun *hubspot_run_begin(const HubspotPipeline *pipeline,
									 HubspotSource *source, bool eager);
extern bool hubspot_run_next(HubspotRun *run, HubspotOutcome *outcome);
extern bool hubspot_run_get(HubspotRun *run, HubspotOutcome *outcome);
extern void hubspot_throw_outcome(const HubspotPipeline *pipeline,
								  const HubspotOutcome *outcome) pg_attribute_noreturn();
extern const HubspotBatch *hubspot_run_batch(const HubspotRun *run);
extern void hubspot_run_refuse(HubspotRun *run, const HubspotError *error);
extern const HubspotError *hubspot_run_stopped(const HubspotRun *run, MemoryContext context);
extern void hubspot_run_end(HubspotRun *run);
extern void hubspot_pipeline_run(const HubspotPipeline *pipeline,
								 HubspotSource *source, HubspotSink *sink);

#endif							/* HUBSPOT_ROWS_PIPELINE_H */
