/*-------------------------------------------------------------------------
 *
 * refresh_token.h
 *	  Storing a new refresh token of OAuth in the user mapping.
 *
 * IDENTIFICATION
 *	  src/account/refresh_token.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ACCOUNT_REFRESH_TOKEN_H
#define HUBSPOT_ACCOUNT_REFRESH_TOKEN_H

#include "nodes/pg_list.h"

#include "account/option.h"

extern const char *hubspot_store_refresh_token(const HubspotOptions *options,
											   const List *refresh_tokens);
extern int	hubspot_refresh_rollbacks(void);
extern bool hubspot_is_refresh_token(const HubspotOptions *options,
									 const List *refresh_tokens);

#endif							/* HUBSPOT_ACCOUNT_REFRESH_TOKEN_H */
