/*-------------------------------------------------------------------------
 *
 * removal.c
 *	  Which parts of this transaction have enqueued removals.
 *
 * What a transaction removes and adds again is not a change for HubSpot if the table had it
 * before.  The rows of the outbox that it has enqueued itself are known by their xmin, which
 * is one of the transaction's ids: each subtransaction has its own.
 *
 * This transaction may itself have added a row that it removes, and not have
 * enqueued that: by a statement in which this one is nested and whose triggers
 * are yet to run, while triggers were disabled, or before the sync began.
 * Then all removals of the transaction are in doubt, and stay.
 *
 * IDENTIFICATION
 *	  src/sync/removal.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"

#include "sync/removal.h"

/*
 * How many are remembered.  What any further ones have removed is removed and
 * added again, which costs requests, and comes to the same.
 */
#define MAX_TRANSACTIONS	100

static FullTransactionId top_transaction;
static TransactionId noted[MAX_TRANSACTIONS];
static int	nnoted = 0;
static FullTransactionId doubtful_transaction;

static bool is_current(FullTransactionId transaction);

/* Note that the current subtransaction has enqueued something that may be a removal. */
void
hubspot_removal_note(void)
{
	FullTransactionId top = GetTopFullTransactionId();
	TransactionId transaction = GetCurrentTransactionId();

	if (!FullTransactionIdEquals(top_transaction, top))
	{
		top_transaction = top;
		nnoted = 0;
	}
	if (nnoted < MAX_TRANSACTIONS &&
		(nnoted == 0 || noted[nnoted - 1] != transaction))
		noted[nnoted++] = transaction;
}

/* The ids of those that were not rolled back: an xid[], palloc'd.  False: there are none. */
bool
hubspot_removal_transactions(Datum *transactions)
{
	Datum		elements[MAX_TRANSACTIONS];
	int			nelements = 0;

	if (!is_current(top_transaction) || is_current(doubtful_transaction))
		return false;
	for (int i = 0; i < nnoted; i++)
	{
		if (TransactionIdIsCurrentTransactionId(noted[i]))
			elements[nelements++] = TransactionIdGetDatum(noted[i]);
	}
	if (nelements > 0)
		*transactions = PointerGetDatum(construct_array(elements, nelements, XIDOID,
														sizeof(TransactionId), true,
														TYPALIGN_INT));
	return nelements > 0;
}

static bool
is_current(FullTransactionId transaction)
{
	return FullTransactionIdIsValid(transaction) &&
		FullTransactionIdEquals(transaction, GetTopFullTransactionIdIfAny());
}

/* Know none of this transaction's removals any more, past or future. */
void
hubspot_removal_doubt(void)
{
	doubtful_transaction = GetTopFullTransactionId();
}
