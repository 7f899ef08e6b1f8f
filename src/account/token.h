/*-------------------------------------------------------------------------
 *
 * token.h
 *	  Where the access token of a request comes from.
 *
 * IDENTIFICATION
 *	  src/account/token.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ACCOUNT_TOKEN_H
#define HUBSPOT_ACCOUNT_TOKEN_H

#include "lib/stringinfo.h"

#include "account/option.h"
#include "account/shared_token.h"
#include "http/http.h"
#include "hubspot.h"

/* The access token of one statement; see token.c. */
typedef struct HubspotAccessToken HubspotAccessToken;

extern HubspotAccessToken *hubspot_token_create(const HubspotOptions *options);
extern bool hubspot_token_is_same(const HubspotAccessToken *token,
								  const HubspotAccessToken *other);
extern HubspotError *hubspot_token_refusal(const HubspotAccessToken *token,
										   MemoryContext context);
extern bool hubspot_token_is_ready(const HubspotAccessToken *token);
extern const char *hubspot_token_use(const HubspotAccessToken *token, int64 *serial);
extern bool hubspot_token_renew(HubspotAccessToken *token, int64 serial,
								const HubspotHttpReply *reply);
extern HubspotTokenPlace hubspot_token_take(HubspotAccessToken *token,
											bool patient, int64 *until);
extern void hubspot_token_give_up(HubspotAccessToken *token);
extern void hubspot_token_encode_request(const HubspotAccessToken *token,
										 StringInfo body);
extern HubspotError *hubspot_token_take_reply(HubspotAccessToken *token,
											  const HubspotHttpReply *reply,
											  int attempts, int64 sent);
extern bool hubspot_token_reload(HubspotAccessToken *token);

#endif							/* HUBSPOT_ACCOUNT_TOKEN_H */
