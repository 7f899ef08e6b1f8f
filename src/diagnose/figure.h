/*-------------------------------------------------------------------------
 *
 * figure.h
 *	  The figures that there are, and where they go.
 *
 * IDENTIFICATION
 *	  src/diagnose/figure.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DIAGNOSE_FIGURE_H
#define HUBSPOT_DIAGNOSE_FIGURE_H

/* Up to where each of a server's rows is counted, as the figures' help tells. */
#define HUBSPOT_COUNTED_DEAD_LETTERS	"1000"
#define HUBSPOT_COUNTED_WAITING			"1000"
#define HUBSPOT_COUNTED_DIFFERENCES		"1000"

typedef enum HubspotFigure
{
	HUBSPOT_FIGURE_REQUESTS,
	HUBSPOT_FIGURE_RETRIES,
	HUBSPOT_FIGURE_RATE_LIMITED,
	HUBSPOT_FIGURE_INPUTS,
	HUBSPOT_FIGURE_CONFIRMED,
	HUBSPOT_FIGURE_SKIPPED,
	HUBSPOT_FIGURE_FAILED,
	HUBSPOT_FIGURE_BYTES_SENT,
	HUBSPOT_FIGURE_BYTES_RECEIVED,
	HUBSPOT_FIGURE_REQUEST_SECONDS,
	HUBSPOT_FIGURE_MAX_REQUEST_SECONDS,
	HUBSPOT_FIGURE_RATE_LIMIT,
	HUBSPOT_FIGURE_RATE_USED,
	HUBSPOT_FIGURE_PARKED,
	HUBSPOT_FIGURE_PRELOADED,
	HUBSPOT_FIGURE_LAUNCHER_UP,
	HUBSPOT_FIGURE_WORKERS,
	HUBSPOT_FIGURE_OUTBOX_ROWS,
	HUBSPOT_FIGURE_OUTBOX_LAG,
	HUBSPOT_FIGURE_ROWS_WITHOUT_RECORDS,
	HUBSPOT_FIGURE_DEAD_LETTERS,
	HUBSPOT_FIGURE_BACKOFF,
	HUBSPOT_FIGURE_PAUSED,
	HUBSPOT_FIGURE_SYNCS,
	HUBSPOT_FIGURE_INACTIVE_SYNCS,
	HUBSPOT_FIGURE_COMPARED_RECORDS,
	HUBSPOT_FIGURE_DIFFERENCES,
	HUBSPOT_FIGURE_REPAIRED,
	HUBSPOT_FIGURE_OPEN_DIFFERENCES,
	HUBSPOT_FIGURE_CONTESTED,
	HUBSPOT_FIGURE_VERIFY_LATE,
	HUBSPOT_FIGURE_FAULT
} HubspotFigure;

/* One figure; its texts live as long as take() runs. */
typedef struct HubspotMetric
{
	const char *name;
	const char *labels;			/* a JSON object */
	double		value;
	const char *kind;			/* counter or gauge */
	const char *help;
} HubspotMetric;

typedef struct HubspotFigureLabel
{
	const char *name;
	const char *value;
} HubspotFigureLabel;

/* Where figures go. */
typedef struct HubspotFigureSink
{
	void		(*take) (void *state, const HubspotMetric *metric);
	void	   *state;
	const char *database;
} HubspotFigureSink;

extern void hubspot_put_figure(const HubspotFigureSink *sink, HubspotFigure figure,
							   const char *server, double value);
extern void hubspot_put_labeled_figure(const HubspotFigureSink *sink,
									   HubspotFigure figure, const char *server,
									   const HubspotFigureLabel *labels, int nlabels,
									   double value);

#endif							/* HUBSPOT_DIAGNOSE_FIGURE_H */
