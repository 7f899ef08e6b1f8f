/*-------------------------------------------------------------------------
 *
 * request.h
 *	  From structs to JSON, and to the one form, for HubSpot to read.
 *
 * IDENTIFICATION
 *	  src/api/request.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_REQUEST_H
#define HUBSPOT_API_REQUEST_H

#include "lib/stringinfo.h"

#include "api/endpoint.h"
#include "hubspot.h"

/* The body of a request, while inputs are added to it. */
typedef struct HubspotBody
{
	const HubspotEndpoint *endpoint;
	StringInfoData text;
	const HubspotTypeList *types;	/* the types of the last input */
	StringInfoData types_json;	/* these types as JSON */
	HubspotSlice group;			/* from_id of the group that is open, if any */
} HubspotBody;

extern char *hubspot_request_path(const HubspotEndpoint *endpoint,
								  const char *version, const char *from_type,
								  const char *to_type, const HubspotInput *first,
								  HubspotSlice after);
extern void hubspot_body_begin(HubspotBody *body,
							   const HubspotEndpoint *endpoint, int ninputs);
extern void hubspot_body_add(HubspotBody *body, const HubspotInput *input,
							 HubspotSlice after);
extern char *hubspot_body_end(HubspotBody *body, size_t *len);
extern void hubspot_encode_refresh(StringInfo body, const char *client_id,
								   const char *client_secret,
								   const char *refresh_token);

/* Definitions of labels and limits; palloc'd. */
extern char *hubspot_encode_label_create(const char *label, const char *name,
										 const char *inverse_label);
extern char *hubspot_encode_label_update(int32 type_id, const char *label,
										 const char *inverse_label);
extern char *hubspot_encode_limit(const char *category, int32 type_id,
								  int32 max_to_ids);

#endif							/* HUBSPOT_API_REQUEST_H */
