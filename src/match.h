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
#include "hubspot_assoc.h"

/* Rows that stand for the same pair: count of them, from first on. */
typedef struct HubspotRows
{
	int64		first;			/* input number */
	int64		count;
} HubspotRows;

/*
 * A pair of records in a batch, and what became of it.  It is settled when it
 * is confirmed or has an error.  The ids lie behind the struct.
 */
typedef struct HubspotUnit
{
	HubspotInput input;			/* must be first */
	uint32		hash;			/* of the pair, in either direction */
	bool		listed;			/* in the batch's HubspotPairs */
	void	   *chunk;			/* batch.c's */
	struct HubspotUnit *older;	/* of the same pair; see HubspotPairs */
	const void *sent_with;		/* the request that it is part of now */

	bool		suspect;		/* may be why others were refused */
	bool		confirmed;
	const HubspotError *error;
	const HubspotTypeList *types;	/* from the answer */
	const HubspotLabelList *labels; /* likewise */
	int			http_status;
	const char *correlation_id;

	HubspotRows rows;
	HubspotRows *more_rows;		/* rows that came later, palloc'd */
	int			nmore_rows;
} HubspotUnit;

/*
 * The units of a batch that are not settled, by their pairs of ids.  Those of
 * one pair, and of its reverse, are a chain, the newest first.
 */
typedef struct HubspotPairs HubspotPairs;

/* What was sent, to match a reply to; see hubspot_match_reply(). */
typedef struct HubspotMatch
{
	HubspotUnit **units;
	int			nunits;
	const HubspotPairs *pairs;	/* these units, and maybe others */
	const void *sent_with;		/* what marks these units */
	const char *from_type;
	const char *to_type;
	HubspotReplyShape shape;
	bool		many;			/* the endpoint takes many inputs; those that
								 * it confirms need no correlation id */
} HubspotMatch;

extern HubspotPairs *hubspot_pairs_create(MemoryContext context);
extern uint32 hubspot_pair_hash(const HubspotInput *input);
extern HubspotUnit *hubspot_pairs_chain(const HubspotPairs *pairs,
										const HubspotInput *input, uint32 hash);
extern void hubspot_pairs_add(HubspotPairs *pairs, HubspotUnit *unit);
extern void hubspot_pairs_remove(HubspotPairs *pairs, HubspotUnit *unit);
extern bool hubspot_same_pair(const HubspotInput *a, const HubspotInput *b);
extern int	hubspot_match_reply(const HubspotMatch *match,
								const HubspotHttpReply *reply, int attempts);
extern bool hubspot_has_type(const HubspotTypeList *types,
							 const HubspotAssociationType *type);

static inline bool
hubspot_unit_is_settled(const HubspotUnit *unit)
{
	return unit->confirmed || unit->error != NULL;
}

static inline bool
hubspot_same_id(HubspotSlice a, HubspotSlice b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

#endif							/* HUBSPOT_MATCH_H */
