/*-------------------------------------------------------------------------
 *
 * turn.h
 *	  When a sender served each account, and how that went.
 *
 * IDENTIFICATION
 *	  src/outbox/turn.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_TURN_H
#define HUBSPOT_OUTBOX_TURN_H

#include "outbox/claimant.h"

/* The turns of all accounts that a sender has looked at. */
typedef struct HubspotTurns HubspotTurns;

typedef struct HubspotTurn
{
	struct HubspotTurn *next;	/* turn.c's */
	char	   *server;
	Oid			role;
	int64		number;			/* 0: never */
	int64		max_rows;		/* a bound, while one of several rows may make
								 * all of them fail; 0: none */
	int			failures;		/* ERRORs since something last went well */
	int64		rests_until;	/* as of hubspot_now() */
	HubspotReask reask;			/* selection.c's and found.c's */
} HubspotTurn;

extern HubspotTurns *hubspot_turns_create(MemoryContext context);
extern HubspotTurn *hubspot_turn(HubspotTurns *turns, const char *server, Oid role);
extern void hubspot_turn_went_well(HubspotTurn *turn);
extern void hubspot_turn_rest(HubspotTurn *turn, bool charged);
extern bool hubspot_turn_rests(const HubspotTurn *turn, TimestampTz *until);

#endif							/* HUBSPOT_OUTBOX_TURN_H */
