/*-------------------------------------------------------------------------
 *
 * host.h
 *	  Hosts: of a URL, of this machine, of a list.
 *
 * IDENTIFICATION
 *	  src/base/host.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_HOST_H
#define HUBSPOT_BASE_HOST_H

extern char *hubspot_url_host(const char *url, const char *const *schemes,
							  const char **scheme);
extern bool hubspot_is_loopback(const char *host);
extern bool hubspot_host_matches(const char *host, char *list);
extern char *hubspot_bad_host_pattern(char *list);

#endif							/* HUBSPOT_BASE_HOST_H */
