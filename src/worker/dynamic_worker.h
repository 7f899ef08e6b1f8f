/*-------------------------------------------------------------------------
 *
 * dynamic_worker.h
 *	  A process that sends the outbox of a database, without preloading.
 *
 * IDENTIFICATION
 *	  src/worker/dynamic_worker.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_WORKER_DYNAMIC_WORKER_H
#define HUBSPOT_WORKER_DYNAMIC_WORKER_H

extern PGDLLEXPORT void hubspot_dynamic_main(Datum main_arg);

#endif							/* HUBSPOT_WORKER_DYNAMIC_WORKER_H */
