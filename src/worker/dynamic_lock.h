/*-------------------------------------------------------------------------
 *
 * dynamic_lock.h
 *	  The dynamic worker of a database, where the library is not preloaded.
 *
 * IDENTIFICATION
 *	  src/worker/dynamic_lock.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_WORKER_DYNAMIC_LOCK_H
#define HUBSPOT_WORKER_DYNAMIC_LOCK_H

/* What came of an attempt to have a worker look at the outbox. */
typedef enum HubspotDynamicStart
{
	HUBSPOT_DYNAMIC_THERE,		/* it was there, and looks once more */
	HUBSPOT_DYNAMIC_STARTED,
	HUBSPOT_DYNAMIC_OFF,		/* by a setting, or in this kind of server */
	HUBSPOT_DYNAMIC_NO_SLOT		/* max_worker_processes is used up */
} HubspotDynamicStart;

/* What a process is started for. */
typedef enum HubspotDynamicKind
{
	HUBSPOT_DYNAMIC_FIRST,		/* by a session, to have a lasting one started */
	HUBSPOT_DYNAMIC_LASTING,
	HUBSPOT_DYNAMIC_SUCCESSOR	/* of one that had to end: begins with a rest */
} HubspotDynamicKind;

/* for everybody */
extern HubspotDynamicStart hubspot_dynamic_rouse(Oid database);
extern int	hubspot_dynamic_pid(Oid database);

/* for the worker */
extern HubspotDynamicKind hubspot_dynamic_kind(void);
extern bool hubspot_dynamic_start(Oid database, HubspotDynamicKind kind);
extern bool hubspot_dynamic_enter(Oid database);
extern void hubspot_dynamic_leave(Oid database);
extern bool hubspot_dynamic_is_wanted(Oid database);

#endif							/* HUBSPOT_WORKER_DYNAMIC_LOCK_H */
