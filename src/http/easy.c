/*-------------------------------------------------------------------------
 *
 * easy.c
 *	  A request as libcurl has it: an easy handle, and what that points to.
 *
 * Every request has an easy handle, which is told all that HTTP and TLS need:
 * whom to ask and how, whom to trust, and where the reply goes.  The session
 * keeps some used handles for later requests.
 *
 * The handle, the list of headers and the buffers of the reply are libcurl's or
 * malloc'ed; hubspot_easy_close() frees them or gives them back.  Before the
 * caller opens a HubspotEasy, it has to make sure that this function is called
 * whatever happens: hubspot_easy_open() may throw when it has done half of its
 * work.
 *
 * A mistake of a user or an administrator (a URL, a proxy, a file) is not a
 * reason to throw: the HubspotEasy says why the request cannot be sent, and its
 * caller makes that the request's failure.
 *
 * IDENTIFICATION
 *	  src/http/easy.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/secret.h"
#include "http/ca_file.h"
#include "http/easy.h"
#include "http/guard.h"
#include "http/sockets.h"

/* How many handles are kept: making one costs more than most requests. */
#define MAX_IDLE_HANDLES		16

/*
 * After how many seconds a host's addresses are asked for again.  Connections
 * are kept, so that is rare; requests that begin together share an answer.
 */
#define DNS_CACHE_TIMEOUT		2L

/* How long libcurl's own copy of the system's authorities lives, in seconds. */
#define CA_CACHE_TIMEOUT		60L

/* Read and write this much at once: a batch has some 250 kB each way. */
#define CURL_BUFFER_SIZE		(128L * 1024)

/*
 * A proxy, and no other server, asks for a login by the first of these; some
 * proxies refuse a wrong login by the second.
 */
#define STATUS_PROXY_LOGIN		407
#define STATUS_LOGIN			401

/* May stand before a text in UTF-8, and is not part of it. */
#define BYTE_ORDER_MARK			"\xEF\xBB\xBF"

/* The header that carries a token. */
#define AUTHORIZATION			"Authorization: Bearer "

/* What the session keeps. */
static struct
{
	CURL	   *idle[MAX_IDLE_HANDLES]; /* handles of no request */
	int			nidle;
	const char *ca_file;		/* libcurl's default for the file of
								 * authorities, or NULL */
	const char *ca_path;		/* its default for their directory, or NULL */
}			session;

static CURL *take_handle(HubspotEasy *easy);
static void set_shared_options(CURL *handle);
static curl_off_t time_of_sending(const HubspotEasy *easy);
static curl_socket_t open_socket_callback(void *userp, curlsocktype purpose,
										  struct curl_sockaddr *address);
#if LIBCURL_VERSION_NUM >= 0x075000
static int	request_callback(void *userp, char *peer, char *own, int peer_port, int own_port);
#endif
static int	close_socket_callback(void *userp, curl_socket_t socket);
static size_t write_callback(char *data, size_t size, size_t nmemb,
							 void *userp);
static size_t header_callback(char *data, size_t size, size_t nmemb,
							  void *userp);
static size_t callback_result(bool taken, size_t len);
static struct curl_slist *make_headers(const HubspotHttpRequest *request);
static void set_request(HubspotEasy *easy, const HubspotHttpRequest *request);
static void set_text(HubspotEasy *easy, CURLoption option, const char *value);
static void set_authorities(HubspotEasy *easy, const char *ca_file,
							MemoryContext context);
static void setopt_result(CURLcode code, const char *option);
static long refusal_of_proxy(const HubspotEasy *easy);
static HubspotHttpFailure failure_of(const HubspotEasy *easy, CURLcode code);
static bool was_sent(const HubspotEasy *easy);
static HubspotHttpFailure failure_by_code(const HubspotEasy *easy,
										  CURLcode code);

#define SETOPT(handle, option, value) \
	setopt_result(curl_easy_setopt(handle, option, value), #option)

/*
 * Prepare everything for sending a request.  If refused or untrusted is set
 * afterwards, it cannot be sent; their texts live in context or for ever.
 * hubspot_easy_owner() returns owner.
 */
void
hubspot_easy_open(HubspotEasy *easy, const HubspotHttpRequest *request,
				  MemoryContext context, void *owner)
{
	CURL	   *handle = take_handle(easy);

	easy->received.max_body = Min(request->max_reply, HUBSPOT_MAX_REPLY);
	easy->headers = make_headers(request);
	SETOPT(handle, CURLOPT_PRIVATE, owner);
	SETOPT(handle, CURLOPT_ERRORBUFFER, easy->error);
	SETOPT(handle, CURLOPT_WRITEDATA, easy);
	SETOPT(handle, CURLOPT_HEADERDATA, easy);
	SETOPT(handle, CURLOPT_OPENSOCKETDATA, easy);
#if LIBCURL_VERSION_NUM >= 0x075000
	SETOPT(handle, CURLOPT_PREREQDATA, easy);
#endif
	set_request(easy, request);
	set_authorities(easy, request->ca_file, context);
}

/* Give the request a handle: an idle one, or a new one. */
static CURL *
take_handle(HubspotEasy *easy)
{
	if (session.nidle > 0)
		return easy->handle = session.idle[--session.nidle];
	easy->handle = curl_easy_init();
	if (easy->handle == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("libcurl could not allocate a request.")));
	session.ca_file = curl_version_info(CURLVERSION_NOW)->cainfo;
	session.ca_path = curl_version_info(CURLVERSION_NOW)->capath;
	set_shared_options(easy->handle);
	return easy->handle;
}

/* Set the options that all requests share. */
static void
set_shared_options(CURL *handle)
{
	SETOPT(handle, CURLOPT_WRITEFUNCTION, write_callback);
	SETOPT(handle, CURLOPT_HEADERFUNCTION, header_callback);
	SETOPT(handle, CURLOPT_OPENSOCKETFUNCTION, open_socket_callback);
	SETOPT(handle, CURLOPT_CLOSESOCKETFUNCTION, close_socket_callback);

#if LIBCURL_VERSION_NUM >= 0x075000
	SETOPT(handle, CURLOPT_PREREQFUNCTION, request_callback);
#endif

	/* signals are PostgreSQL's, and lookups end when we leave */
	SETOPT(handle, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
	SETOPT(handle, CURLOPT_QUICK_EXIT, 1L);
#endif
	SETOPT(handle, CURLOPT_DNS_CACHE_TIMEOUT, DNS_CACHE_TIMEOUT);
	SETOPT(handle, CURLOPT_TCP_KEEPALIVE, 1L);
	SETOPT(handle, CURLOPT_BUFFERSIZE, CURL_BUFFER_SIZE);
	SETOPT(handle, CURLOPT_UPLOAD_BUFFERSIZE, CURL_BUFFER_SIZE);

	/* nothing but HTTP, to nobody but the host that was named */
#if LIBCURL_VERSION_NUM >= 0x075500
	SETOPT(handle, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	SETOPT(handle, CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif

	/*
	 * ask for compressed answers; received.c refuses other codings, and what
	 * libcurl cannot read
	 */
	if (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_LIBZ)
		SETOPT(handle, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
	SETOPT(handle, CURLOPT_FOLLOWLOCATION, 0L);
	SETOPT(handle, CURLOPT_NOPROXY, "");	/* nor may the environment name
											 * one */
	SETOPT(handle, CURLOPT_PROXYAUTH, (long) CURLAUTH_BASIC);
	SETOPT(handle, CURLOPT_SSL_VERIFYPEER, 1L);
	SETOPT(handle, CURLOPT_SSL_VERIFYHOST, 2L);
	SETOPT(handle, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
#if LIBCURL_VERSION_NUM >= 0x075700
	SETOPT(handle, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_TIMEOUT);
#endif
}

static curl_socket_t
open_socket_callback(void *userp, curlsocktype purpose,
					 struct curl_sockaddr *address)
{
	HubspotEasy *easy = userp;
	curl_socket_t result;

	easy->sent = time_of_sending(easy);
	result = hubspot_open_socket(address->family, address->socktype,
								 address->protocol);
	/* other errors mean that this machine has no addresses of that kind */
	if (result < 0 && (errno == EMFILE || errno == ENFILE ||
					   errno == ENOBUFS || errno == ENOMEM))
		easy->no_socket = true;
	return result;
}

#if LIBCURL_VERSION_NUM >= 0x075000
/* The request is about to be sent, for the first time or once more. */
static int
request_callback(void *userp, char *peer, char *own, int peer_port, int own_port)
{
	((HubspotEasy *) userp)->nsent++;
	return CURL_PREREQFUNC_OK;
}
#endif

static int
close_socket_callback(void *userp, curl_socket_t socket)
{
	return hubspot_close_socket(socket);
}

/* A declared length spares the buffer from growing. */
static size_t
write_callback(char *data, size_t size, size_t nmemb, void *userp)
{
	HubspotEasy *easy = userp;
	curl_off_t	declared;

	if (easy->received.body.data == NULL &&
		curl_easy_getinfo(easy->handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
						  &declared) == CURLE_OK)
		hubspot_expect_body(&easy->received, declared);
	hubspot_guard_progress(size * nmemb);
	return callback_result(hubspot_receive_body(&easy->received, data, size * nmemb),
						   size * nmemb);
}

static size_t
header_callback(char *data, size_t size, size_t nmemb, void *userp)
{
	HubspotEasy *easy = userp;

	return callback_result(hubspot_receive_header(&easy->received, data, size * nmemb),
						   size * nmemb);
}

/* Any number but that of the bytes makes libcurl end the request. */
static size_t
callback_result(bool taken, size_t len)
{
	if (taken)
		return len;
	return len == 0 ? 1 : 0;
}

/* The headers of a request, which libcurl allocates and frees. */
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
	/* don't ask for permission to send a body: that costs a round trip */
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

/* Set what differs from one request to the next, except whom to trust. */
static void
set_request(HubspotEasy *easy, const HubspotHttpRequest *request)
{
	CURL	   *handle = easy->handle;
	bool		tls = (strncmp(request->url, "https:", strlen("https:")) == 0);
	bool		proxied = (request->proxy != NULL);

	set_text(easy, CURLOPT_URL, request->url);
	set_text(easy, CURLOPT_USERAGENT, request->user_agent);
	SETOPT(handle, CURLOPT_HTTPHEADER, easy->headers);
	/* an empty proxy keeps the environment's from being used */
	set_text(easy, CURLOPT_PROXY, proxied ? request->proxy : "");
	set_text(easy, CURLOPT_PROXYUSERNAME, proxied ? request->proxy_username : NULL);
	set_text(easy, CURLOPT_PROXYPASSWORD, proxied ? request->proxy_password : NULL);
	easy->tls = tls;
	easy->proxied = proxied;

	/* with TLS, rather share one connection than make many at once */
	SETOPT(handle, CURLOPT_HTTP_VERSION, (long) (tls ? CURL_HTTP_VERSION_2TLS :
												 CURL_HTTP_VERSION_1_1));
	SETOPT(handle, CURLOPT_PIPEWAIT, tls ? 1L : 0L);

	/*
	 * libcurl sends a request again by itself if a connection that was used
	 * before ends without an answer.
	 */
	SETOPT(handle, CURLOPT_FRESH_CONNECT, request->repeatable ? 0L : 1L);

	if (request->body)
	{
		SETOPT(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_len);
		SETOPT(handle, CURLOPT_POSTFIELDS, request->body);
	}
	else
		SETOPT(handle, CURLOPT_HTTPGET, 1L);
	SETOPT(handle, CURLOPT_CUSTOMREQUEST, request->method);
}

/*
 * Set an option to a text that comes from a user.  If libcurl refuses it, the
 * request fails, and the caller goes on.
 */
static void
set_text(HubspotEasy *easy, CURLoption option, const char *value)
{
	CURLcode	code = curl_easy_setopt(easy->handle, option, value);

	if (code == CURLE_OUT_OF_MEMORY)
		setopt_result(code, "a text");
	if (code != CURLE_OK)
		easy->refused = curl_easy_strerror(code);
}

/*
 * Set whom to trust.  A file that the server names takes the place of the
 * system's authorities; if it cannot be read, the request fails.
 */
static void
set_authorities(HubspotEasy *easy, const char *ca_file,
				MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotSlice content = {NULL, 0};
	bool		by_content = false;

	if (ca_file)
	{
		easy->ca_file = pstrdup(ca_file);
		easy->untrusted = hubspot_read_ca_file(ca_file, &content);
	}
	MemoryContextSwitchTo(old);
#if LIBCURL_VERSION_NUM >= 0x074d00
	{
		struct curl_blob blob = {
			unconstify(char *, content.data), content.len, CURL_BLOB_COPY
		};

		/* not all libraries for TLS can do that */
		by_content = curl_easy_setopt(easy->handle, CURLOPT_CAINFO_BLOB,
									  ca_file ? &blob : NULL) == CURLE_OK && ca_file;
	}
#endif
	SETOPT(easy->handle, CURLOPT_CAINFO, by_content ? NULL :
		   ca_file ? ca_file : session.ca_file);
	SETOPT(easy->handle, CURLOPT_CAPATH, ca_file ? NULL : session.ca_path);
}

/* ERROR if an option could not be set. */
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

/*
 * The request is done, and its handle is in no multi handle: free what is not
 * palloc'd.  keep: the handle has done its work.  libcurl may be unable to
 * reuse one that was taken away before it had a connection.
 */
void
hubspot_easy_close(HubspotEasy *easy, bool keep)
{
	if (easy->handle && keep && session.nidle < MAX_IDLE_HANDLES)
	{
		/* what these point to is about to be freed */
		(void) curl_easy_setopt(easy->handle, CURLOPT_ERRORBUFFER, NULL);
		(void) curl_easy_setopt(easy->handle, CURLOPT_HTTPHEADER, NULL);
		session.idle[session.nidle++] = easy->handle;
	}
	else if (easy->handle)
	{
		hubspot_guard_enter(-1);
		curl_easy_cleanup(easy->handle);
		(void) hubspot_guard_leave();
	}
	easy->handle = NULL;
	curl_slist_free_all(easy->headers);
	easy->headers = NULL;
	hubspot_free_received(&easy->received);
}

/* The owner that a handle's request was opened with. */
void *
hubspot_easy_owner(CURL *handle)
{
	void	   *owner = NULL;

	(void) curl_easy_getinfo(handle, CURLINFO_PRIVATE, &owner);
	return owner;
}

/* Could the request have been sent by now?  The time for TLS counts as well. */
bool
hubspot_easy_is_connected(const HubspotEasy *easy)
{
	return time_of_sending(easy) > 0;
}

/*
 * Is libcurl connecting, for the first time or because a kept connection has
 * turned out to be closed?
 */
bool
hubspot_easy_is_connecting(const HubspotEasy *easy)
{
	return time_of_sending(easy) <= easy->sent;
}

/* Do answers on the handle's connection name their requests?  Asked by a callback. */
bool
hubspot_easy_is_multiplexed(CURL *handle)
{
	long		version = CURL_HTTP_VERSION_NONE;

	(void) curl_easy_getinfo(handle, CURLINFO_HTTP_VERSION, &version);
	return version >= CURL_HTTP_VERSION_2_0;
}

/* Grows each time libcurl sends the request; 0: it has not been sent. */
static curl_off_t
time_of_sending(const HubspotEasy *easy)
{
	curl_off_t	when = 0;

	(void) curl_easy_getinfo(easy->handle, CURLINFO_PRETRANSFER_TIME_T, &when);
	return when;
}

/* Did a request that has ended with this code get no socket? */
bool
hubspot_easy_lacks_socket(const HubspotEasy *easy, CURLcode code)
{
	return code == CURLE_COULDNT_CONNECT && easy->no_socket;
}

/*
 * Set how many milliseconds libcurl may take to connect, from when it began to.
 * It gives each address of the host half of what is left, and the last one all
 * of it.
 */
void
hubspot_easy_limit_connecting(HubspotEasy *easy, int64 limit)
{
	(void) curl_easy_setopt(easy->handle, CURLOPT_CONNECTTIMEOUT_MS, (long) limit);
}

/*
 * What libcurl's code for the end of a request means, and in *text, which lives as
 * long as the HubspotEasy or in context, why.
 */
HubspotHttpFailure
hubspot_easy_failure(const HubspotEasy *easy, CURLcode code,
					 MemoryContext context, const char **text)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	long		refusal = refusal_of_proxy(easy);

	*text = easy->error[0] ? easy->error : curl_easy_strerror(code);
	if (code == CURLE_OK && !easy->received.head_ended)
		*text = "the connection ended in the headers";
	if (code == CURLE_SSL_CACERT_BADFILE && easy->ca_file)
		*text = psprintf("ca_file \"%s\": %s", easy->ca_file, *text);
	if (easy->received.bad_codings)
		*text = "it is compressed several times, or in a way that was not asked for";
	else if (hubspot_easy_lacks_socket(easy, code))
		*text = "no file descriptor is left for a connection (see max_files_per_process)";
	else if (refusal != 0)
		*text = psprintf("the proxy's answer has HTTP status %ld%s", refusal,
						 refusal == STATUS_PROXY_LOGIN || refusal == STATUS_LOGIN ?
						 ": it wants a login other than the user mapping's" : "");
	MemoryContextSwitchTo(old);
	return failure_of(easy, code);
}

/* The status by which a proxy refused to connect, or 0: it did not. */
static long
refusal_of_proxy(const HubspotEasy *easy)
{
	long		status = 0;

	if (!easy->proxied)
		return 0;
	(void) curl_easy_getinfo(easy->handle, CURLINFO_HTTP_CONNECTCODE, &status);
	if (status >= 300)
		return status;

	/* without TLS, and so without a tunnel, it answers in the host's place */
	if (easy->tls)
		return 0;
	(void) curl_easy_getinfo(easy->handle, CURLINFO_RESPONSE_CODE, &status);
	return status == STATUS_PROXY_LOGIN ? status : 0;
}

/*
 * The failure that libcurl's code means.  If nothing was sent, nothing was done, whatever
 * the code is.
 */
static HubspotHttpFailure
failure_of(const HubspotEasy *easy, CURLcode code)
{
	HubspotHttpFailure failure = failure_by_code(easy, code);

	if (easy->received.bad_codings)
		return HUBSPOT_HTTP_UNREADABLE;
	if (refusal_of_proxy(easy) != 0)
		return HUBSPOT_HTTP_UNREACHABLE;
	if (hubspot_easy_lacks_socket(easy, code))
		return HUBSPOT_HTTP_FAILED;
	switch (failure)
	{
		case HUBSPOT_HTTP_BROKEN:
		case HUBSPOT_HTTP_TOO_LARGE:
		case HUBSPOT_HTTP_UNREADABLE:
			return was_sent(easy) ? failure : HUBSPOT_HTTP_UNREACHABLE;
		default:
			return failure;
	}
}

/*
 * Can anything of the request have been sent to the host?  Without TLS, only
 * libcurl's codes tell.  With TLS, nothing was sent before the end of the
 * handshake on a connection that was made for the request; on a kept one,
 * something may have been since the request began.
 */
static bool
was_sent(const HubspotEasy *easy)
{
	curl_off_t	handshake = 0;
	long		connects = 0;

	if (!easy->tls)
		return true;
	(void) curl_easy_getinfo(easy->handle, CURLINFO_APPCONNECT_TIME_T, &handshake);
	(void) curl_easy_getinfo(easy->handle, CURLINFO_NUM_CONNECTS, &connects);
	return handshake > 0 || (connects == 0 && time_of_sending(easy) > 0);
}

static HubspotHttpFailure
failure_by_code(const HubspotEasy *easy, CURLcode code)
{
	const HubspotReceived *received = &easy->received;

	if (received->body.too_large || received->headers.too_large)
		return HUBSPOT_HTTP_TOO_LARGE;
	switch (code)
	{
		case CURLE_OK:

			/*
			 * libcurl is content with a status line and no more of the
			 * headers, which would be an answer without a body.
			 */
			return received->head_ended ? HUBSPOT_HTTP_OK : HUBSPOT_HTTP_BROKEN;
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_RESOLVE_PROXY:
		case CURLE_COULDNT_CONNECT:
			/* the only time limit that libcurl has is the one to connect */
		case CURLE_OPERATION_TIMEDOUT:
			/* a SOCKS proxy that cannot connect to the host */
		case CURLE_PROXY:
			return HUBSPOT_HTTP_UNREACHABLE;
		case CURLE_SSL_CONNECT_ERROR:

			/*
			 * A handshake that broke off may succeed the next time; one that
			 * the other side does not understand, or refuses, will not.  Only
			 * the text of OpenSSL's error tells.
			 */
			if (strstr(easy->error, "error:") == NULL ||
				strstr(easy->error, "eof") != NULL)
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
			return received->headers.len > 0 ? HUBSPOT_HTTP_TOO_LARGE :
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
 * Fill in a reply from what has come, all but whether it failed.  Its texts
 * live until the HubspotEasy is closed.  libcurl must be done with the handle,
 * or it could still move them.
 */
void
hubspot_easy_take_reply(const HubspotEasy *easy, HubspotHttpReply *reply)
{
	long		status = 0;
	curl_off_t	retry_after = 0;

	(void) curl_easy_getinfo(easy->handle, CURLINFO_RESPONSE_CODE, &status);
	(void) curl_easy_getinfo(easy->handle, CURLINFO_RETRY_AFTER, &retry_after);
	reply->status = (int) status;
	reply->retry_after = retry_after;
	reply->resent = easy->nsent > 1 || easy->sent > 0;
	reply->body = easy->received.body.data;
	reply->body_len = easy->received.body.len;
	reply->max_body = easy->received.max_body;
	if (reply->body_len >= strlen(BYTE_ORDER_MARK) &&
		memcmp(reply->body, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
	{
		reply->body += strlen(BYTE_ORDER_MARK);
		reply->body_len -= strlen(BYTE_ORDER_MARK);
	}
	reply->headers = easy->received.headers.data;
	reply->headers_len = easy->received.headers.len;
}

/* Write over the secrets of a server, wherever they stand in what has come. */
void
hubspot_easy_hide_secrets(HubspotEasy *easy, Oid server)
{
	HubspotReceived *received = &easy->received;

	hubspot_hide_secrets(server, received->headers.data, received->headers.len);
	hubspot_hide_secrets(server, received->body.data, received->body.len);
	hubspot_hide_secrets(server, easy->error, strlen(easy->error));
}
