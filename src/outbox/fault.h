/*-------------------------------------------------------------------------
 *
 * fault.h
 *	  What this server lacks for sending, for those who look at it.
 *
 * IDENTIFICATION
 *	  src/outbox/fault.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_FAULT_H
#define HUBSPOT_OUTBOX_FAULT_H

#include "datatype/timestamp.h"

/* So much of a message is kept. */
#define HUBSPOT_MAX_FAULT_MESSAGE	500

/* An account that could not be served, and why. */
typedef struct HubspotFault
{
	Oid			database;		/* InvalidOid: there is none here */
	char		server[NAMEDATALEN];
	Oid			role;
	TimestampTz since;
	TimestampTz last;
	int			sqlstate;		/* of the last ERROR, and its message */
	char		message[HUBSPOT_MAX_FAULT_MESSAGE + 1];
} HubspotFault;

extern void hubspot_faults_add(void);
extern void hubspot_fault_note(const char *server, Oid role, const ErrorData *error);
extern void hubspot_fault_clear(const char *server, Oid role);
extern int	hubspot_faults(HubspotFault **faults);

#endif							/* HUBSPOT_OUTBOX_FAULT_H */
