/*-------------------------------------------------------------------------
 *
 * pipeline.c
 *	  One call of a function that associates, from its inputs to its rows.
 *
 * All such functions are one loop over a source of inputs, with an operation
 * of the API and a sink for the outcomes: a single call is a batch of one,
 * sent to the endpoint for one.
 *
 * A caller that takes the outcomes one by one may be away for any time in between
 * (stream.c).  Such a run is eager: an outcome that is there comes before more inputs are
 * read, and what is in flight moves on while outcomes are taken.  While the caller takes
 * none, nothing is sent, and answers wait in their sockets: that time does not count
 * against the peer (transport.c), and a pause that has come meanwhile, or a token that
 * has expired, is noticed with the next request.
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
#include "api/object_type.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/digits.h"
#include "base/setting.h"
#include "call/allowance.h"
#include "call/batch.h"
#include "call/batch_request.h"
#include "rows/pipeline.h"
#include "rows/report.h"

/* How many bytes of an invalid id are shown. */
#define MAX_SHOWN	100

/*
 * What is in flight moves on at least this often while outcomes are taken, in
 * microseconds.
 */
#define DRIVE_INTERVAL	10000

/* When a statement's progress is to be told next. */
typedef struct Progress
{
	const HubspotBatch *batch;
	const HubspotOptions *options;
	int64		started;
	int64		interval;		/* microseconds, 0: off */
	int64		next;
} Progress;

struct HubspotRun
{
	HubspotPipeline pipeline;
	HubspotSource *source;
	HubspotBatch *batch;
	Progress	progress;
	bool		eager;
	bool		warned;			/* that inputs are not sent */
	HubspotListing *listing;	/* of the inputs, or NULL */
	int64		driven;			/* when an eager run was last driven */
};

static void expect_requests(const HubspotPipeline *pipeline, const HubspotSource *source);
static void begin_listing(HubspotRun *run);
static bool get(HubspotRun *run, HubspotOutcome *outcome);
static void look_at_failure(HubspotRun *run, const HubspotOutcome *outcome);
static void throw_types(const HubspotPipeline *pipeline,
						const HubspotError *error) pg_attribute_noreturn();
static void drive(HubspotRun *run);
static bool is_value(const HubspotObjectType *type, HubspotSlice id);
static const char *record_text(const HubspotObjectType *type, HubspotSlice id);
static const char *id_text(HubspotSlice id);
static void warn_not_sent(HubspotRun *run, const HubspotError *error);
static void warn_stopped(const HubspotError *error);
static void start_progress(Progress *progress, const HubspotBatch *batch,
						   const HubspotOptions *options);
static void tell_progress(void *state);
static const char *wait_text(const Progress *progress, int64 now);

/*
 * Begin a run, which makes outcomes of the inputs of a source, in the current memory
 * context, whose deletion breaks off what is in flight.
 */
HubspotRun *
hubspot_run_begin(const HubspotPipeline *pipeline, HubspotSource *source, bool eager)
{
	HubspotRun *run = palloc0(sizeof(HubspotRun));
	HubspotObjectType from_type = pipeline->from_type;

	/* records are listed by their ids, and are given their names afterwards */
	if (pipeline->lists)
		from_type.property = NULL;
	else
		expect_requests(pipeline, source);
	run->pipeline = *pipeline;
	run->source = source;
	run->eager = eager;
	run->batch = hubspot_batch_create(pipeline->client, pipeline->operation,
									  &from_type, &pipeline->to_type,
									  pipeline->keep_labels);
	if (pipeline->lists)
		begin_listing(run);
	if (pipeline->tells_ends || (run->listing && hubspot_listing_has_names(run->listing)))
		hubspot_batch_tell_ends(run->batch);
	start_progress(&run->progress, run->batch, pipeline->client->options);
	return run;
}

/* Begin the listing of the inputs, which ends with the batch. */
static void
begin_listing(HubspotRun *run)
{
	run->listing = hubspot_listing_create(GetMemoryChunkContext(run->batch),
										  run->pipeline.client,
										  hubspot_batch_calls(run->batch),
										  &run->pipeline.from_type);
	run->source = hubspot_source_listed(run->listing);
}

/*
 * ERROR if more requests are needed than may be sent, where their number is known
 * beforehand: it is not for the rows of a query, nor for operations whose requests
 * hold groups.  It is counted as if each input took its own place in a request.
 */
static void
expect_requests(const HubspotPipeline *pipeline, const HubspotSource *source)
{
	const HubspotEndpoint *endpoint = hubspot_endpoint(pipeline->operation);
	int			limit = hubspot_batch_request_limit(pipeline->client, endpoint);
	int64		inputs = hubspot_source_count(source);

	if (inputs > 0 && endpoint->input_shape != HUBSPOT_INPUT_GROUP)
		hubspot_allowance_expect(pipeline->client, (inputs + limit - 1) / limit);
}

/*
 * The next outcome, valid until the one after it; or an ERROR, if failures are to be
 * raised.  False: there is none.  To be called in the run's memory context.
 */
bool
hubspot_run_next(HubspotRun *run, HubspotOutcome *outcome)
{
	CHECK_FOR_INTERRUPTS();
	if (run->eager)
		drive(run);
	while (!get(run, outcome))
	{
		hubspot_source_fill(run->source, run->batch, run->eager, tell_progress,
							&run->progress);
		tell_progress(&run->progress);
		if (!hubspot_batch_wait(run->batch, run->progress.next))
			return false;
	}
	look_at_failure(run, outcome);
	return true;
}

/* Likewise, but without waiting, and without further inputs.  False: there is none so far. */
bool
hubspot_run_get(HubspotRun *run, HubspotOutcome *outcome)
{
	if (!get(run, outcome) && !(hubspot_batch_drive(run->batch) && get(run, outcome)))
		return false;
	look_at_failure(run, outcome);
	return true;
}

/* Get an outcome from the batch, and name its record if that was listed. */
static bool
get(HubspotRun *run, HubspotOutcome *outcome)
{
	while (hubspot_batch_get(run->batch, outcome))
	{
		if (run->listing && hubspot_listing_has_names(run->listing))
			hubspot_listing_name(run->listing, outcome);
		if (!outcome->ended || outcome->error || run->pipeline.tells_ends)
			return true;
	}
	return false;
}

/* Throw a failure that is to be thrown, or warn. */
static void
look_at_failure(HubspotRun *run, const HubspotOutcome *outcome)
{
	/*
	 * a caller that names no records can have nothing wrong but the object
	 * types, unless a record is gone since it was listed
	 */
	if (outcome->error && run->listing &&
		(outcome->error->of_type ||
		 (outcome->error->verdict == HUBSPOT_VERDICT_REQUEST && outcome->name == NULL &&
		  !outcome->error->names_ids)))
		throw_types(&run->pipeline, outcome->error);
	if (outcome->error && run->pipeline.raise &&
		!(run->pipeline.missing_ok && outcome->error->verdict == HUBSPOT_VERDICT_NO_RECORD))
		hubspot_throw_outcome(&run->pipeline, outcome);
	/* a client that works for others has nobody to warn */
	if (outcome->error && !run->warned && !run->pipeline.client->policy.impatient &&
		hubspot_is_not_sent(outcome->error->verdict))
		warn_not_sent(run, outcome->error);
}

/*
 * Warn that inputs are not sent, and why, once for each statement; the rows say it one by
 * one.
 */
static void
warn_not_sent(HubspotRun *run, const HubspotError *error)
{
	const HubspotError *stopped = hubspot_batch_stopped(run->batch);
	bool		many = hubspot_endpoint(run->pipeline.operation)->batch_limit > 0;

	if (!stopped && error->verdict != HUBSPOT_VERDICT_LIKE_OTHERS)
		return;
	run->warned = true;
	if (stopped && many)
		warn_stopped(stopped);
	else if (many)
		ereport(WARNING,
				(errcode(error->sqlstate),
				 errmsg("HubSpot refuses all inputs of one kind; no more of them are sent"),
				 errdetail("%s", hubspot_error_detail(error)),
				 errhint("%s The inputs that were not sent have the error category %s.",
						 hubspot_error_hint(error, HUBSPOT_REPEATABLE), HUBSPOT_NOT_SENT)));
}

/* Let what is in flight move on, now and then. */
static void
drive(HubspotRun *run)
{
	int64		now = hubspot_coarse_now();

	if (now - run->driven < DRIVE_INTERVAL)
		return;
	run->driven = now;
	(void) hubspot_batch_drive(run->batch);
	tell_progress(&run->progress);
}

/* The batch of a run; it is allocated in the memory context of all that it has. */
const HubspotBatch *
hubspot_run_batch(const HubspotRun *run)
{
	return run->batch;
}

/* Send nothing more, since another call has met an error that all of them would meet. */
void
hubspot_run_refuse(HubspotRun *run, const HubspotError *error)
{
	hubspot_batch_refuse(run->batch, error);
}

/*
 * The error, in a memory context, of what would be sent after a run that has ended the
 * sending; or NULL.
 */
const HubspotError *
hubspot_run_stopped(const HubspotRun *run, MemoryContext context)
{
	const HubspotError *stopped = hubspot_batch_stopped(run->batch);
	MemoryContext old;
	const HubspotError *error;

	if (stopped == NULL)
		return NULL;
	old = MemoryContextSwitchTo(context);
	error = hubspot_error_after(stopped);
	MemoryContextSwitchTo(old);
	return error;
}

/* End a run, of which no more outcomes are wanted. */
void
hubspot_run_end(HubspotRun *run)
{
	hubspot_source_close(run->source);
}

/* Bring inputs from the source into a batch, and their outcomes into the sink. */
void
hubspot_pipeline_run(const HubspotPipeline *pipeline, HubspotSource *source,
					 HubspotSink *sink)
{
	HubspotRun *run = hubspot_run_begin(pipeline, source, false);
	HubspotOutcome outcome;

	while (hubspot_run_next(run, &outcome))
	{
		if (sink->tupstore)
			hubspot_result_put(sink->row, &outcome, sink->tupstore);
		else
			sink->result = hubspot_result_row(sink->row, &outcome);
	}
	hubspot_run_end(run);
}

/* Throw an outcome that is a failure as an ERROR. */
void
hubspot_throw_outcome(const HubspotPipeline *pipeline, const HubspotOutcome *outcome)
{
	const char *from = outcome->from_id.data || !outcome->from_record.data ?
	record_text(&pipeline->from_type, outcome->from_id) :
	psprintf("%s %s", pipeline->from_type.name, id_text(outcome->from_record));
	const char *to = pipeline->to_type.name ?
	record_text(&pipeline->to_type, outcome->to_id) : NULL;
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
							from, pipeline->to_type.name);
			doubt = HUBSPOT_NOTHING_DONE;
			break;
		case HUBSPOT_RECORDS_READ:
			what = psprintf("could not find %s", from);
			doubt = HUBSPOT_NOTHING_DONE;
			break;
		default:
			what = psprintf("could not associate %s with %s", from, to);
			break;
	}
	if (outcome->error->sqlstate == ERRCODE_INVALID_PARAMETER_VALUE &&
		outcome->error->http_status != 0 &&
		hubspot_unknown_object_type(outcome->error->message) == NULL &&
		(is_value(&pipeline->from_type, outcome->from_id) ||
		 is_value(&pipeline->to_type, outcome->to_id)))
		hubspot_throw_with_hint(outcome->error, what,
								"An id is a number. To name records by values of a property, add it to the object type, as in \"contacts:email\".");
	hubspot_throw_error(outcome->error, what, doubt);
}

/*
 * Is it a value of a property, such as an e-mail, in the place of an id?  HubSpot's ids are
 * numbers, and it does not say of what else is sent that it is none.
 */
static bool
is_value(const HubspotObjectType *type, HubspotSlice id)
{
	return type->name && !type->property && id.data && !hubspot_all_digits(id.data, (int) id.len);
}

/* ERROR: nothing of a listing's records can be read, whichever they are. */
static void
throw_types(const HubspotPipeline *pipeline, const HubspotError *error)
{
	hubspot_throw_error(error, psprintf("could not read the associations of %s with %s%s%s",
										pipeline->from_type.name, pipeline->to_type.name,
										pipeline->to_type.property ? ":" : "",
										pipeline->to_type.property ? pipeline->to_type.property : ""),
						HUBSPOT_NOTHING_DONE);
}

/* A record for a message. */
static const char *
record_text(const HubspotObjectType *type, HubspotSlice id)
{
	if (type->property)
		return psprintf("%s with %s %s", type->name, type->property, id_text(id));
	return psprintf("%s %s", type->name, id_text(id));
}

/* An id for a message; it may be any text. */
static const char *
id_text(HubspotSlice id)
{
	if (id.data == NULL)
		return "NULL";
	if (hubspot_id_problem(id.data, id.len) == NULL)
		return pnstrdup(id.data, id.len);
	return psprintf("\"%.*s\"", pg_mbcliplen(id.data, id.len, MAX_SHOWN), id.data);
}

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

/* Tell the progress when it is time; this is called often. */
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
			(errmsg("%lld %s read, %lld confirmed, %lld failed; %lld %s, %lld %s, %lld rate-limited; %.0f inputs/s%s",
					(long long) counts.read, counts.read == 1 ? "input" : "inputs",
					(long long) counts.confirmed, (long long) counts.failed,
					(long long) counts.calls.requests, counts.calls.requests == 1 ? "request" : "requests",
					(long long) counts.calls.retries, counts.calls.retries == 1 ? "retry" : "retries",
					(long long) counts.calls.rate_limited,
					(counts.confirmed + counts.failed) * 1e6 / (now - progress->started),
					counts.calls.throttled ? wait_text(progress, now) : "")));
	progress->next = now + progress->interval;
}

/*
 * What requests wait for, in words: the end of a pause that HubSpot has asked for, or our
 * rate limit.
 */
static const char *
wait_text(const Progress *progress, int64 now)
{
	HubspotThrottle throttle;

	if (hubspot_account_read(progress->options->server, NULL, &throttle) &&
		throttle.parked_until > now)
		return "; waiting as long as HubSpot has asked for (HTTP status 429)";
	return psprintf("; waiting for the rate limit (%d %s in %d s)",
					progress->options->rate_limit,
					progress->options->rate_limit == 1 ? "request" : "requests", HUBSPOT_RATE_SECONDS);
}
