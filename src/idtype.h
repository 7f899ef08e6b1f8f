/*-------------------------------------------------------------------------
 *
 * idtype.h
 *	  Types whose text is good for an id.
 *
 * IDENTIFICATION
 *	  src/idtype.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_IDTYPE_H
#define HUBSPOT_IDTYPE_H

extern bool hubspot_is_id_type(Oid type, int32 typmod);
extern bool hubspot_keeps_text(Oid old_type, int32 old_typmod,
							   Oid new_type, int32 new_typmod);
extern bool hubspot_is_number_type(Oid type);

#endif							/* HUBSPOT_IDTYPE_H */
