/*-------------------------------------------------------------------------
 *
 * hubspot_check.c
 *	  What HubSpot itself says: of the login, the version, the clock, the quota.
 *
 * IDENTIFICATION
 *	  src/diagnose/hubspot_check.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "account/throttle.h"
#include "api/endpoint.h"
#include "api/error.h"
#include "api/response.h"
#include "api/usage.h"
#include "base/clock.h"
#include "base/iso_time.h"
#include "base/shown.h"
#include "call/perform.h"
#include "diagnose/check.h"
#include "rows/report.h"

/* How many seconds clocks may differ before that is worth a warning, and before it does harm. */
#define SMALL_DIFFERENCE	60
#define LARGE_DIFFERENCE	300

static const char *connection_advice(const HubspotError *error);
static void check_time(HubspotDiagnosis *diagnosis, const HubspotHttpReply *reply,
					   TimestampTz now);
static void date_header(void *state, HubspotSlice name, HubspotSlice value);
static void show_quota(HubspotDiagnosis *diagnosis, const HubspotDailyUsage *usage);

/* Does HubSpot answer, and does it accept the token? */
void
hubspot_check_account(HubspotDiagnosis *diagnosis)
{
	int64		start = hubspot_now();
	HubspotCall call;
	const HubspotError *error;
	HubspotAccountDetails details;

	error = hubspot_call_operation(diagnosis->client, HUBSPOT_ACCOUNT_DETAILS, NULL, NULL,
								   false, &call);
	if (call.reply && call.reply->status != 0 && call.reply->failure == HUBSPOT_HTTP_OK)
	{
		hubspot_find(diagnosis, HUBSPOT_TOPIC_CONNECTION, HUBSPOT_STATE_OK, NULL,
					 "an answer came after %lld ms",
					 (long long) ((hubspot_now() - start) / 1000));
		check_time(diagnosis, call.reply, GetCurrentTimestamp());
	}
	if (error == NULL)
	{
		diagnosis->answered = true;
		if (hubspot_read_account_details(call.reply, &details))
			hubspot_find(diagnosis, HUBSPOT_TOPIC_TOKEN, HUBSPOT_STATE_OK, NULL,
						 "accepted: account %lld, %s, time zone %s",
						 (long long) details.account_id, details.kind ? details.kind : "of no kind",
						 details.time_zone ? details.time_zone : "not told");
		else
			hubspot_find(diagnosis, HUBSPOT_TOPIC_TOKEN, HUBSPOT_STATE_WARNING, NULL,
						 "accepted; the answer does not tell which account it belongs to");
	}
	else
		hubspot_check_failure(diagnosis, HUBSPOT_TOPIC_TOKEN,
							  "which account it belongs to cannot be found out", error);
}

/*
 * A request that was to find out something on a topic has failed: note what
 * that says of the topic, and of others.
 */
void
hubspot_check_failure(HubspotDiagnosis *diagnosis, HubspotTopic topic,
					  const char *what, const HubspotError *error)
{
	const char *hint = hubspot_error_hint(error, HUBSPOT_NOTHING_DONE);
	const char *detail = hubspot_error_detail(error);

	switch (error->verdict)
	{
		case HUBSPOT_VERDICT_ACCOUNT:
		case HUBSPOT_VERDICT_NO_TOKEN:
			diagnosis->answered = false;
			hubspot_find(diagnosis, HUBSPOT_TOPIC_TOKEN, HUBSPOT_STATE_PROBLEM, hint,
						 "%s", detail);
			break;
		case HUBSPOT_VERDICT_SCOPE:
			/* a token that lacks a scope has been accepted */
			diagnosis->answered = true;
			hubspot_find(diagnosis, topic, HUBSPOT_STATE_WARNING, hint, "%s: %s", what, detail);
			break;
		case HUBSPOT_VERDICT_FOREIGN:
			/* HubSpot itself may not have such an endpoint */
			diagnosis->answered = (error->http_status == 404 && error->correlation_id != NULL);
			if (diagnosis->answered)
				hubspot_find(diagnosis, topic, HUBSPOT_STATE_WARNING, NULL, "%s: %s", what, detail);
			else
				hubspot_find(diagnosis, HUBSPOT_TOPIC_CONNECTION, HUBSPOT_STATE_PROBLEM, hint,
							 "the answer did not come from HubSpot: %s", detail);
			break;
		case HUBSPOT_VERDICT_RATE:
			diagnosis->answered = false;
			hubspot_find(diagnosis, HUBSPOT_TOPIC_QUOTA, HUBSPOT_STATE_PROBLEM,
						 "Wait until HubSpot's limit allows it; hs_assoc_quota() shows the day's. The outbox goes on by itself.",
						 "%s", detail);
			break;
		case HUBSPOT_VERDICT_UNREACHED:
			/* its category is the outbox's, which sends it again likewise */
			diagnosis->answered = false;
			hubspot_find(diagnosis, HUBSPOT_TOPIC_CONNECTION, HUBSPOT_STATE_PROBLEM,
						 connection_advice(error), "%s. Nothing was sent.", error->message);
			break;
		case HUBSPOT_VERDICT_UNCONFIRMED:
		case HUBSPOT_VERDICT_BUSY:
			diagnosis->answered = false;
			hubspot_find(diagnosis, HUBSPOT_TOPIC_CONNECTION, HUBSPOT_STATE_PROBLEM,
						 connection_advice(error), "%s", detail);
			break;
		default:
			hubspot_find(diagnosis, topic, HUBSPOT_STATE_WARNING, hint, "%s: %s", what, detail);
			break;
	}
}

/* The hint of an error says that it may be tried again, which a diagnosis is for. */
static const char *
connection_advice(const HubspotError *error)
{
	if (error->sqlstate == ERRCODE_CONNECTION_FAILURE)
		return "Check the server's options and the network. The outbox goes on by itself.";
	return "HubSpot fails: wait, and look again. The outbox goes on by itself.";
}

/* Is this server's clock right, by the Date of an answer? */
static void
check_time(HubspotDiagnosis *diagnosis, const HubspotHttpReply *reply, TimestampTz now)
{
	char		text[64] = "";
	TimestampTz theirs;
	int64		ahead;
	int64		difference;

	hubspot_each_header(reply, text, date_header);
	if (!hubspot_read_http_time(text, &theirs))
	{
		hubspot_find(diagnosis, HUBSPOT_TOPIC_CLOCK, HUBSPOT_STATE_OK, NULL,
					 "nothing to compare it with: the answer has no date");
		return;
	}
	ahead = (now - theirs) / USECS_PER_SEC;
	difference = (ahead < 0) ? -ahead : ahead;
	if (difference <= SMALL_DIFFERENCE)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_CLOCK, HUBSPOT_STATE_OK, NULL,
					 "this server's is right, by HubSpot's");
	else
		hubspot_find(diagnosis, HUBSPOT_TOPIC_CLOCK,
					 difference > LARGE_DIFFERENCE ? HUBSPOT_STATE_PROBLEM : HUBSPOT_STATE_WARNING,
					 "Set this server's clock, by NTP for example: certificates, tokens and the outbox go by it.",
					 "this server's is %s %s HubSpot's", hubspot_duration_text(difference),
					 ahead > 0 ? "ahead of" : "behind");
}

static void
date_header(void *state, HubspotSlice name, HubspotSlice value)
{
	char	   *text = state;

	if (hubspot_is_header(name, "date") && value.len < 64)
	{
		memcpy(text, value.data, value.len);
		text[value.len] = '\0';
	}
}

/* How much of the day's requests is left? */
void
hubspot_check_quota(HubspotDiagnosis *diagnosis)
{
	HubspotCall call;
	const HubspotError *error;
	List	   *usages;
	ListCell   *lc;

	error = hubspot_call_operation(diagnosis->client, HUBSPOT_DAILY_USAGE, NULL, NULL,
								   false, &call);
	if (error)
	{
		hubspot_check_failure(diagnosis, HUBSPOT_TOPIC_QUOTA, "it cannot be found out", error);
		return;
	}
	if (!hubspot_read_daily_usage(call.reply, &usages))
	{
		const char *problem = hubspot_list_problem(call.reply);

		hubspot_find(diagnosis, HUBSPOT_TOPIC_QUOTA, HUBSPOT_STATE_WARNING, NULL,
					 "HubSpot's answer cannot be read%s%s", problem ? ": " : "",
					 problem ? problem : "");
		return;
	}
	foreach(lc, usages)
		show_quota(diagnosis, lfirst(lc));
	hubspot_find(diagnosis, HUBSPOT_TOPIC_QUOTA, HUBSPOT_STATE_OK, NULL,
				 "HubSpot reports none");
}

static void
show_quota(HubspotDiagnosis *diagnosis, const HubspotDailyUsage *usage)
{
	static const char advice[] = "Fewer and larger requests: batches, coalescing syncs, key_cache. HubSpot sells more. hs_assoc_quota() says when the day ends.";
	int64		left = Max(usage->most - usage->used, 0);

	if (usage->most == HUBSPOT_UNTOLD || usage->used == HUBSPOT_UNTOLD)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_QUOTA, HUBSPOT_STATE_WARNING, NULL,
					 "HubSpot could not tell (%s)",
					 usage->status ? hubspot_shown(usage->status) : "without a reason");
	else
		hubspot_find(diagnosis, HUBSPOT_TOPIC_QUOTA,
					 left == 0 ? HUBSPOT_STATE_PROBLEM :
					 left < HUBSPOT_LOW_QUOTA(usage->most) ? HUBSPOT_STATE_WARNING : HUBSPOT_STATE_OK,
					 left < HUBSPOT_LOW_QUOTA(usage->most) || left == 0 ? advice : NULL,
					 "%lld of %lld requests of the day are left", (long long) left,
					 (long long) usage->most);
}
