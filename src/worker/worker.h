/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  A process that sends the outbox of a database.
 *
 * IDENTIFICATION
 *	  src/worker/worker.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_WORKER_WORKER_H
#define HUBSPOT_WORKER_WORKER_H

#include "datatype/timestamp.h"
#include "postmaster/bgworker.h"

extern bool hubspot_worker_start(Oid database, int slot, uint32 ticket,
								 BackgroundWorkerHandle **handle);
extern PGDLLEXPORT void hubspot_worker_main(Datum main_arg);

/* for processes like it */
extern void hubspot_worker_take_settings(void);
extern void hubspot_worker_name_database(void);
extern int64 hubspot_worker_monotonic(TimestampTz time);

#endif							/* HUBSPOT_WORKER_WORKER_H */
