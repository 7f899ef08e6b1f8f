/*-------------------------------------------------------------------------
 *
 * setting.h
 *	  The settings hubspot_assoc.*.
 *
 * IDENTIFICATION
 *	  src/base/setting.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_SETTING_H
#define HUBSPOT_BASE_SETTING_H

extern char *hubspot_server_setting;
extern char *hubspot_instance;	/* never NULL */
extern bool hubspot_hold_after_promotion;
extern int	hubspot_progress_interval;	/* ms, 0: off */
extern int	hubspot_workers;	/* maximum number, 0: none */
extern int	hubspot_poll_interval;	/* ms */
extern int	hubspot_max_accounts;
extern int	hubspot_max_requests;	/* of a statement, 0: no limit */
extern bool hubspot_version_warnings;

extern void hubspot_define_settings(void);
extern void hubspot_check_host(const char *name, const char *base_url);

#endif							/* HUBSPOT_BASE_SETTING_H */
