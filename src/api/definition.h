/*-------------------------------------------------------------------------
 *
 * definition.h
 *	  From the JSON of replies about definitions and tokens to structs.
 *
 * IDENTIFICATION
 *	  src/api/definition.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_DEFINITION_H
#define HUBSPOT_API_DEFINITION_H

#include "nodes/pg_list.h"

#include "api/error.h"
#include "http/http.h"
#include "hubspot.h"

/* The answer to a request for an access token; each text may be NULL. */
typedef struct HubspotTokenReply
{
	const char *access_token;
	const char *refresh_token;	/* the one to use from now on */
	int32		expires_in;		/* seconds */

	/* why there is no token: both or either */
	const char *word;			/* HubSpot's category */
	const char *reason;
} HubspotTokenReply;

/* An association type as the account defines it. */
typedef struct HubspotDefinition
{
	HubspotAssociationType type;
	bool		has_limit;
	int32		max_to_ids;		/* if has_limit */
} HubspotDefinition;

/* A high-usage report that was requested. */
typedef struct HubspotReport
{
	int64		user_id;
	const char *user_email;		/* or NULL */
	const char *enqueue_time;	/* as it came: ISO 8601, says HubSpot */
} HubspotReport;

/* What a successful reply says about whether an operation is done. */
typedef enum HubspotDone
{
	HUBSPOT_DONE,				/* it is done */
	HUBSPOT_DONE_OR_NOT,		/* the reply says nothing but its status */
	HUBSPOT_NOT_DONE			/* the reply says that it is not done, or
								 * cannot be read */
} HubspotDone;

extern bool hubspot_read_definitions(const HubspotHttpReply *reply,
									 List **definitions);
extern bool hubspot_read_report(const HubspotHttpReply *reply,
								HubspotReport *report);
extern HubspotDone hubspot_read_done(const HubspotHttpReply *reply,
									 HubspotError **error);
extern bool hubspot_read_token(const HubspotHttpReply *reply,
							   HubspotTokenReply *token);

#endif							/* HUBSPOT_API_DEFINITION_H */
