/*-------------------------------------------------------------------------
 *
 * bare.h
 *		What the two bare programs of the benchmark share: clocks, a fatal
 *		error, and an easy handle set up as the extension's are.
 *
 * IDENTIFICATION
 *		test/bench/bare.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BARE_H
#define BARE_H

/* clocks and getopt() also with -std=c99 */
#define _POSIX_C_SOURCE 200809L

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

static inline void fail(const char *format,...)
			__attribute__((format(printf, 1, 2), noreturn));

static inline void
fail(const char *format,...)
{
	va_list		args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* Seconds of a clock: CLOCK_MONOTONIC, or the CPU time of a process. */
static inline double
seconds(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now) != 0)
		fail("could not read a clock");
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Write callback that throws the answer away. */
static inline size_t
discard(char *bytes, size_t size, size_t count, void *arg)
{
	(void) bytes;
	(void) arg;
	return size * count;
}

/*
 * The headers of every request, those that the extension sends, in its order;
 * live until the program ends.
 */
static inline struct curl_slist *
make_headers(const char *token, bool has_body)
{
	struct curl_slist *headers = NULL;
	char		authorization[1024];

	snprintf(authorization, sizeof(authorization), "Authorization: Bearer %s",
			 token);
	headers = curl_slist_append(headers, authorization);
	headers = curl_slist_append(headers, "Accept: application/json");
	/* or libcurl waits for a 100 before a large body */
	headers = curl_slist_append(headers, "Expect:");
	headers = curl_slist_append(headers, has_body ?
								"Content-Type: application/json" :
								"Content-Length: 0");
	if (headers == NULL)
		fail("out of memory");
	return headers;
}

static inline CURL *
make_easy(struct curl_slist *headers)
{
	CURL	   *easy = curl_easy_init();

	if (easy == NULL)
		fail("out of memory");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "hubspot_assoc/1.0");
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	return easy;
}

/* Was the request answered with a 2xx?  Says on stderr what else it was. */
static inline bool
succeeded(CURL *easy, CURLcode code)
{
	long		status = 0;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_OK && status >= 200 && status <= 299)
		return true;
	fprintf(stderr, "request failed: %s, HTTP status %ld\n",
			curl_easy_strerror(code), status);
	return false;
}

#endif							/* BARE_H */
