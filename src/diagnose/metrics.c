/*-------------------------------------------------------------------------
 *
 * metrics.c
 *	  What is going on, in figures for those who draw them.
 *
 * It is asked every few seconds.  Here are the figures that come from shared memory; those
 * of tables are table_metrics.c's.
 *
 * IDENTIFICATION
 *	  src/diagnose/metrics.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "account/account.h"
#include "account/option.h"
#include "base/clock.h"
#include "diagnose/metrics.h"
#include "diagnose/table_metrics.h"
#include "outbox/fault.h"
#include "worker/dynamic_lock.h"
#include "worker/sending.h"
#include "worker/slot.h"

static void put_account(const HubspotFigureSink *sink, const HubspotOptions *server);
static void put_counts(const HubspotFigureSink *sink, const char *server,
					   const HubspotAccountCounts *counts);
static void put_failures(const HubspotFigureSink *sink, const char *server,
						 const HubspotAccountCounts *counts);
static void put_operations(const HubspotFigureSink *sink, const char *server,
						   const HubspotAccountCounts *counts);
static bool has_inputs(HubspotOperation operation);
static void put_processes(const HubspotFigureSink *sink);
static void put_faults(const HubspotFigureSink *sink);

/* Give all figures of this database to take(). */
void
hubspot_metrics(void (*take) (void *state, const HubspotMetric *metric), void *state)
{
	HubspotFigureSink sink = {take, state, get_database_name(MyDatabaseId)};
	List	   *servers = hubspot_all_servers();
	ListCell   *lc;

	foreach(lc, servers)
	{
		CHECK_FOR_INTERRUPTS();
		put_account(&sink, lfirst(lc));
	}
	put_processes(&sink);
	put_faults(&sink);
	hubspot_put_table_figures(&sink, servers);
}

/* What a server was used for, and how much of its rate is in use. */
static void
put_account(const HubspotFigureSink *sink, const HubspotOptions *server)
{
	HubspotAccountCounts counts = {0};
	HubspotThrottle throttle = {0};
	int64		now = hubspot_now();

	/* if no session has used it, all is 0 */
	(void) hubspot_account_read(server->server, &counts, &throttle);
	put_counts(sink, server->server_name, &counts);
	hubspot_put_figure(sink, HUBSPOT_FIGURE_RATE_LIMIT, server->server_name, server->rate_limit);
	hubspot_put_figure(sink, HUBSPOT_FIGURE_RATE_USED, server->server_name,
					   hubspot_throttle_used(&throttle, now));
	hubspot_put_figure(sink, HUBSPOT_FIGURE_PARKED, server->server_name,
					   Max(throttle.parked_until - now, 0) / (double) USECS_PER_SEC);
}

static void
put_counts(const HubspotFigureSink *sink, const char *server, const HubspotAccountCounts *counts)
{
	put_operations(sink, server, counts);
	hubspot_put_figure(sink, HUBSPOT_FIGURE_RETRIES, server, counts->retries);
	hubspot_put_figure(sink, HUBSPOT_FIGURE_RATE_LIMITED, server, counts->rate_limited);
	hubspot_put_figure(sink, HUBSPOT_FIGURE_SKIPPED, server, counts->skipped);
	hubspot_put_figure(sink, HUBSPOT_FIGURE_BYTES_SENT, server, counts->bytes_sent);
	hubspot_put_figure(sink, HUBSPOT_FIGURE_BYTES_RECEIVED, server, counts->bytes_received);
	hubspot_put_figure(sink, HUBSPOT_FIGURE_REQUEST_SECONDS, server,
					   counts->request_time / (double) USECS_PER_SEC);
	hubspot_put_figure(sink, HUBSPOT_FIGURE_MAX_REQUEST_SECONDS, server,
					   counts->max_request_time / (double) USECS_PER_SEC);
	put_failures(sink, server, counts);
}

/* Rows that have failed.  Operations of one name, for one input and for many, are added up. */
static void
put_failures(const HubspotFigureSink *sink, const char *server, const HubspotAccountCounts *counts)
{
	const HubspotFigureLabel others[] = {{"operation", ""}, {"category", ""}};

	for (int i = 0; i < counts->nerrors; i++)
	{
		const HubspotErrorCount *error = &counts->errors[i];
		const HubspotFigureLabel labels[] = {
			{"operation", hubspot_operation_name(error->operation)}, {"category", error->category}
		};
		int64		rows = 0;
		bool		done = false;

		for (int j = 0; j < counts->nerrors && !done; j++)
		{
			const HubspotErrorCount *other = &counts->errors[j];

			if (strcmp(hubspot_operation_name(other->operation), labels[0].value) != 0 ||
				strcmp(other->category, error->category) != 0)
				continue;
			done = j < i;
			rows += other->rows;
		}
		if (!done)
			hubspot_put_labeled_figure(sink, HUBSPOT_FIGURE_FAILED, server, labels, lengthof(labels), rows);
	}
	hubspot_put_labeled_figure(sink, HUBSPOT_FIGURE_FAILED, server, others,
							   lengthof(others), counts->other_errors);
}

/*
 * What each operation was used for.  Those that take inputs are there from the start, so that
 * the first ones are seen as a growth; the others, once there was a request.
 */
static void
put_operations(const HubspotFigureSink *sink, const char *server, const HubspotAccountCounts *counts)
{
	for (int i = 0; i < HUBSPOT_NOPERATIONS; i++)
	{
		const HubspotFigureLabel label = {"operation", hubspot_operation_name(i)};
		HubspotOperationCounts sums = {0};
		bool		any_inputs = false;
		bool		done = false;

		for (int j = 0; j < HUBSPOT_NOPERATIONS; j++)
		{
			if (strcmp(hubspot_operation_name(j), label.value) != 0)
				continue;
			done = done || j < i;
			any_inputs = any_inputs || has_inputs(j);
			sums.requests += counts->operations[j].requests;
			sums.inputs += counts->operations[j].inputs;
			sums.confirmed += counts->operations[j].confirmed;
		}
		any_inputs = any_inputs || sums.inputs > 0;
		if (done || (!any_inputs && sums.requests == 0))
			continue;
		hubspot_put_labeled_figure(sink, HUBSPOT_FIGURE_REQUESTS, server, &label, 1, sums.requests);
		if (!any_inputs)
			continue;
		hubspot_put_labeled_figure(sink, HUBSPOT_FIGURE_INPUTS, server, &label, 1, sums.inputs);
		hubspot_put_labeled_figure(sink, HUBSPOT_FIGURE_CONFIRMED, server, &label, 1, sums.confirmed);
	}
}

static bool
has_inputs(HubspotOperation operation)
{
	return operation < HUBSPOT_TOKEN &&
		hubspot_endpoint(operation)->input_shape != HUBSPOT_INPUT_NONE;
}

static void
put_processes(const HubspotFigureSink *sink)
{
	bool		preloaded = hubspot_slots_are_there();
	int			workers;

	if (preloaded)
		(void) hubspot_count_workers(&workers);
	else
		workers = hubspot_dynamic_pid(MyDatabaseId) != 0;
	hubspot_put_figure(sink, HUBSPOT_FIGURE_PRELOADED, NULL, preloaded);
	hubspot_put_figure(sink, HUBSPOT_FIGURE_LAUNCHER_UP, NULL,
					   preloaded && hubspot_launcher_is_there());
	hubspot_put_figure(sink, HUBSPOT_FIGURE_WORKERS, NULL, workers);
}

static void
put_faults(const HubspotFigureSink *sink)
{
	TimestampTz now = GetCurrentTimestamp();
	HubspotFault *faults;
	int			nfaults = hubspot_faults(&faults);

	for (int i = 0; i < nfaults; i++)
	{
		const HubspotFigureLabel label = {"sqlstate", unpack_sql_state(faults[i].sqlstate)};
		bool		older = false;

		/* a server may have several roles: one figure, of the oldest */
		for (int j = 0; j < nfaults && !older; j++)
			older = j != i && strcmp(faults[j].server, faults[i].server) == 0 &&
				faults[j].sqlstate == faults[i].sqlstate &&
				(faults[j].since < faults[i].since ||
				 (j < i && faults[j].since == faults[i].since));
		if (!older)
			hubspot_put_labeled_figure(sink, HUBSPOT_FIGURE_FAULT, faults[i].server, &label, 1,
									   Max(now - faults[i].since, 0) / (double) USECS_PER_SEC);
	}
}
