/*-------------------------------------------------------------------------
 *
 * http.h
 *	  An HTTP request and its reply as plain structs.
 *
 * IDENTIFICATION
 *	  src/http/http.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_HTTP_HTTP_H
#define HUBSPOT_HTTP_HTTP_H

/*
 * A reply that is larger than this, or than its request allows, is refused: a
 * batch of 2,000 results has less than 1 MB, and nothing from outside may take
 * memory without a bound.
 */
#define HUBSPOT_MAX_REPLY		(16 * 1024 * 1024)	/* decompressed */

/* Likewise for the headers of a reply. */
#define HUBSPOT_MAX_HEADERS		(64 * 1024)

/* Statuses that tell whether the request has been done. */
#define HUBSPOT_ACCEPTED		202 /* it will be done later */
#define HUBSPOT_NO_CONTENT		204 /* it has been done, and there is no body */

/*
 * A request.  The strings must live until hubspot_transfer_start has
 * returned, the body until the transfer ends.
 */
typedef struct HubspotHttpRequest
{
	const char *method;
	const char *url;
	const char *bearer;			/* token for the Authorization header, or NULL */
	const char *body;			/* or NULL: no body */
	size_t		body_len;
	const char *content_type;	/* of the body */
	bool		repeatable;		/* it may be sent again if a kept connection
								 * turns out to be closed */
	int			connect_timeout;	/* ms, name lookup and TLS included */
	int			request_timeout;	/* ms, from the start to the last byte */
	size_t		max_reply;		/* bytes of the reply's body, at most
								 * HUBSPOT_MAX_REPLY */
	const char *proxy;			/* or NULL: the two below are ignored */
	const char *proxy_username; /* or NULL */
	const char *proxy_password; /* or NULL */
	const char *ca_file;		/* or NULL: the system's */
	const char *user_agent;
} HubspotHttpRequest;

typedef enum HubspotHttpFailure
{
	HUBSPOT_HTTP_OK = 0,		/* there is a whole reply, of any status */
	HUBSPOT_HTTP_UNREACHABLE,	/* no connection, or none beyond the proxy:
								 * nothing was sent */
	HUBSPOT_HTTP_UNTRUSTED,		/* TLS refused the peer, or the peer us */
	HUBSPOT_HTTP_BROKEN,		/* the connection broke or timed out midway */
	HUBSPOT_HTTP_TOO_LARGE,		/* over max_reply or HUBSPOT_MAX_HEADERS */
	HUBSPOT_HTTP_UNREADABLE,	/* it isn't HTTP */
	HUBSPOT_HTTP_FAILED			/* our own side: memory, descriptors, options */
} HubspotHttpFailure;

typedef struct HubspotHttpReply
{
	HubspotHttpFailure failure;
	const char *failure_text;	/* libcurl's words, if failure */
	int			status;			/* 0 if there was no status line */
	const char *body;
	size_t		body_len;
	size_t		max_body;		/* the request's max_reply */
	const char *headers;		/* as received, lines end in CRLF */
	size_t		headers_len;
	int64		retry_after;	/* seconds, from Retry-After; 0: none */
	bool		resent;			/* it answers the last of several requests:
								 * libcurl has sent it again by itself */
} HubspotHttpReply;

#endif							/* HUBSPOT_HTTP_HTTP_H */
