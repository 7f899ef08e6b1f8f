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

/* One figure; its texts live as long as take() runs. */
typedef struct HubspotMetric
{
	const char *name;
	const char *labels;			/* a JSON object */
	double		value;
	const char *kind;			/* counter or gauge */
	const char *help;
} HubspotMetric;

extern void hubspot_metrics(void (*take) (void *state, const HubspotMetric *metric),
							void *state);

#endif							/* HUBSPOT_DIAGNOSE_METRICS_H */
