/*-------------------------------------------------------------------------
 *
 * received.c
 *	  What has come of a reply: its headers and its body, up to a bound.
 *
 * libcurl's callbacks call these functions, so they neither throw nor palloc:
 * the buffers are malloc'ed, and the owner of a HubspotReceived frees them.
 * False from a function means that there is no room for what came; the transfer
 * is then to be ended.
 *
 * IDENTIFICATION
 *	  src/http/received.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "http/http.h"
#include "http/received.h"

/* Buffers begin at this size and double. */
#define FIRST_BUFFER_SIZE	4096

static bool check_codings(HubspotReceived *received, const char *line,
						  size_t len);
static void count_coding(HubspotReceived *received, const char *name, size_t len);
static bool is_one_of(const char *name, size_t len, const char *a, const char *b,
					  const char *c);
static bool append(HubspotBytes *bytes, size_t max, const char *data,
				   size_t len);

/*
 * A line of the headers, or the empty line after them.  A new status line, after
 * a 100 or a proxy's answer, begins the headers anew.
 */
bool
hubspot_receive_header(HubspotReceived *received, const char *line, size_t len)
{
	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)
	{
		received->headers.len = 0;
		received->head_ended = false;
		received->ncodings = 0;
	}
	else if (len > 0 && (line[0] == '\r' || line[0] == '\n'))
		received->head_ended = true;
	if (!check_codings(received, line, len))
		return false;
	return append(&received->headers, HUBSPOT_MAX_HEADERS, line, len);
}

/*
 * A body may be compressed once, in the way that was asked for.  To decompress
 * a few kB that were compressed several times may take hours, in one call of
 * libcurl that nothing ends, without a byte of output to which a bound could
 * apply.  The decoders of other codings may take any amount of memory.
 */
static bool
check_codings(HubspotReceived *received, const char *line, size_t len)
{
	static const char *const names[] = {"Content-Encoding:", "Transfer-Encoding:"};
	const char *end = line + len;
	bool		goes_on = (len > 0 && (line[0] == ' ' || line[0] == '\t'));

	if (!goes_on)
		received->in_codings = false;
	for (size_t i = 0; i < lengthof(names) && !goes_on; i++)
	{
		size_t		name_len = strlen(names[i]);

		if (len >= name_len && pg_strncasecmp(line, names[i], name_len) == 0)
		{
			received->in_codings = true;
			line += name_len;
			break;
		}
	}
	while (received->in_codings && line < end)
	{
		size_t		name_len = 0;

		while (line < end && (isspace((unsigned char) *line) || *line == ','))
			line++;
		while (line + name_len < end && line[name_len] != ',' &&
			   !isspace((unsigned char) line[name_len]))
			name_len++;
		count_coding(received, line, name_len);
		line += name_len;
	}
	return !received->bad_codings;
}

static void
count_coding(HubspotReceived *received, const char *name, size_t len)
{
	if (len == 0 || is_one_of(name, len, "identity", "chunked", NULL))
		return;
	received->ncodings++;
	if (received->ncodings > 1 || !is_one_of(name, len, "gzip", "x-gzip", "deflate"))
		received->bad_codings = true;
}

static bool
is_one_of(const char *name, size_t len, const char *a, const char *b,
		  const char *c)
{
	const char *const names[] = {a, b, c};

	for (size_t i = 0; i < lengthof(names); i++)
	{
		if (names[i] && strlen(names[i]) == len &&
			pg_strncasecmp(name, names[i], len) == 0)
			return true;
	}
	return false;
}

/* Take a piece of the body. */
bool
hubspot_receive_body(HubspotReceived *received, const char *data, size_t len)
{
	return append(&received->body, received->max_body, data, len);
}

/*
 * The headers declare a body of this length; a buffer that has room for all of
 * it from the first piece need not grow.
 */
void
hubspot_expect_body(HubspotReceived *received, int64 len)
{
	HubspotBytes *body = &received->body;

	if (body->data != NULL || len <= 0 || len > (int64) received->max_body)
		return;
	body->data = malloc(len);
	body->size = body->data ? len : 0;
}

/* Free the buffers.  What is known about the reply stays. */
void
hubspot_free_received(HubspotReceived *received)
{
	free(received->headers.data);
	free(received->body.data);
	received->headers.data = received->body.data = NULL;
}

static bool
append(HubspotBytes *bytes, size_t max, const char *data, size_t len)
{
	if (len > max - bytes->len)
	{
		bytes->too_large = true;
		return false;
	}
	if (bytes->len + len > bytes->size)
	{
		size_t		size = Max(bytes->size, FIRST_BUFFER_SIZE);
		char	   *larger;

		while (size < bytes->len + len)
			size *= 2;
		larger = realloc(bytes->data, size);
		if (larger == NULL)
			return false;
		bytes->data = larger;
		bytes->size = size;
	}
	memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
	return true;
}
