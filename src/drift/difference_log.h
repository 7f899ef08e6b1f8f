/*-------------------------------------------------------------------------
 *
 * difference_log.h
 *	  The differences from HubSpot that workers have found, and what has become of them.
 *
 * IDENTIFICATION
 *	  src/drift/difference_log.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DRIFT_DIFFERENCE_LOG_H
#define HUBSPOT_DRIFT_DIFFERENCE_LOG_H

#include "datatype/timestamp.h"

#include "drift/drift.h"

/* Differences of a slice, as statements take them. */
typedef struct HubspotFoundDifferences HubspotFoundDifferences;

extern HubspotFoundDifferences *hubspot_found_differences(const HubspotDrift *drift);
extern void hubspot_found_difference_put(HubspotFoundDifferences *found, const HubspotDriftRow *row);

extern int64 hubspot_log_differences(const HubspotFoundDifferences *found, const char *place,
									 TimestampTz remembered, bool *open);
extern int64 hubspot_log_repairs(const HubspotFoundDifferences *found, TimestampTz seen_after,
								 bool *repaired);
extern char *hubspot_log_next_place(int32 sync, TimestampTz seen_after, const char *place);
extern int64 hubspot_log_contested(int32 sync, TimestampTz seen_after);
extern void hubspot_log_forget(int32 sync, TimestampTz seen_before, TimestampTz remembered);
extern void hubspot_log_settle(int32 sync, const char *server);

#endif							/* HUBSPOT_DRIFT_DIFFERENCE_LOG_H */
