/*-------------------------------------------------------------------------
 *
 * easy.h
 *	  A request as libcurl has it: an easy handle, and what that points to.
 *
 * IDENTIFICATION
 *	  src/http/easy.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_HTTP_EASY_H
#define HUBSPOT_HTTP_EASY_H

#include <curl/curl.h>

#include "http/http.h"
#include "http/received.h"

/* All zeroes at the start; see easy.c for who frees what. */
typedef struct HubspotEasy
{
	CURL	   *handle;			/* or NULL */
	struct curl_slist *headers; /* of the request */
	HubspotReceived received;
	const char *refused;		/* why libcurl cannot send it, or NULL */
	bool		tls;			/* the host is asked by TLS */
	bool		proxied;		/* the host is asked through a proxy */
	const char *ca_file;		/* or NULL: the system's authorities */
	const char *untrusted;		/* why there are no authorities, or NULL */
	bool		no_socket;		/* there was no descriptor for a socket */
	curl_off_t	sent;			/* time_of_sending() when the latest socket
								 * was opened; 0: it had not been sent */
	int			nsent;			/* how often it was sent, from libcurl 7.80 on */
	char		error[CURL_ERROR_SIZE]; /* libcurl's words */
} HubspotEasy;

extern void hubspot_easy_open(HubspotEasy *easy,
							  const HubspotHttpRequest *request,
							  MemoryContext context, void *owner);
extern void hubspot_easy_close(HubspotEasy *easy, bool keep);
extern void *hubspot_easy_owner(CURL *handle);
extern bool hubspot_easy_is_connected(const HubspotEasy *easy);
extern bool hubspot_easy_is_multiplexed(CURL *handle);
extern bool hubspot_easy_is_connecting(const HubspotEasy *easy);
extern bool hubspot_easy_lacks_socket(const HubspotEasy *easy, CURLcode code);
extern void hubspot_easy_limit_connecting(HubspotEasy *easy, int64 limit);
extern HubspotHttpFailure hubspot_easy_failure(const HubspotEasy *easy,
											   CURLcode code,
											   MemoryContext context,
											   const char **text);
extern void hubspot_easy_take_reply(const HubspotEasy *easy,
									HubspotHttpReply *reply);
extern void hubspot_easy_hide_secrets(HubspotEasy *easy, Oid server);

#endif							/* HUBSPOT_HTTP_EASY_H */
