/*-------------------------------------------------------------------------
 *
 * call.c
 *	  API calls from start to end: throttled, sent, and sent again.
 *
 * A call is one thing to ask of HubSpot, however many requests it takes:
 *
 *		waiting --> in flight --> done
 *		   ^------------'
 *
 * It waits for its turn (the statement's concurrency and the account's throttle), and after
 * a failed attempt for its backoff.  A 429 parks the account: it costs the call no attempt,
 * and nothing else that waits is sent earlier.  A call does not wait for longer than
 * max_retry_delay: then the reply that asks for that is its final one.  A reply that
 * refuses the account ends the sending: nothing that waits is sent any more.  Calls of an
 * "impatient" client, which has other things to do, come back rather than wait.
 *
 * Before a call is sent, there must be an access token (token_fetch.c).  What waits for it
 * stays where it is, and what is in flight comes back.  Only when it is there does a call
 * take its place in the account's window, which other processes need as well.  A call
 * whose token turns out to have expired is sent once more, with a new one, which counts as
 * no attempt either.
 *
 * IDENTIFICATION
 *	  src/call/call.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "api/error.h"
#include "base/clock.h"
#include "call/allowance.h"
#include "call/call.h"
#include "http/transport.h"

/* Where replies have a budget, the most bytes of one that has no limit of its own. */
#define MAX_BUDGETED_REPLY	(1024 * 1024)

struct HubspotCalls
{
	MemoryContext context;
	const HubspotClient *client;
	HubspotReadyCheck is_ready; /* or NULL: they always are */
	void	   *ready_arg;
	HubspotExchange *exchange;
	dlist_head	waiting;		/* by age; a retry goes before calls that are
								 * new */
	dlist_head	done;
	int			in_flight;
	size_t		in_replies;		/* bytes that the replies in flight may have,
								 * where there is a reply_budget */
	bool		stopped;		/* nothing more is sent */
	const HubspotError *error;	/* why nothing more is sent, if there is no
								 * token or no more may be sent; or NULL */
	const HubspotError *refusal;	/* of the account, by a reply that has
									 * ended the sending; or NULL */
	StringInfoData url;
	HubspotCallCounts counts;
};

static void send_waiting(HubspotCalls *calls, int64 *wake);
static bool is_ready(HubspotCalls *calls, int64 *wake);
static bool has_budget(const HubspotCalls *calls, const HubspotCall *call);
static size_t max_reply(const HubspotCalls *calls, const HubspotCall *call);
static bool is_allowed(HubspotCalls *calls);
static HubspotCall *next_waiting(HubspotCalls *calls, int64 now, int64 *wake);
static void send_call(HubspotCalls *calls, HubspotCall *call, int64 now);
static void take_replies(HubspotCalls *calls);
static void judge(HubspotCalls *calls, HubspotCall *call);
static void keep_refusal(HubspotCalls *calls, const HubspotCall *call);
static void park(HubspotCalls *calls, bool searches, int64 until);
static bool renew_token(HubspotCalls *calls, HubspotCall *call);

/*
 * Begin the calls of a statement; what is in flight ends with the context, which
 * must not outlive the client.  is_ready (or NULL) is asked before one is sent.
 */
HubspotCalls *
hubspot_calls_create(MemoryContext context, const HubspotClient *client,
					 HubspotReadyCheck is_ready, void *ready_arg)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotCalls *calls = palloc0(sizeof(HubspotCalls));

	calls->context = context;
	calls->client = client;
	calls->is_ready = is_ready;
	calls->ready_arg = ready_arg;
	calls->exchange = hubspot_exchange_create(context);
	dlist_init(&calls->waiting);
	dlist_init(&calls->done);
	initStringInfo(&calls->url);
	MemoryContextSwitchTo(old);
	return calls;
}

/*
 * Let a call wait for its turn, and send it if that has come.  The call and what it points
 * to must live until it comes back.
 */
void
hubspot_calls_start(HubspotCalls *calls, HubspotCall *call)
{
	int64		wake;

	call->transfer = NULL;
	call->reply = NULL;
	call->sent = 0;
	call->attempts = 0;
	call->may_have_acted = false;
	call->not_before = 0;
	call->renewed = false;
	call->error = calls->error;
	dlist_push_tail(calls->stopped ? &calls->done : &calls->waiting, &call->node);
	send_waiting(calls, &wake);
}

/*
 * Wait until a call has come back, or the time until has come.  True: hubspot_calls_next()
 * has one.  Only this function and hubspot_authorize() wait.
 */
bool
hubspot_calls_wait(HubspotCalls *calls, int64 until)
{
	for (;;)
	{
		int64		wake;
		int64		began = hubspot_now();
		bool		back;

		send_waiting(calls, &wake);
		if (!dlist_is_empty(&calls->done))
			break;
		back = hubspot_exchange_wait(calls->exchange, Min(until, wake));
		calls->counts.throttled_time += calls->counts.throttled ? hubspot_now() - began : 0;
		if (back)
			take_replies(calls);
		else if (hubspot_now() >= until)
			break;
	}
	hubspot_shared_token_wait_no_more();
	return !dlist_is_empty(&calls->done);
}

/*
 * Let the calls move on as far as they can without waiting.  True:
 * hubspot_calls_next() has one.  *wake is when to do so again, if nothing comes back
 * before.
 */
bool
hubspot_calls_drive(HubspotCalls *calls, int64 *wake)
{
	(void) hubspot_exchange_wait(calls->exchange, 0);
	return hubspot_calls_move_on(calls, wake);
}

/* The same, without a look at what the network has. */
bool
hubspot_calls_move_on(HubspotCalls *calls, int64 *wake)
{
	take_replies(calls);
	send_waiting(calls, wake);
	return !dlist_is_empty(&calls->done);
}

/* Wait until something has come back, for whichever calls, or the time until has come. */
void
hubspot_calls_wait_for_any(HubspotCalls *calls, int64 until)
{
	if (hubspot_exchange_wait(calls->exchange, until))
		take_replies(calls);
	hubspot_shared_token_wait_no_more();
}

/*
 * The next call that has come back, or NULL.  Calls before it that have a function to take
 * them are given to that.
 */
HubspotCall *
hubspot_calls_next(HubspotCalls *calls)
{
	while (!dlist_is_empty(&calls->done))
	{
		HubspotCall *call = dlist_container(HubspotCall, node,
											dlist_pop_head_node(&calls->done));

		if (call->take == NULL)
			return call;
		call->take(call);
	}
	return NULL;
}

/* Free the reply of a call that has come back. */
void
hubspot_call_free(HubspotCall *call)
{
	if (call->transfer)
		hubspot_transfer_free(call->transfer);
	call->transfer = NULL;
	call->reply = NULL;
}

/*
 * Send nothing more, after a reply that refuses the account, or for an error, as for want of
 * a token.  What waits, or is started from now on, comes back as it is: with the reply of
 * its last attempt, or without any, and with the error, which lives as long as the calls.
 */
void
hubspot_calls_stop(HubspotCalls *calls, const HubspotError *error)
{
	if (calls->stopped)
		return;
	calls->stopped = true;
	calls->error = error;
	while (!dlist_is_empty(&calls->waiting))
	{
		HubspotCall *call = dlist_container(HubspotCall, node,
											dlist_pop_head_node(&calls->waiting));

		/* a 401 or a 429 that cost no attempt is not an answer */
		if (call->attempts == 0)
		{
			hubspot_call_free(call);
			call->error = calls->error;
		}
		dlist_push_tail(&calls->done, &call->node);
	}
}

/* The exchange in which the requests of calls are in flight. */
HubspotExchange *
hubspot_calls_exchange(const HubspotCalls *calls)
{
	return calls->exchange;
}

/* The error for which calls were stopped, or NULL. */
const HubspotError *
hubspot_calls_error(const HubspotCalls *calls)
{
	return calls->error;
}

/*
 * Why a call that has come back was not sent: the error for which calls were stopped, or
 * what the reply to another call says.  NULL: it was sent.
 */
const HubspotError *
hubspot_call_unsent(const HubspotCalls *calls, const HubspotCall *call)
{
	if (call->error)
		return call->error;
	return call->attempts == 0 ? calls->refusal : NULL;
}

const HubspotCallCounts *
hubspot_calls_counts(const HubspotCalls *calls)
{
	return &calls->counts;
}

/*
 * Send what may be sent now.  *wake is when the next of those that wait may be sent, if
 * nothing comes back before.
 */
static void
send_waiting(HubspotCalls *calls, int64 *wake)
{
	const HubspotOptions *options = calls->client->options;

	*wake = HUBSPOT_NEVER;
	calls->counts.throttled = false;
	while (calls->in_flight < calls->client->policy.concurrency &&
		   !dlist_is_empty(&calls->waiting))
	{
		int64		now = hubspot_now();
		int64		when;
		HubspotCall *call = next_waiting(calls, now, wake);

		if (call == NULL || !has_budget(calls, call))
			break;
		if (!is_ready(calls, wake))
			break;
		if (!hubspot_account_take(calls->client->account,
								  options->rate_limit, call->search, now, &when))
		{
			*wake = when;
			calls->counts.throttled = true;
			break;
		}
		if (!is_allowed(calls))
			break;
		send_call(calls, call, now);
	}
}

static bool
is_ready(HubspotCalls *calls, int64 *wake)
{
	HubspotReadiness readiness;

	if (calls->is_ready == NULL)
		return true;
	readiness = calls->is_ready(calls->ready_arg, wake);
	calls->counts.throttled = (readiness == HUBSPOT_THROTTLED);
	return readiness == HUBSPOT_READY;
}

/*
 * Is there budget for the largest reply that one more call can have?  If not, the call
 * waits for one that is in flight.
 */
static bool
has_budget(const HubspotCalls *calls, const HubspotCall *call)
{
	return calls->in_flight == 0 || calls->client->policy.reply_budget == 0 ||
		calls->in_replies + max_reply(calls, call) <= calls->client->policy.reply_budget;
}

static size_t
max_reply(const HubspotCalls *calls, const HubspotCall *call)
{
	if (calls->client->policy.reply_budget == 0)
		return HUBSPOT_MAX_REPLY;
	return call->max_reply > 0 ? call->max_reply : MAX_BUDGETED_REPLY;
}

/* May one more request be sent?  If not, the calls are stopped. */
static bool
is_allowed(HubspotCalls *calls)
{
	MemoryContext old = MemoryContextSwitchTo(calls->context);
	const HubspotError *error = hubspot_allowance_take(calls->client);

	MemoryContextSwitchTo(old);
	if (error)
		hubspot_calls_stop(calls, error);
	return error == NULL;
}

/* The first call whose backoff is over; or NULL, and *wake is when one's will be. */
static HubspotCall *
next_waiting(HubspotCalls *calls, int64 now, int64 *wake)
{
	int64		search_when = 0;
	dlist_iter	iter;

	*wake = HUBSPOT_NEVER;
	dlist_foreach(iter, &calls->waiting)
	{
		HubspotCall *call = dlist_container(HubspotCall, node, iter.cur);
		int64		when = call->not_before;

		/* other calls do not wait for the rate of searches */
		if (call->search)
		{
			if (search_when == 0)
				search_when = hubspot_account_search_when(calls->client->account,
														  calls->client->options->rate_limit,
														  now);
			when = Max(when, search_when);
		}
		if (when <= now)
			return call;
		*wake = Min(*wake, when);
	}
	return NULL;
}

static void
send_call(HubspotCalls *calls, HubspotCall *call, int64 now)
{
	HubspotHttpRequest request;

	hubspot_call_free(call);	/* the reply of the attempt before */
	resetStringInfo(&calls->url);
	appendStringInfoString(&calls->url, calls->client->options->base_url);
	appendStringInfoString(&calls->url, call->path);

	hubspot_client_request(calls->client, &request);
	request.method = call->method;
	request.url = calls->url.data;
	request.bearer = NULL;
	if (calls->client->token)
		request.bearer = hubspot_token_use(calls->client->token,
										   &call->token_serial);
	request.body = call->body;
	request.body_len = call->body_len;
	request.content_type = call->form ? "application/x-www-form-urlencoded" :
		"application/json";
	request.repeatable = call->repeatable && !call->own_connection;
	request.max_reply = max_reply(calls, call);

	if (call->sent == 0)
		calls->counts.inputs += call->inputs;
	call->sent = now;
	call->transfer = hubspot_transfer_start(calls->exchange, &request, call);
	dlist_delete(&call->node);
	hubspot_account_count_request(calls->client->account,
								  call->operation, call->attempts > 0, call->body_len);
	calls->in_flight++;
	calls->in_replies += request.max_reply;
	calls->counts.requests++;
	if (call->attempts > 0)
		calls->counts.retries++;
}

static void
take_replies(HubspotCalls *calls)
{
	void	   *owner;

	while (hubspot_exchange_next(calls->exchange, &owner) != NULL)
	{
		HubspotCall *call = owner;

		call->reply = hubspot_transfer_reply(call->transfer);

		/* token.c needs the secrets of an answer that gives a token */
		if (calls->client->token)
			hubspot_transfer_hide_secrets(call->transfer,
										  calls->client->options->server);
		hubspot_account_count_reply(calls->client->account,
									call->reply->status == 429,
									call->reply->body_len,
									hubspot_transfer_duration(call->transfer),
									hubspot_day_limit(call->reply),
									hubspot_day_left(call->reply));
		call->may_have_acted |= call->reply->resent;
		calls->in_flight--;
		calls->in_replies -= max_reply(calls, call);
		judge(calls, call);
	}
}

/* Is the reply of an attempt the last one of its call?  If not, the call waits again. */
static void
judge(HubspotCalls *calls, HubspotCall *call)
{
	const HubspotOptions *options = calls->client->options;
	int64		most = (int64) options->max_retry_delay * 1000;
	int64		patience = most;
	int64		now = hubspot_now();
	int64		wait;
	bool		asked;
	HubspotAdvice advice;

	if (calls->client->policy.impatient)
		patience = Min(most, HUBSPOT_IMPATIENT_WAIT);
	advice = hubspot_reply_advice(call->reply, call->repeatable, &wait, &asked);

	if (calls->stopped)
		advice = HUBSPOT_FINAL;
	else if (renew_token(calls, call))
	{
		dlist_push_head(&calls->waiting, &call->node);
		return;
	}
	if (advice == HUBSPOT_PARK || advice == HUBSPOT_PARK_SECOND)
	{
		calls->counts.rate_limited++;
		if (wait <= most || !asked || calls->client->policy.impatient)
			park(calls, call->search && advice == HUBSPOT_PARK_SECOND,
				 now + Min(wait, most));
		if (wait <= patience)
		{
			dlist_push_head(&calls->waiting, &call->node);
			return;
		}

		/* a shorter pause may be enough, but counts as an attempt */
		if (!asked)
		{
			advice = HUBSPOT_RETRY;
			wait = most;
		}
	}
	call->attempts++;
	if (advice == HUBSPOT_RETRY && wait <= patience &&
		call->attempts <= calls->client->policy.max_retries)
	{
		if (hubspot_reply_verdict(call->reply) == HUBSPOT_VERDICT_UNCONFIRMED)
			call->may_have_acted = true;
		call->not_before = now +
			Min(patience, hubspot_retry_delay(call->attempts, wait, most,
											  pg_prng_double(&pg_global_prng_state)));
		dlist_push_head(&calls->waiting, &call->node);
		return;
	}
	dlist_push_tail(&calls->done, &call->node);
	if (!calls->stopped && !hubspot_reply_is_success(call->reply) &&
		hubspot_ends_sending(hubspot_reply_verdict(call->reply)))
	{
		keep_refusal(calls, call);
		hubspot_calls_stop(calls, NULL);
	}
}

/* Keep what a reply says that ends the sending, for as long as the calls live. */
static void
keep_refusal(HubspotCalls *calls, const HubspotCall *call)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc refusal",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotError *error = hubspot_reply_error(call->reply, call->attempts);

	MemoryContextSwitchTo(calls->context);
	calls->refusal = hubspot_copy_error(error);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Let nothing, or with searches no search, be sent to the account before until. */
static void
park(HubspotCalls *calls, bool searches, int64 until)
{
	if (searches)
		hubspot_account_park_searches(calls->client->account, until);
	else
		hubspot_account_park(calls->client->account, until);
}

/*
 * Is the reply about nothing but the token, and is there another one, or can one be
 * fetched?  Only once for each call: if the new token is refused, too, that is the answer.
 */
static bool
renew_token(HubspotCalls *calls, HubspotCall *call)
{
	bool		again;

	if (calls->client->token == NULL ||
		!hubspot_reply_is_unauthorized(call->reply))
		return false;
	again = !call->renewed;
	call->renewed = true;
	return hubspot_token_renew(calls->client->token, call->token_serial,
							   call->reply) && again;
}
