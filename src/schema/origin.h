/*-------------------------------------------------------------------------
 *
 * origin.h
 *	  Is this database the one that is to send, or a copy of it?
 *
 * IDENTIFICATION
 *	  src/schema/origin.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SCHEMA_ORIGIN_H
#define HUBSPOT_SCHEMA_ORIGIN_H

extern bool hubspot_origin_sends(void);
extern const char *hubspot_origin_problem(void);
extern bool hubspot_origin_is_open(void);
extern bool hubspot_origin_claim(void);
extern void hubspot_origin_claim_or_warn(void);
extern void hubspot_origin_require(void);
extern void hubspot_origin_warn(void);
extern void hubspot_origin_adopt(void);

#endif							/* HUBSPOT_SCHEMA_ORIGIN_H */
