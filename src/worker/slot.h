/*-------------------------------------------------------------------------
 *
 * slot.h
 *	  The places of workers, in shared memory.
 *
 * IDENTIFICATION
 *	  src/worker/slot.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_WORKER_SLOT_H
#define HUBSPOT_WORKER_SLOT_H

/*
 * How long a worker may be in a round before another one looks whether there
 * is something else to send, and how long one that found all of it taken rests
 * before it looks again; in ms.
 */
#define HUBSPOT_PATIENCE	100

typedef enum HubspotPlaceState
{
	HUBSPOT_PLACE_FREE,
	HUBSPOT_PLACE_STARTING,		/* the launcher has asked for a process */
	HUBSPOT_PLACE_BUSY,			/* in a round */
	HUBSPOT_PLACE_RESTING,		/* looks again of itself, soon */
	HUBSPOT_PLACE_IDLE,			/* to be woken */
	HUBSPOT_PLACE_ENDING,		/* will not look again */
	HUBSPOT_PLACE_ENDED			/* what it knew is for the launcher */
} HubspotPlaceState;

/* A worker's place; times as of hubspot_now(). */
typedef struct HubspotPlace
{
	HubspotPlaceState state;
	Oid			database;
	uint32		ticket;			/* of the process that it is kept for */
	int			pid;			/* 0: not started yet, or gone */
	struct Latch *latch;		/* or NULL */
	int64		started_at;
	int64		looked_at;		/* when its last round began, 0: none did */
	bool		takes_failing;	/* this round, accounts that failed lately */
	bool		leave;			/* is asked to end after this round */
	bool		evicted;		/* was made to end by a hold */

	bool		failed;			/* with an ERROR, or it has not looked yet */

	/* of one that has ended */
	bool		installed;		/* the database has the extension */
	int64		next_due;
} HubspotPlace;

/* What a worker that isn't busy should do. */
typedef enum HubspotAdvice
{
	HUBSPOT_STAY,
	HUBSPOT_GIVE_WAY,			/* its place is wanted elsewhere */
	HUBSPOT_LEAVE				/* and at once */
} HubspotAdvice;

extern void hubspot_places_add(void);

/* for those who write */
extern void hubspot_place_rouse(Oid database);

/* for the launcher */
extern void hubspot_places_serve(void);
extern HubspotPlace *hubspot_places_copy(int *count);
extern Oid *hubspot_holds_copy(int *count);
extern int	hubspot_place_take(Oid database, uint32 *ticket);
extern void hubspot_place_free(int number);
extern void hubspot_place_ask_to_leave(int number, bool leave);
extern void hubspot_places_demand(bool wanted, bool starved);

/* for a worker */
extern Oid	hubspot_place_enter(int number, uint32 ticket);
extern bool hubspot_place_look(void);
extern void hubspot_place_fail(void);
extern HubspotAdvice hubspot_place_rest(bool long_enough);
extern HubspotAdvice hubspot_place_idle(bool long_enough);
extern bool hubspot_place_must_yield(bool long_enough);
extern bool hubspot_place_is_last(void);
extern bool hubspot_place_end(bool installed, int64 next_due);
extern void hubspot_call_launcher(void);

/* for those who want workers out of a database */
extern void hubspot_hold(Oid database);
extern bool hubspot_hold_is_clear(void);
extern void hubspot_hold_end(void);

#endif							/* HUBSPOT_WORKER_SLOT_H */
