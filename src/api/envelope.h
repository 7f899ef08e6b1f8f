/*-------------------------------------------------------------------------
 *
 * envelope.h
 *	  What replies of all kinds say of themselves, beside their items.
 *
 * IDENTIFICATION
 *	  src/api/envelope.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_ENVELOPE_H
#define HUBSPOT_API_ENVELOPE_H

#include "hubspot.h"

/* Members of a reply, each as it came; no data: it is not there. */
typedef struct HubspotEnvelopeFields
{
	HubspotSlice status;
	HubspotSlice nerrors;
	HubspotSlice message;		/* this and the next two are an error's */
	HubspotSlice category;
	HubspotSlice error;
	HubspotSlice paging;
} HubspotEnvelopeFields;

/* The fields of a JSON object that go into such a member of struct type. */
#define HUBSPOT_ENVELOPE_FIELDS(type, member) \
	HUBSPOT_JSON_FIELD("status", HUBSPOT_JSON_RAW, type, member.status), \
	HUBSPOT_JSON_FIELD("numErrors", HUBSPOT_JSON_RAW, type, member.nerrors), \
	HUBSPOT_JSON_FIELD("message", HUBSPOT_JSON_RAW, type, member.message), \
	HUBSPOT_JSON_FIELD("category", HUBSPOT_JSON_RAW, type, member.category), \
	HUBSPOT_JSON_FIELD("error", HUBSPOT_JSON_RAW, type, member.error), \
	HUBSPOT_JSON_FIELD("paging", HUBSPOT_JSON_RAW, type, member.paging)

/* The status of an envelope whose operation has ended, and of one that was not begun. */
#define HUBSPOT_COMPLETE	"COMPLETE"
#define HUBSPOT_CANCELED	"CANCELED"

extern const char *hubspot_envelope_status(const HubspotEnvelopeFields *fields);
extern bool hubspot_envelope_is_complete(const HubspotEnvelopeFields *fields);
extern bool hubspot_envelope_is_error(const HubspotEnvelopeFields *fields);
extern int32 hubspot_read_count(HubspotSlice raw);
extern bool hubspot_read_paging(HubspotSlice paging, HubspotSlice *after);

#endif							/* HUBSPOT_API_ENVELOPE_H */
