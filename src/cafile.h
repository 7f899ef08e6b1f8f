/*-------------------------------------------------------------------------
 *
 * cafile.h
 *	  The file of certificate authorities that a server option names.
 *
 * IDENTIFICATION
 *	  src/cafile.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CAFILE_H
#define HUBSPOT_CAFILE_H

#include "hubspot_assoc.h"

extern const char *hubspot_read_ca_file(const char *path, HubspotSlice *content);

#endif							/* HUBSPOT_CAFILE_H */
