/*-------------------------------------------------------------------------
 *
 * figure.c
 *	  The figures that there are, and how they are put.
 *
 * Names are for ever: dashboards and alerts go by them.  They have their unit,
 * and _total if they only grow.
 *
 * IDENTIFICATION
 *	  src/diagnose/figure.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/json.h"

#include "diagnose/figure.h"

static const struct
{
	const char *name;
	const char *kind;
	const char *help;
}			figures[] = {
	[HUBSPOT_FIGURE_REQUESTS] = {"hubspot_assoc_requests_total", "counter", "Requests to HubSpot, by what they do."},
	[HUBSPOT_FIGURE_RETRIES] = {"hubspot_assoc_retries_total", "counter", "Requests that were sent again after a failed attempt."},
	[HUBSPOT_FIGURE_RATE_LIMITED] = {"hubspot_assoc_rate_limited_requests_total", "counter", "Requests that HubSpot has answered with 429."},
	[HUBSPOT_FIGURE_INPUTS] = {"hubspot_assoc_inputs_total", "counter", "Rows that were settled, by what was to be done."},
	[HUBSPOT_FIGURE_CONFIRMED] = {"hubspot_assoc_confirmed_inputs_total", "counter", "Rows that HubSpot has confirmed, by what was done."},
	[HUBSPOT_FIGURE_SKIPPED] = {"hubspot_assoc_skipped_inputs_total", "counter", "Rows that were not enqueued, since an id of theirs is null."},
	[HUBSPOT_FIGURE_FAILED] = {"hubspot_assoc_failed_inputs_total", "counter", "Rows that have failed, by what was to be done and their error category."},
	[HUBSPOT_FIGURE_BYTES_SENT] = {"hubspot_assoc_sent_bytes_total", "counter", "Bytes of the bodies of requests."},
	[HUBSPOT_FIGURE_BYTES_RECEIVED] = {"hubspot_assoc_received_bytes_total", "counter", "Bytes of the bodies of answers."},
	[HUBSPOT_FIGURE_REQUEST_SECONDS] = {"hubspot_assoc_request_seconds_total", "counter", "Time between requests and their answers."},
	[HUBSPOT_FIGURE_MAX_REQUEST_SECONDS] = {"hubspot_assoc_request_max_seconds", "gauge", "The longest time between a request and its answer, since the counters began."},
	[HUBSPOT_FIGURE_RATE_LIMIT] = {"hubspot_assoc_rate_limit_requests", "gauge", "Requests that may be sent in 10 s; 0: no limit."},
	[HUBSPOT_FIGURE_RATE_USED] = {"hubspot_assoc_rate_used_requests", "gauge", "Requests that were sent in the last 10 s."},
	[HUBSPOT_FIGURE_PARKED] = {"hubspot_assoc_parked_seconds", "gauge", "How long HubSpot has asked to wait from now on."},
	[HUBSPOT_FIGURE_PRELOADED] = {"hubspot_assoc_preloaded", "gauge", "1 if the library is preloaded; else PostgreSQL 15 and 16 give the counters of the asking session."},
	[HUBSPOT_FIGURE_LAUNCHER_UP] = {"hubspot_assoc_launcher_up", "gauge", "1 if the launcher of the workers runs."},
	[HUBSPOT_FIGURE_WORKERS] = {"hubspot_assoc_workers", "gauge", "Workers in this database."},
	[HUBSPOT_FIGURE_OUTBOX_ROWS] = {"hubspot_assoc_outbox_rows", "gauge", "Rows in the outbox, as the server's statistics estimate it."},
	[HUBSPOT_FIGURE_OUTBOX_LAG] = {"hubspot_assoc_outbox_lag_seconds", "gauge", "For how long the oldest row of the outbox has been due."},
	[HUBSPOT_FIGURE_ROWS_WITHOUT_RECORDS] = {"hubspot_assoc_rows_waiting_for_records", "gauge", "Rows of the outbox that wait for records which HubSpot does not have; of each server up to " HUBSPOT_COUNTED_WAITING "."},
	[HUBSPOT_FIGURE_DEAD_LETTERS] = {"hubspot_assoc_dead_letters", "gauge", "Dead letters, by what was to be done and their error category; of each server the newest " HUBSPOT_COUNTED_DEAD_LETTERS "."},
	[HUBSPOT_FIGURE_BACKOFF] = {"hubspot_assoc_backoff_seconds", "gauge", "For how long nothing of the outbox could be sent, by the error category; there is none while it can."},
	[HUBSPOT_FIGURE_PAUSED] = {"hubspot_assoc_paused", "gauge", "1 if hs_assoc_pause has stopped the outbox."},
	[HUBSPOT_FIGURE_SYNCS] = {"hubspot_assoc_syncs", "gauge", "Tables that are kept in sync, counted for each direction and account."},
	[HUBSPOT_FIGURE_INACTIVE_SYNCS] = {"hubspot_assoc_inactive_syncs", "gauge", "Syncs whose changes are not sent, as hs_assoc_sync shows."},
	[HUBSPOT_FIGURE_COMPARED_RECORDS] = {"hubspot_assoc_compared_records_total", "counter", "Records of tables in sync that workers have compared with HubSpot, as verify says."},
	[HUBSPOT_FIGURE_DIFFERENCES] = {"hubspot_assoc_differences_total", "counter", "Differences from HubSpot that workers have found."},
	[HUBSPOT_FIGURE_REPAIRED] = {"hubspot_assoc_repaired_differences_total", "counter", "Differences for which workers have enqueued what puts them right."},
	[HUBSPOT_FIGURE_OPEN_DIFFERENCES] = {"hubspot_assoc_open_differences", "gauge", "Differences in hs_assoc_drift_log that are open; of each server up to " HUBSPOT_COUNTED_DIFFERENCES "."},
	[HUBSPOT_FIGURE_CONTESTED] = {"hubspot_assoc_contested_differences", "gauge", "Differences that came back after two repairs, and are left alone; up to " HUBSPOT_COUNTED_DIFFERENCES "."},
	[HUBSPOT_FIGURE_VERIFY_LATE] = {"hubspot_assoc_verify_late_seconds", "gauge", "How overdue, by its verify, the comparison of the most overdue table is."},
	[HUBSPOT_FIGURE_FAULT] = {"hubspot_assoc_fault_seconds", "gauge", "For how long this server has lacked something for sending, by the SQLSTATE."}
};

static void add_label(StringInfo labels, const char *name, const char *value);

/* One figure, of a server or of none (NULL). */
void
hubspot_put_figure(const HubspotFigureSink *sink, HubspotFigure figure, const char *server, double value)
{
	hubspot_put_labeled_figure(sink, figure, server, NULL, 0, value);
}

/* The same, with some labels more. */
void
hubspot_put_labeled_figure(const HubspotFigureSink *sink, HubspotFigure figure, const char *server, const HubspotFigureLabel *labels,
						   int nlabels, double value)
{
	HubspotMetric metric = {
		.name = figures[figure].name,.kind = figures[figure].kind,
		.help = figures[figure].help,.value = value
	};
	StringInfoData json;

	initStringInfo(&json);
	add_label(&json, "database", sink->database);
	if (server)
		add_label(&json, "server", server);
	for (int i = 0; i < nlabels; i++)
		add_label(&json, labels[i].name, labels[i].value);
	appendStringInfoChar(&json, '}');
	metric.labels = json.data;
	sink->take(sink->state, &metric);
	pfree(json.data);
}

static void
add_label(StringInfo labels, const char *name, const char *value)
{
	appendStringInfo(labels, "%s\"%s\": ", labels->len > 0 ? ", " : "{", name);
	escape_json(labels, value);
}
