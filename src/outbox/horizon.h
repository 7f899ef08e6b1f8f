/*-------------------------------------------------------------------------
 *
 * horizon.h
 *	  The time before which no row of an account is due, or will be.
 *
 * IDENTIFICATION
 *	  src/outbox/horizon.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_HORIZON_H
#define HUBSPOT_OUTBOX_HORIZON_H

#include "datatype/timestamp.h"

/* A look at the outbox */
typedef struct HubspotLook
{
	TimestampTz safe;			/* a row that is not in the table yet is due
								 * no earlier */
	uint64		generation;		/* of the database's horizons */
} HubspotLook;

extern void hubspot_horizon_add(void);
extern void hubspot_horizon_begin(void);
extern HubspotLook hubspot_horizon_look(Oid outbox);
extern TimestampTz hubspot_horizon(const char *server, Oid role);
extern void hubspot_horizon_raise(const HubspotLook *look, const char *server,
								  Oid role, TimestampTz from, TimestampTz to);
extern void hubspot_horizon_void(void);

#endif							/* HUBSPOT_OUTBOX_HORIZON_H */
