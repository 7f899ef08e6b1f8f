/*-------------------------------------------------------------------------
 *
 * refresh.h
 *	  A new refresh token of OAuth into the user mapping.
 *
 * IDENTIFICATION
 *	  src/refresh.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_REFRESH_H
#define HUBSPOT_REFRESH_H

#include "nodes/pg_list.h"

#include "option.h"

extern const char *hubspot_store_refresh_token(const HubspotOptions *options,
											   const List *refresh_tokens);
extern int	hubspot_refresh_rollbacks(void);
extern bool hubspot_is_refresh_token(const HubspotOptions *options,
									 const List *refresh_tokens);

#endif							/* HUBSPOT_REFRESH_H */
