/*-------------------------------------------------------------------------
 *
 * verdict.h
 *	  What a reply that is not a success says, and what to do about it.
 *
 * IDENTIFICATION
 *	  src/api/verdict.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_VERDICT_H
#define HUBSPOT_API_VERDICT_H

#include "api/error_fields.h"
#include "http/http.h"
#include "hubspot.h"

/* What an attempt's reply asks for. */
typedef enum HubspotAdvice
{
	HUBSPOT_FINAL,				/* nothing more: read the reply */
	HUBSPOT_RETRY,				/* the attempt failed; another one may not */
	HUBSPOT_PARK,				/* the whole account has to wait */
	HUBSPOT_PARK_SECOND			/* the whole account has to wait, or after a
								 * search only its searches, whose limit is
								 * for a second */
} HubspotAdvice;

/* Will whatever is sent next meet the same? */
static inline bool
hubspot_ends_sending(HubspotVerdict verdict)
{
	return verdict == HUBSPOT_VERDICT_SCOPE ||
		verdict == HUBSPOT_VERDICT_ACCOUNT ||
		verdict == HUBSPOT_VERDICT_FOREIGN ||
		verdict == HUBSPOT_VERDICT_NO_TOKEN ||
		verdict == HUBSPOT_VERDICT_RATE;
}

/* Is it unknown whether HubSpot has acted?  (Our own side may fail after HubSpot has acted.) */
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
		verdict == HUBSPOT_VERDICT_LIKE_OTHERS ||
		verdict == HUBSPOT_VERDICT_NO_TOKEN;
}

/* Is it the verdict on one record or row, whatever becomes of others? */
static inline bool
hubspot_is_of_record(HubspotVerdict verdict)
{
	return verdict == HUBSPOT_VERDICT_INVALID || verdict == HUBSPOT_VERDICT_INPUT ||
		verdict == HUBSPOT_VERDICT_NO_RECORD || verdict == HUBSPOT_VERDICT_MANY_RECORDS;
}

extern HubspotAdvice hubspot_reply_advice(const HubspotHttpReply *reply,
										  bool repeatable, int64 *wait,
										  bool *asked);
extern HubspotVerdict hubspot_reply_verdict(const HubspotHttpReply *reply);
extern HubspotVerdict hubspot_read_verdict(const HubspotHttpReply *reply,
										   HubspotErrorFields *fields);
extern HubspotVerdict hubspot_item_verdict(const HubspotHttpReply *reply);
extern int64 hubspot_day_left(const HubspotHttpReply *reply);
extern int64 hubspot_day_limit(const HubspotHttpReply *reply);
extern bool hubspot_refuses_type(const HubspotErrorFields *fields);
extern bool hubspot_misses_named(const HubspotErrorFields *fields);
extern bool hubspot_reply_is_too_large(const HubspotHttpReply *reply);
extern bool hubspot_reply_is_success(const HubspotHttpReply *reply);
extern bool hubspot_reply_is_unauthorized(const HubspotHttpReply *reply);
extern bool hubspot_reply_is_expired(const HubspotHttpReply *reply);

#endif							/* HUBSPOT_API_VERDICT_H */
