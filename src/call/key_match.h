/*-------------------------------------------------------------------------
 *
 * key_match.h
 *	  What an answer says of keys that HubSpot was asked for.
 *
 * IDENTIFICATION
 *	  src/call/key_match.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_KEY_MATCH_H
#define HUBSPOT_CALL_KEY_MATCH_H

#include "call/keys.h"
#include "http/http.h"

/* What was asked. */
typedef struct HubspotKeyQuestion
{
	HubspotKeys *keys;
	HubspotKey **asked;			/* all of them ASKED */
	int			nasked;
	bool		search;			/* of the index, not of the records themselves */
} HubspotKeyQuestion;

extern int	hubspot_match_keys(const HubspotKeyQuestion *question,
							   const HubspotHttpReply *reply);

#endif							/* HUBSPOT_CALL_KEY_MATCH_H */
