/*-------------------------------------------------------------------------
 *
 * rights.c
 *	  Whose rights we act with.
 *
 * This is the one file that changes the current user, and it only ever gives
 * rights up or takes those that something must not exceed:
 *
 * - The extension's own tables are read and written, and tables in sync are
 *   read, as nobody, by statements that have another role's privileges on these
 *   tables and on nothing else, as those of a view have (prepared.c).  So a
 *   trigger that somebody was allowed to put there has no rights, whoever
 *   writes.
 * - Triggers of a table in sync are made as its owner.
 * - What is sent for a role is looked up as that role.
 * - A worker, whose own user is a superuser, acts as nobody.
 *
 * Whatever runs meanwhile, such as a trigger that somebody has put there, can
 * neither change the user back nor leave anything behind for later
 * (SECURITY_RESTRICTED_OPERATION).
 *
 * IDENTIFICATION
 *	  src/schema/rights.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "miscadmin.h"

#include "schema/rights.h"

/*
 * Act as a role, until hubspot_act_as_before(), or after an ERROR until the
 * end of the (sub)transaction.
 */
HubspotFormerUser
hubspot_act_as(Oid role)
{
	HubspotFormerUser former;

	GetUserIdAndSecContext(&former.user, &former.security_context);
	SetUserIdAndSecContext(role,
						   former.security_context |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	return former;
}

/*
 * Likewise, as a role without rights.  A role of our own would have to be made
 * in each cluster; this predefined one may issue CHECKPOINT, and owns nothing.
 */
HubspotFormerUser
hubspot_act_as_nobody(void)
{
	return hubspot_act_as(ROLE_PG_CHECKPOINT);
}

/* Stay who we are, but restricted. */
HubspotFormerUser
hubspot_act_restricted(void)
{
	return hubspot_act_as(GetUserId());
}

void
hubspot_act_as_before(HubspotFormerUser former)
{
	SetUserIdAndSecContext(former.user, former.security_context);
}

/* Do we act as that role now? */
bool
hubspot_is_nobody(void)
{
	return GetUserId() == ROLE_PG_CHECKPOINT;
}
