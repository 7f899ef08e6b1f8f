/*-------------------------------------------------------------------------
 *
 * rights.h
 *	  Whose rights we act with.
 *
 * IDENTIFICATION
 *	  src/schema/rights.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SCHEMA_RIGHTS_H
#define HUBSPOT_SCHEMA_RIGHTS_H

/* Whom to be again: for hubspot_act_as_before(). */
typedef struct HubspotFormerUser
{
	Oid			user;
	int			security_context;
} HubspotFormerUser;

extern HubspotFormerUser hubspot_act_as(Oid role);
extern HubspotFormerUser hubspot_act_as_nobody(void);
extern HubspotFormerUser hubspot_act_restricted(void);
extern void hubspot_act_as_before(HubspotFormerUser former);
extern bool hubspot_is_nobody(void);

#endif							/* HUBSPOT_SCHEMA_RIGHTS_H */
