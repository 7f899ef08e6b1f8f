/*-------------------------------------------------------------------------
 *
 * intake.h
 *	  Inputs into chunks: which one takes an input, and when it is closed.
 *
 * IDENTIFICATION
 *	  src/call/intake.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_INTAKE_H
#define HUBSPOT_CALL_INTAKE_H

#include "call/chunk.h"
#include "call/evidence.h"

/* What comes into a batch; see intake.c.  Chunks are its, until they are freed. */
typedef struct HubspotIntake
{
	const HubspotEndpoint *endpoint;
	bool		parts_reverses; /* no pair goes with its reverse */
	bool		tells_ends;		/* of what is read, for each row */
	bool		follows_reverses;	/* nor before a reverse that came first */
	int			limit;			/* inputs of a chunk */
	int			max_limit;
	HubspotEvidence *evidence;
	HubspotPairs *pairs;		/* of all units that are to be sent */
	HubspotChunk *open;			/* or NULL */
	dlist_head	closed;			/* for the batch to take out */
	int			last_nunits;	/* of the last chunk that was closed */
	int			nchunks;		/* all that are not gone */
	HubspotChunkMemory memory;
} HubspotIntake;

extern void hubspot_intake_begin(HubspotIntake *intake, MemoryContext context,
								 const HubspotEndpoint *endpoint, int limit,
								 HubspotEvidence *evidence);
extern int	hubspot_intake_room(const HubspotIntake *intake, int max_chunks);
extern void hubspot_intake_put(HubspotIntake *intake, const HubspotInput *input,
							   const HubspotError *error);
extern void hubspot_intake_put_done(HubspotIntake *intake, const HubspotInput *input);
extern void hubspot_intake_continue(HubspotIntake *intake, const HubspotUnit *unit);
extern void hubspot_intake_close(HubspotIntake *intake);
extern void hubspot_intake_free(HubspotIntake *intake, HubspotChunk *chunk);

#endif							/* HUBSPOT_CALL_INTAKE_H */
