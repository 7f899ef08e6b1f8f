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
 * - A transfer is one request of an exchange: an easy handle (the session
 *	 keeps some for later transfers), its headers, and malloc'ed buffers for
 *	 the reply.
 *
 * Callers nest: the query of a batch may itself call one of our functions. So
 * each wait drives all transfers of the session, and gives a reply to the
 * exchange that the transfer belongs to.
 *
 * libcurl tells us, by callbacks, which sockets it wants watched and when it
 * wants to be called again.  Those sockets and the latch are waited for
 * together (sockets.c), so a cancel acts at once in every phase, name lookup
 * and TLS handshake included.
 *
 * The callbacks don't throw, palloc or check interrupts:
 * libcurl's state would not survive a longjmp.  While libcurl works on
 * transfers, signals are blocked, because the threads that it makes for name
 * lookups inherit the mask, and PostgreSQL's handlers must not run in them.
 * What a peer sends could keep libcurl at work for ever; guard.c ends that.
 *
 * A caller may be away for long between two waits, while its query computes.
 * libcurl would take that time for the peer's, and fail requests whose replies
 * lie in the socket; so the time limits are kept here, and time away
 * doesn't count.
 *
 * IDENTIFICATION
 *	  src/http/transport.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>

#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/secret.h"
#include "http/ca_file.h"
#include "http/guard.h"
#include "http/sockets.h"
#include "http/transport.h"

/* Idle connections that are kept: as many as a statement can have in flight. */
#define MAX_KEPT_CONNECTIONS	64L

/* libcurl's own descriptors: a wakeup pair, and one for a name lookup. */
#define CURL_OWN_DESCRIPTORS	3

/* Events that a wait takes at once; more come with the next one. */
#define MAX_EVENTS				16

/* Easy handles that are kept: making one costs more than most requests. */
#define MAX_IDLE_HANDLES		16

/*
 * libcurl's own limit of time to connect, well beyond ours, which it must
 * not overtake.  Ours is an hour at most.
 */
#define CURL_CONNECT_LIMIT		(24L * 60 * 60 * 1000)

/* libcurl's own copy of the system's authorities lives that long, in seconds. */
#define CA_CACHE_TIMEOUT		60L

/* Read and write this much at once: a batch has some 250 kB each way. */
#define CURL_BUFFER_SIZE		(128L * 1024)

/* The header that carries a token. */
#define AUTHORIZATION			"Authorization: Bearer "

/* Buffers begin at this size and double. */
#define FIRST_BUFFER_SIZE		4096

typedef struct Received
{
	char	   *data;			/* malloc'ed, or NULL */
	size_t		len;
	size_t		size;
	size_t		max;
	bool		too_large;		/* more than max came, and was dropped */
} Received;

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
	CURL	   *easy;
	struct curl_slist *headers;
	Received	body;
	Received	header;
	bool		head_ended;		/* the empty line after the headers came */
	bool		active;
	bool		connected;
	int64		started;
	int64		ended;
	int64		connect_deadline;
	int64		deadline;
	HubspotHttpReply reply;
	const char *refused;		/* why it cannot be sent, or NULL */
	const char *ca_file;		/* or NULL: the system's authorities */
	const char *untrusted;		/* why there are no authorities, or NULL */
	char		error[CURL_ERROR_SIZE];
};

/* The session; multi is NULL until the first request. */
static struct
{
	CURLM	   *multi;
	CURL	   *idle[MAX_IDLE_HANDLES]; /* easy handles in no transfer */
	int			nidle;
	const char *ca_file;		/* libcurl's own default, or NULL */
	const char *ca_path;		/* likewise */
	dlist_head	active;			/* transfers of all exchanges */
	int64		left;			/* when the last wait ended, 0: never */
	int64		timer;			/* when libcurl wants to be called */
	bool		callback_failed;	/* a callback ran out of memory */
	bool		cut;			/* the last call had to be ended */
}			session;

static void start_session(void);
static void end_exchange(void *arg);
static CURL *take_easy(HubspotTransfer *transfer);
static void remove_easy(CURL *easy);
static void give_easy(CURL *easy, bool keep);
static void set_request(HubspotTransfer *transfer,
						const HubspotHttpRequest *request);
static void set_authorities(HubspotTransfer *transfer, const char *ca_file);
static void set_text(HubspotTransfer *transfer, CURLoption option,
					 const char *value);
static struct curl_slist *make_headers(const HubspotHttpRequest *request);
static void setopt_result(CURLcode code, const char *option);
static void detach(HubspotTransfer *transfer);
static void finish(HubspotTransfer *transfer, HubspotHttpFailure failure,
				   const char *text);
static void count_time_away(int64 now);
static int64 next_deadline(HubspotTransfer *transfer);
static void fail_overdue(int64 now);
static void take_finished(void);
static HubspotHttpFailure failure_of(const HubspotTransfer *transfer,
									 CURLcode code);
static void wait_and_drive(int64 until);
static void drive(curl_socket_t socket, int flags);
static int	socket_callback(CURL *easy, curl_socket_t socket, int what,
							void *userp, void *socketp);
static int	timer_callback(CURLM *multi, long timeout_ms, void *userp);
static curl_socket_t open_socket_callback(void *userp, curlsocktype purpose,
										  struct curl_sockaddr *address);
static int	close_socket_callback(void *userp, curl_socket_t socket);
static size_t write_callback(char *data, size_t size, size_t nmemb,
							 void *userp);
static size_t header_callback(char *data, size_t size, size_t nmemb,
							  void *userp);
static size_t append(Received *buffer, const char *data, size_t len);

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
 * hubspot_exchange_next() when there is a reply or a failure, even one to
 * begin.
 */
HubspotTransfer *
hubspot_transfer_start(HubspotExchange *exchange,
					   const HubspotHttpRequest *request, void *owner)
{
	HubspotTransfer *transfer;
	CURLMcode	code;

	transfer = MemoryContextAllocZero(exchange->context, sizeof(HubspotTransfer));
	transfer->exchange = exchange;
	transfer->owner = owner;
	transfer->body.max = HUBSPOT_MAX_REPLY;
	transfer->header.max = HUBSPOT_MAX_HEADERS;
	transfer->started = hubspot_now();
	transfer->connect_deadline = transfer->started +
		(int64) request->connect_timeout * 1000;
	transfer->deadline = transfer->started +
		(int64) request->request_timeout * 1000;

	/* from here on, the exchange's callback owns what libcurl allocates */
	dlist_push_tail(&exchange->transfers, &transfer->node);
	dlist_push_tail(&session.active, &transfer->session_node);
	transfer->active = true;
	set_request(transfer, request);

	if (transfer->refused || transfer->untrusted)
	{
		finish(transfer, transfer->refused ? HUBSPOT_HTTP_FAILED : HUBSPOT_HTTP_UNTRUSTED,
			   transfer->refused ? transfer->refused : transfer->untrusted);
		return transfer;
	}
	hubspot_guard_enter(-1);
	code = curl_multi_add_handle(session.multi, transfer->easy);
	(void) hubspot_guard_leave();
	if (code != CURLM_OK)
		finish(transfer, HUBSPOT_HTTP_FAILED, curl_multi_strerror(code));
	else
		drive(CURL_SOCKET_TIMEOUT, 0);	/* on its way, before anybody waits */
	return transfer;
}

/*
 * Wait until the exchange has a reply to give, or the time is until; what can
 * move without waiting does in any case.  True: hubspot_exchange_next() has a
 * reply.  Interrupts are served.
 */
bool
hubspot_exchange_wait(HubspotExchange *exchange, int64 until)
{
	bool		driven = false;

	count_time_away(hubspot_now());
	for (;;)
	{
		int64		now;

		CHECK_FOR_INTERRUPTS();
		take_finished();
		now = hubspot_now();
		fail_overdue(now);
		session.left = now;
		if (!dlist_is_empty(&exchange->done))
			return true;
		if (driven && now >= until)
			return false;
		wait_and_drive(until);
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

/* Microseconds from the start of a transfer to its end, seen from here. */
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
	hubspot_hide_secrets(server, transfer->header.data, transfer->header.len);
	hubspot_hide_secrets(server, transfer->body.data, transfer->body.len);
	hubspot_hide_secrets(server, transfer->error, strlen(transfer->error));
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
	CURLM	   *multi;

	if (session.multi)
		return;
	hubspot_guard_start();
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
		(multi = curl_multi_init()) == NULL)
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
	for (int i = 0; i < CURL_OWN_DESCRIPTORS; i++)
		ReserveExternalFD();
	dlist_init(&session.active);
	session.timer = HUBSPOT_NEVER;
	session.ca_file = curl_version_info(CURLVERSION_NOW)->cainfo;
	session.ca_path = curl_version_info(CURLVERSION_NOW)->capath;
	session.multi = multi;
}

/* Reset callback: end all that the exchange has, in flight or not. */
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

#define SETOPT(easy, option, value) \
	setopt_result(curl_easy_setopt(easy, option, value), #option)

/*
 * An easy handle for the transfer, which owns it from now on, with the options
 * that all requests share: one that is idle, or a new one.
 */
static CURL *
take_easy(HubspotTransfer *transfer)
{
	CURL	   *easy;

	if (session.nidle > 0)
		return transfer->easy = session.idle[--session.nidle];
	transfer->easy = easy = curl_easy_init();
	if (easy == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("libcurl could not allocate a request.")));

	SETOPT(easy, CURLOPT_WRITEFUNCTION, write_callback);
	SETOPT(easy, CURLOPT_HEADERFUNCTION, header_callback);
	SETOPT(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket_callback);
	SETOPT(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket_callback);

	/* signals are PostgreSQL's, and lookups end when we leave */
	SETOPT(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
	SETOPT(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
	SETOPT(easy, CURLOPT_CONNECTTIMEOUT_MS, CURL_CONNECT_LIMIT);
	SETOPT(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	SETOPT(easy, CURLOPT_BUFFERSIZE, CURL_BUFFER_SIZE);
	SETOPT(easy, CURLOPT_UPLOAD_BUFFERSIZE, CURL_BUFFER_SIZE);

	/* nothing but HTTP, to nobody but the host that was named */
#if LIBCURL_VERSION_NUM >= 0x075500
	SETOPT(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	SETOPT(easy, CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	SETOPT(easy, CURLOPT_FOLLOWLOCATION, 0L);
	SETOPT(easy, CURLOPT_NOPROXY, "");	/* nor by the environment's word */
	SETOPT(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	SETOPT(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	SETOPT(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
#if LIBCURL_VERSION_NUM >= 0x075700
	SETOPT(easy, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_TIMEOUT);
#endif
	return easy;
}

/* Set all that differs from one request to the next. */
static void
set_request(HubspotTransfer *transfer, const HubspotHttpRequest *request)
{
	CURL	   *easy = take_easy(transfer);
	bool		tls = (strncmp(request->url, "https:", strlen("https:")) == 0);

	transfer->headers = make_headers(request);
	SETOPT(easy, CURLOPT_PRIVATE, transfer);
	SETOPT(easy, CURLOPT_ERRORBUFFER, transfer->error);
	SETOPT(easy, CURLOPT_WRITEDATA, transfer);
	SETOPT(easy, CURLOPT_HEADERDATA, transfer);

	set_text(transfer, CURLOPT_URL, request->url);
	set_text(transfer, CURLOPT_USERAGENT, request->user_agent);
	SETOPT(easy, CURLOPT_HTTPHEADER, transfer->headers);
	/* an empty proxy keeps the environment's from being used */
	set_text(transfer, CURLOPT_PROXY, request->proxy ? request->proxy : "");
	set_authorities(transfer, request->ca_file);

	/* by TLS, rather share one connection than make many at once */
	SETOPT(easy, CURLOPT_HTTP_VERSION, (long) (tls ? CURL_HTTP_VERSION_2TLS :
											   CURL_HTTP_VERSION_1_1));
	SETOPT(easy, CURLOPT_PIPEWAIT, tls ? 1L : 0L);

	/*
	 * libcurl sends a request again by itself if a connection that was used
	 * before ends without an answer.
	 */
	SETOPT(easy, CURLOPT_FRESH_CONNECT, request->repeatable ? 0L : 1L);

	if (request->body)
	{
		SETOPT(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_len);
		SETOPT(easy, CURLOPT_POSTFIELDS, request->body);
	}
	else
		SETOPT(easy, CURLOPT_HTTPGET, 1L);
	SETOPT(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

/*
 * Whom to trust.  A file of one's own stands in place of the system's
 * authorities, and if it can't be read, the request fails.
 */
static void
set_authorities(HubspotTransfer *transfer, const char *ca_file)
{
	MemoryContext old = MemoryContextSwitchTo(transfer->exchange->context);
	HubspotSlice content = {NULL, 0};
	bool		by_content = false;

	if (ca_file)
	{
		transfer->ca_file = pstrdup(ca_file);
		transfer->untrusted = hubspot_read_ca_file(ca_file, &content);
	}
	MemoryContextSwitchTo(old);
#if LIBCURL_VERSION_NUM >= 0x074d00
	{
		struct curl_blob blob = {
			unconstify(char *, content.data), content.len, CURL_BLOB_COPY
		};

		/* not all libraries for TLS can do that */
		by_content = curl_easy_setopt(transfer->easy, CURLOPT_CAINFO_BLOB,
									  ca_file ? &blob : NULL) == CURLE_OK && ca_file;
	}
#endif
	SETOPT(transfer->easy, CURLOPT_CAINFO, by_content ? NULL :
		   ca_file ? ca_file : session.ca_file);
	SETOPT(transfer->easy, CURLOPT_CAPATH, ca_file ? NULL : session.ca_path);
}

/* A text of somebody's.  If libcurl refuses it, the request fails, not we. */
static void
set_text(HubspotTransfer *transfer, CURLoption option, const char *value)
{
	CURLcode	code = curl_easy_setopt(transfer->easy, option, value);

	if (code == CURLE_OUT_OF_MEMORY)
		setopt_result(code, "a text");
	if (code != CURLE_OK)
		transfer->refused = curl_easy_strerror(code);
}

static struct curl_slist *
make_headers(const HubspotHttpRequest *request)
{
	struct curl_slist *headers = NULL;
	char	   *authorization = NULL;
	char	   *content_type = NULL;
	char	   *lines[4];
	int			nlines = 0;

	if (request->bearer)
		lines[nlines++] = authorization = psprintf(AUTHORIZATION "%s",
												   request->bearer);
	lines[nlines++] = "Accept: application/json";
	/* don't ask for leave to send a body: that costs a round trip */
	lines[nlines++] = "Expect:";
	if (request->body)
		lines[nlines++] = content_type = psprintf("Content-Type: %s",
												  request->content_type);
	else if (strcmp(request->method, "GET") != 0)
		lines[nlines++] = "Content-Length: 0";
	for (int i = 0; i < nlines; i++)
	{
		struct curl_slist *longer = curl_slist_append(headers, lines[i]);

		if (longer == NULL)
		{
			curl_slist_free_all(headers);
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory"),
					 errdetail("libcurl could not allocate a header.")));
		}
		headers = longer;
	}
	if (authorization)
	{
		explicit_bzero(authorization, strlen(authorization));
		pfree(authorization);
	}
	if (content_type)
		pfree(content_type);
	return headers;
}

static void
setopt_result(CURLcode code, const char *option)
{
	if (code == CURLE_OUT_OF_MEMORY)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("libcurl could not set an option of a request.")));
	if (code != CURLE_OK)
		elog(ERROR, "could not set %s: %s", option, curl_easy_strerror(code));
}

/* Take a transfer away from libcurl and free what isn't palloc'd. */
static void
detach(HubspotTransfer *transfer)
{
	bool		done = !transfer->active;

	if (transfer->active)
	{
		transfer->active = false;
		dlist_delete(&transfer->session_node);
	}
	if (transfer->easy)
	{
		remove_easy(transfer->easy);
		give_easy(transfer->easy,
				  done && transfer->reply.failure == HUBSPOT_HTTP_OK);
		transfer->easy = NULL;
	}
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
	free(transfer->body.data);
	free(transfer->header.data);
	transfer->body.data = transfer->header.data = NULL;
}

/* Take an easy handle out of the session's multi handle, if it is in there. */
static void
remove_easy(CURL *easy)
{
	/* what has come on its connection may be read on this occasion */
	hubspot_guard_enter(-1);
	/* nothing but a handle that is in no multi can fail here */
	(void) curl_multi_remove_handle(session.multi, easy);
	(void) hubspot_guard_leave();
}

/*
 * Give up an easy handle, which is in no multi handle.  One that has done its
 * work may be kept for a later request; libcurl may be unable to set up anew
 * one that was taken away before it had a connection.
 */
static void
give_easy(CURL *easy, bool keep)
{
	if (!keep || session.nidle == MAX_IDLE_HANDLES)
	{
		hubspot_guard_enter(-1);
		curl_easy_cleanup(easy);
		(void) hubspot_guard_leave();
		return;
	}
	/* what these point to is about to go */
	(void) curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
	(void) curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
	session.idle[session.nidle++] = easy;
}

/*
 * The transfer has ended: make its reply and hand it to its exchange.  text,
 * which says why it failed, must live as long as the transfer.
 */
static void
finish(HubspotTransfer *transfer, HubspotHttpFailure failure, const char *text)
{
	HubspotHttpReply *reply = &transfer->reply;
	long		status = 0;
	curl_off_t	retry_after = 0;

	/* the connection goes back to the session's */
	(void) curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	(void) curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after);
	remove_easy(transfer->easy);

	transfer->ended = hubspot_now();
	reply->failure = failure;
	reply->failure_text = (failure == HUBSPOT_HTTP_OK) ? NULL : text;
	reply->status = (int) status;
	reply->retry_after = retry_after;
	reply->body = transfer->body.data;
	reply->body_len = transfer->body.len;
	reply->headers = transfer->header.data;
	reply->headers_len = transfer->header.len;

	transfer->active = false;
	dlist_delete(&transfer->session_node);
	dlist_delete(&transfer->node);
	dlist_push_tail(&transfer->exchange->done, &transfer->node);
}

/* Nobody could have read replies since the last wait: move the deadlines. */
static void
count_time_away(int64 now)
{
	dlist_iter	iter;

	dlist_foreach(iter, &session.active)
	{
		HubspotTransfer *transfer = dlist_container(HubspotTransfer,
													session_node, iter.cur);
		int64		away = now - Max(session.left, transfer->started);

		transfer->connect_deadline += away;
		transfer->deadline += away;
	}
}

/* The deadline that counts for a transfer now. */
static int64
next_deadline(HubspotTransfer *transfer)
{
	if (!transfer->connected)
	{
		curl_off_t	when = 0;

		/* the time from which bytes could be sent, so TLS included */
		(void) curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T,
								 &when);
		transfer->connected = (when > 0);
	}
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
				   deadline < transfer->deadline ? "connect_timeout has passed" :
				   "request_timeout has passed");
	}
}

/* Move the transfers that libcurl says have ended to their exchanges. */
static void
take_finished(void)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(session.multi, &left)) != NULL)
	{
		HubspotTransfer *transfer = NULL;
		CURLcode	code = message->data.result;
		const char *text;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE,
								 &transfer);
		text = transfer->error[0] ? transfer->error : curl_easy_strerror(code);
		if (code == CURLE_OK && !transfer->head_ended)
			text = "the connection ended in the headers";
		if (code == CURLE_SSL_CACERT_BADFILE && transfer->ca_file)
		{
			MemoryContext old = MemoryContextSwitchTo(transfer->exchange->context);

			text = psprintf("ca_file \"%s\": %s", transfer->ca_file, text);
			MemoryContextSwitchTo(old);
		}
		if (code != CURLE_OK && session.cut)
			text = "the other side sends without end";
		finish(transfer, failure_of(transfer, code), text);
	}
	session.cut = false;
}

static HubspotHttpFailure
failure_of(const HubspotTransfer *transfer, CURLcode code)
{
	if (transfer->body.too_large || transfer->header.too_large)
		return HUBSPOT_HTTP_TOO_LARGE;
	switch (code)
	{
		case CURLE_OK:

			/*
			 * Without more of the headers than a status line libcurl is
			 * content, too.  It would be an answer without a body.
			 */
			return transfer->head_ended ? HUBSPOT_HTTP_OK : HUBSPOT_HTTP_BROKEN;
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_RESOLVE_PROXY:
		case CURLE_COULDNT_CONNECT:
			return HUBSPOT_HTTP_UNREACHABLE;
		case CURLE_SSL_CONNECT_ERROR:

			/*
			 * A handshake that broke off may succeed the next time, one that
			 * the other side doesn't know, or refuses, will not.  Only the
			 * text of OpenSSL's error tells.
			 */
			if (strstr(transfer->error, "error:") == NULL ||
				strstr(transfer->error, "eof") != NULL)
				return HUBSPOT_HTTP_UNREACHABLE;
			return HUBSPOT_HTTP_UNTRUSTED;
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_ISSUER_ERROR:
		case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
		case CURLE_SSL_INVALIDCERTSTATUS:
			return HUBSPOT_HTTP_UNTRUSTED;
		case CURLE_WEIRD_SERVER_REPLY:
		case CURLE_BAD_CONTENT_ENCODING:
		case CURLE_UNSUPPORTED_PROTOCOL:
			return HUBSPOT_HTTP_UNREADABLE;
		case CURLE_OUT_OF_MEMORY:
			/* also said of a header line that is too long */
			return transfer->header.len > 0 ? HUBSPOT_HTTP_TOO_LARGE :
				HUBSPOT_HTTP_FAILED;
#if LIBCURL_VERSION_NUM >= 0x080600
		case CURLE_TOO_LARGE:
			return HUBSPOT_HTTP_TOO_LARGE;
#endif
		case CURLE_FAILED_INIT:
		case CURLE_WRITE_ERROR:
			return HUBSPOT_HTTP_FAILED;
		default:
			return HUBSPOT_HTTP_BROKEN;
	}
}

/*
 * Wait for the sockets that libcurl watches, its timer, the deadlines or the
 * latch, but not beyond until, and let libcurl do what there is to do.
 */
static void
wait_and_drive(int64 until)
{
	WaitEvent	events[MAX_EVENTS];
	int			nevents;
	int64		now = hubspot_now();
	int64		wake = Min(until, session.timer);
	long		timeout = -1;
	dlist_iter	iter;

	dlist_foreach(iter, &session.active)
		wake = Min(wake, next_deadline(dlist_container(HubspotTransfer,
													   session_node, iter.cur)));
	if (wake != HUBSPOT_NEVER)
		timeout = (wake <= now) ? 0 :
			(long) Min((wake - now + 999) / 1000, INT_MAX);

	nevents = hubspot_wait_sockets(timeout, events, MAX_EVENTS);
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
}

static void
drive(curl_socket_t socket, int flags)
{
	CURLMcode	code;
	int			running;

	hubspot_guard_enter(socket == CURL_SOCKET_TIMEOUT ? -1 : (int) socket);
	code = curl_multi_socket_action(session.multi, socket, flags, &running);
	session.cut |= hubspot_guard_leave();
	if (session.callback_failed)
	{
		session.callback_failed = false;
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("No room for another socket to watch.")));
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
	if (!hubspot_watch_socket(socket, events))
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

static curl_socket_t
open_socket_callback(void *userp, curlsocktype purpose,
					 struct curl_sockaddr *address)
{
	return hubspot_open_socket(address->family, address->socktype,
							   address->protocol);
}

static int
close_socket_callback(void *userp, curl_socket_t socket)
{
	return hubspot_close_socket(socket);
}

/* The length that was declared, if any, spares the buffer from growing. */
static size_t
write_callback(char *data, size_t size, size_t nmemb, void *userp)
{
	HubspotTransfer *transfer = userp;
	Received   *body = &transfer->body;
	curl_off_t	declared;

	if (body->data == NULL &&
		curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
						  &declared) == CURLE_OK &&
		declared > 0 && declared <= (curl_off_t) body->max)
	{
		body->data = malloc(declared);
		body->size = body->data ? declared : 0;
	}
	return append(body, data, size * nmemb);
}

/* A new status line, after a 100 or a proxy's answer, begins them anew. */
static size_t
header_callback(char *data, size_t size, size_t nmemb, void *userp)
{
	HubspotTransfer *transfer = userp;
	size_t		len = size * nmemb;

	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
	{
		transfer->header.len = 0;
		transfer->head_ended = false;
	}
	else if (len > 0 && (data[0] == '\r' || data[0] == '\n'))
		transfer->head_ended = true;
	return append(&transfer->header, data, len);
}

/* Returns len, or something else to make libcurl end the transfer. */
static size_t
append(Received *buffer, const char *data, size_t len)
{
	if (len > buffer->max - buffer->len)
	{
		buffer->too_large = true;
		return len == 0 ? 1 : 0;
	}
	if (buffer->len + len > buffer->size)
	{
		size_t		size = Max(buffer->size, FIRST_BUFFER_SIZE);
		char	   *larger;

		while (size < buffer->len + len)
			size *= 2;
		larger = realloc(buffer->data, size);
		if (larger == NULL)
			return len == 0 ? 1 : 0;
		buffer->data = larger;
		buffer->size = size;
	}
	memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
	return len;
}
