/*-------------------------------------------------------------------------
 *
 * keyed_row.c
 *	  Rows whose records are called by keys, until their last outcome was got.
 *
 * Rows lie in blocks, with their texts.  A block is freed when all of its rows are done;
 * some are kept for those to come, so that a million rows don't ask for memory four thousand
 * times.  By then, other things have taken their place in the processor's cache, so what is
 * written next is fetched beforehand.
 *
 * IDENTIFICATION
 *	  src/call/keyed_row.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "api/association_type.h"
#include "api/error.h"
#include "base/prefetch.h"
#include "call/keyed_row.h"

/* Rows of a block, and bytes for their texts, which are usually enough. */
#define BLOCK_ROWS		256
#define TEXT_SIZE		(16 * 1024)

/* If that is not enough: bytes of a further piece. */
#define PIECE_SIZE		8192

#define FIRST_BLOCKS	16

/* Blocks that are kept: those of the rows of a request, which are all done at once. */
#define MAX_SPARE		8

/* How far ahead of a row, and of a text, memory is fetched, in bytes. */
#define ROW_AHEAD		(4 * sizeof(HubspotKeyedRow))
#define TEXT_AHEAD		256

struct HubspotRowBlock
{
	MemoryContext context;		/* of what is not in the block itself */
	HubspotRowBlock *next_spare;
	int			nleft;			/* rows whose last outcome was not got */
	char	   *space;			/* for texts */
	Size		space_left;
	const HubspotTypeList *last_types;	/* of the last row, to be shared */
	const HubspotError *last_error;
	HubspotKeyedRow rows[BLOCK_ROWS];
	char		texts[TEXT_SIZE];
};

static void add_block(HubspotKeyedRows *rows);
static HubspotRowBlock *make_block(HubspotKeyedRows *rows);
static void free_block(HubspotKeyedRows *rows, HubspotRowBlock *block);

/* Begin, without rows, in a memory context. */
void
hubspot_keyed_rows_begin(HubspotKeyedRows *rows, MemoryContext context)
{
	memset(rows, 0, sizeof(HubspotKeyedRows));
	rows->context = context;
}

/* Add a row, which is all zeroes, and lies in this block. */
HubspotKeyedRow *
hubspot_keyed_rows_add(HubspotKeyedRows *rows, HubspotRowBlock **block)
{
	int			n = rows->nadded % BLOCK_ROWS;
	HubspotKeyedRow *row;

	if (n == 0)
		add_block(rows);
	*block = rows->blocks[rows->nblocks - 1];
	rows->nadded++;
	(*block)->nleft++;
	row = &(*block)->rows[n];
	HUBSPOT_PREFETCH_TO_WRITE((char *) row + ROW_AHEAD);
	HUBSPOT_PREFETCH_TO_WRITE((char *) (row + 1) + ROW_AHEAD - 1);
	memset(row, 0, sizeof(HubspotKeyedRow));
	return row;
}

/* Add a block without rows.  All rows of the one before may be done already. */
static void
add_block(HubspotKeyedRows *rows)
{
	HubspotRowBlock *before = rows->nblocks > 0 ? rows->blocks[rows->nblocks - 1] : NULL;

	if (before && before->nleft == 0 && rows->gone)
		free_block(rows, before);
	else if (before && before->nleft == 0)
		rows->gone = before;
	if (rows->nblocks == rows->maxblocks)
	{
		rows->maxblocks = Max(2 * rows->maxblocks, FIRST_BLOCKS);
		if (rows->blocks == NULL)
			rows->blocks = MemoryContextAlloc(rows->context,
											  sizeof(HubspotRowBlock *) * rows->maxblocks);
		else
			rows->blocks = repalloc(rows->blocks,
									sizeof(HubspotRowBlock *) * rows->maxblocks);
	}
	rows->blocks[rows->nblocks] = make_block(rows);
	rows->nblocks++;
}

/* A spare block, or a new one. */
static HubspotRowBlock *
make_block(HubspotKeyedRows *rows)
{
	HubspotRowBlock *block = rows->spare;

	if (block)
	{
		rows->spare = block->next_spare;
		rows->nspare--;
	}
	else
	{
		block = MemoryContextAlloc(rows->context, sizeof(HubspotRowBlock));
		block->context = AllocSetContextCreate(rows->context, "hubspot_assoc keyed rows",
											   ALLOCSET_SMALL_SIZES);
	}
	block->nleft = 0;
	block->space = block->texts;
	block->space_left = TEXT_SIZE;
	block->last_types = NULL;
	block->last_error = NULL;
	return block;
}

/* The row of a number, and the block that it lies in. */
HubspotKeyedRow *
hubspot_keyed_rows_find(const HubspotKeyedRows *rows, int64 number,
						HubspotRowBlock **block)
{
	*block = rows->blocks[number / BLOCK_ROWS - rows->first_block];
	return &(*block)->rows[number % BLOCK_ROWS];
}

/* A copy of a text, which lives as long as the block. */
HubspotSlice
hubspot_row_block_text(HubspotRowBlock *block, HubspotSlice text)
{
	char	   *copy;

	if (text.data == NULL)
		return text;
	if ((Size) text.len > block->space_left)
	{
		block->space_left = Max(PIECE_SIZE, text.len);
		block->space = MemoryContextAlloc(block->context, block->space_left);
	}
	HUBSPOT_PREFETCH_TO_WRITE(block->space + TEXT_AHEAD);
	copy = memcpy(block->space, text.data, text.len);
	block->space += text.len;
	block->space_left -= text.len;
	text.data = copy;
	return text;
}

/* A copy of types, which lives as long as the block: one for rows that have the same. */
const HubspotTypeList *
hubspot_row_block_types(HubspotRowBlock *block, const HubspotTypeList *types)
{
	MemoryContext old;

	if (types == NULL)
		return NULL;
	if (block->last_types && hubspot_same_types(block->last_types, types))
		return block->last_types;
	old = MemoryContextSwitchTo(block->context);
	block->last_types = hubspot_merge_types(NULL, types);
	MemoryContextSwitchTo(old);
	return block->last_types;
}

/* A copy of an error, likewise. */
const HubspotError *
hubspot_row_block_error(HubspotRowBlock *block, const HubspotError *error)
{
	MemoryContext old = MemoryContextSwitchTo(block->context);

	error = hubspot_share_error(&block->last_error, error);
	MemoryContextSwitchTo(old);
	return error;
}

/* What an outcome says of its row, for one of this block that tries it once more. */
const HubspotFormer *
hubspot_row_block_former(HubspotRowBlock *block, const HubspotOutcome *outcome)
{
	HubspotFormer *former = MemoryContextAlloc(block->context, sizeof(HubspotFormer));

	former->error = outcome->error ? hubspot_row_block_error(block, outcome->error) : NULL;
	former->ids[HUBSPOT_SIDE_FROM] = hubspot_row_block_text(block, outcome->from_id);
	former->ids[HUBSPOT_SIDE_TO] = hubspot_row_block_text(block, outcome->to_id);
	return former;
}

/*
 * A row of a block has no more outcomes.  What the last one points to is valid until
 * hubspot_keyed_rows_free_gone().
 */
void
hubspot_keyed_rows_forget(HubspotKeyedRows *rows, HubspotRowBlock *block)
{
	if (--block->nleft == 0 && block != rows->blocks[rows->nblocks - 1])
		rows->gone = block;
}

/* Free the block whose last outcome is no longer needed, if there is one. */
void
hubspot_keyed_rows_free_gone(HubspotKeyedRows *rows)
{
	if (rows->gone)
		free_block(rows, rows->gone);
	rows->gone = NULL;
}

/* Free a block with all of its rows, and its place, if those before it are gone, too. */
static void
free_block(HubspotKeyedRows *rows, HubspotRowBlock *block)
{
	int			ngone = 0;

	for (int i = 0; i < rows->nblocks; i++)
	{
		if (rows->blocks[i] == block)
			rows->blocks[i] = NULL;
	}
	if (rows->nspare == MAX_SPARE)
	{
		MemoryContextDelete(block->context);
		pfree(block);
	}
	else
	{
		MemoryContextReset(block->context);
		block->next_spare = rows->spare;
		rows->spare = block;
		rows->nspare++;
	}
	while (ngone < rows->nblocks && rows->blocks[ngone] == NULL)
		ngone++;
	rows->first_block += ngone;
	rows->nblocks -= ngone;
	memmove(rows->blocks, rows->blocks + ngone, sizeof(HubspotRowBlock *) * rows->nblocks);
}
