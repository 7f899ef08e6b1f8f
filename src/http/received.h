/*-------------------------------------------------------------------------
 *
 * received.h
 *	  What has come of a reply: its headers and its body, up to a bound.
 *
 * IDENTIFICATION
 *	  src/http/received.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_HTTP_RECEIVED_H
#define HUBSPOT_HTTP_RECEIVED_H

/* Bytes in a buffer that grows; all zeroes at the start. */
typedef struct HubspotBytes
{
	char	   *data;			/* malloc'ed, or NULL */
	size_t		len;
	size_t		size;
	bool		too_large;		/* more came than is allowed, and was dropped */
} HubspotBytes;

/* All zeroes at the start, but for max_body. */
typedef struct HubspotReceived
{
	HubspotBytes headers;		/* of the last status line that came */
	HubspotBytes body;
	size_t		max_body;		/* bytes of the body, at most */
	bool		head_ended;		/* the empty line after the headers came */
	bool		in_codings;		/* the last line was about codings */
	int			ncodings;		/* of the body, and how it is sent */
	bool		bad_codings;	/* more than one, or one that wasn't asked for */
} HubspotReceived;

extern bool hubspot_receive_header(HubspotReceived *received, const char *line,
								   size_t len);
extern bool hubspot_receive_body(HubspotReceived *received, const char *data,
								 size_t len);
extern void hubspot_expect_body(HubspotReceived *received, int64 len);
extern void hubspot_free_received(HubspotReceived *received);

#endif							/* HUBSPOT_HTTP_RECEIVED_H */
