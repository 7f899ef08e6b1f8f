/*-------------------------------------------------------------------------
 *
 * token_fetch.c
 *	  Calls that need an access token, which is fetched beside them.
 *
 * If a token has to be fetched, that is a call, too, in a set of its own, and a wait for
 * the other calls is a wait for it as well.  Statements nest, and the inner one may need
 * the token that the outer one is fetching: then it moves that fetch on.  If another
 * process fetches it, it is waited for, but not for ever.
 *
 * IDENTIFICATION
 *	  src/call/token_fetch.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "api/endpoint.h"
#include "api/error.h"
#include "base/clock.h"
#include "call/token_fetch.h"
#include "http/transport.h"

/* How long, in us, a client that is not impatient waits for another process's fetch. */
#define MAX_TOKEN_WAIT	(20 * INT64CONST(1000000))

/* Calls, and the token that they need. */
typedef struct Need
{
	MemoryContext context;		/* of the calls */
	const HubspotClient *client;
	HubspotCalls *calls;
	bool		ask_again;		/* even if it was refused in this statement */
	int64		patience;		/* until when to wait for another process that
								 * fetches it; 0: none does */
} Need;

/* An access token on its way; it ends with the calls that needed it first. */
typedef struct Fetch
{
	dlist_node	node;			/* in fetches */
	MemoryContext context;		/* of all that is here */
	MemoryContextCallback callback;
	HubspotAccessToken *token;
	Need	   *owner;
	HubspotClient client;		/* the owner's, without a token */
	HubspotCalls *calls;		/* its one call */
	HubspotCall call;
	StringInfoData form;		/* the body of the call, which is full of
								 * secrets */
	bool		moves;			/* while it begins or is moved on: an ERROR
								 * may end that, and with it the fetch */
} Fetch;

static dlist_head fetches = DLIST_STATIC_INIT(fetches);

static Need *create_need(MemoryContext context, const HubspotClient *client);
static HubspotReadiness has_token(void *arg, int64 *wake);
static bool was_refused(Need *need);
static bool comes_from_another(Need *need, int64 now, int64 *wake);
static Fetch *find_fetch(const HubspotAccessToken *token);
static Fetch *start_fetch(Need *need);
static void forget_fetch(void *arg);
static bool move_fetch(Fetch *fetch, int64 *wake);
static void finish_fetch(Fetch *fetch);

/*
 * Begin the calls of a statement, as hubspot_calls_create(), with the access token of the
 * client, if it needs one.
 */
HubspotCalls *
hubspot_authorized_calls_create(MemoryContext context, const HubspotClient *client)
{
	return create_need(context, client)->calls;
}

/*
 * Fetch an access token if one is needed, and wait for it, as the first call would do.
 * Returns why there is none, palloc'd, or NULL.  If a token was refused before, it is
 * asked for again.
 */
const HubspotError *
hubspot_authorize(const HubspotClient *client)
{
	Need	   *need;
	int64		wake;

	if (client->token == NULL || hubspot_token_is_ready(client->token))
		return NULL;
	need = create_need(CurrentMemoryContext, client);
	need->ask_again = true;
	while (has_token(need, &wake) != HUBSPOT_READY)
	{
		const HubspotError *error = hubspot_calls_error(need->calls);

		if (error)
			return error;
		(void) hubspot_exchange_wait(hubspot_calls_exchange(need->calls), wake);
	}
	return NULL;
}

static Need *
create_need(MemoryContext context, const HubspotClient *client)
{
	Need	   *need = MemoryContextAllocZero(context, sizeof(Need));

	need->context = context;
	need->client = client;
	need->calls = hubspot_calls_create(context, client, has_token, need);
	return need;
}

/*
 * Is there an access token?  If not, it is on its way, and *wake is when to look
 * again, if nothing comes back before; or none can be had, and the calls are
 * stopped.
 */
static HubspotReadiness
has_token(void *arg, int64 *wake)
{
	Need	   *need = arg;
	const HubspotClient *client = need->client;

	*wake = HUBSPOT_NEVER;
	while (client->token && !hubspot_token_is_ready(client->token))
	{
		Fetch	   *fetch = find_fetch(client->token);

		if (fetch == NULL)
		{
			int64		now = hubspot_now();
			int64		when = hubspot_account_when(client->account,
													client->options->rate_limit,
													now);

			/* its request needs a place, too: do not wait for it there */
			if (when > now)
			{
				*wake = when;
				return HUBSPOT_THROTTLED;
			}
			if (was_refused(need))
				return HUBSPOT_UNREADY;
			if (comes_from_another(need, now, wake))
				return HUBSPOT_UNREADY;
			if (hubspot_token_is_ready(client->token))
				break;
			fetch = start_fetch(need);
		}
		if (move_fetch(fetch, wake))
			return hubspot_calls_counts(fetch->calls)->throttled ? HUBSPOT_THROTTLED : HUBSPOT_UNREADY;
		if (hubspot_calls_error(need->calls))
			return HUBSPOT_UNREADY;
	}
	return HUBSPOT_READY;
}

/* Was the token refused in this statement?  Then the calls are stopped. */
static bool
was_refused(Need *need)
{
	const HubspotError *error;

	if (need->ask_again)
		return false;
	error = hubspot_token_refusal(need->client->token, need->context);
	if (error)
		hubspot_calls_stop(need->calls, error);
	return error != NULL;
}

/*
 * Does another process fetch the token, for which to wait until *wake?  If not, it
 * may be ready.
 */
static bool
comes_from_another(Need *need, int64 now, int64 *wake)
{
	bool		patient = need->patience == 0 || now < need->patience;

	if (hubspot_token_take(need->client->token, patient, wake) != HUBSPOT_TOKEN_COMES)
	{
		need->patience = 0;
		return false;
	}
	if (need->patience == 0)
		need->patience = now +
			(need->client->policy.impatient ? HUBSPOT_IMPATIENT_WAIT : MAX_TOKEN_WAIT);
	*wake = Min(*wake, need->patience);
	return true;
}

/* The fetch of the same token by calls of this session, or NULL. */
static Fetch *
find_fetch(const HubspotAccessToken *token)
{
	dlist_iter	iter;

	dlist_foreach(iter, &fetches)
	{
		Fetch	   *fetch = dlist_container(Fetch, node, iter.cur);

		if (!hubspot_token_is_same(fetch->token, token))
			continue;
		if (!fetch->moves)
			return fetch;

		/* a statement within the owner's has caught an ERROR of it */
		MemoryContextDelete(fetch->context);
		return NULL;
	}
	return NULL;
}

static Fetch *
start_fetch(Need *need)
{
	MemoryContext context = AllocSetContextCreate(need->context,
												  "hubspot_assoc token request",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Fetch	   *fetch = palloc0(sizeof(Fetch));
	HubspotCall *call = &fetch->call;

	fetch->context = context;
	fetch->token = need->client->token;
	fetch->owner = need;
	fetch->client = *need->client;
	fetch->client.token = NULL;
	fetch->moves = true;
	initStringInfo(&fetch->form);
	dlist_push_head(&fetches, &fetch->node);

	/* called after the request has been broken off, which points to the form */
	fetch->callback.func = forget_fetch;
	fetch->callback.arg = fetch;
	MemoryContextRegisterResetCallback(context, &fetch->callback);

	hubspot_token_encode_request(fetch->token, &fetch->form);
	call->method = "POST";
	call->operation = HUBSPOT_TOKEN;
	call->path = hubspot_token_path(fetch->client.options->api_version);
	call->body = fetch->form.data;
	call->body_len = fetch->form.len;
	call->form = true;
	call->repeatable = true;
	fetch->calls = hubspot_calls_create(context, &fetch->client, NULL, NULL);
	hubspot_calls_start(fetch->calls, call);
	fetch->moves = false;
	MemoryContextSwitchTo(old);
	return fetch;
}

/* Reset callback: forget a fetch and its secrets. */
static void
forget_fetch(void *arg)
{
	Fetch	   *fetch = arg;

	dlist_delete(&fetch->node);
	explicit_bzero(fetch->form.data, fetch->form.len);
	hubspot_token_give_up(fetch->token);
}

/*
 * Let a fetch move on without waiting.  False: it has come to its end.  True: *wake
 * is when it is to move on, if nothing comes back before.
 */
static bool
move_fetch(Fetch *fetch, int64 *wake)
{
	fetch->moves = true;
	if (hubspot_calls_move_on(fetch->calls, wake))
	{
		finish_fetch(fetch);
		return false;
	}
	fetch->moves = false;
	return true;
}

/* End a fetch whose request has been answered, has failed, or may not be sent. */
static void
finish_fetch(Fetch *fetch)
{
	const HubspotCall *call = &fetch->call;
	HubspotAccessToken *token = fetch->token;
	Need	   *owner = fetch->owner;
	MemoryContext old = MemoryContextSwitchTo(fetch->context);
	const HubspotError *error = call->error;

	if (error == NULL)
	{
		error = hubspot_token_take_reply(token, call->reply, call->attempts, call->sent);
		if (error && hubspot_token_reload(token))
			error = NULL;
	}
	if (error)
	{
		MemoryContextSwitchTo(owner->context);
		hubspot_calls_stop(owner->calls, hubspot_copy_error(error));
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(fetch->context);
}
