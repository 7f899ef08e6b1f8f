/*-------------------------------------------------------------------------
 *
 * short_transaction.h
 *	  Short transactions of a sender.
 *
 * IDENTIFICATION
 *	  src/outbox/short_transaction.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_SHORT_TRANSACTION_H
#define HUBSPOT_OUTBOX_SHORT_TRANSACTION_H

#include "schema/extension.h"
#include "schema/rights.h"

/* The transactions of a sender, one after the other. */
typedef struct HubspotTransaction
{
	bool		procedure;		/* within CALL, where SPI_commit() ends it;
								 * else a background worker's own */
	MemoryContext context;		/* current between begin and end, and after */
	bool		asynchronous;	/* the next one's commit waits neither for the
								 * disk nor for a standby */
	bool		open;
	bool		looking;		/* it has a snapshot */
	bool		nested;			/* it is a subtransaction, as in a procedure,
								 * so that it can be undone */
	int			guc_level;
	HubspotFormerUser former;
} HubspotTransaction;

extern bool hubspot_transaction_begin(HubspotTransaction *transaction);
extern void hubspot_transaction_begin_blind(HubspotTransaction *transaction);
extern bool hubspot_transaction_look(HubspotTransaction *transaction);
extern void hubspot_transaction_end(HubspotTransaction *transaction);
extern void hubspot_transaction_abort(HubspotTransaction *transaction);

#endif							/* HUBSPOT_OUTBOX_SHORT_TRANSACTION_H */
