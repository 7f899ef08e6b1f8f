/*-------------------------------------------------------------------------
 *
 * transport.c
 *	  HTTP requests in flight, on libcurl and PostgreSQL's wait events.
 *
 * Who owns what:
 *
 * - The session owns one curl_multi handle, and with it the connections,
 *	 which are kept for later requests.  It is made when the first request is
 *	 sent, and lives until the backend ends.
 * - An exchange is the requests of one caller.  It lives in a memory context,
 *	 and a reset callback of that context ends what is still in flight:
 *	 whatever ends the caller (success, an error, a cancel, a subtransaction)
 *	 ends its requests, without a PG_TRY anywhere.
 * - A transfer is one request of an exchange.  It owns a HubspotEasy (easy.c),
 *	 which has what libcurl and malloc() have allocated for it.
 *
 * Callers nest: the query of a batch may itself call a function of the
 * extension.  So each wait drives all transfers of the session, and gives a
 * reply to the exchange that the transfer belongs to.
 *
 * libcurl tells us, by callbacks, which sockets it wants watched and when it
 * wants to be called again.  We wait for those sockets and the latch together
 * (sockets.c), so a cancel acts at once in every phase, including name lookup
 * and TLS handshake.
 *
 * The callbacks, here and in easy.c, neither throw nor palloc nor check
 * interrupts: libcurl's state would not survive a longjmp.  While libcurl works
 * on transfers, signals are blocked, because the threads that it makes for name
 * lookups inherit the mask, and PostgreSQL's handlers must not run in them.
 * What a peer sends could keep libcurl at work for ever; guard.c ends that.
 *
 * A transfer that finds no descriptor for its socket waits, outside of libcurl, until another
 * one has ended.  If none is in flight, kept connections are closed, before it fails.
 *
 * A caller may be away for long between two waits, while its query computes.
 * libcurl would take that time for the peer's, and fail requests whose replies
 * lie in the socket; so transport.c keeps the time limits itself, and time
 * away does not count.  libcurl is told how long it may take to connect, since
 * it divides that among the addresses of a host; that limit moves with ours.
 * Between two addresses it may have neither a socket nor a timer (7.88), so it
 * is called every POKE_INTERVAL as long as something connects.
 *
 * IDENTIFICATION
 *	  src/http/transport.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/compat.h"
#include "http/easy.h"
#include "http/guard.h"
#include "http/sockets.h"
#include "http/transport.h"

/* The one function that looks at all transfers; 7.87 and later warn that it is deprecated. */
#ifdef CURL_IGNORE_DEPRECATION
#define SOCKET_ALL(code, multi, running) \
	CURL_IGNORE_DEPRECATION((code) = curl_multi_socket_all(multi, running);)
#else
#define SOCKET_ALL(code, multi, running) \
	code = curl_multi_socket_all(multi, running)
#endif

/* Idle connections that are kept: as many as a statement can have in flight. */
#define MAX_KEPT_CONNECTIONS	64L

/* libcurl's own descriptors: a wakeup pair, and one for a name lookup. */
#define CURL_OWN_DESCRIPTORS	3

/* How often libcurl is called while something connects, in microseconds. */
#define POKE_INTERVAL			INT64CONST(50000)

/* How many events a wait takes at once; more come with the next wait. */
#define MAX_EVENTS				16

/* Said whether libcurl notices it first, or this file. */
#define CONNECT_TIMEOUT_PASSED	"connect_timeout has passed"

struct HubspotExchange
{
	dlist_head	transfers;		/* in flight, or given to the caller */
	dlist_head	done;			/* with a reply or a failure to give */
	MemoryContext context;
	MemoryContextCallback callback;
};

struct HubspotTransfer
{
	dlist_node	node;			/* in its exchange's transfers or done */
	dlist_node	session_node;	/* in the session's active */
	HubspotExchange *exchange;
	void	   *owner;
	HubspotEasy easy;
	bool		active;
	bool		waits;			/* active, but not yet in libcurl: it waits
								 * for a descriptor */
	bool		alone;			/* it is tried while no connection is kept */
	bool		connected;
	int64		started;
	int64		ended;
	int64		connect_deadline;
	int64		deadline;
	int			connect_timeout;	/* ms */
	int			request_timeout;	/* ms */
	int64		away;			/* time that does not count, in microseconds */
	HubspotHttpReply reply;
};

/* The session; multi is NULL until the first request. */
static struct
{
	CURLM	   *multi;
	dlist_head	active;			/* transfers of all exchanges */
	int64		left;			/* when the last wait ended, 0: never */
	int64		timer;			/* when libcurl wants to be called */
	int64		poked;			/* when it was called, as something connects */
	bool		callback_failed;	/* a callback ran out of memory */
	int			nwaiting;		/* active transfers that wait for a descriptor */
	bool		freed;			/* a transfer has ended since a waiting one
								 * was started */
	bool		cut;			/* the guard has ended the last call */
	uint64		news;			/* transfers that have ended, and latches set */
}			session;

static void begin(HubspotTransfer *transfer);
static void start_session(void);
static CURLM *make_multi(void);
static void end_exchange(void *arg);
static void detach(HubspotTransfer *transfer);
static void remove_handle(CURL *handle);
static void finish(HubspotTransfer *transfer, HubspotHttpFailure failure,
				   const char *text);
static void leave_session(HubspotTransfer *transfer);
static void count_time_away(void);
static void limit_connecting(HubspotTransfer *transfer);
static int64 next_deadline(HubspotTransfer *transfer);
static void fail_overdue(int64 now);
static void take_finished(void);
static void wait_for_descriptor(HubspotTransfer *transfer);
static void start_waiting(void);
static void close_kept(void);
static void wait_and_drive(int64 until);
static void drive(curl_socket_t socket, int flags);
static void poke(void);
static void check_driven(CURLMcode code);
static int	socket_callback(CURL *easy, curl_socket_t socket, int what,
							void *userp, void *socketp);
static int	timer_callback(CURLM *multi, long timeout_ms, void *userp);

/* Begin an exchange, which ends with the memory context. */
HubspotExchange *
hubspot_exchange_create(MemoryContext context)
{
	HubspotExchange *exchange;

	start_session();
	exchange = MemoryContextAllocZero(context, sizeof(HubspotExchange));
	dlist_init(&exchange->transfers);
	dlist_init(&exchange->done);
	exchange->context = context;
	exchange->callback.func = end_exchange;
	exchange->callback.arg = exchange;
	MemoryContextRegisterResetCallback(context, &exchange->callback);
	return exchange;
}

/*
 * Send a request.  The transfer comes back, with owner, from
 * hubspot_exchange_next() when there is a reply or a failure, even a failure to
 * begin.
 */
HubspotTransfer *
hubspot_transfer_start(HubspotExchange *exchange,
					   const HubspotHttpRequest *request, void *owner)
{
	HubspotTransfer *transfer;

	count_time_away();
	transfer = MemoryContextAllocZero(exchange->context, sizeof(HubspotTransfer));
	transfer->exchange = exchange;
	transfer->owner = owner;
	transfer->started = hubspot_now();
	transfer->connect_timeout = request->connect_timeout;
	transfer->request_timeout = request->request_timeout;

	/* from now on, the exchange's callback owns what libcurl allocates */
	dlist_push_tail(&exchange->transfers, &transfer->node);
	dlist_push_tail(&session.active, &transfer->session_node);
	transfer->active = true;
	hubspot_easy_open(&transfer->easy, request, exchange->context, transfer);

	if (transfer->easy.refused)
		finish(transfer, HUBSPOT_HTTP_FAILED, transfer->easy.refused);
	else if (transfer->easy.untrusted)
		finish(transfer, HUBSPOT_HTTP_UNTRUSTED, transfer->easy.untrusted);
	else
		begin(transfer);
	return transfer;
}

/* The request is ready: give it to libcurl.  Its time begins now. */
static void
begin(HubspotTransfer *transfer)
{
	CURLMcode	code;

	transfer->started = hubspot_now();
	transfer->connect_deadline = transfer->started +
		(int64) transfer->connect_timeout * 1000;
	transfer->deadline = transfer->started +
		(int64) transfer->request_timeout * 1000;
	transfer->away = 0;
	limit_connecting(transfer);
	hubspot_drop_unasked();
	hubspot_guard_enter(-1);
	code = curl_multi_add_handle(session.multi, transfer->easy.handle);
	(void) hubspot_guard_leave();
	if (code != CURLM_OK)
		finish(transfer, HUBSPOT_HTTP_FAILED, curl_multi_strerror(code));
	else
		drive(CURL_SOCKET_TIMEOUT, 0);	/* on its way before the caller waits */
}

/*
 * Wait until the exchange has a reply to give, another exchange has got one,
 * the latch is set, or the time is until.  Whatever needs no waiting is done
 * in any case.  True: hubspot_exchange_next() has a reply.  Serves interrupts.
 */
bool
hubspot_exchange_wait(HubspotExchange *exchange, int64 until)
{
	bool		driven = false;
	uint64		news = session.news;

	count_time_away();
	for (;;)
	{
		int64		now;

		CHECK_FOR_INTERRUPTS();
		take_finished();
		now = hubspot_now();
		fail_overdue(now);
		session.left = now;
		start_waiting();
		if (!dlist_is_empty(&exchange->done))
			return true;
		if (driven && (now >= until || session.news != news))
			return false;
		wait_and_drive(session.news == news ? until : 0);
		driven = true;
	}
}

/* The next transfer that has ended, with the owner it was started with. */
HubspotTransfer *
hubspot_exchange_next(HubspotExchange *exchange, void **owner)
{
	HubspotTransfer *transfer;

	if (dlist_is_empty(&exchange->done))
		return NULL;
	transfer = dlist_head_element(HubspotTransfer, node, &exchange->done);
	dlist_delete(&transfer->node);
	dlist_push_tail(&exchange->transfers, &transfer->node);
	*owner = transfer->owner;
	return transfer;
}

/* The reply of a transfer that has ended; it lives as long as the transfer. */
const HubspotHttpReply *
hubspot_transfer_reply(const HubspotTransfer *transfer)
{
	Assert(!transfer->active);
	return &transfer->reply;
}

/* Microseconds from the start of a transfer to its end, as we have seen them. */
int64
hubspot_transfer_duration(const HubspotTransfer *transfer)
{
	Assert(!transfer->active);
	return transfer->ended - transfer->started;
}

/* Write over the secrets of a server, wherever they stand in a reply from it. */
void
hubspot_transfer_hide_secrets(HubspotTransfer *transfer, Oid server)
{
	hubspot_easy_hide_secrets(&transfer->easy, server);
}

/* Forget a transfer; one that is still in flight is broken off. */
void
hubspot_transfer_free(HubspotTransfer *transfer)
{
	detach(transfer);
	dlist_delete(&transfer->node);
	pfree(transfer);
}

static void
start_session(void)
{
	if (session.multi)
		return;
	hubspot_guard_start();
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not initialize libcurl")));
	session.multi = make_multi();
	for (int i = 0; i < CURL_OWN_DESCRIPTORS; i++)
		ReserveExternalFD();
	dlist_init(&session.active);
	session.timer = HUBSPOT_NEVER;
}

static CURLM *
make_multi(void)
{
	CURLM	   *multi = curl_multi_init();

	if (multi == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not initialize libcurl")));
	if (curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_callback) != CURLM_OK ||
		curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_callback) != CURLM_OK ||
		curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, MAX_KEPT_CONNECTIONS) != CURLM_OK ||
		curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long) CURLPIPE_MULTIPLEX) != CURLM_OK)
	{
		curl_multi_cleanup(multi);
		elog(ERROR, "could not set options of libcurl");
	}
	return multi;
}

/* Reset callback: end all transfers of the exchange, in flight or not. */
static void
end_exchange(void *arg)
{
	HubspotExchange *exchange = arg;
	dlist_iter	iter;

	dlist_foreach(iter, &exchange->transfers)
		detach(dlist_container(HubspotTransfer, node, iter.cur));
	dlist_foreach(iter, &exchange->done)
		detach(dlist_container(HubspotTransfer, node, iter.cur));
}

/* Take a transfer away from libcurl and free what isn't palloc'd. */
static void
detach(HubspotTransfer *transfer)
{
	bool		done = !transfer->active;

	if (transfer->active)
		leave_session(transfer);
	if (transfer->easy.handle)
		remove_handle(transfer->easy.handle);
	hubspot_easy_close(&transfer->easy,
					   done && transfer->reply.failure == HUBSPOT_HTTP_OK);
}

/* Take a handle out of the session's multi handle, if it is in there. */
static void
remove_handle(CURL *handle)
{
	/* libcurl may read what has come on its connection on this occasion */
	hubspot_guard_enter(-1);
	/* this can fail only for a handle that is in no multi handle */
	(void) curl_multi_remove_handle(session.multi, handle);
	(void) hubspot_guard_leave();
}

/*
 * The transfer has ended: make its reply and hand it to its exchange.  text,
 * which says why it failed, must live as long as the transfer.
 */
static void
finish(HubspotTransfer *transfer, HubspotHttpFailure failure, const char *text)
{
	HubspotHttpReply *reply = &transfer->reply;

	/* the session keeps the connection */
	remove_handle(transfer->easy.handle);

	session.news++;
	transfer->ended = hubspot_now();
	hubspot_easy_take_reply(&transfer->easy, reply);
	reply->failure = failure;
	reply->failure_text = (failure == HUBSPOT_HTTP_OK) ? NULL : text;
	leave_session(transfer);
	dlist_delete(&transfer->node);
	dlist_push_tail(&transfer->exchange->done, &transfer->node);
}

/* The transfer is no longer active; another one may have its descriptor. */
static void
leave_session(HubspotTransfer *transfer)
{
	if (transfer->waits)
		session.nwaiting--;
	else
		session.freed = true;
	transfer->waits = transfer->active = false;
	dlist_delete(&transfer->session_node);
}

/* No reply could be read since the last wait: move the deadlines by that time. */
static void
count_time_away(void)
{
	int64		now = hubspot_now();
	dlist_iter	iter;

	dlist_foreach(iter, &session.active)
	{
		HubspotTransfer *transfer = dlist_container(HubspotTransfer,
													session_node, iter.cur);
		int64		away = now - Max(session.left, transfer->started);

		transfer->connect_deadline += away;
		transfer->deadline += away;
		transfer->away += away;
		limit_connecting(transfer);
	}
	session.left = now;
}

/* Tell libcurl the limit to connect; our own one, which is not rounded, passes first. */
static void
limit_connecting(HubspotTransfer *transfer)
{
	hubspot_easy_limit_connecting(&transfer->easy, transfer->connect_timeout +
								  transfer->away / 1000 + 1);
}

/* The deadline that counts for a transfer now; none as long as it waits. */
static int64
next_deadline(HubspotTransfer *transfer)
{
	if (transfer->waits)
		return HUBSPOT_NEVER;
	if (!transfer->connected)
		transfer->connected = hubspot_easy_is_connected(&transfer->easy);
	return transfer->connected ? transfer->deadline :
		Min(transfer->connect_deadline, transfer->deadline);
}

static void
fail_overdue(int64 now)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &session.active)
	{
		HubspotTransfer *transfer = dlist_container(HubspotTransfer,
													session_node, iter.cur);
		int64		deadline = next_deadline(transfer);

		if (deadline <= now)
			finish(transfer,
				   transfer->connected ? HUBSPOT_HTTP_BROKEN : HUBSPOT_HTTP_UNREACHABLE,
				   deadline < transfer->deadline ? CONNECT_TIMEOUT_PASSED :
				   "request_timeout has passed");
	}
}

/* Give the transfers that have ended, as libcurl says, to their exchanges. */
static void
take_finished(void)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(session.multi, &left)) != NULL)
	{
		HubspotTransfer *transfer;
		CURLcode	code = message->data.result;
		HubspotHttpFailure failure;
		const char *text;

		if (message->msg != CURLMSG_DONE)
			continue;
		transfer = hubspot_easy_owner(message->easy_handle);
		if (hubspot_easy_lacks_socket(&transfer->easy, code) && !transfer->alone)
		{
			wait_for_descriptor(transfer);
			continue;
		}
		failure = hubspot_easy_failure(&transfer->easy, code,
									   transfer->exchange->context, &text);
		if (code == CURLE_OPERATION_TIMEDOUT &&
			transfer->connect_deadline <= hubspot_now())
			text = CONNECT_TIMEOUT_PASSED;
		if (code != CURLE_OK && session.cut)
			text = "the other side does not stop sending";
		finish(transfer, failure, text);
	}
	session.cut = false;
}

/* Let a transfer wait, behind those that wait already. */
static void
wait_for_descriptor(HubspotTransfer *transfer)
{
	remove_handle(transfer->easy.handle);
	transfer->waits = true;
	session.nwaiting++;
	dlist_delete(&transfer->session_node);
	dlist_push_tail(&session.active, &transfer->session_node);
}

/*
 * Start one of the transfers that wait for a descriptor, if one may be free:
 * each transfer that has ended has left one.
 */
static void
start_waiting(void)
{
	HubspotTransfer *transfer = NULL;
	int			nactive = 0;
	dlist_iter	iter;

	if (session.nwaiting == 0)
		return;
	dlist_foreach(iter, &session.active)
	{
		HubspotTransfer *each = dlist_container(HubspotTransfer,
												session_node, iter.cur);

		nactive++;
		if (each->waits && transfer == NULL)
			transfer = each;
	}
	Assert(transfer != NULL);	/* waiting transfers are active */
	if (session.nwaiting == nactive)
	{
		close_kept();
		transfer->alone = true;
	}
	else if (!session.freed)
		return;
	session.freed = false;
	session.nwaiting--;
	transfer->waits = false;
	transfer->easy.no_socket = false;
	begin(transfer);
}

/*
 * Close all connections, none of which is in use.  libcurl cannot be asked to
 * do so, but its multi handle can be made anew.
 */
static void
close_kept(void)
{
	CURLM	   *multi = make_multi();

	hubspot_guard_enter(-1);
	(void) curl_multi_cleanup(session.multi);
	(void) hubspot_guard_leave();
	session.multi = multi;
	session.timer = HUBSPOT_NEVER;
}

/*
 * Wait for the sockets that libcurl watches, its timer, the deadlines or the
 * latch, but not beyond until, and let libcurl do its work.
 */
static void
wait_and_drive(int64 until)
{
	WaitEvent	events[MAX_EVENTS];
	int			nevents;
	int64		now = hubspot_now();
	int64		wake = Min(until, session.timer);
	long		timeout = -1;
	bool		connecting = false;
	bool		latch_set;
	dlist_iter	iter;

	dlist_foreach(iter, &session.active)
	{
		HubspotTransfer *transfer = dlist_container(HubspotTransfer,
													session_node, iter.cur);

		wake = Min(wake, next_deadline(transfer));
		connecting |= !transfer->waits &&
			hubspot_easy_is_connecting(&transfer->easy);
	}
	if (connecting)
		wake = Min(wake, session.poked + POKE_INTERVAL);
	if (wake != HUBSPOT_NEVER)
		timeout = (wake <= now) ? 0 :
			(long) Min((wake - now + 999) / 1000, INT_MAX);

	nevents = hubspot_wait_sockets(timeout, events, MAX_EVENTS, &latch_set);
	session.news += latch_set;
	for (int i = 0; i < nevents; i++)
	{
		int			flags = 0;

		if (events[i].events & WL_SOCKET_READABLE)
			flags |= CURL_CSELECT_IN;
		if (events[i].events & WL_SOCKET_WRITEABLE)
			flags |= CURL_CSELECT_OUT;

		/* what libcurl did for one socket may have ended another */
		if (hubspot_is_watched(events[i].fd))
			drive(events[i].fd, flags);
	}
	if (session.timer <= hubspot_now())
	{
		session.timer = HUBSPOT_NEVER;
		drive(CURL_SOCKET_TIMEOUT, 0);
	}
	if (connecting && session.poked + POKE_INTERVAL <= hubspot_now())
		poke();
}

static void
drive(curl_socket_t socket, int flags)
{
	CURLMcode	code;
	int			running;

	hubspot_guard_enter(socket == CURL_SOCKET_TIMEOUT ? -1 : (int) socket);
	code = curl_multi_socket_action(session.multi, socket, flags, &running);
	session.cut |= hubspot_guard_leave();
	check_driven(code);
}

/* Let libcurl look at all transfers, even if it has no reason to. */
static void
poke(void)
{
	CURLMcode	code;
	int			running;

	session.poked = hubspot_now();
	hubspot_guard_enter(-1);
	SOCKET_ALL(code, session.multi, &running);
	session.cut |= hubspot_guard_leave();
	check_driven(code);
}

static void
check_driven(CURLMcode code)
{
	if (session.callback_failed)
	{
		session.callback_failed = false;
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("There is no room for another socket to watch.")));
	}
	/* a socket that was closed since the wait is no longer of interest */
	if (code != CURLM_OK && code != CURLM_BAD_SOCKET)
		elog(ERROR, "could not drive libcurl: %s", curl_multi_strerror(code));
}

static int
socket_callback(CURL *easy, curl_socket_t socket, int what, void *userp,
				void *socketp)
{
	uint32		events = 0;

	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= WL_SOCKET_READABLE;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= WL_SOCKET_WRITEABLE;
	if (!hubspot_watch_socket(socket, events, hubspot_easy_is_multiplexed(easy)))
	{
		session.callback_failed = true;
		return -1;
	}
	return 0;
}

static int
timer_callback(CURLM *multi, long timeout_ms, void *userp)
{
	if (timeout_ms < 0)
		session.timer = HUBSPOT_NEVER;
	else
		session.timer = hubspot_now() + (int64) timeout_ms * 1000;
	return 0;
}
