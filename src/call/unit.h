/*-------------------------------------------------------------------------
 *
 * unit.h
 *	  A pair of records in a batch, and the rows that ask for it.
 *
 * IDENTIFICATION
 *	  src/call/unit.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_UNIT_H
#define HUBSPOT_CALL_UNIT_H

#include "lib/ilist.h"

#include "hubspot.h"

/* Rows that stand for the same pair: count of them, from first on. */
typedef struct HubspotRowRange
{
	int64		first;			/* input number */
	int64		count;
} HubspotRowRange;

/* The associations of a record, which are read a page at a time. */
typedef struct HubspotPage
{
	const HubspotAssociation *associations; /* of the last page */
	int			nassociations;
	int			nlisted;		/* and those behind them that came before */
	HubspotSlice last_id;		/* of the last one as the answer has them */
	const struct HubspotFormer *formers;	/* those of the page before that,
											 * sorted; see page.c */
	int			nformers;
	uint32		npages;			/* pages that were read */
	uint32		nidle;			/* of these the last ones, none of which had
								 * more than the one before it; see page.c */
	uint32		ends;			/* a hash of the first and the last
								 * association */
	uint32		marked_ends;	/* that of a page before it */
	uint32		nrounds;		/* how many pages were like the marked one */
	HubspotSlice after;			/* where the next page begins; no data: at the
								 * start, or there is none */
	HubspotSlice mark;			/* where a page before it began, or no data */
	struct HubspotKey **names;	/* of the associated records, or NULL */
} HubspotPage;

/*
 * A pair of records in a batch, and what became of it.  It is settled when it
 * is confirmed or has an error.  The ids lie behind the struct, which is kept
 * small: a batch goes through thousands of them again and again.
 */
typedef struct HubspotUnit
{
	HubspotInput input;			/* must be first */
	uint32		hash;			/* of the pair, in either direction; for
								 * HubspotPairs, unless they ascend */
	bool		listed;			/* in the batch's HubspotPairs */
	bool		suspect;		/* may be why others were refused */
	bool		confirmed;
	bool		doubtful;		/* HubSpot may have been asked more than once */
	bool		labels_known;	/* of a pair: those that it has were read */
	bool		counted;		/* it is counted as settled, before all of its
								 * chunk are */
	bool		given;			/* all of its rows were given, before all of
								 * its chunk are settled */
	void	   *chunk;			/* the HubspotChunk that it is part of */
	struct HubspotUnit *older;	/* of the same pair; see HubspotPairs */
	dlist_node	node;			/* for HubspotPairs */
	const void *sent_with;		/* the request that it is part of now */

	const HubspotError *error;
	const HubspotTypeList *types;	/* from the answer */
	const HubspotLabelList *labels; /* likewise */
	const char *correlation_id;
	HubspotPage *page;			/* of a record that is read, or NULL */

	HubspotRowRange rows;
	HubspotRowRange *more_rows; /* rows that came later, palloc'd */
	int			nmore_rows;
	int			http_status;
} HubspotUnit;

/*
 * The units of a batch that are not settled, by their pairs of ids.  Those of
 * one pair, and of its reverse, are a chain, the newest first.
 */
typedef struct HubspotPairs HubspotPairs;

extern HubspotPairs *hubspot_pairs_create(MemoryContext context);
extern uint32 hubspot_pair_hash(const HubspotInput *input);
extern bool hubspot_pairs_ascend(HubspotPairs *pairs, const HubspotInput *input);
extern HubspotUnit *hubspot_pairs_chain(const HubspotPairs *pairs,
										const HubspotInput *input, uint32 hash);
extern void hubspot_pairs_add(HubspotPairs *pairs, HubspotUnit *unit);
extern void hubspot_pairs_remove(HubspotPairs *pairs, HubspotUnit **units, int nunits);
extern bool hubspot_unit_is_next_row(HubspotUnit *unit, int64 input_no);
extern bool hubspot_unit_add_row(HubspotUnit *unit, int64 input_no);
extern void hubspot_unit_copy_rows(HubspotUnit *unit, const HubspotUnit *other);
extern int64 hubspot_unit_row_count(const HubspotUnit *unit);
extern void hubspot_units_set_error(HubspotUnit **units, int nunits,
									const HubspotError *error);

static inline bool
hubspot_unit_is_settled(const HubspotUnit *unit)
{
	return unit->confirmed || unit->error != NULL;
}

/* Where the next page of a record begins; no data: there is none. */
static inline HubspotSlice
hubspot_unit_next_page(const HubspotUnit *unit)
{
	const HubspotSlice none = {NULL, 0};

	return unit->page ? unit->page->after : none;
}

static inline bool
hubspot_same_pair(const HubspotInput *a, const HubspotInput *b)
{
	return hubspot_same_id(a->from_id, b->from_id) &&
		hubspot_same_id(a->to_id, b->to_id);
}

static inline bool
hubspot_reverse_pair(const HubspotInput *a, const HubspotInput *b)
{
	return hubspot_same_id(a->from_id, b->to_id) &&
		hubspot_same_id(a->to_id, b->from_id);
}

#endif							/* HUBSPOT_CALL_UNIT_H */
