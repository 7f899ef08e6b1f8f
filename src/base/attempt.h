/*-------------------------------------------------------------------------
 *
 * attempt.h
 *	  What may fail without its caller.
 *
 * IDENTIFICATION
 *	  src/base/attempt.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_ATTEMPT_H
#define HUBSPOT_BASE_ATTEMPT_H

typedef void HubspotAttempt(void *state);

extern ErrorData *hubspot_attempt(HubspotAttempt * attempt, void *state);

#endif							/* HUBSPOT_BASE_ATTEMPT_H */
