/*-------------------------------------------------------------------------
 *
 * verify.h
 *	  Tables in sync, compared with HubSpot by workers, a slice at a time.
 *
 * IDENTIFICATION
 *	  src/drift/verify.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DRIFT_VERIFY_H
#define HUBSPOT_DRIFT_VERIFY_H

#include "datatype/timestamp.h"

/* A worker that compares tables; see verify.c. */
typedef struct HubspotVerifier HubspotVerifier;

extern HubspotVerifier *hubspot_verifier_create(void);
extern bool hubspot_verify(HubspotVerifier *verifier, bool woken, TimestampTz *due);

#endif							/* HUBSPOT_DRIFT_VERIFY_H */
