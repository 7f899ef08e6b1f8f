/*-------------------------------------------------------------------------
 *
 * blame.h
 *	  Which of the inputs that were sent an error is about.
 *
 * IDENTIFICATION
 *	  src/call/blame.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_BLAME_H
#define HUBSPOT_CALL_BLAME_H

#include "api/association_type.h"
#include "api/endpoint.h"
#include "call/unit.h"

/* What was sent, to match a reply to; see hubspot_match_reply(). */
typedef struct HubspotMatch
{
	HubspotUnit **units;
	int			nunits;
	const HubspotPairs *pairs;	/* these units, and maybe others */
	const void *sent_with;		/* what marks these units */
	const char *from_type;
	const char *to_type;
	bool		symmetric;		/* both sides have one object type */
	HubspotReplyShape shape;
	HubspotTypeSet *types;		/* of the associations of records */
	bool		many;			/* the endpoint takes many inputs: those that
								 * it confirms need no correlation id, and a
								 * 404 of all of them says nothing of one */
} HubspotMatch;

/* Are the units records, of which pages of associations are read? */
static inline bool
hubspot_match_reads(const HubspotMatch *match)
{
	return match->shape == HUBSPOT_REPLY_RECORDS ||
		match->shape == HUBSPOT_REPLY_PAGE;
}

/* The units of a match by what may name them; see blame.c. */
typedef struct HubspotBlame HubspotBlame;

extern HubspotUnit *hubspot_match_unit(const HubspotMatch *match,
									   HubspotSlice from_id,
									   HubspotSlice to_id);
extern void hubspot_settle(const HubspotMatch *match, HubspotUnit *unit,
						   const HubspotError *error);
extern HubspotBlame *hubspot_blame_begin(const HubspotMatch *match,
										 bool refused);
extern int	hubspot_blame(HubspotBlame *blame, const HubspotError *error);

#endif							/* HUBSPOT_CALL_BLAME_H */
