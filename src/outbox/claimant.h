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
	bool		has_later;		/* rows that are not due yet; known under the
								 * lease, as what follows */
	bool		has_letters;	/* dead letters */
	bool		has_outdated;	/* of these, some that are to be deleted */
	bool		has_doubts;		/* operations that may still be done */
	bool		has_keys;		/* rows whose records are not known yet */
	bool		has_late;		/* among these, removals that were looked up */
	int64		first_unasked;	/* the first that was not */
	Datum		company;		/* oid[]: roles with the same login, itself
								 * included */
	Datum		heeds;			/* oid[]: roles whose later rows make its own
								 * needless */
	Datum		overrides;		/* oid[]: roles whose earlier rows its own
								 * make needless */
	bool		has_company;	/* these have other roles than itself */
	int64		turn;			/* sender.c's, likewise what follows */
	HubspotReask *reask;
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
