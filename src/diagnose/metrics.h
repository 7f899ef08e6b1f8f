/*-------------------------------------------------------------------------
 *
 * metrics.h
 *	  What is going on, in figures for those who draw them.
 *
 * IDENTIFICATION
 *	  src/diagnose/metrics.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DIAGNOSE_METRICS_H
#define HUBSPOT_DIAGNOSE_METRICS_H

#include "diagnose/figure.h"

extern void hubspot_metrics(void (*take) (void *state, const HubspotMetric *metric),
							void *state);

#endif							/* HUBSPOT_DIAGNOSE_METRICS_H */
