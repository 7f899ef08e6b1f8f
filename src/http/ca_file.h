/*-------------------------------------------------------------------------
 *
 * ca_file.h
 *	  The file of certificate authorities that a server option names.
 *
 * IDENTIFICATION
 *	  src/http/ca_file.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_HTTP_CA_FILE_H
#define HUBSPOT_HTTP_CA_FILE_H

#include "hubspot.h"

extern const char *hubspot_read_ca_file(const char *path, HubspotSlice *content);

#endif							/* HUBSPOT_HTTP_CA_FILE_H */
