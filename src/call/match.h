/*-------------------------------------------------------------------------
 *
 * match.h
 *	  What an answer says of each of the inputs that were sent.
 *
 * IDENTIFICATION
 *	  src/call/match.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_MATCH_H
#define HUBSPOT_CALL_MATCH_H

#include "call/blame.h"
#include "http/http.h"

extern int	hubspot_match_reply(const HubspotMatch *match,
								const HubspotHttpReply *reply, int attempts,
								const HubspotError **refusal);

#endif							/* HUBSPOT_CALL_MATCH_H */
