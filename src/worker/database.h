/*-------------------------------------------------------------------------
 *
 * database.h
 *	  What the launcher knows of databases.
 *
 * IDENTIFICATION
 *	  src/worker/database.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_WORKER_DATABASE_H
#define HUBSPOT_WORKER_DATABASE_H

#include "worker/slot.h"

/* Times as of hubspot_now(). */
typedef struct HubspotDatabase
{
	Oid			oid;			/* the key */
	bool		listed;			/* can be connected to, as of the last list */
	bool		installed;		/* has the extension, as the last worker said */
	int64		due;			/* when it is to be looked at */
	int64		looked_at;		/* when a worker that has ended looked last */
	int64		not_before;		/* no new worker before, because one has
								 * failed */
	int			failures;		/* how often workers have failed in a row */
	bool		waits;			/* others were serving accounts, as of that
								 * look */

	/* as of this turn */
	bool		held;
	bool		pending;		/* something was committed */
	int			nworkers;
	bool		has_reserve;	/* one of them is not busy, and will look */
	int64		busy_look;		/* when the busy one that looked last did so */
} HubspotDatabase;

extern void hubspot_databases_create(void);
extern void hubspot_databases_list(void);
extern void hubspot_databases_poll(void);
extern void hubspot_databases_begin_turn(void);
extern void hubspot_database_count_worker(const HubspotSlot *slot);
extern void hubspot_database_bury_worker(const HubspotSlot *slot);
extern void hubspot_databases_come_back(void);
extern void hubspot_databases_wake(void);
extern HubspotDatabase *hubspot_database_most_urgent(void);
extern bool hubspot_databases_are_several(void);
extern int64 hubspot_databases_next(void);

#endif							/* HUBSPOT_WORKER_DATABASE_H */
