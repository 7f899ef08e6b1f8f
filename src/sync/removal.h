/*-------------------------------------------------------------------------
 *
 * removal.h
 *	  Which parts of this transaction have enqueued removals.
 *
 * IDENTIFICATION
 *	  src/sync/removal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_REMOVAL_H
#define HUBSPOT_SYNC_REMOVAL_H

extern void hubspot_removal_note(void);
extern bool hubspot_removal_transactions(Datum *transactions);
extern void hubspot_removal_doubt(void);

#endif							/* HUBSPOT_SYNC_REMOVAL_H */
