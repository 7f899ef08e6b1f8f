/*-------------------------------------------------------------------------
 *
 * transaction.h
 *	  Short transactions of a sender.
 *
 * IDENTIFICATION
 *	  src/transaction.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TRANSACTION_H
#define HUBSPOT_TRANSACTION_H

#include "extension.h"
#include "rights.h"

/* A sender's; all of one after the other. */
typedef struct HubspotTransaction
{
	bool		procedure;		/* within CALL, and SPI_commit ends it; else a
								 * background worker's own */
	MemoryContext context;		/* current between begin and end, and after */
	bool		open;
	bool		nested;			/* a procedure's is a subtransaction, so that
								 * it can be undone */
	int			guc_level;
	HubspotFormerUser former;
} HubspotTransaction;

extern bool hubspot_transaction_begin(HubspotTransaction *transaction);
extern void hubspot_transaction_end(HubspotTransaction *transaction);
extern void hubspot_transaction_abort(HubspotTransaction *transaction);

#endif							/* HUBSPOT_TRANSACTION_H */
