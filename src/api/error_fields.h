/*-------------------------------------------------------------------------
 *
 * error_fields.h
 *	  The members that errors of HubSpot have, and the headers of a reply.
 *
 * IDENTIFICATION
 *	  src/api/error_fields.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_ERROR_FIELDS_H
#define HUBSPOT_API_ERROR_FIELDS_H

#include "http/http.h"
#include "hubspot.h"

/*
 * The members of an error: a whole reply, or an item of one.  NULL: it has
 * none.
 */
typedef struct HubspotErrorFields
{
	const char *status;
	const char *category;
	const char *message;
	const char *correlation_id;
	const char *policy;			/* of a 429 */
	const char *hublet;			/* of a 488 */
	HubspotSlice sub_category;	/* any JSON */
	HubspotSlice context;		/* any JSON; its own, or that of the first
								 * error within */
} HubspotErrorFields;

static inline HubspotSlice
hubspot_reply_body(const HubspotHttpReply *reply)
{
	HubspotSlice body = {reply->body, (int) reply->body_len};

	return body;
}

extern bool hubspot_says_nothing(const char *text);
extern void hubspot_read_error_fields(HubspotSlice object,
									  HubspotErrorFields *fields);
extern char *hubspot_correlation_id(const HubspotHttpReply *reply);
extern bool hubspot_is_header(HubspotSlice name, const char *header);
extern void hubspot_each_header(const HubspotHttpReply *reply, void *state,
								void (*header) (void *state, HubspotSlice name,
												HubspotSlice value));

#endif							/* HUBSPOT_API_ERROR_FIELDS_H */
