/*-------------------------------------------------------------------------
 *
 * claimant.h
 *	  Who has something in the outbox: servers, as roles use them.
 *
 * IDENTIFICATION
 *	  src/outbox/claimant.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_CLAIMANT_H
#define HUBSPOT_OUTBOX_CLAIMANT_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "outbox/outbox.h"
#include "outbox/reask.h"

/* A server as a role uses it, with rows in the outbox. */
typedef struct HubspotClaimant
{
	const char *server;
	Oid			role;
	TimestampTz due;			/* when the first of its rows may be sent */
	TimestampTz horizon;		/* no row is due before that time */
	bool		backing_off;	/* nothing could be sent to it the last time */
	bool		known;			/* something was sent to its server before */
	bool		has_later;		/* it has rows that are not due yet; this and
								 * what follows is read under the lease */
	bool		has_letters;	/* its server has dead letters */
	bool		has_outdated;	/* its server has dead letters that are to be
								 * deleted */
	bool		has_doubts;		/* its server has operations that may still be
								 * done */
	bool		has_keys;		/* its server has rows whose records are not
								 * known yet */
	bool		has_late;		/* its server has removals whose records were
								 * looked up in vain */
	int64		first_unasked;	/* the first row whose records were never
								 * looked up */
	Datum		company;		/* oid[]: roles with the same login, itself
								 * included */
	Datum		heeds;			/* oid[]: roles whose later rows make its own
								 * needless */
	Datum		overrides;		/* oid[]: roles whose earlier rows its own
								 * make needless */
	bool		has_company;	/* other roles than its own are in company */
	int64		turn;			/* sender.c's */
	HubspotReask *reask;		/* sender.c's */
} HubspotClaimant;

/* What is known of an account before something is sent to it. */
typedef enum HubspotStanding
{
	HUBSPOT_NEW,				/* nothing */
	HUBSPOT_PROVEN,				/* the last round went well */
	HUBSPOT_FAILING				/* the last round failed */
} HubspotStanding;

extern List *hubspot_claimants(const char *server);
extern bool hubspot_claimant_renew(HubspotClaimant *claimant,
								   const List *claimants);
extern bool hubspot_claimant_is_with(const HubspotClaimant *claimant, Oid role);

#endif							/* HUBSPOT_OUTBOX_CLAIMANT_H */
