/*-------------------------------------------------------------------------
 *
 * response.h
 *	  From the JSON of replies about inputs to structs.
 *
 * IDENTIFICATION
 *	  src/api/response.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_RESPONSE_H
#define HUBSPOT_API_RESPONSE_H

#include "nodes/pg_list.h"

#include "api/association_type.h"
#include "api/endpoint.h"
#include "api/error.h"
#include "api/result.h"
#include "http/http.h"
#include "hubspot.h"

/* What the reply to a batch says of itself. */
typedef struct HubspotEnvelope
{
	const char *status;			/* or NULL */
	bool		canceled;
	bool		complete;
	int			nerrors;		/* as many as it says or has */
	bool		is_error;		/* it has a member that only an error has */
	bool		has_more;		/* it is a part of all that there is */
} HubspotEnvelope;

/* Where the items of a reply go. */
typedef struct HubspotReplySink
{
	void	   *state;
	void		(*result) (void *state, const HubspotResult *result);
	void		(*error) (void *state, HubspotError *error);
	int			max_errors;		/* further errors are left out */
	HubspotTypeSet *types;		/* for the associations of records */
} HubspotReplySink;

extern bool hubspot_read_reply(const HubspotHttpReply *reply,
							   HubspotReplyShape shape,
							   const HubspotReplySink *sink,
							   HubspotEnvelope *envelope);
extern const char *hubspot_list_problem(const HubspotHttpReply *reply);
extern HubspotError *hubspot_unreadable_reply(const HubspotHttpReply *reply, const char *reason);

#endif							/* HUBSPOT_API_RESPONSE_H */
