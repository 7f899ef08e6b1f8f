/*-------------------------------------------------------------------------
 *
 * match.h
 *	  What an answer says of each of the inputs that were sent.
 *
 * IDENTIFICATION
 *	  src/match.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_MATCH_H
#define HUBSPOT_MATCH_H

#include "blame.h"
#include "http.h"

extern int	hubspot_match_reply(const HubspotMatch *match,
								const HubspotHttpReply *reply, int attempts);

#endif							/* HUBSPOT_MATCH_H */
