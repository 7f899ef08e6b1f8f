/*-------------------------------------------------------------------------
 *
 * id_type.h
 *	  Types whose text is good for an id.
 *
 * IDENTIFICATION
 *	  src/rows/id_type.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ROWS_ID_TYPE_H
#define HUBSPOT_ROWS_ID_TYPE_H

extern bool hubspot_is_id_type(Oid type, int32 typmod);
extern bool hubspot_keeps_text(Oid old_type, int32 old_typmod,
							   Oid new_type, int32 new_typmod);
extern bool hubspot_is_number_type(Oid type);

#endif							/* HUBSPOT_ROWS_ID_TYPE_H */
