/*-------------------------------------------------------------------------
 *
 * search.h
 *	  Which of some inputs are to blame, where HubSpot names none.
 *
 * IDENTIFICATION
 *	  src/call/search.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_SEARCH_H
#define HUBSPOT_CALL_SEARCH_H

#include "call/evidence.h"

/* What is still to be sent of a chunk, and what it is to show; see search.c. */
typedef struct HubspotSearch HubspotSearch;

/* Units of one request. */
typedef struct HubspotPart
{
	HubspotUnit **units;
	int			nunits;
	struct HubspotSuspects *half_of;	/* the refused units that this is a
										 * half of; or NULL */
	struct HubspotSuspects *sample_of;	/* the refused units that this is a
										 * sample of; or NULL */
	bool		searched;		/* it is a search's, not a chunk's first one */
	bool		seeks_size;		/* it seeks a size that passes, since none has
								 * so far */
} HubspotPart;

/* What came of a part, whose unsettled units stand first. */
typedef struct HubspotPartAnswer
{
	const HubspotError *refusal;	/* the refusal of the whole part, which
									 * names no input; or NULL */
	bool		too_large;		/* it was refused because of its size */
	int			nunsettled;
	int			split;			/* how many of these go in a request of their
								 * own; 0: all go in one */
} HubspotPartAnswer;

extern HubspotSearch *hubspot_search_create(MemoryContext context,
											HubspotEvidence *evidence);
extern void hubspot_search_meet(HubspotSearch *search, HubspotUnit **units,
								int nunits);
extern bool hubspot_search_next(HubspotSearch *search, int most, HubspotPart *part);
extern void hubspot_search_put_back(HubspotSearch *search, const HubspotPart *part,
									int nsent);
extern void hubspot_search_answer(HubspotSearch *search, const HubspotPart *part,
								  const HubspotPartAnswer *answer);
extern bool hubspot_search_is_done(const HubspotSearch *search);
extern void hubspot_search_close(HubspotSearch *search);
extern void hubspot_search_end(HubspotSearch *search, const HubspotError *error);

#endif							/* HUBSPOT_CALL_SEARCH_H */
