/*-------------------------------------------------------------------------
 *
 * error.h
 *	  Replies that are no success: what to do about them, and error values.
 *
 * IDENTIFICATION
 *	  src/api/error.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_ERROR_H
#define HUBSPOT_API_ERROR_H

#include "utils/jsonb.h"

#include "http/http.h"
#include "hubspot.h"

/* What an attempt's reply asks for. */
typedef enum HubspotAdvice
{
	HUBSPOT_FINAL,				/* nothing more: read it */
	HUBSPOT_RETRY,				/* the attempt failed; another may not */
	HUBSPOT_PARK				/* the whole account has to wait */
} HubspotAdvice;

/* Will whatever is sent next meet the same? */
static inline bool
hubspot_ends_sending(HubspotVerdict verdict)
{
	return verdict == HUBSPOT_VERDICT_SCOPE ||
		verdict == HUBSPOT_VERDICT_ACCOUNT ||
		verdict == HUBSPOT_VERDICT_NO_TOKEN ||
		verdict == HUBSPOT_VERDICT_RATE;
}

/* Is it unknown whether HubSpot has acted?  (Our own side may fail after it.) */
static inline bool
hubspot_is_unconfirmed(HubspotVerdict verdict)
{
	return verdict == HUBSPOT_VERDICT_UNCONFIRMED ||
		verdict == HUBSPOT_VERDICT_UNREACHED;
}

/* Was nothing sent, because of something else? */
static inline bool
hubspot_is_not_sent(HubspotVerdict verdict)
{
	return verdict == HUBSPOT_VERDICT_NOT_SENT ||
		verdict == HUBSPOT_VERDICT_NO_TOKEN;
}

static inline HubspotSlice
hubspot_reply_body(const HubspotHttpReply *reply)
{
	HubspotSlice body = {reply->body, (int) reply->body_len};

	return body;
}

extern HubspotAdvice hubspot_reply_advice(const HubspotHttpReply *reply,
										  bool repeatable, int64 *wait,
										  bool *asked);
extern HubspotVerdict hubspot_reply_verdict(const HubspotHttpReply *reply);
extern bool hubspot_reply_is_success(const HubspotHttpReply *reply);
extern bool hubspot_reply_is_unauthorized(const HubspotHttpReply *reply);
extern bool hubspot_reply_is_expired(const HubspotHttpReply *reply);
extern HubspotError *hubspot_make_error(HubspotVerdict verdict, int sqlstate,
										const char *message);
extern HubspotError *hubspot_copy_error(const HubspotError *error);
extern const HubspotError *hubspot_share_error(const HubspotError **last,
											   const HubspotError *error);
extern HubspotError *hubspot_reply_error(const HubspotHttpReply *reply,
										 int attempts);
extern HubspotError *hubspot_item_error(const HubspotHttpReply *reply,
										HubspotSlice item,
										const char *correlation_id);
extern HubspotError *hubspot_token_error(const HubspotHttpReply *reply,
										 const char *word, const char *reason,
										 int attempts);
extern HubspotError *hubspot_error_before(const HubspotError *error,
										  const char *what);
extern HubspotError *hubspot_unconfirmed(const HubspotHttpReply *reply,
										 const char *reason);
extern Jsonb *hubspot_error_object(const HubspotError *error);
extern char *hubspot_correlation_id(const HubspotHttpReply *reply);
extern void hubspot_each_header(const HubspotHttpReply *reply, void *state,
								void (*header) (void *state, HubspotSlice name,
												HubspotSlice value));

#endif							/* HUBSPOT_API_ERROR_H */
