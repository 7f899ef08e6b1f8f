/*-------------------------------------------------------------------------
 *
 * short_transaction.c
 *	  Short transactions of a sender.
 *
 * A sender must not keep a transaction open while it waits for the network.  A
 * background worker has none then.  A procedure has one that a commit has just
 * begun, without a snapshot, so that it holds nothing back.  Rows that are
 * read in a transaction outlive it, in the memory context that is current
 * while it is open.
 *
 * A worker is connected as a superuser, whose rights it does not need.  A
 * procedure has its caller's.
 *
 * IDENTIFICATION
 *	  src/outbox/short_transaction.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lwlock.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "outbox/short_transaction.h"

/*
 * Settings for our statements: plans by index, because the statistics of a
 * queue are those of another moment; and a search_path without other schemas,
 * for what they call.
 */
static const struct
{
	const char *name;
	const char *value;
}			own_settings[] = {
	{"search_path", "pg_catalog, pg_temp"},
	{"enable_seqscan", "off"},
	{"enable_bitmapscan", "off"},
	{"enable_hashjoin", "off"},
	{"enable_mergejoin", "off"},

	/*
	 * a scan that is "off" counts as so expensive that the JIT would spend
	 * seconds compiling it
	 */
	{"jit", "off"}
};

static void take_settings(HubspotTransaction *transaction);
static void end_nested(HubspotTransaction *transaction);

/*
 * Begin a short transaction (a procedure is in one already).  False: there is
 * no extension, and no transaction was begun.
 */
bool
hubspot_transaction_begin(HubspotTransaction *transaction)
{
	Assert(!transaction->open);
	if (!transaction->procedure)
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
	}

	/*
	 * each statement has to see what others have done, whatever the session's
	 * isolation level
	 */
	XactIsoLevel = XACT_READ_COMMITTED;
	if (transaction->asynchronous)
		(void) set_config_option("synchronous_commit", "off", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	transaction->asynchronous = false;
	if (transaction->procedure)
	{
		BeginInternalSubTransaction(NULL);
		transaction->nested = true;
	}
	transaction->open = true;
	if (hubspot_outbox_lock() == NULL)
	{
		transaction->open = false;
		if (transaction->procedure)
			end_nested(transaction);
		else
			CommitTransactionCommand();
		MemoryContextSwitchTo(transaction->context);
		return false;
	}
	take_settings(transaction);
	PushActiveSnapshot(GetTransactionSnapshot());
	transaction->looking = true;
	MemoryContextSwitchTo(transaction->context);
	return true;
}

/* Give the transaction its rights and settings. */
static void
take_settings(HubspotTransaction *transaction)
{
	transaction->former = transaction->procedure ? hubspot_act_restricted() :
		hubspot_act_as_nobody();
	transaction->guc_level = NewGUCNestLevel();
	for (size_t i = 0; i < lengthof(own_settings); i++)
		(void) set_config_option(own_settings[i].name, own_settings[i].value,
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
}

/*
 * Begin a transaction of a worker for what needs one and takes long: it has neither a
 * snapshot nor a lock, so that it holds nothing back and nobody up.
 */
void
hubspot_transaction_begin_blind(HubspotTransaction *transaction)
{
	Assert(!transaction->open && !transaction->procedure);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	XactIsoLevel = XACT_READ_COMMITTED;
	transaction->open = true;
	transaction->looking = false;
	take_settings(transaction);
	MemoryContextSwitchTo(transaction->context);
}

/*
 * Give such a transaction the lock and the snapshot that others have.  False: there is no
 * extension; the transaction is to be ended.
 */
bool
hubspot_transaction_look(HubspotTransaction *transaction)
{
	Assert(transaction->open && !transaction->looking);
	if (hubspot_outbox_lock() == NULL)
		return false;
	PushActiveSnapshot(GetTransactionSnapshot());
	transaction->looking = true;
	MemoryContextSwitchTo(transaction->context);
	return true;
}

/* Commit the transaction. */
void
hubspot_transaction_end(HubspotTransaction *transaction)
{
	Assert(transaction->open);
	if (transaction->looking)
		PopActiveSnapshot();
	AtEOXact_GUC(false, transaction->guc_level);
	hubspot_act_as_before(transaction->former);
	transaction->open = false;
	if (transaction->procedure)
	{
		end_nested(transaction);
		SPI_commit();
	}
	else
	{
		CommitTransactionCommand();
		pgstat_report_stat(false);
	}
	MemoryContextSwitchTo(transaction->context);
}

static void
end_nested(HubspotTransaction *transaction)
{
	ReleaseCurrentSubTransaction();
	transaction->nested = false;
}

/*
 * After an ERROR, which the caller has caught: undo whatever is open.  Then no
 * transaction is open, as before hubspot_transaction_begin(), and the current
 * memory context is that of the transactions.
 */
void
hubspot_transaction_abort(HubspotTransaction *transaction)
{
	MemoryContextSwitchTo(transaction->context);
	transaction->open = false;
	if (transaction->procedure)
	{
		/*
		 * end our subtransaction and any that was begun in it; there is no
		 * other
		 */
		while (transaction->nested && IsSubTransaction())
			RollbackAndReleaseCurrentSubTransaction();
		transaction->nested = false;
		MemoryContextSwitchTo(transaction->context);
		SPI_rollback();
	}
	else
	{
		AbortOutOfAnyTransaction();
		LWLockReleaseAll();		/* even if there was no transaction */
	}
	MemoryContextSwitchTo(transaction->context);
}
