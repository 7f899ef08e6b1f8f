/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  Starts workers in the databases that have something to send.
 *
 * IDENTIFICATION
 *	  src/worker/launcher.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_WORKER_LAUNCHER_H
#define HUBSPOT_WORKER_LAUNCHER_H

extern void hubspot_launcher_register(void);
extern PGDLLEXPORT void hubspot_launcher_main(Datum main_arg);

#endif							/* HUBSPOT_WORKER_LAUNCHER_H */
