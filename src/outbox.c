/*-------------------------------------------------------------------------
 *
 * outbox.c
 *	  The outbox: SQL on our own tables.
 *
 * IDENTIFICATION
 *	  src/outbox.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "outbox.h"

#define EXTENSION_NAME	"hubspot_assoc"

/* How many letters a misspelled operation may be off. */
#define MAX_DISTANCE	4

static const struct
{
	const char *name;
	HubspotOperation operation;
}			operations[] = {
	{"create_default", HUBSPOT_BATCH_CREATE_DEFAULT},
	{"create", HUBSPOT_BATCH_CREATE},
	{"archive", HUBSPOT_BATCH_ARCHIVE},
	{"archive_labels", HUBSPOT_BATCH_ARCHIVE_LABELS}
};

/*
 * The statement that inserts rows, kept for the session.  The server plans it
 * anew when tables change, but it belongs to one schema and one hs_assoc_input:
 * another CREATE EXTENSION makes another one.
 */
static struct
{
	SPIPlanPtr	plan;			/* or NULL */
	char	   *schema;			/* its name, in the plan's text */
	Oid			inputs;			/* type of the parameter */
}			insertion;

/*
 * Where the tables are, as long as known.  Found again when the outbox or a
 * schema is altered, in the same place, so that who holds it need not care.
 */
static struct
{
	bool		valid;
	bool		has_callbacks;
	uint64		messages;		/* that were about it, so far */
	Oid			extension;
	Oid			table;			/* the outbox */
	char		name[2 * NAMEDATALEN + 3];
	HubspotSchema schema;
}			known;

static bool find_schema(void);
static Oid	extension_namespace(Oid *extension);
static void forget_table(Datum argument, Oid relid);
static void forget_namespace(Datum argument, int cacheid, uint32 hashvalue);
static void forget(void);
static SPIPlanPtr insertion_plan(const HubspotSchema *schema, Oid inputs);
static uint64 change_server(const HubspotSchema *schema, const char *sql,
							const char *server, Oid role);

/*
 * Where the tables are in this database, found once.  Without the extension,
 * NULL if missing_ok, and an ERROR otherwise.
 */
const HubspotSchema *
hubspot_outbox_schema(bool missing_ok)
{
	if (!known.has_callbacks)
	{
		CacheRegisterRelcacheCallback(forget_table, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, forget_namespace, (Datum) 0);
		known.has_callbacks = true;
	}
	if (!known.valid && !find_schema())
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"%s\" does not exist", EXTENSION_NAME),
				 errhint("Create it in this database with CREATE EXTENSION %s.",
						 EXTENSION_NAME)));
	}
	return &known.schema;
}

/*
 * Likewise, and keep the extension from being dropped until the end of the
 * transaction.  Whoever drops it locks it before its tables, so that neither
 * waits for the other halfway.  NULL if it isn't there.
 */
const HubspotSchema *
hubspot_outbox_lock(void)
{
	const HubspotSchema *schema;
	Oid			locked = InvalidOid;

	while ((schema = hubspot_outbox_schema(true)) != NULL &&
		   known.extension != locked)
	{
		locked = known.extension;
		LockDatabaseObject(ExtensionRelationId, locked, 0, AccessShareLock);
	}
	return schema;
}

static bool
find_schema(void)
{
	uint64		messages = known.messages;
	Oid			namespace = extension_namespace(&known.extension);
	char	   *name = NULL;
	HeapTuple	tuple;

	if (OidIsValid(namespace))
		name = get_namespace_name(namespace);
	if (name == NULL)
		return false;
	tuple = SearchSysCache2(RELNAMENSP, CStringGetDatum("hs_assoc_outbox"),
							ObjectIdGetDatum(namespace));
	if (!HeapTupleIsValid(tuple))
		return false;
	known.table = ((Form_pg_class) GETSTRUCT(tuple))->oid;
	known.schema.namespace = namespace;
	known.schema.owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	strlcpy(known.name, quote_identifier(name), sizeof(known.name));
	known.schema.name = known.name;

	/* reading took in messages, too */
	known.valid = (known.messages == messages);
	return true;
}

/* The schema of the extension, and the extension; or InvalidOid. */
static Oid
extension_namespace(Oid *extension)
{
	Relation	extensions = table_open(ExtensionRelationId, AccessShareLock);
	Oid			namespace = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(EXTENSION_NAME));
	scan = systable_beginscan(extensions, ExtensionNameIndexId, true, NULL, 1,
							  &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		*extension = ((Form_pg_extension) GETSTRUCT(tuple))->oid;
		namespace = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	}
	systable_endscan(scan);
	table_close(extensions, AccessShareLock);
	return namespace;
}

static void
forget_table(Datum argument, Oid relid)
{
	if (!OidIsValid(relid) || relid == known.table)
		forget();
}

static void
forget_namespace(Datum argument, int cacheid, uint32 hashvalue)
{
	forget();
}

static void
forget(void)
{
	known.valid = false;
	known.messages++;
}

/*
 * Act as the owner of the tables, until hubspot_outbox_leave_owner, or until
 * the end of the (sub)transaction if an ERROR comes before.  What could be of
 * use to somebody who has slipped code in is not allowed meanwhile.
 */
HubspotFormerUser
hubspot_outbox_become_owner(const HubspotSchema *schema)
{
	HubspotFormerUser former;

	GetUserIdAndSecContext(&former.user, &former.security_context);
	SetUserIdAndSecContext(schema->owner,
						   former.security_context |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	return former;
}

void
hubspot_outbox_leave_owner(HubspotFormerUser former)
{
	SetUserIdAndSecContext(former.user, former.security_context);
}

/* An operation by the name that it has in SQL.  False: there is none. */
bool
hubspot_outbox_operation(const char *name, HubspotOperation *operation)
{
	for (size_t i = 0; i < lengthof(operations); i++)
	{
		if (strcmp(operations[i].name, name) == 0)
		{
			*operation = operations[i].operation;
			return true;
		}
	}
	return false;
}

/* The one that may have been meant by a name, or NULL. */
const char *
hubspot_outbox_closest_operation(const char *name)
{
	const char *closest = NULL;
	int			len = strlen(name);
	int			least = Min(MAX_DISTANCE, len / 2) + 1;

	if (len > NAMEDATALEN)
		return NULL;
	for (size_t i = 0; i < lengthof(operations); i++)
	{
		int			distance = varstr_levenshtein(name, len, operations[i].name,
												  strlen(operations[i].name),
												  1, 1, 1, true);

		if (distance < least)
		{
			least = distance;
			closest = operations[i].name;
		}
	}
	return closest;
}

/*
 * Insert an hs_assoc_input[], none of whose elements may be null, in its order
 * and with the rights of the outbox's owner.
 */
void
hubspot_outbox_insert(const HubspotSchema *schema,
					  const HubspotEnqueue *enqueue, Datum inputs)
{
	Oid			type = get_array_type(ARR_ELEMTYPE(DatumGetArrayTypeP(inputs)));
	HubspotFormerUser former;
	int			result;
	Datum		values[] = {
		CStringGetTextDatum(enqueue->server),
		ObjectIdGetDatum(enqueue->role),
		CStringGetTextDatum(enqueue->operation),
		CStringGetTextDatum(enqueue->from_type),
		CStringGetTextDatum(enqueue->to_type),
		BoolGetDatum(enqueue->keep_labels),
		ObjectIdGetDatum(enqueue->link_table),
		inputs
	};
	char		nulls[lengthof(values)];

	memset(nulls, ' ', sizeof(nulls));
	if (!OidIsValid(enqueue->link_table))
		nulls[6] = 'n';
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	former = hubspot_outbox_become_owner(schema);
	result = SPI_execute_plan(insertion_plan(schema, type), values, nulls,
							  false, 0);
	hubspot_outbox_leave_owner(former);
	if (result != SPI_OK_INSERT)
		elog(ERROR, "could not insert into the outbox: %s",
			 SPI_result_code_string(result));
	SPI_finish();
}

static SPIPlanPtr
insertion_plan(const HubspotSchema *schema, Oid inputs)
{
	static const char sql[] =
	"INSERT INTO %s.hs_assoc_outbox (server, role, operation, from_type, from_id,"
	" to_type, to_id, type_ids, category, labels, keep_labels, link_table) "
	"SELECT $1, $2, $3, $4, i.from_id, $5, i.to_id, i.type_ids, i.category,"
	" i.labels, $6, $7 "
	"FROM pg_catalog.unnest($8) WITH ORDINALITY"
	" AS i (from_id, to_id, type_ids, category, labels, no) "
	"ORDER BY i.no";
	Oid			types[] = {TEXTOID, REGROLEOID, TEXTOID, TEXTOID, TEXTOID,
	BOOLOID, REGCLASSOID, inputs};
	SPIPlanPtr	plan;

	if (insertion.plan && insertion.inputs == inputs &&
		strcmp(insertion.schema, schema->name) == 0)
		return insertion.plan;

	if (insertion.plan)
	{
		SPI_freeplan(insertion.plan);
		insertion.plan = NULL;
		pfree(insertion.schema);
	}
	plan = SPI_prepare(psprintf(sql, schema->name), lengthof(types), types);
	if (plan == NULL)
		elog(ERROR, "could not prepare the insertion into the outbox: %s",
			 SPI_result_code_string(SPI_result));
	insertion.schema = MemoryContextStrdup(TopMemoryContext, schema->name);
	insertion.inputs = inputs;
	SPI_keepplan(plan);
	insertion.plan = plan;
	return plan;
}

/*
 * Have the outbox of a server not be sent, in the name of a role.  False: that
 * has been said before.
 */
bool
hubspot_outbox_pause(const HubspotSchema *schema, const char *server, Oid role)
{
	return change_server(schema,
						 "INSERT INTO %s.hs_assoc_account_pause (server, role) "
						 "VALUES ($1, $2) ON CONFLICT DO NOTHING",
						 server, role) > 0;
}

/*
 * Have the outbox of a server sent again, and at once.  False: it wasn't
 * paused.
 */
bool
hubspot_outbox_resume(const HubspotSchema *schema, const char *server)
{
	(void) change_server(schema,
						 "DELETE FROM %s.hs_assoc_backoff "
						 "WHERE server OPERATOR(pg_catalog.=) $1",
						 server, InvalidOid);
	(void) change_server(schema,
						 "UPDATE %s.hs_assoc_outbox SET not_before = pg_catalog.now() "
						 "WHERE server OPERATOR(pg_catalog.=) $1 "
						 "AND not_before OPERATOR(pg_catalog.>) pg_catalog.now()",
						 server, InvalidOid);
	return change_server(schema,
						 "DELETE FROM %s.hs_assoc_account_pause "
						 "WHERE server OPERATOR(pg_catalog.=) $1",
						 server, InvalidOid) > 0;
}

/*
 * Run a statement about a server ($1), and a role ($2) if it has one, with the
 * rights of the tables' owner.  Returns how many rows it was about.
 */
static uint64
change_server(const HubspotSchema *schema, const char *sql, const char *server,
			  Oid role)
{
	Oid			types[] = {TEXTOID, REGROLEOID};
	Datum		values[] = {CStringGetTextDatum(server), ObjectIdGetDatum(role)};
	HubspotFormerUser former;
	int			result;
	uint64		rows;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	former = hubspot_outbox_become_owner(schema);
	result = SPI_execute_with_args(psprintf(sql, schema->name),
								   OidIsValid(role) ? 2 : 1, types, values,
								   NULL, false, 0);
	hubspot_outbox_leave_owner(former);
	if (result < 0)
		elog(ERROR, "could not change the outbox's tables: %s",
			 SPI_result_code_string(result));
	rows = SPI_processed;
	SPI_finish();
	return rows;
}
