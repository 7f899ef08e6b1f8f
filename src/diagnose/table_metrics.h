/*-------------------------------------------------------------------------
 *
 * table_metrics.h
 *	  Figures that come from tables.
 *
 * IDENTIFICATION
 *	  src/diagnose/table_metrics.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DIAGNOSE_TABLE_METRICS_H
#define HUBSPOT_DIAGNOSE_TABLE_METRICS_H

#include "nodes/pg_list.h"

#include "diagnose/figure.h"

extern void hubspot_put_table_figures(const HubspotFigureSink *sink, const List *servers);

#endif							/* HUBSPOT_DIAGNOSE_TABLE_METRICS_H */
