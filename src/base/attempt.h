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

#include "base/compat.h"

typedef void HubspotAttempt(void *state);

extern ErrorData *hubspot_attempt(HubspotAttempt * attempt, void *state);
extern void hubspot_throw_again(ErrorData *error) pg_attribute_noreturn();

#endif							/* HUBSPOT_BASE_ATTEMPT_H */
