/*-------------------------------------------------------------------------
 *
 * check.h
 *	  The checks of a diagnosis.
 *
 * IDENTIFICATION
 *	  src/diagnose/check.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DIAGNOSE_CHECK_H
#define HUBSPOT_DIAGNOSE_CHECK_H

#include "diagnose/finding.h"
#include "sync/config.h"

/* setup_check.c */
extern void hubspot_check_server(HubspotDiagnosis *diagnosis);
extern void hubspot_check_allowed_host(HubspotDiagnosis *diagnosis);
extern void hubspot_check_usage(HubspotDiagnosis *diagnosis);
extern void hubspot_check_login(HubspotDiagnosis *diagnosis);
extern void hubspot_check_version(HubspotDiagnosis *diagnosis);

/* process_check.c */
extern void hubspot_check_preload(HubspotDiagnosis *diagnosis);
extern void hubspot_check_workers(HubspotDiagnosis *diagnosis);
extern void hubspot_check_throttle(HubspotDiagnosis *diagnosis);
extern void hubspot_check_resources(HubspotDiagnosis *diagnosis);

/* sync_check.c */
extern List *hubspot_visible_syncs(HubspotDiagnosis *diagnosis, const char *server);
extern const char *hubspot_table_text(const HubspotSync *sync);
extern void hubspot_check_syncs(HubspotDiagnosis *diagnosis);
extern void hubspot_check_triggers(HubspotDiagnosis *diagnosis);

/* drift_check.c */
extern void hubspot_check_drift(HubspotDiagnosis *diagnosis);

/* label_check.c */
extern void hubspot_check_labels(HubspotDiagnosis *diagnosis);

/* outbox_check.c */
extern void hubspot_check_copy(HubspotDiagnosis *diagnosis);
extern void hubspot_check_objects(HubspotDiagnosis *diagnosis);
extern void hubspot_check_pause(HubspotDiagnosis *diagnosis);
extern void hubspot_check_backoff(HubspotDiagnosis *diagnosis);
extern void hubspot_check_waiting(HubspotDiagnosis *diagnosis);
extern void hubspot_check_dead_letters(HubspotDiagnosis *diagnosis);

/* hubspot_check.c */
extern void hubspot_check_account(HubspotDiagnosis *diagnosis);
extern void hubspot_check_quota(HubspotDiagnosis *diagnosis);
extern void hubspot_check_failure(HubspotDiagnosis *diagnosis, HubspotTopic topic,
								  const char *what, const HubspotError *error);

#endif							/* HUBSPOT_DIAGNOSE_CHECK_H */
