/*-------------------------------------------------------------------------
 *
 * metrics_function.c
 *	  The SQL function that gives figures to programs that draw them.
 *
 * IDENTIFICATION
 *	  src/sql/metrics_function.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "diagnose/metrics.h"

PG_FUNCTION_INFO_V1(hs_assoc_metrics);

static void put_metric(void *state, const HubspotMetric *metric);

/*
 * hs_assoc_metrics(): a row for each figure
 *
 * The figures are those of all roles of this database; none of them names a
 * record.
 */
Datum
hs_assoc_metrics(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc metrics",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;

	InitMaterializedSRF(fcinfo, 0);
	old = MemoryContextSwitchTo(context);
	hubspot_metrics(put_metric, fcinfo->resultinfo);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}

static void
put_metric(void *state, const HubspotMetric *metric)
{
	ReturnSetInfo *rsinfo = state;
	Datum		values[5];
	bool		isnull[5] = {false};

	values[0] = CStringGetTextDatum(metric->name);
	values[1] = DirectFunctionCall1(jsonb_in, CStringGetDatum(metric->labels));
	values[2] = Float8GetDatum(metric->value);
	values[3] = CStringGetTextDatum(metric->kind);
	values[4] = CStringGetTextDatum(metric->help);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
}
