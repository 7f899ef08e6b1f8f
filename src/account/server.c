/*-------------------------------------------------------------------------
 *
 * server.c
 *	  The foreign server of a given name.
 *
 * Every function that takes a server looks it up here, so that a wrong name
 * and a missing privilege are reported in the same words, with what to do
 * about it.
 *
 * IDENTIFICATION
 *	  src/account/server.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "account/server.h"
#include "base/closest.h"
#include "base/compat.h"
#include "base/setting.h"
#include "base/shown.h"

static char *missing_hint(const char *name);

/*
 * The server of that name, or of hubspot_assoc.server if name is NULL.  The
 * ERROR says which one may have been meant, or what to create.
 */
Oid
hubspot_get_server(const char *name)
{
	ForeignServer *server;
	const char *wrapper;

	if (name == NULL)
		name = hubspot_server_setting;
	server = GetForeignServerByName(name, true);
	if (server == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("server \"%s\" does not exist", hubspot_shown(name)),
				 errhint("%s", missing_hint(name))));
	wrapper = GetForeignDataWrapper(server->fdwid)->fdwname;
	if (strcmp(wrapper, HUBSPOT_WRAPPER) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not a server of %s", name, HUBSPOT_WRAPPER),
				 errdetail("It belongs to the foreign-data wrapper \"%s\".", wrapper)));
	return server->serverid;
}

static char *
missing_hint(const char *name)
{
	const char *closest = hubspot_closest_server(name);

	if (closest)
		return psprintf("Perhaps you meant the server \"%s\".", closest);
	if (name[0] == '\0')
		return pstrdup("Name one in the argument server or the setting hubspot_assoc.server.");
	return psprintf("Create it with CREATE SERVER %s FOREIGN DATA WRAPPER %s, or name another one in the argument server or the setting hubspot_assoc.server.",
					quote_identifier(hubspot_shown(name)), HUBSPOT_WRAPPER);
}

/* The same, if the role may use the server: else the ERROR says what to grant. */
Oid
hubspot_get_usable_server(const char *name, Oid userid)
{
	Oid			serverid = hubspot_get_server(name);

	hubspot_require_usage(serverid, userid);
	return serverid;
}

/* ERROR if the role may not use the server. */
void
hubspot_require_usage(Oid serverid, Oid userid)
{
	if (hubspot_server_aclcheck(serverid, userid, ACL_USAGE) != ACLCHECK_OK)
	{
		const char *name = GetForeignServer(serverid)->servername;

		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for foreign server %s", name),
				 errhint("Its owner can allow it with GRANT USAGE ON FOREIGN SERVER %s TO %s;",
						 quote_identifier(name),
						 quote_identifier(GetUserNameFromId(userid, false)))));
	}
}

/*
 * The server that a name may have been meant for, palloc'd, or NULL: one of
 * our wrapper that the current role may use.
 */
const char *
hubspot_closest_server(const char *name)
{
	Oid			wrapper = get_foreign_data_wrapper_oid(HUBSPOT_WRAPPER, true);
	Relation	relation = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	HubspotClosest closest = {.name = name};
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);
		ForeignServer *server;

		CHECK_FOR_INTERRUPTS();
		if (form->srvfdw != wrapper)
			continue;
		/* it may have been dropped since */
		server = GetForeignServerExtended(form->oid, FSV_MISSING_OK);
		if (server &&
			hubspot_server_aclcheck(form->oid, GetUserId(), ACL_USAGE) == ACLCHECK_OK)
			hubspot_closest_try(&closest, server->servername);
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return closest.found;
}

/* The role that owns the server of that name; InvalidOid: there is no such server. */
Oid
hubspot_server_owner(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, true);

	return server ? server->owner : InvalidOid;
}

/*
 * The role that owns all servers of this database that are accounts;
 * InvalidOid: there are no servers, or several roles own them.
 */
Oid
hubspot_sole_owner(void)
{
	Oid			wrapper = get_foreign_data_wrapper_oid(HUBSPOT_WRAPPER, true);
	Relation	relation = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	Oid			owner = InvalidOid;
	bool		sole = true;
	HeapTuple	tuple;

	while (sole && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);

		if (form->srvfdw != wrapper)
			continue;
		sole = !OidIsValid(owner) || form->srvowner == owner;
		owner = form->srvowner;
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return sole ? owner : InvalidOid;
}
