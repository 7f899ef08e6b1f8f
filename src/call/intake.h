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
#include "call/resolver.h"

/* What comes into a batch; see intake.c.  It owns the chunks until they are freed. */
typedef struct HubspotIntake
{
	const HubspotEndpoint *endpoint;
	bool		parts_reverses; /* no pair goes with its reverse */
	bool		follows_reverses;	/* no pair goes before its reverse that
									 * was put first */
	int			max_chunks;		/* chunks that there may be */
	int			limit;			/* inputs of a chunk */
	int			max_limit;
	HubspotEvidence *evidence;
	HubspotPairs *pairs;		/* of all units that are to be sent */
	HubspotChunk *open;			/* or NULL */
	dlist_head	closed;			/* for the batch to take out */
	int			last_nunits;	/* of the last chunk that was closed */
	int			nchunks;		/* chunks that are not gone */
	HubspotResolver *resolver;	/* of inputs that are called by keys, or NULL */
	bool		tells_ends;		/* the caller wants to know when records end */
	bool		ended;			/* no more inputs are put */
	bool		finished;		/* no more inputs go into chunks */
	HubspotChunkMemory memory;
} HubspotIntake;

extern void hubspot_intake_begin(HubspotIntake *intake, MemoryContext context,
								 const HubspotEndpoint *endpoint, int limit,
								 HubspotEvidence *evidence);
extern int	hubspot_intake_room(const HubspotIntake *intake);
extern void hubspot_intake_put(HubspotIntake *intake, const HubspotInput *input,
							   const HubspotError *error);
extern void hubspot_intake_take_resolved(HubspotIntake *intake);
extern void hubspot_intake_finish(HubspotIntake *intake);
extern bool hubspot_intake_again(HubspotIntake *intake, const HubspotOutcome *outcome,
								 int64 *failed);
extern void hubspot_intake_continue(HubspotIntake *intake, const HubspotUnit *unit);
extern void hubspot_intake_close(HubspotIntake *intake);
extern void hubspot_intake_free(HubspotIntake *intake, HubspotChunk *chunk);

#endif							/* HUBSPOT_CALL_INTAKE_H */
