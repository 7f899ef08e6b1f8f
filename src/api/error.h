/*-------------------------------------------------------------------------
 *
 * error.h
 *	  Failures as error values.
 *
 * IDENTIFICATION
 *	  src/api/error.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_ERROR_H
#define HUBSPOT_API_ERROR_H

#include "utils/jsonb.h"

#include "api/verdict.h"
#include "http/http.h"
#include "hubspot.h"

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
extern HubspotError *hubspot_error_after(const HubspotError *error);
extern HubspotError *hubspot_unconfirmed(const HubspotHttpReply *reply,
										 const char *reason);
extern Jsonb *hubspot_error_object(const HubspotError *error);

#endif							/* HUBSPOT_API_ERROR_H */
