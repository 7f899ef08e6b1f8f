/*-------------------------------------------------------------------------
 *
 * catalog_access.h
 *	  The catalogs, from wherever something is looked up in them.
 *
 * IDENTIFICATION
 *	  src/base/catalog_access.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_CATALOG_ACCESS_H
#define HUBSPOT_BASE_CATALOG_ACCESS_H

/*
 * What was begun in order to use the catalogs, and has to be ended afterwards.
 */
typedef struct HubspotCatalogAccess
{
	bool		transaction;
	bool		snapshot;
} HubspotCatalogAccess;

extern HubspotCatalogAccess hubspot_begin_catalog_access(void);
extern void hubspot_end_catalog_access(HubspotCatalogAccess access);

#endif							/* HUBSPOT_BASE_CATALOG_ACCESS_H */
