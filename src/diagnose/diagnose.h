/*-------------------------------------------------------------------------
 *
 * diagnose.h
 *	  Why it does not work: all checks of a server.
 *
 * IDENTIFICATION
 *	  src/diagnose/diagnose.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DIAGNOSE_DIAGNOSE_H
#define HUBSPOT_DIAGNOSE_DIAGNOSE_H

#include "diagnose/finding.h"

extern HubspotDiagnosis *hubspot_diagnose(const char *server);

#endif							/* HUBSPOT_DIAGNOSE_DIAGNOSE_H */
