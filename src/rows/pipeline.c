/*-------------------------------------------------------------------------
 *
 * pipeline.c
 *	  One call of a function that associates, from its inputs to its rows.
 *
 * All such functions are one loop over a source of inputs, with an operation
 * of the API and a sink for the outcomes: a single call is a batch of one,
 * sent to the endpoint for one.
 *
 * IDENTIFICATION
 *	  src/rows/pipeline.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "api/error.h"
#include "base/clock.h"
#include "base/setting.h"
#include "call/batch.h"
#include "rows/pipeline.h"
#include "rows/report.h"

/* So much of an id that is none is shown. */
#define MAX_SHOWN	100

/* When a statement's progress is to be told next. */
typedef struct Progress
{
	const HubspotBatch *batch;
	const HubspotOptions *options;
	int64		started;
	int64		interval;		/* microseconds, 0: off */
	int64		next;
} Progress;

static void sink_outcome(const HubspotPipeline *pipeline, HubspotSink *sink,
						 const HubspotOutcome *outcome);
static void throw_outcome(const HubspotPipeline *pipeline,
						  const HubspotOutcome *outcome) pg_attribute_noreturn();
static const char *id_text(HubspotSlice id);
static void warn_stopped(const HubspotError *error);
static void start_progress(Progress *progress, const HubspotBatch *batch,
						   const HubspotOptions *options);
static void tell_progress(void *state);
static const char *wait_text(const Progress *progress, int64 now);

/* From the source into the batch, and from there into the sink. */
void
hubspot_pipeline_run(const HubspotPipeline *pipeline, HubspotSource *source,
					 HubspotSink *sink)
{
	HubspotBatch *batch = hubspot_batch_create(pipeline->client,
											   pipeline->operation,
											   pipeline->from_type,
											   pipeline->to_type,
											   pipeline->keep_labels);
	bool		warned = false;
	HubspotOutcome outcome;
	Progress	progress;

	start_progress(&progress, batch, pipeline->client->options);
	hubspot_source_fill(source, batch, tell_progress, &progress);
	while (hubspot_batch_wait(batch, progress.next))
	{
		while (hubspot_batch_get(batch, &outcome))
		{
			sink_outcome(pipeline, sink, &outcome);
			if (!warned && sink->tupstore && outcome.error &&
				hubspot_batch_stopped(batch) &&
				hubspot_is_not_sent(outcome.error->verdict))
			{
				warn_stopped(hubspot_batch_stopped(batch));
				warned = true;
			}
		}
		hubspot_source_fill(source, batch, tell_progress, &progress);
		tell_progress(&progress);
	}
	hubspot_source_close(source);
}

static void
sink_outcome(const HubspotPipeline *pipeline, HubspotSink *sink,
			 const HubspotOutcome *outcome)
{
	CHECK_FOR_INTERRUPTS();
	if (outcome->error && pipeline->raise)
		throw_outcome(pipeline, outcome);
	if (sink->tupstore)
		hubspot_result_put(sink->row, outcome, sink->tupstore);
	else
		sink->result = hubspot_result_row(sink->row, outcome);
}

static void
throw_outcome(const HubspotPipeline *pipeline, const HubspotOutcome *outcome)
{
	const char *from = psprintf("%s %s", pipeline->from_type,
								id_text(outcome->from_id));
	const char *to = psprintf("%s %s", pipeline->to_type,
							  id_text(outcome->to_id));
	HubspotDoubt doubt = HUBSPOT_REPEATABLE;
	char	   *what;

	switch (pipeline->operation)
	{
		case HUBSPOT_ARCHIVE:
		case HUBSPOT_BATCH_ARCHIVE:
			what = psprintf("could not remove the associations of %s with %s",
							from, to);
			break;
		case HUBSPOT_BATCH_ARCHIVE_LABELS:
			what = psprintf("could not remove association types of %s with %s",
							from, to);
			break;
		case HUBSPOT_LIST:
		case HUBSPOT_BATCH_READ:
			what = psprintf("could not read the associations of %s with %s",
							from, pipeline->to_type);
			doubt = HUBSPOT_NOTHING_DONE;
			break;
		default:
			what = psprintf("could not associate %s with %s", from, to);
			break;
	}
	hubspot_throw_error(outcome->error, what, doubt);
}

/* An id for a message, which may be anything. */
static const char *
id_text(HubspotSlice id)
{
	if (id.data == NULL)
		return "NULL";
	if (hubspot_id_problem(id.data, id.len) == NULL)
		return pnstrdup(id.data, id.len);
	return psprintf("\"%.*s\"", pg_mbcliplen(id.data, id.len, MAX_SHOWN), id.data);
}

/* Once a statement, if inputs were not sent: the rows say so one by one. */
static void
warn_stopped(const HubspotError *error)
{
	const char *why = "HubSpot refuses the account's requests";

	if (error->verdict == HUBSPOT_VERDICT_NO_TOKEN)
		why = "there is no access token for the account's requests";
	else if (error->verdict == HUBSPOT_VERDICT_FOREIGN)
		why = "the answers are not HubSpot's";
	ereport(WARNING,
			(errcode(error->sqlstate),
			 errmsg("%s; nothing more is sent", why),
			 errdetail("%s", hubspot_error_detail(error)),
			 errhint("%s The inputs that were not sent have the error category %s.",
					 hubspot_error_hint(error, HUBSPOT_REPEATABLE), HUBSPOT_NOT_SENT)));
}

static void
start_progress(Progress *progress, const HubspotBatch *batch,
			   const HubspotOptions *options)
{
	progress->batch = batch;
	progress->options = options;
	progress->started = hubspot_now();
	progress->interval = (int64) hubspot_progress_interval * 1000;
	progress->next = progress->interval > 0 ?
		progress->started + progress->interval : HUBSPOT_NEVER;
}

/* Called often; tells it when it is time. */
static void
tell_progress(void *state)
{
	Progress   *progress = state;
	int64		now = hubspot_now();
	HubspotBatchCounts counts;

	if (now < progress->next)
		return;
	hubspot_batch_counts(progress->batch, &counts);
	ereport(NOTICE,
			(errmsg("%lld inputs read, %lld confirmed, %lld failed; %lld requests, %lld retries, %lld rate-limited; %.0f inputs/s%s",
					(long long) counts.read, (long long) counts.confirmed,
					(long long) counts.failed, (long long) counts.requests,
					(long long) counts.retries, (long long) counts.rate_limited,
					(counts.confirmed + counts.failed) * 1e6 / (now - progress->started),
					counts.throttled ? wait_text(progress, now) : "")));
	progress->next = now + progress->interval;
}

/* Whose word it is that requests wait for: HubspotThrottle has both. */
static const char *
wait_text(const Progress *progress, int64 now)
{
	HubspotThrottle throttle;

	if (hubspot_account_read(progress->options->server, NULL, &throttle) &&
		throttle.parked_until > now)
		return "; waiting as long as HubSpot has asked for (HTTP status 429)";
	return psprintf("; waiting for the rate limit (%d requests in %d s)",
					progress->options->rate_limit, HUBSPOT_RATE_SECONDS);
}
