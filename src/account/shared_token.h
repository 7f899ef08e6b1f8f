/*-------------------------------------------------------------------------
 *
 * shared_token.h
 *	  Access tokens of OAuth that processes share.
 *
 * IDENTIFICATION
 *	  src/account/shared_token.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ACCOUNT_SHARED_TOKEN_H
#define HUBSPOT_ACCOUNT_SHARED_TOKEN_H

#include "common/sha2.h"

#include "account/option_table.h"

/* A longer token is not shared. */
#define HUBSPOT_MAX_SHARED_TOKEN	1024

/* What a token is found by; see shared_token.c. */
typedef struct HubspotTokenKey
{
	bool		valid;			/* false: nothing is shared */
	uint8		bytes[PG_SHA256_DIGEST_LENGTH];
} HubspotTokenKey;

typedef enum HubspotTokenPlace
{
	HUBSPOT_TOKEN_MISSING,		/* the caller is to fetch it */
	HUBSPOT_TOKEN_COMES,		/* another process fetches it */
	HUBSPOT_TOKEN_FOUND
} HubspotTokenPlace;

/* A token as it is shared. */
typedef struct HubspotSharedToken
{
	char		bearer[HUBSPOT_MAX_SHARED_TOKEN + 1];
	int64		expires;		/* when it is renewed, as of hubspot_now() */
} HubspotSharedToken;

extern void hubspot_shared_tokens_add(void);
extern void hubspot_shared_token_key(const HubspotOptions *options,
									 const char *refresh_token,
									 HubspotTokenKey *key);
extern HubspotTokenPlace hubspot_shared_token_take(const HubspotTokenKey *key,
												   bool patient,
												   HubspotSharedToken *token,
												   int64 *until);
extern void hubspot_shared_token_wait_no_more(void);
extern void hubspot_shared_token_put(const HubspotTokenKey *key,
									 const char *bearer, int64 expires);
extern void hubspot_shared_token_give_up(const HubspotTokenKey *key);
extern void hubspot_shared_token_refuse(const char *bearer);

#endif							/* HUBSPOT_ACCOUNT_SHARED_TOKEN_H */
