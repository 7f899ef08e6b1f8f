/*-------------------------------------------------------------------------
 *
 * charge.h
 *	  ERRORs of a sender, and whom they are charged to.
 *
 * IDENTIFICATION
 *	  src/outbox/charge.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_CHARGE_H
#define HUBSPOT_OUTBOX_CHARGE_H

#include "outbox/selection.h"
#include "outbox/short_transaction.h"

extern ErrorData *hubspot_catch(HubspotTransaction *transaction,
								MemoryContext context, bool theirs);
extern void hubspot_tell_fault(const char *server, const ErrorData *fault);
extern bool hubspot_charge_row(HubspotTransaction *transaction,
							   const HubspotClaimant *claimant,
							   const HubspotProgress *progress,
							   const ErrorData *fault, MemoryContext context);
extern bool hubspot_charge_account(HubspotTransaction *transaction,
								   const HubspotClaimant *claimant,
								   const ErrorData *fault,
								   MemoryContext context);
extern bool hubspot_charge_nobody(HubspotTransaction *transaction,
								  const HubspotClaimant *claimant,
								  MemoryContext context);

#endif							/* HUBSPOT_OUTBOX_CHARGE_H */
