/*-------------------------------------------------------------------------
 *
 * undone.h
 *	  Rows that were not confirmed, until that is recorded.
 *
 * IDENTIFICATION
 *	  src/outbox/undone.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_UNDONE_H
#define HUBSPOT_OUTBOX_UNDONE_H

#include "hubspot.h"
#include "outbox/outbox.h"

/* What is recorded of a row. */
typedef enum HubspotSettlement
{
	HUBSPOT_SETTLE_FAILED,		/* an attempt has failed */
	HUBSPOT_SETTLE_LATER,		/* it is put off, for want of a scope */
	HUBSPOT_SETTLE_SOON,		/* it is put off, after the others that are
								 * due */
	HUBSPOT_SETTLE_LONGER,		/* it is put off, for as long as it has waited */
	HUBSPOT_SETTLE_APART,		/* it is sent again, without others of its
								 * pair */
	HUBSPOT_SETTLE_DEAD
} HubspotSettlement;

/* Rows, and the reason of each; see undone.c. */
typedef struct HubspotUndone HubspotUndone;

extern HubspotUndone *hubspot_undone_create(int max_rows, int max_attempts);
extern void hubspot_undone_note(HubspotUndone *undone, int64 id,
								HubspotSettlement settlement,
								const HubspotError *error);
extern void hubspot_undone_settle(HubspotUndone *undone);

#endif							/* HUBSPOT_OUTBOX_UNDONE_H */
