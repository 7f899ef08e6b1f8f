/*-------------------------------------------------------------------------
 *
 * response.h
 *	  The JSON of replies to structs.
 *
 * IDENTIFICATION
 *	  src/response.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_RESPONSE_H
#define HUBSPOT_RESPONSE_H

#include "nodes/pg_list.h"

#include "endpoint.h"
#include "http.h"
#include "failure.h"
#include "hubspot_assoc.h"
#include "type.h"

/*
 * One item of results: an association that HubSpot confirms, or a record with
 * its associations, whose from_id has no data if there is only one.
 */
typedef struct HubspotResult
{
	HubspotSlice from_id;
	HubspotSlice to_id;
	HubspotSlice category;		/* no data: the answer has labels instead */
	int32		type_id;
	HubspotSlice labels;		/* JSON array; no data: none were given */

	/* of a record */
	bool		listed;			/* there is a list of associations */
	const char *problem;		/* why that isn't all of them, or NULL */
	const HubspotAssociation *associations; /* palloc'd; ids in the reply */
	int			nassociations;
	HubspotSlice after;			/* where the next page begins; no data: there
								 * is none */
	HubspotSlice next_link;		/* to it, for those that follow links */
} HubspotResult;

/* What the reply to a batch says of itself. */
typedef struct HubspotEnvelope
{
	const char *status;			/* or NULL */
	bool		canceled;
	bool		complete;
	int			nerrors;		/* as it says, or as there are */
	bool		is_error;		/* it has what only an error has */
} HubspotEnvelope;

/* The answer that gives an access token, or doesn't; each may be NULL. */
typedef struct HubspotTokenReply
{
	const char *access_token;
	const char *refresh_token;	/* the one to use from now on */
	int32		expires_in;		/* seconds */

	/* why there is none, both or either */
	const char *word;			/* HubSpot's category */
	const char *reason;
} HubspotTokenReply;

/* Where the items of a reply go. */
typedef struct HubspotReplySink
{
	void	   *state;
	void		(*result) (void *state, const HubspotResult *result);
	void		(*error) (void *state, HubspotError *error);
	int			max_errors;		/* further ones are left out */
	HubspotTypeSet *types;		/* for the associations of records */
} HubspotReplySink;

extern bool hubspot_read_reply(const HubspotHttpReply *reply,
							   HubspotReplyShape shape,
							   const HubspotReplySink *sink,
							   HubspotEnvelope *envelope);
extern bool hubspot_read_token(const HubspotHttpReply *reply,
							   HubspotTokenReply *token);

/* An association type as the account defines it. */
typedef struct HubspotDefinition
{
	HubspotAssociationType type;
	bool		has_limit;
	int32		max_to_ids;		/* if it has one */
} HubspotDefinition;

/* A high-usage report that was requested. */
typedef struct HubspotReport
{
	int64		user_id;
	const char *user_email;		/* or NULL */
	const char *enqueue_time;	/* ISO 8601 */
} HubspotReport;

extern bool hubspot_read_definitions(const HubspotHttpReply *reply,
									 List **definitions);
extern bool hubspot_read_report(const HubspotHttpReply *reply,
								HubspotReport *report);
extern bool hubspot_read_done(const HubspotHttpReply *reply,
							  HubspotError **error);

#endif							/* HUBSPOT_RESPONSE_H */
