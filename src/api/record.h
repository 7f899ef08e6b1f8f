/*-------------------------------------------------------------------------
 *
 * record.h
 *	  Records with their properties: the JSON of requests for them, and of the replies.
 *
 * IDENTIFICATION
 *	  src/api/record.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_RECORD_H
#define HUBSPOT_API_RECORD_H

#include "nodes/pg_list.h"

#include "api/endpoint.h"
#include "api/record_values.h"
#include "http/http.h"
#include "hubspot.h"

/* Where the items of a reply go, which are valid only during the call. */
typedef struct HubspotRecordSink
{
	void	   *state;
	const HubspotObjectType *type;	/* whose values are wanted; NULL: none are */
	void		(*record) (void *state, const HubspotRecord *record);
	void		(*error) (void *state, HubspotError *error);
} HubspotRecordSink;

/* What a reply says about itself. */
typedef struct HubspotRecordsReply
{
	bool		whole;			/* it tells what became of all that was asked
								 * for */
	bool		has_more;		/* there are further pages of results */
	HubspotSlice after;			/* where the next page begins; no data: the
								 * reply does not say */
	int64		total;			/* of a search: the records on all pages */
} HubspotRecordsReply;

extern const char *hubspot_listed_property(const HubspotObjectType *type);
extern char *hubspot_encode_records_read(const HubspotObjectType *type,
										 const HubspotSlice *keys, int nkeys,
										 size_t *len);
extern char *hubspot_encode_records_search(const HubspotObjectType *type,
										   const HubspotSlice *values, int nvalues,
										   size_t *len);
extern bool hubspot_read_records(const HubspotHttpReply *reply,
								 const HubspotRecordSink *sink,
								 HubspotRecordsReply *records);
extern char *hubspot_encode_candidates(const HubspotSlice *ids, int nids, int64 total,
									   bool more);
extern List *hubspot_error_candidates(const HubspotError *error);
extern bool hubspot_read_property_names(const HubspotHttpReply *reply, List **names);
extern char *hubspot_property_problem(const List *names, const char *property);

#endif							/* HUBSPOT_API_RECORD_H */
