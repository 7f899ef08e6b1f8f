/*-------------------------------------------------------------------------
 *
 * repeated.c
 *	  Pairs that a transaction adds again and again.
 *
 * For each pair that a statement adds, it is asked whether this transaction has removed it
 * before (change_sql.c).  That reads the pair's entries in the index of pairs, those of
 * deleted rows as well: as long as the transaction goes on, they cannot be taken out.  So a
 * pair that is removed and added again thousands of times would cost the square of that.
 * Here it is counted how often each was added, so that it can be left as it is when
 * that was often.
 *
 * A transaction may add any number of pairs.  They are counted together by two hash values
 * each, and the lower count counts: no pair is ever taken to have come more rarely than it
 * has.  One that has not come often may be taken to have, where a transaction has added some
 * ten million pairs one by one.  What it removes and adds again is then sent, which comes to
 * the same.
 *
 * IDENTIFICATION
 *	  src/sync/repeated.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "base/text_hash.h"
#include "sync/repeated.h"

/* How often a pair is looked for; and as many statements of a transaction need no counting. */
#define OFTEN	64

/* How many counts there are, each of a byte; a power of 2. */
#define NCOUNTS	(1 << 19)

static FullTransactionId counted_transaction;
static int	nstatements;		/* that it has counted */
static uint8 *counts;			/* in its memory context; or NULL: none yet */

static bool counts_pairs(void);
static bool add(const HubspotDeltaColumn *const columns[2], TupleTableSlot *slot);
static bool add_to(uint64 place);

/*
 * Does one of the rows that statements know by that name have a pair that this transaction
 * has often added?  They are counted now.
 */
bool
hubspot_repeated_in(QueryEnvironment *environment, const char *name,
					const HubspotDeltaColumn *from, const HubspotDeltaColumn *to)
{
	EphemeralNamedRelation relation = get_ENR(environment, name);
	const HubspotDeltaColumn *const columns[] = {from, to};
	Tuplestorestate *rows;
	TupleTableSlot *slot;
	bool		often = false;

	if (relation == NULL || !counts_pairs())
		return false;
	rows = relation->reldata;
	tuplestore_select_read_pointer(rows, tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND));
	tuplestore_rescan(rows);
	slot = MakeSingleTupleTableSlot(ENRMetadataGetTupDesc(&relation->md), &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		often |= add(columns, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	return often;
}

/* Count a statement; and must its pairs be counted, too? */
static bool
counts_pairs(void)
{
	FullTransactionId transaction = GetTopFullTransactionId();

	if (!FullTransactionIdEquals(counted_transaction, transaction))
	{
		counted_transaction = transaction;
		nstatements = 0;
		counts = NULL;
	}
	if (nstatements < OFTEN)
	{
		nstatements++;
		return false;
	}
	if (counts == NULL)
		counts = MemoryContextAllocZero(TopTransactionContext, NCOUNTS);
	return true;
}

/* Count the pair of a row.  Did it come often? */
static bool
add(const HubspotDeltaColumn *const columns[2], TupleTableSlot *slot)
{
	uint64		hash = 0;
	bool		often;

	for (int i = 0; i < 2; i++)
	{
		bool		is_null;
		Datum		value = slot_getattr(slot, columns[i]->number, &is_null);

		if (is_null)
			return false;
		hash = hubspot_mix_hash(hash, datum_image_hash(value, columns[i]->by_value,
													   columns[i]->length));
	}
	often = add_to(hash);
	return add_to(hash >> 32) && often;
}

static bool
add_to(uint64 place)
{
	uint8	   *count = &counts[place & (NCOUNTS - 1)];

	if (*count >= OFTEN)
		return true;
	++*count;
	return false;
}
