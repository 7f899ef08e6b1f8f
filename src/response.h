/*-------------------------------------------------------------------------
 *
 * response.h
 *	  HTTP status and JSON to structs, or to an error value.
 *
 * IDENTIFICATION
 *	  src/response.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_RESPONSE_H
#define HUBSPOT_RESPONSE_H

#include "endpoint.h"
#include "http.h"
#include "hubspot_assoc.h"

/* What an attempt's reply asks for. */
typedef enum HubspotAdvice
{
	HUBSPOT_FINAL,				/* nothing more: read it */
	HUBSPOT_RETRY,				/* the attempt failed; another may not */
	HUBSPOT_PARK				/* the whole account has to wait */
} HubspotAdvice;

/* One item of results: an association that HubSpot confirms. */
typedef struct HubspotResult
{
	HubspotSlice from_id;
	HubspotSlice to_id;
	HubspotSlice category;		/* no data: the answer has labels instead */
	int32		type_id;
	HubspotSlice labels;		/* JSON array; no data: none were given */
} HubspotResult;

/* What the reply to a batch says of itself. */
typedef struct HubspotEnvelope
{
	const char *status;			/* or NULL */
	bool		canceled;
	bool		complete;
} HubspotEnvelope;

/* Where the items of a reply go. */
typedef struct HubspotReplySink
{
	void	   *state;
	void		(*result) (void *state, const HubspotResult *result);
	void		(*error) (void *state, HubspotError *error);
	int			max_errors;		/* further ones are left out */
} HubspotReplySink;

extern HubspotAdvice hubspot_reply_advice(const HubspotHttpReply *reply,
										  bool repeatable, int64 *wait,
										  bool *asked);
extern bool hubspot_reply_refuses_account(const HubspotHttpReply *reply);
extern bool hubspot_reply_is_success(const HubspotHttpReply *reply);
extern bool hubspot_read_reply(const HubspotHttpReply *reply,
							   HubspotReplyShape shape,
							   const HubspotReplySink *sink,
							   HubspotEnvelope *envelope);
extern HubspotError *hubspot_make_error(int sqlstate, const char *category,
										const char *message);
extern HubspotError *hubspot_reply_error(const HubspotHttpReply *reply,
										 int attempts);
extern HubspotError *hubspot_unconfirmed(const HubspotHttpReply *reply,
										 const char *reason);
extern char *hubspot_correlation_id(const HubspotHttpReply *reply);
extern void hubspot_each_header(const HubspotHttpReply *reply, void *state,
								void (*header) (void *state, HubspotSlice name,
												HubspotSlice value));

#endif							/* HUBSPOT_RESPONSE_H */
