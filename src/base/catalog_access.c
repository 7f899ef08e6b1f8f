/*-------------------------------------------------------------------------
 *
 * catalog_access.c
 *	  The catalogs, from wherever something is looked up in them.
 *
 * Most of the extension runs inside a statement, where the catalogs can be used
 * at any time.  A sender of the outbox does not: it waits for the network with
 * no transaction open, or in one without a snapshot, so that it holds back no
 * vacuum.  Code that both run, and that now and then needs a catalog, puts its
 * look-up between these two functions.  The first begins whatever is missing
 * (a transaction, a snapshot, or nothing); the second ends it.
 *
 * Both leave the memory context as it was, so what the look-up pallocs there
 * outlives the transaction.  An ERROR between them is like any other: the code
 * that catches it has to abort the transaction.
 *
 * IDENTIFICATION
 *	  src/base/catalog_access.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/snapmgr.h"

#include "base/catalog_access.h"

/* Begin what is missing; the result is for hubspot_end_catalog_access(). */
HubspotCatalogAccess
hubspot_begin_catalog_access(void)
{
	MemoryContext context = CurrentMemoryContext;
	HubspotCatalogAccess access;

	access.transaction = !IsTransactionState();
	if (access.transaction)
		StartTransactionCommand();
	access.snapshot = !ActiveSnapshotSet();
	if (access.snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
	return access;
}

/* End what was begun. */
void
hubspot_end_catalog_access(HubspotCatalogAccess access)
{
	MemoryContext context = CurrentMemoryContext;

	if (access.snapshot)
	{
		/*
		 * the snapshot of the catalogs must not hold back vacuum while we
		 * wait
		 */
		PopActiveSnapshot();
		InvalidateCatalogSnapshotConditionally();
	}
	if (access.transaction)
		CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}
