/*-------------------------------------------------------------------------
 *
 * keyed_row.h
 *	  Rows whose records are called by keys, until their last outcome was got.
 *
 * IDENTIFICATION
 *	  src/call/keyed_row.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_KEYED_ROW_H
#define HUBSPOT_CALL_KEYED_ROW_H

#include "call/known_key.h"
#include "hubspot.h"

/* The two sides of a pair. */
enum
{
	HUBSPOT_SIDE_FROM,
	HUBSPOT_SIDE_TO,
	HUBSPOT_NSIDES
};

/* What became of a row with records that an earlier statement had found. */
typedef struct HubspotFormer
{
	const HubspotError *error;	/* NULL: the record that is read has nothing */
	HubspotSlice ids[HUBSPOT_NSIDES];
} HubspotFormer;

typedef struct HubspotKeyedRow
{
	int64		no;				/* the input's */
	const char *given[HUBSPOT_NSIDES];
	int			given_len[HUBSPOT_NSIDES];
	union
	{
		HubspotKey *key;
		char		id[HUBSPOT_SHORT_ID];
	}			found[HUBSPOT_NSIDES];
	bool		has_key[HUBSPOT_NSIDES];	/* it needs a key until it is in
											 * the batch */
	uint8		id_len[HUBSPOT_NSIDES]; /* of the record's id, if that is
										 * there in place of the key; else 0 */
	bool		is_earlier;		/* an earlier statement has found its records */
	bool		has_some;		/* it has had an association */
	const HubspotTypeList *types;
	const HubspotError *error;
	const HubspotFormer *former;	/* NULL: it is tried for the first time */
} HubspotKeyedRow;

/* Rows lie in blocks; see keyed_row.c. */
typedef struct HubspotRowBlock HubspotRowBlock;

typedef struct HubspotKeyedRows
{
	MemoryContext context;
	HubspotRowBlock **blocks;	/* from the first that is not gone on; NULL:
								 * gone */
	int64		first_block;	/* the number of the first of blocks */
	int			nblocks;
	int			maxblocks;
	int64		nadded;			/* rows; they are numbered from 0 */
	HubspotRowBlock *gone;		/* its rows are done; their last outcome may
								 * still be in use */
	HubspotRowBlock *spare;		/* to be used again, the last one first */
	int			nspare;
} HubspotKeyedRows;

extern void hubspot_keyed_rows_begin(HubspotKeyedRows *rows, MemoryContext context);
extern HubspotKeyedRow *hubspot_keyed_rows_add(HubspotKeyedRows *rows,
											   HubspotRowBlock **block);
extern HubspotKeyedRow *hubspot_keyed_rows_find(const HubspotKeyedRows *rows,
												int64 number,
												HubspotRowBlock **block);
extern HubspotSlice hubspot_row_block_text(HubspotRowBlock *block, HubspotSlice text);
extern const HubspotTypeList *hubspot_row_block_types(HubspotRowBlock *block,
													  const HubspotTypeList *types);
extern const HubspotError *hubspot_row_block_error(HubspotRowBlock *block,
												   const HubspotError *error);
extern const HubspotFormer *hubspot_row_block_former(HubspotRowBlock *block,
													 const HubspotOutcome *outcome);
extern void hubspot_keyed_rows_forget(HubspotKeyedRows *rows, HubspotRowBlock *block);
extern void hubspot_keyed_rows_free_gone(HubspotKeyedRows *rows);

static inline HubspotSlice
hubspot_keyed_row_given(const HubspotKeyedRow *row, int side)
{
	HubspotSlice given = {row->given[side], row->given_len[side]};

	return given;
}

#endif							/* HUBSPOT_CALL_KEYED_ROW_H */
