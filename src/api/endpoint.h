/*-------------------------------------------------------------------------
 *
 * endpoint.h
 *	  The operations of HubSpot's associations API.
 *
 * IDENTIFICATION
 *	  src/api/endpoint.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_ENDPOINT_H
#define HUBSPOT_API_ENDPOINT_H

#include "lib/stringinfo.h"

typedef enum HubspotOperation
{
	HUBSPOT_CREATE_DEFAULT,
	HUBSPOT_CREATE,
	HUBSPOT_BATCH_CREATE_DEFAULT,
	HUBSPOT_BATCH_CREATE,
	HUBSPOT_ARCHIVE,
	HUBSPOT_BATCH_ARCHIVE,
	HUBSPOT_BATCH_ARCHIVE_LABELS,
	HUBSPOT_LIST,
	HUBSPOT_BATCH_READ,
	HUBSPOT_LABELS,
	HUBSPOT_LABEL_CREATE,
	HUBSPOT_LABEL_UPDATE,
	HUBSPOT_LABEL_DELETE,
	HUBSPOT_LIMITS_ALL,
	HUBSPOT_LIMITS,
	HUBSPOT_LIMIT_CREATE,
	HUBSPOT_LIMIT_UPDATE,
	HUBSPOT_LIMIT_PURGE,
	HUBSPOT_HIGH_USAGE_REPORT,
	HUBSPOT_RECORDS_READ,
	HUBSPOT_RECORDS_SEARCH,
	HUBSPOT_PROPERTIES_LIST,
	HUBSPOT_ACCOUNT_DETAILS,
	HUBSPOT_DAILY_USAGE,
	HUBSPOT_CUSTOM_OBJECTS,
	HUBSPOT_LABEL_USAGE_ALL,
	HUBSPOT_LABEL_USAGE,
	HUBSPOT_RECORD_USAGE,
	HUBSPOT_RECORDS_LIST,

	/* of no endpoint */
	HUBSPOT_TOKEN,				/* gets an access token */
	HUBSPOT_ANY_REQUEST,		/* hs_assoc_request's */
	HUBSPOT_UNKNOWN_OPERATION	/* of a row that could not be read */
} HubspotOperation;

#define HUBSPOT_NOPERATIONS	(HUBSPOT_UNKNOWN_OPERATION + 1)

/*
 * The trees of paths: in each, the segment of the API version has its own
 * place.
 */
typedef enum HubspotTree
{
	HUBSPOT_OBJECTS,			/* one record: /crm/objects/... */
	HUBSPOT_ASSOCIATIONS,		/* a pair of types: /crm/associations/... */
	HUBSPOT_RECORDS,			/* records themselves: /crm/objects/... */
	HUBSPOT_PROPERTIES,			/* what records have: /crm/properties/... */
	HUBSPOT_USAGE,				/* how much of limits is used: /crm/limits/... */
	HUBSPOT_ACCOUNT_INFO,		/* the account: /account-info/... */
	HUBSPOT_SCHEMAS				/* its own object types:
								 * /crm-object-schemas/... */
} HubspotTree;

/* What the operation is done to. */
typedef enum HubspotInputShape
{
	HUBSPOT_INPUT_NONE,			/* two object types, or nothing */
	HUBSPOT_INPUT_PAIR,			/* from one record to another */
	HUBSPOT_INPUT_TYPED_PAIR,	/* the same, with association types */
	HUBSPOT_INPUT_ANY_PAIR,		/* PAIR or TYPED_PAIR, as the columns of a
								 * query say; no operation has it */
	HUBSPOT_INPUT_GROUP,		/* from one record to several others */
	HUBSPOT_INPUT_RECORD,		/* one record, a page at a time */
	HUBSPOT_INPUT_KEY			/* a key, by which people call a record */
} HubspotInputShape;

/* How the answer tells what became of an input. */
typedef enum HubspotReplyShape
{
	HUBSPOT_REPLY_ENVELOPE,		/* status, results[], errors[] */
	HUBSPOT_REPLY_PAIR,			/* the pair itself, bare or as entity */
	HUBSPOT_REPLY_SILENT,		/* an envelope or nothing: an input that no
								 * error names is done */
	HUBSPOT_REPLY_RECORDS,		/* an envelope of records, each with the
								 * records associated to it */
	HUBSPOT_REPLY_PAGE,			/* the records associated to the one record */
	HUBSPOT_REPLY_DEFINITIONS,	/* types, with their labels or limits */
	HUBSPOT_REPLY_REPORT,		/* a high-usage report */
	HUBSPOT_REPLY_FOUND,		/* records with properties: record.c's */
	HUBSPOT_REPLY_PROPERTIES,	/* definitions of properties: record.c's */
	HUBSPOT_REPLY_USAGE			/* what is told of the account, its object
								 * types and their limits: usage.c's */
} HubspotReplyShape;

typedef struct HubspotEndpoint
{
	const char *name;			/* of the operation: hubspot_operation_name() */
	const char *method;
	HubspotTree tree;
	const char *tail;			/* {} stands for the next argument */
	HubspotInputShape input_shape;
	int			batch_limit;	/* most inputs a request; 0: one, in the path */
	bool		repeatable;		/* doing it twice is as good as once */
	HubspotReplyShape reply_shape;
} HubspotEndpoint;

extern const HubspotEndpoint *hubspot_endpoint(HubspotOperation operation);
extern HubspotOperation hubspot_endpoint_operation(const HubspotEndpoint *endpoint);
extern const char *hubspot_operation_name(HubspotOperation operation);
extern bool hubspot_endpoint_reads(const HubspotEndpoint *endpoint);
extern bool hubspot_request_reads(const char *method, const char *path);
extern size_t hubspot_max_reply(const HubspotEndpoint *endpoint, int ninputs);
extern bool hubspot_is_api_version(const char *version);
extern int	hubspot_version_end(const char *version);
extern char *hubspot_newest_version(int day);
extern void hubspot_append_path(StringInfo url, const HubspotEndpoint *endpoint,
								const char *version,
								const char *const *arguments);
extern bool hubspot_append_other_path(StringInfo url,
									  const HubspotEndpoint *endpoint,
									  const char *version,
									  const char *const *arguments);
extern void hubspot_append_encoded(StringInfo url, const char *text);
extern void hubspot_append_cursor(StringInfo url, const char *after);
extern const char *hubspot_token_path(const char *version);
extern bool hubspot_path_has_dots(const char *path);
extern char *hubspot_id_problem(const char *id, int len);
extern bool hubspot_is_category(const char *category);

#endif							/* HUBSPOT_API_ENDPOINT_H */
