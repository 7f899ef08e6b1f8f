/*-------------------------------------------------------------------------
 *
 * extension.c
 *	  Where the extension is in this database.
 *
 * Its members are found by the OID of the schema that it is in.  Nobody but a
 * superuser can take their names there: they cannot be dropped or moved
 * without the extension.
 *
 * IDENTIFICATION
 *	  src/schema/extension.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/clock.h"
#include "base/compat.h"
#include "schema/extension.h"

#define EXTENSION_NAME	"hubspot_assoc"

/*
 * How often we try to lock the extension, and how long we wait between, in
 * microseconds.
 */
#define LOCK_TRIES	20
#define LOCK_DELAY	100000

/*
 * Where the tables are, as long as that is known.  It is looked up again when
 * the outbox or a schema is altered, and kept in the same place, so pointers
 * to it stay valid.
 */
static struct
{
	bool		valid;
	bool		has_callbacks;
	uint64		messages;		/* invalidation messages about it, so far */
	char		name[2 * NAMEDATALEN + 3];
	HubspotSchema schema;
}			known;

/* Finds an object of a kind in a schema. */
typedef Oid OwnObject (const char *name, Oid namespace);

static void lock_extension(Oid extension);
static bool find_schema(void);
static Oid	find_own(const HubspotSchema *schema, OwnObject *look_up, const char *name);
static Oid	own_relation(const char *name, Oid namespace);
static Oid	own_function(const char *name, Oid namespace);
static Oid	own_type(const char *name, Oid namespace);
static Oid	extension_namespace(Oid *extension);
static void forget_table(Datum argument, Oid relid);
static void forget_namespace(Datum argument, int cacheid, uint32 hashvalue);
static void forget(void);

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
 * Likewise, and keep the extension from being dropped until the end of the transaction.  DROP
 * EXTENSION locks it before its tables, so that neither waits for the other halfway.  NULL:
 * there is no extension.
 *
 * Anybody can lock an extension, by ALTER FUNCTION ... DEPENDS ON EXTENSION, and
 * for ever.  So we do not wait for long, and go on without the lock; if the
 * extension is being dropped then, the server detects the deadlock.
 */
const HubspotSchema *
hubspot_outbox_lock(void)
{
	const HubspotSchema *schema;
	Oid			locked = InvalidOid;

	while ((schema = hubspot_outbox_schema(true)) != NULL &&
		   schema->extension != locked)
	{
		locked = schema->extension;
		lock_extension(locked);
	}
	return schema;
}

/*
 * Try to lock the extension.  Once we have given up, we only try without waiting, until that
 * succeeds.
 */
static void
lock_extension(Oid extension)
{
	static bool given_up = false;

	for (int tries = 1;; tries++)
	{
		if (ConditionalLockDatabaseObject(ExtensionRelationId, extension, 0,
										  AccessShareLock))
		{
			given_up = false;
			return;
		}
		given_up = given_up || tries == LOCK_TRIES;
		if (given_up)
			return;
		hubspot_wait_until(hubspot_now() + LOCK_DELAY);
		CHECK_FOR_INTERRUPTS();
	}
}

static bool
find_schema(void)
{
	uint64		messages = known.messages;
	Oid			namespace = extension_namespace(&known.schema.extension);
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
	known.schema.outbox = ((Form_pg_class) GETSTRUCT(tuple))->oid;
	known.schema.namespace = namespace;
	known.schema.owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	strlcpy(known.name, quote_identifier(name), sizeof(known.name));
	known.schema.name = known.name;

	/* reading took in messages, too */
	known.valid = (known.messages == messages);
	return true;
}

/* The schema of the extension, and in *extension the extension; or InvalidOid. */
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
	if (!OidIsValid(relid) || relid == known.schema.outbox)
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
 * A table, sequence or index of ours, where it is now: whoever waits for a lock may find that
 * the extension was moved to another schema meanwhile.  InvalidOid: there is none.
 */
Oid
hubspot_own_relation(const HubspotSchema *schema, const char *name)
{
	return find_own(schema, own_relation, name);
}

/* The function of ours without arguments, likewise. */
Oid
hubspot_own_function(const HubspotSchema *schema, const char *name)
{
	return find_own(schema, own_function, name);
}

/* The type hs_assoc_input, likewise. */
Oid
hubspot_input_type(void)
{
	return find_own(hubspot_outbox_schema(false), own_type, "hs_assoc_input");
}

/* Look a name up in our schema, until that has been our schema all the time. */
static Oid
find_own(const HubspotSchema *schema, OwnObject *look_up, const char *name)
{
	Oid			found = InvalidOid;
	uint64		messages;

	do
	{
		/* this brings *schema up to date */
		if (hubspot_outbox_schema(true) == NULL)
			return InvalidOid;
		messages = known.messages;
		found = look_up(name, schema->namespace);
	} while (!OidIsValid(found) && known.messages != messages);
	return found;
}

static Oid
own_relation(const char *name, Oid namespace)
{
	return get_relname_relid(name, namespace);
}

static Oid
own_function(const char *name, Oid namespace)
{
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(NULL, 0)),
						   ObjectIdGetDatum(namespace));
}

static Oid
own_type(const char *name, Oid namespace)
{
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name),
						   ObjectIdGetDatum(namespace));
}
