/*-------------------------------------------------------------------------
 *
 * chunk.h
 *	  Inputs that go together: what a request may hold, and their rows.
 *
 * IDENTIFICATION
 *	  src/call/chunk.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_CHUNK_H
#define HUBSPOT_CALL_CHUNK_H

#include "lib/ilist.h"
#include "nodes/pg_list.h"

#include "account/account.h"
#include "api/endpoint.h"
#include "call/unit.h"

/* All that it has lives in its context. */
typedef struct HubspotChunk
{
	dlist_node	node;			/* in one of the batch's lists */
	MemoryContext context;
	HubspotInputShape shape;
	bool		tells_ends;		/* with one more outcome after a row's
								 * associations */
	char	   *space;			/* room for more units */
	Size		space_left;		/* bytes of it */
	HubspotUnit **units;
	int			nunits;
	int			maxunits;		/* units that there is room for, so far */
	int			most_units;		/* units of groups that there may be */
	int			nsendable;		/* units that were not settled when put */
	int			ninputs;		/* the sendable units, as HubSpot counts
								 * inputs */
	HubspotSlice group;			/* from_id of the last of these inputs */
	Size		bytes;			/* of the ids */
	int			nrows;			/* entries of more_rows, of all units */
	int64		nasked;			/* rows that ask for its units */
	const HubspotTypeList *last_types;	/* of the last unit, to be shared */

	/* for the intake */
	struct HubspotChunk *reverses;	/* while it is open, the chunk that takes
									 * the reverses of its pairs, which go in
									 * another request; or NULL */

	/* for the batch */
	bool		complete;		/* closed: may be sent */
	const struct HubspotCall *first_call;	/* with its units, or NULL; it
											 * counts as the one that sends
											 * all rows */
	int			nrequests;		/* requests that are not settled */
	int			nwaits_for;		/* earlier chunks with a pair of ours */
	List	   *followers;		/* chunks that wait for this one */
	List	   *replies;		/* calls with replies that units point into */
	const HubspotError *last_error; /* the last one that a unit was put with,
									 * to be shared */
	struct HubspotKeep *keep;	/* the labels that its pairs have, or NULL */
	struct HubspotSearch *search;	/* what is to be sent of it, or NULL */

	/* the next row to get */
	int			unit_position;
	int			rows_position;
	int64		row_position;
	int			association_position;
	HubspotOutcome last;		/* the last row; kind 0: there was none */
	int			nnamed;			/* units whose associations have names */
} HubspotChunk;

/* Where an input goes. */
typedef enum HubspotPlace
{
	HUBSPOT_PLACE_NONE,			/* into neither chunk, as they are */
	HUBSPOT_PLACE_CHUNK,
	HUBSPOT_PLACE_REVERSES,		/* the chunk of reverses */
	HUBSPOT_PLACE_UNIT			/* to the rows of a unit that exists */
} HubspotPlace;

/* Where chunks live; no spare at the start. */
typedef struct HubspotChunkMemory
{
	MemoryContext parent;		/* of the chunks' contexts */
	MemoryContext spare;		/* of a chunk that is gone, or NULL */
} HubspotChunkMemory;

extern MemoryContext hubspot_chunk_take_context(HubspotChunkMemory *memory,
												int nunits);
extern HubspotChunk *hubspot_chunk_create(MemoryContext context,
										  HubspotInputShape shape,
										  int maxunits);
extern void hubspot_chunk_free(HubspotChunkMemory *memory, HubspotChunk *chunk);
extern HubspotPlace hubspot_chunk_find_place(const HubspotChunk *chunk,
											 const HubspotInput *input,
											 HubspotUnit *chain, int limit,
											 bool parts_reverses,
											 HubspotUnit **unit);
extern bool hubspot_chunk_has_room(const HubspotChunk *chunk,
								   const HubspotInput *input, int limit);
extern char *hubspot_chunk_types_problem(const HubspotChunk *chunk,
										 const HubspotInput *input,
										 const HubspotUnit *chain);
extern HubspotUnit *hubspot_chunk_add(HubspotChunk *chunk,
									  const HubspotInput *input,
									  bool sendable);
extern HubspotUnit *hubspot_chunk_continue(HubspotChunk *chunk,
										   const HubspotUnit *unit);
extern HubspotUnit **hubspot_chunk_sendable(const HubspotChunk *chunk, int *nunits);
extern void hubspot_chunk_follow(HubspotChunk *chunk, const HubspotUnit *unit,
								 bool both_ways);
extern bool hubspot_chunk_next_row(HubspotChunk *chunk,
								   HubspotOutcome *outcome);
extern void hubspot_chunk_count(const HubspotChunk *chunk, const HubspotTally *tally,
								int64 *confirmed, int64 *failed, int64 *in_doubt);

#endif							/* HUBSPOT_CALL_CHUNK_H */
