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
#include "api/key.h"
#include "http/http.h"
#include "hubspot.h"

/* A record that was found; its texts live as long as the reply. */
typedef struct HubspotRecord
{
	HubspotSlice id;			/* an id that may stand in a path */
	HubspotSlice properties;	/* JSON */
} HubspotRecord;

/* What a value is by which a record is called. */
typedef enum HubspotValueKind
{
	HUBSPOT_VALUE_PROPERTY,		/* the value of the property itself */
	HUBSPOT_VALUE_SECONDARY,	/* a further e-mail of a contact */
	HUBSPOT_VALUE_MERGED,		/* the id of a record that was merged into it */
	HUBSPOT_VALUE_SHOWN			/* the value of the property that the type
								 * shows */
} HubspotValueKind;

/* Where the items of a reply go, which are valid only during the call. */
typedef struct HubspotRecordSink
{
	void	   *state;
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
extern void hubspot_record_values(const HubspotRecord *record,
								  const HubspotObjectType *type, void *state,
								  void (*value) (void *state, HubspotValueKind kind,
												 HubspotSlice value));
extern const char *hubspot_secondary_property(const HubspotObjectType *type, char *separator);
extern char *hubspot_encode_candidates(const HubspotSlice *ids, int nids, int64 total,
									   bool more);
extern List *hubspot_error_candidates(const HubspotError *error);
extern bool hubspot_read_property_names(const HubspotHttpReply *reply, List **names);
extern char *hubspot_property_problem(const List *names, const char *property);

#endif							/* HUBSPOT_API_RECORD_H */
