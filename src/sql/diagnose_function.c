/*-------------------------------------------------------------------------
 *
 * diagnose_function.c
 *	  The SQL function that says why something does not work.
 *
 * IDENTIFICATION
 *	  src/sql/diagnose_function.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "diagnose/diagnose.h"
#include "sql/argument.h"

PG_FUNCTION_INFO_V1(hs_assoc_diagnose);

/*
 * hs_assoc_diagnose(server): a row for each topic
 *
 * Returns what was found and what to do about it, as the current user sees it.  It sends ten
 * requests at most, none of which changes anything.  Whatever is wrong is a row, never an
 * ERROR.
 */
Datum
hs_assoc_diagnose(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc diagnosis",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old;
	const HubspotDiagnosis *diagnosis;

	InitMaterializedSRF(fcinfo, 0);
	old = MemoryContextSwitchTo(context);
	diagnosis = hubspot_diagnose(hubspot_server_argument(fcinfo, 0));
	for (int topic = 0; topic < HUBSPOT_NTOPICS; topic++)
	{
		HubspotFinding finding;
		Datum		values[4] = {0};
		bool		isnull[4] = {false};

		if (diagnosis->findings[topic].count == 0)
			continue;
		finding = hubspot_shown_finding(&diagnosis->findings[topic]);
		values[0] = CStringGetTextDatum(hubspot_topic_name(topic));
		values[1] = CStringGetTextDatum(hubspot_state_name(finding.state));
		values[2] = CStringGetTextDatum(hubspot_wrap(finding.detail));
		isnull[3] = (finding.advice == NULL);
		if (finding.advice)
			values[3] = CStringGetTextDatum(hubspot_wrap(finding.advice));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}
