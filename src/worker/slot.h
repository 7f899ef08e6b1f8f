/*-------------------------------------------------------------------------
 *
 * slot.h
 *	  The slots of workers, in shared memory.
 *
 * IDENTIFICATION
 *	  src/worker/slot.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_WORKER_SLOT_H
#define HUBSPOT_WORKER_SLOT_H

#include "outbox/claimant.h"

/*
 * How long a worker may be in a round before another one looks for something
 * else to send, and how long a worker that found everything taken rests before
 * it looks again; in ms.
 */
#define HUBSPOT_PATIENCE	100

typedef enum HubspotSlotState
{
	HUBSPOT_SLOT_FREE,
	HUBSPOT_SLOT_STARTING,		/* the launcher has asked for a process */
	HUBSPOT_SLOT_BUSY,			/* in a round */
	HUBSPOT_SLOT_RESTING,		/* looks again by itself, soon */
	HUBSPOT_SLOT_IDLE,			/* has to be woken */
	HUBSPOT_SLOT_ENDING,		/* will not look again */
	HUBSPOT_SLOT_ENDED			/* the launcher may read what it knew */
} HubspotSlotState;

/* A worker's slot; times as of hubspot_now(). */
typedef struct HubspotSlot
{
	HubspotSlotState state;
	Oid			database;
	uint32		ticket;			/* of the process for which the slot is kept */
	int			pid;			/* 0: not started yet, or gone */
	struct Latch *latch;		/* or NULL */
	int64		started_at;
	int64		looked_at;		/* when its last round began; 0: it had none */
	bool		serving;		/* it sends to an account in this round */
	bool		failing;		/* that account failed the last time */
	Oid			owner;			/* the owner of that account's server */
	bool		leave;			/* it is asked to end after this round */
	bool		evicted;		/* a hold made it end */

	bool		failed;			/* with an ERROR, or it has not looked yet */

	/* of a worker that has ended */
	bool		installed;		/* the database has the extension */
	int64		next_due;
	bool		waits;			/* others were serving accounts */
} HubspotSlot;

/* What a worker that is not busy should do. */
typedef enum HubspotSlotAdvice
{
	HUBSPOT_STAY,
	HUBSPOT_GIVE_WAY,			/* its slot is wanted elsewhere */
	HUBSPOT_LEAVE				/* likewise, and at once */
} HubspotSlotAdvice;

extern void hubspot_slots_add(void);
extern bool hubspot_slots_are_there(void);
extern bool hubspot_launcher_is_there(void);

/* for writers */
extern void hubspot_slot_rouse(Oid database);

/* for the launcher */
extern void hubspot_slots_serve(void);
extern HubspotSlot *hubspot_slots_copy(int *count);
extern Oid *hubspot_holds_copy(int *count);
extern int	hubspot_slot_take(Oid database, uint32 *ticket);
extern void hubspot_slot_free(int number);
extern void hubspot_slot_ask_to_leave(int number, bool leave);
extern void hubspot_slots_demand(bool wanted, bool starved, bool several);

/* for workers */
extern Oid	hubspot_slot_enter(int number, uint32 ticket);
extern void hubspot_slot_look(void);
extern bool hubspot_slot_serve(HubspotStanding standing, Oid owner,
							   bool trusted, bool sole);
extern void hubspot_slot_fail(void);
extern HubspotSlotAdvice hubspot_slot_rest(bool long_enough);
extern HubspotSlotAdvice hubspot_slot_idle(bool long_enough);
extern bool hubspot_slot_must_yield(bool long_enough);
extern bool hubspot_slot_end(bool installed, int64 next_due, bool waits);
extern void hubspot_call_launcher(void);

/* for statements that need a database without workers */
extern void hubspot_hold(Oid database);
extern bool hubspot_hold_is_clear(void);
extern void hubspot_hold_end(void);

#endif							/* HUBSPOT_WORKER_SLOT_H */
