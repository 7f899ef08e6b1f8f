/*-------------------------------------------------------------------------
 *
 * config.c
 *	  What is kept in sync: the rows of hs_assoc_sync_config.
 *
 * They are read, changed and deleted as those of a catalog are, without SQL.  A statement that
 * runs with an old snapshot has to find what is committed now, as it finds the triggers; and
 * so does DDL of a role without privileges on our tables.
 *
 * The table may be that of an older or newer version as long as the extension
 * is not updated.  The event triggers read it for everybody's DDL, so the
 * unexpected is not an ERROR: missing columns are null, and a row that lacks
 * what each sync has is skipped.
 *
 * IDENTIFICATION
 *	  src/sync/config.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "schema/prepared.h"
#include "sync/config.h"

/* The columns of hs_assoc_sync_config, in their order. */
enum
{
	CONFIG_ID = 1,
	CONFIG_LINK_TABLE,
	CONFIG_FROM_TYPE,
	CONFIG_FROM_COLUMN,
	CONFIG_TO_TYPE,
	CONFIG_TO_COLUMN,
	CONFIG_TYPE_ID,
	CONFIG_LABEL,
	CONFIG_TYPE_ID_COLUMN,
	CONFIG_LABEL_COLUMN,
	CONFIG_CATEGORY,
	CONFIG_SERVER,
	CONFIG_ROLE,
	CONFIG_ENABLED_AT,
	CONFIG_TABLE_NAME,
	CONFIG_WAIT_FOR_RECORDS,
	CONFIG_REPLICATED,
	CONFIG_VERIFY,
	CONFIG_ON_DRIFT,
	CONFIG_NCOLUMNS = CONFIG_ON_DRIFT
};

/* The columns that hold the name of a column of the link table. */
static const AttrNumber column_names[] = {
	CONFIG_FROM_COLUMN, CONFIG_TO_COLUMN, CONFIG_TYPE_ID_COLUMN, CONFIG_LABEL_COLUMN
};

enum
{
	INSERT_LINK_TABLE,
	INSERT_FROM_TYPE,
	INSERT_FROM_COLUMN,
	INSERT_TO_TYPE,
	INSERT_TO_COLUMN,
	INSERT_TYPE_ID,
	INSERT_LABEL,
	INSERT_TYPE_ID_COLUMN,
	INSERT_LABEL_COLUMN,
	INSERT_CATEGORY,
	INSERT_SERVER,
	INSERT_ROLE,
	INSERT_TABLE_NAME,
	INSERT_WAIT_FOR_RECORDS,
	INSERT_REPLICATED,
	INSERT_VERIFY,
	INSERT_ON_DRIFT
};

static HubspotStatement insert_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_sync_config (link_table, from_type, from_column,"
	" to_type, to_column, type_id, label, type_id_column, label_column,"
	" category, server, role, table_name, wait_for_records, replicated, verify, on_drift) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
	.types = {
		[INSERT_LINK_TABLE] = REGCLASSOID,
		[INSERT_FROM_TYPE] = TEXTOID,
		[INSERT_FROM_COLUMN] = TEXTOID,
		[INSERT_TO_TYPE] = TEXTOID,
		[INSERT_TO_COLUMN] = TEXTOID,
		[INSERT_TYPE_ID] = INT4OID,
		[INSERT_LABEL] = TEXTOID,
		[INSERT_TYPE_ID_COLUMN] = TEXTOID,
		[INSERT_LABEL_COLUMN] = TEXTOID,
		[INSERT_CATEGORY] = TEXTOID,
		[INSERT_SERVER] = TEXTOID,
		[INSERT_ROLE] = REGROLEOID,
		[INSERT_TABLE_NAME] = TEXTOID,
		[INSERT_WAIT_FOR_RECORDS] = INTERVALOID,
		[INSERT_REPLICATED] = BOOLOID,
		[INSERT_VERIFY] = INTERVALOID,
		[INSERT_ON_DRIFT] = TEXTOID
	}
};

static Relation open_config(const HubspotSchema *schema, LOCKMODE lock);
static HubspotSync *read_sync(HeapTuple tuple, TupleDesc tupdesc);
static bool is_complete(const HubspotSync *sync);
static int	compare_syncs(const ListCell *a, const ListCell *b);
static char *text_or_null(Datum value, bool isnull);
static char *name_or_null(Datum value, bool isnull);
static const Interval *copy_interval(Datum value);
static bool rename_columns(HeapTuple tuple, TupleDesc tupdesc, const char *column,
						   Datum new_name, Datum *values, bool *replace);

/*
 * The syncs of a table, or of all tables (InvalidOid), in the order in which they were
 * enabled: a list of HubspotSync.
 */
List *
hubspot_syncs(const HubspotSchema *schema, Oid link_table)
{
	Relation	config = open_config(schema, AccessShareLock);
	List	   *syncs = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (config == NULL)
		return NIL;
	ScanKeyInit(&key, CONFIG_LINK_TABLE, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(link_table));
	/* there are few rows, and no index; the scan takes the newest snapshot */
	scan = systable_beginscan(config, InvalidOid, false, NULL,
							  OidIsValid(link_table) ? 1 : 0, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		HubspotSync *sync = read_sync(tuple, RelationGetDescr(config));

		if (is_complete(sync))
			syncs = lappend(syncs, sync);
	}
	systable_endscan(scan);
	table_close(config, AccessShareLock);
	list_sort(syncs, compare_syncs);
	return syncs;
}

static int
compare_syncs(const ListCell *a, const ListCell *b)
{
	int32		one = ((const HubspotSync *) lfirst(a))->id;
	int32		other = ((const HubspotSync *) lfirst(b))->id;

	return (one > other) - (one < other);
}

/* Open the table.  NULL: there is none, or it has not even a column for the link table. */
static Relation
open_config(const HubspotSchema *schema, LOCKMODE lock)
{
	Oid			relid = hubspot_own_relation(schema, "hs_assoc_sync_config");
	Relation	config = OidIsValid(relid) ? try_table_open(relid, lock) : NULL;

	if (config && RelationGetNumberOfAttributes(config) < CONFIG_LINK_TABLE)
	{
		table_close(config, lock);
		config = NULL;
	}
	return config;
}

static HubspotSync *
read_sync(HeapTuple tuple, TupleDesc tupdesc)
{
	HubspotSync *sync = palloc0(sizeof(HubspotSync));
	int			ncolumns = Max(tupdesc->natts, CONFIG_NCOLUMNS);
	Datum	   *values = palloc0(sizeof(Datum) * ncolumns);
	bool	   *isnull = palloc(sizeof(bool) * ncolumns);

#define VALUE(column)	values[(column) - 1], isnull[(column) - 1]
	memset(isnull, true, sizeof(bool) * ncolumns);
	heap_deform_tuple(tuple, tupdesc, values, isnull);
	sync->id = DatumGetInt32(values[CONFIG_ID - 1]);
	sync->link_table = DatumGetObjectId(values[CONFIG_LINK_TABLE - 1]);
	sync->from_type = text_or_null(VALUE(CONFIG_FROM_TYPE));
	sync->from_column = name_or_null(VALUE(CONFIG_FROM_COLUMN));
	sync->to_type = text_or_null(VALUE(CONFIG_TO_TYPE));
	sync->to_column = name_or_null(VALUE(CONFIG_TO_COLUMN));
	if (!isnull[CONFIG_TYPE_ID - 1])
		sync->type_id = DatumGetInt32(values[CONFIG_TYPE_ID - 1]);
	sync->label = text_or_null(VALUE(CONFIG_LABEL));
	sync->type_id_column = name_or_null(VALUE(CONFIG_TYPE_ID_COLUMN));
	sync->label_column = name_or_null(VALUE(CONFIG_LABEL_COLUMN));
	sync->category = text_or_null(VALUE(CONFIG_CATEGORY));
	sync->server = text_or_null(VALUE(CONFIG_SERVER));
	sync->role = DatumGetObjectId(values[CONFIG_ROLE - 1]);
	sync->table_name = name_or_null(VALUE(CONFIG_TABLE_NAME));
	if (!isnull[CONFIG_WAIT_FOR_RECORDS - 1])
		sync->wait_for_records = copy_interval(values[CONFIG_WAIT_FOR_RECORDS - 1]);
	sync->replicated = !isnull[CONFIG_REPLICATED - 1] &&
		DatumGetBool(values[CONFIG_REPLICATED - 1]);
	if (!isnull[CONFIG_VERIFY - 1])
		sync->verify = copy_interval(values[CONFIG_VERIFY - 1]);
	sync->on_drift = text_or_null(VALUE(CONFIG_ON_DRIFT));
	return sync;
}

/* Does a sync have all that every sync has? */
static bool
is_complete(const HubspotSync *sync)
{
	return OidIsValid(sync->link_table) && sync->from_type && sync->from_column &&
		sync->to_type && sync->to_column && sync->server && OidIsValid(sync->role);
}

static char *
text_or_null(Datum value, bool isnull)
{
	return isnull ? NULL : TextDatumGetCString(value);
}

static char *
name_or_null(Datum value, bool isnull)
{
	return isnull ? NULL : pstrdup(NameStr(*DatumGetName(value)));
}

static const Interval *
copy_interval(Datum value)
{
	Interval   *copy = palloc(sizeof(Interval));

	return memcpy(copy, DatumGetIntervalP(value), sizeof(Interval));
}

/* Does one of them send what a subscription applies? */
bool
hubspot_syncs_are_replicated(const List *syncs)
{
	ListCell   *lc;

	foreach(lc, syncs)
	{
		if (((const HubspotSync *) lfirst(lc))->replicated)
			return true;
	}
	return false;
}

/* Add a sync; the table sets its id. */
void
hubspot_sync_insert(const HubspotSync *sync)
{
	HubspotValues values = {0};

	hubspot_set_oid(&values, INSERT_LINK_TABLE, sync->link_table);
	hubspot_set_text(&values, INSERT_FROM_TYPE, sync->from_type);
	hubspot_set_text(&values, INSERT_FROM_COLUMN, sync->from_column);
	hubspot_set_text(&values, INSERT_TO_TYPE, sync->to_type);
	hubspot_set_text(&values, INSERT_TO_COLUMN, sync->to_column);
	if (sync->type_id)
		hubspot_set_int32(&values, INSERT_TYPE_ID, sync->type_id);
	hubspot_set_text(&values, INSERT_LABEL, sync->label);
	hubspot_set_text(&values, INSERT_TYPE_ID_COLUMN, sync->type_id_column);
	hubspot_set_text(&values, INSERT_LABEL_COLUMN, sync->label_column);
	hubspot_set_text(&values, INSERT_CATEGORY, sync->category);
	hubspot_set_text(&values, INSERT_SERVER, sync->server);
	hubspot_set_oid(&values, INSERT_ROLE, sync->role);
	hubspot_set_text(&values, INSERT_TABLE_NAME, get_rel_name(sync->link_table));
	if (sync->wait_for_records)
		hubspot_set_datum(&values, INSERT_WAIT_FOR_RECORDS,
						  IntervalPGetDatum(sync->wait_for_records));
	hubspot_set_bool(&values, INSERT_REPLICATED, sync->replicated);
	if (sync->verify)
		hubspot_set_datum(&values, INSERT_VERIFY, IntervalPGetDatum(sync->verify));
	hubspot_set_text(&values, INSERT_ON_DRIFT, sync->on_drift);
	hubspot_execute(&insert_statement, &values);
	CacheInvalidateRelcacheByRelid(sync->link_table);
}

void
hubspot_sync_delete(const HubspotSchema *schema, int32 id)
{
	Relation	config = open_config(schema, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (config == NULL)
		return;
	ScanKeyInit(&key, CONFIG_ID, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(id));
	scan = systable_beginscan(config, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid			link_table = read_sync(tuple, RelationGetDescr(config))->link_table;

		CatalogTupleDelete(config, &tuple->t_self);
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(link_table)))
			CacheInvalidateRelcacheByRelid(link_table);
	}
	systable_endscan(scan);
	table_close(config, RowExclusiveLock);
	CommandCounterIncrement();
}

/* Follow a column of a table to its new name. */
void
hubspot_sync_rename(const HubspotSchema *schema, Oid link_table,
					const char *column, const char *new_name)
{
	Relation	config = open_config(schema, RowExclusiveLock);
	TupleDesc	tupdesc;
	Datum	   *values;
	bool	   *isnull;
	bool	   *replace;
	NameData	name;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (config == NULL)
		return;
	tupdesc = RelationGetDescr(config);
	values = palloc0(sizeof(Datum) * tupdesc->natts);
	isnull = palloc0(sizeof(bool) * tupdesc->natts);
	replace = palloc0(sizeof(bool) * tupdesc->natts);
	namestrcpy(&name, new_name);
	ScanKeyInit(&key, CONFIG_LINK_TABLE, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(link_table));
	scan = systable_beginscan(config, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (!rename_columns(tuple, tupdesc, column, NameGetDatum(&name),
							values, replace))
			continue;
		tuple = heap_modify_tuple(tuple, tupdesc, values, isnull, replace);
		CatalogTupleUpdate(config, &tuple->t_self, tuple);
		CacheInvalidateRelcacheByRelid(link_table);
	}
	systable_endscan(scan);
	table_close(config, RowExclusiveLock);
	CommandCounterIncrement();
}

/*
 * Rename the column in a row.  False: the sync has nothing to do with the
 * column.
 */
static bool
rename_columns(HeapTuple tuple, TupleDesc tupdesc, const char *column,
			   Datum new_name, Datum *values, bool *replace)
{
	bool		found = false;

	for (size_t i = 0; i < lengthof(column_names); i++)
	{
		int			position = column_names[i] - 1;
		bool		isnull;
		Datum		value;

		if (position >= tupdesc->natts)
			continue;
		value = heap_getattr(tuple, column_names[i], tupdesc, &isnull);
		replace[position] = !isnull &&
			strcmp(NameStr(*DatumGetName(value)), column) == 0;
		values[position] = new_name;
		found |= replace[position];
	}
	return found;
}

/*
 * The columns that matter to a sync: the ids' and, if there is one, the type's.
 * Returns how many.
 */
int
hubspot_sync_columns(const HubspotSync *sync,
					 const char *columns[HUBSPOT_SYNC_COLUMNS])
{
	columns[0] = sync->from_column;
	columns[1] = sync->to_column;
	columns[2] = sync->type_id_column ? sync->type_id_column : sync->label_column;
	return columns[2] ? 3 : 2;
}

/* Does a column matter to a sync? */
bool
hubspot_sync_has_column(const HubspotSync *sync, const char *column)
{
	const char *columns[HUBSPOT_SYNC_COLUMNS];
	int			ncolumns = hubspot_sync_columns(sync, columns);

	for (int i = 0; i < ncolumns; i++)
	{
		if (strcmp(columns[i], column) == 0)
			return true;
	}
	return false;
}
