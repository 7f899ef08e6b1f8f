/*-------------------------------------------------------------------------
 *
 * error_words.h
 *	  What an error says, to be compared with others.
 *
 * IDENTIFICATION
 *	  src/api/error_words.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_ERROR_WORDS_H
#define HUBSPOT_API_ERROR_WORDS_H

#include "hubspot.h"

extern char *hubspot_error_words(const HubspotError *error);

#endif							/* HUBSPOT_API_ERROR_WORDS_H */
