/*-------------------------------------------------------------------------
 *
 * fault.h
 *	  What this server lacks for sending, for a view to show.
 *
 * IDENTIFICATION
 *	  src/outbox/fault.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_FAULT_H
#define HUBSPOT_OUTBOX_FAULT_H

#include "datatype/timestamp.h"

/* How many bytes of a message are kept. */
#define HUBSPOT_MAX_FAULT_MESSAGE	500

/* An account that could not be served, and why. */
typedef struct HubspotFault
{
	Oid			database;		/* InvalidOid: a free place */
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
