/*-------------------------------------------------------------------------
 *
 * extension_schema.c
 *	  The schema that the extension is in, and who may do what with it.
 *
 * The owner of a schema can give its name to another schema, and a role that
 * may create in it can put functions there that are taken for ours, because
 * their arguments fit better.  Our own statements are safe from that
 * (prepared.c); what others do with our names is not.  So we warn of such a
 * schema when the extension is put into it, and let nobody but a superuser
 * rename it.
 *
 * IDENTIFICATION
 *	  src/schema/extension_schema.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "schema/extension_schema.h"

PG_FUNCTION_INFO_V1(hs_assoc_check_schema);

static void warn_of_schema(const HubspotSchema *schema);
static Oid	schema_owner(Oid namespace);
static Oid	database_owner(void);

/*
 * hs_assoc_check_schema(): for the extension's scripts alone, which drop it
 * afterwards
 */
Datum
hs_assoc_check_schema(PG_FUNCTION_ARGS)
{
	warn_of_schema(hubspot_outbox_schema(false));
	PG_RETURN_VOID();
}

static void
warn_of_schema(const HubspotSchema *schema)
{
	const char *name = get_namespace_name(schema->namespace);
	Oid			owner = schema_owner(schema->namespace);

	if (!superuser_arg(owner))
		ereport(WARNING,
				(errmsg("schema \"%s\" belongs to role \"%s\", which is not a superuser",
						name, GetUserNameFromId(owner, false)),
				 errdetail("The role can create functions there that others mistake for those of hubspot_assoc, and drop the extension with the schema."),
				 errhint("Put the extension into a schema of its own, which a superuser owns.")));
	else if (hubspot_schema_aclcheck(schema->namespace, ACL_ID_PUBLIC, ACL_CREATE) == ACLCHECK_OK)
		ereport(WARNING,
				(errmsg("everybody may create objects in schema \"%s\"", name),
				 errdetail("Anybody can create functions there that others mistake for those of hubspot_assoc."),
				 errhint("Put the extension into a schema of its own, or REVOKE CREATE ON SCHEMA %s FROM PUBLIC.",
						 schema->name)));
}

static Oid
schema_owner(Oid namespace)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(namespace));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %u", namespace);
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	return owner == ROLE_PG_DATABASE_OWNER ? database_owner() : owner;
}

static Oid
database_owner(void)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for database %u", MyDatabaseId);
	owner = ((Form_pg_database) GETSTRUCT(tuple))->datdba;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * At the end of a command: refuse it if it has renamed the schema, for all but
 * superusers.
 */
void
hubspot_keep_schema(const HubspotSchema *schema, const Node *command)
{
	const char *name;

	if (superuser())
		return;
	if (!IsA(command, RenameStmt) ||
		((const RenameStmt *) command)->renameType != OBJECT_SCHEMA)
		return;
	/* it has its new name already */
	name = get_namespace_name(schema->namespace);
	if (name && strcmp(((const RenameStmt *) command)->newname, name) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to rename schema \"%s\", because extension \"%s\" is in it",
						((const RenameStmt *) command)->subname, "hubspot_assoc"),
				 errhint("A superuser can move the extension to another schema with ALTER EXTENSION %s SET SCHEMA.",
						 "hubspot_assoc")));
}
