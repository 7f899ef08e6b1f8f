/*-------------------------------------------------------------------------
 *
 * request.h
 *	  Structs to JSON, and to the one form, for HubSpot to read.
 *
 * IDENTIFICATION
 *	  src/request.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_REQUEST_H
#define HUBSPOT_REQUEST_H

#include "lib/stringinfo.h"

#include "hubspot_assoc.h"

/* The body of a batch, while inputs are added to it. */
typedef struct HubspotEncoder
{
	StringInfoData body;
	const HubspotTypeList *types;	/* those of the last input ... */
	StringInfoData types_json;	/* ... as JSON */
	HubspotSlice group;			/* from_id of the group that is open, if any */
} HubspotEncoder;

extern void hubspot_encode_types(StringInfo body, const HubspotTypeList *types);
extern void hubspot_encode_begin(HubspotEncoder *encoder, int ninputs);
extern void hubspot_encode_input(HubspotEncoder *encoder,
								 const HubspotInput *input);
extern void hubspot_encode_grouped(HubspotEncoder *encoder,
								   const HubspotInput *input);
extern void hubspot_encode_record(HubspotEncoder *encoder, HubspotSlice id,
								  HubspotSlice after);
extern void hubspot_encode_end(HubspotEncoder *encoder);
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

#endif							/* HUBSPOT_REQUEST_H */
