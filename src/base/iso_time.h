/*-------------------------------------------------------------------------
 *
 * iso_time.h
 *	  Times in the formats of ISO 8601 and of HTTP.
 *
 * IDENTIFICATION
 *	  src/base/iso_time.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_ISO_TIME_H
#define HUBSPOT_BASE_ISO_TIME_H

#include "datatype/timestamp.h"

extern bool hubspot_read_iso_time(const char *text, TimestampTz *time);
extern bool hubspot_read_http_time(const char *text, TimestampTz *time);

#endif							/* HUBSPOT_BASE_ISO_TIME_H */
