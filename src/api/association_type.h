/*-------------------------------------------------------------------------
 *
 * association_type.h
 *	  Association types: those of a pair, and those that answers name.
 *
 * IDENTIFICATION
 *	  src/api/association_type.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_ASSOCIATION_TYPE_H
#define HUBSPOT_API_ASSOCIATION_TYPE_H

#include "hubspot.h"

/* Which object types have a primary type, in words. */
#define HUBSPOT_PRIMARY_DIRECTIONS	"there is one between companies and contacts, deals or tickets, in either direction"

/* Types that answers name, each made once. */
typedef struct HubspotTypeSet HubspotTypeSet;

/*
 * The category of the types that HubSpot replaces when a pair is given others; it leaves
 * types of other categories alone.
 */
#define HUBSPOT_REPLACED_CATEGORY	"USER_DEFINED"

/* The known category of types that are given without one. */
extern const char hubspot_defined_category[];

extern const char *hubspot_known_category(const char *text, int len);
extern HubspotTypeSet *hubspot_types_create(MemoryContext context);
extern const HubspotAssociationType *hubspot_types_get(HubspotTypeSet *set,
													   HubspotSlice category,
													   int32 type_id,
													   HubspotSlice label);
extern int32 hubspot_primary_type(const char *from_type, const char *to_type);
extern bool hubspot_is_primary(const HubspotAssociationType *type);
extern bool hubspot_has_type(const HubspotTypeList *types,
							 const HubspotAssociationType *type);
extern bool hubspot_has_types(const HubspotTypeList *types,
							  const HubspotTypeList *others);
extern bool hubspot_same_types(const HubspotTypeList *types,
							   const HubspotTypeList *others);
extern const HubspotTypeList *hubspot_merge_types(const HubspotTypeList *types,
												  const HubspotTypeList *more);

#endif							/* HUBSPOT_API_ASSOCIATION_TYPE_H */
