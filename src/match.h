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

#include "endpoint.h"
#include "http.h"
#include "type.h"
#include "unit.h"

/* What was sent, to match a reply to; see hubspot_match_reply(). */
typedef struct HubspotMatch
{
	HubspotUnit **units;
	int			nunits;
	const HubspotPairs *pairs;	/* these units, and maybe others */
	const void *sent_with;		/* what marks these units */
	const char *from_type;
	const char *to_type;
	bool		symmetric;		/* these are one object type */
	HubspotReplyShape shape;
	HubspotTypeSet *types;		/* of records' associations */
	bool		many;			/* the endpoint takes many inputs: those that
								 * it confirms need no correlation id, and a
								 * 404 of all of them says nothing of one */
} HubspotMatch;

extern int	hubspot_match_reply(const HubspotMatch *match,
								const HubspotHttpReply *reply, int attempts);

#endif							/* HUBSPOT_MATCH_H */
