/*-------------------------------------------------------------------------
 *
 * request.h
 *	  Structs to JSON, for HubSpot to read.
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
} HubspotEncoder;

extern void hubspot_encode_types(StringInfo body, const HubspotTypeList *types);
extern void hubspot_encode_begin(HubspotEncoder *encoder, int ninputs);
extern void hubspot_encode_input(HubspotEncoder *encoder,
								 const HubspotInput *input);
extern void hubspot_encode_end(HubspotEncoder *encoder);

#endif							/* HUBSPOT_REQUEST_H */
