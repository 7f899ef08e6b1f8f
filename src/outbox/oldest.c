/*-------------------------------------------------------------------------
 *
 * oldest.c
 *	  The accounts that have rows in the outbox, and the oldest row of each.
 *
 * The index of what is due is read here, not by SQL: its keys tell the
 * accounts without a look at any row, and a scan that begins at an account's
 * horizon (horizon.c) does not walk past rows that were sent.  The same scan
 * raises the horizon to the first row that is there or may come to be there:
 * one that is inserted by a transaction that has not ended, or deleted by one
 * that may still be rolled back.
 *
 * If somebody has dropped that index, none of this is done.
 *
 * IDENTIFICATION
 *	  src/outbox/oldest.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "outbox/horizon.h"
#include "outbox/oldest.h"
#include "schema/extension.h"
#include "schema/prepared.h"

/* The columns of the index */
enum
{
	INDEX_SERVER = 1,
	INDEX_ROLE,
	INDEX_NOT_BEFORE,
	INDEX_ID
};

static const struct
{
	const char *name;
	Oid			type;
}			index_columns[] = {
	{"server", TEXTOID},
	{"role", REGROLEOID},
	{"not_before", TIMESTAMPTZOID},
	{"id", INT8OID}
};

/* A look at the outbox. */
typedef struct Look
{
	HubspotLook horizon;
	Relation	outbox;
	Relation	index;
	SnapshotData dirty;			/* shows rows that are there, or may come to
								 * be there */
	Snapshot	snapshot;		/* shows rows that are there */
	TupleTableSlot *slot;
	AttrNumber	not_before;		/* in the outbox */
} Look;

enum
{
	OLDEST_OF_SERVER			/* or null: of all servers */
};

enum
{
	OLDEST_SERVER,
	OLDEST_ROLE,
	OLDEST_DUE
};

static HubspotStatement oldest_statement = {
	.text =
	"SELECT o.server, o.role::oid, min(o.not_before) FROM %1$s.hs_assoc_outbox AS o"
	" WHERE $1 IS NULL OR o.server = $1 GROUP BY o.server, o.role::oid",
	.types = {TEXTOID}
};

static Relation open_index(Relation outbox);
static bool is_of_due(Relation outbox, Relation index);
static Oid	default_family(Oid type);
static List *look_by_index(Look *look, const char *server);
static void server_key(ScanKey key, StrategyNumber strategy, const char *server);
static bool following_account(Look *look, const char *only, HubspotOldest *account);
static bool first_key(Look *look, ScanKey keys, int nkeys, HubspotOldest *account);
static bool find_oldest(Look *look, HubspotOldest *account);
static List *look_by_table(const char *server);

/*
 * The accounts that have rows, of one server or of all (NULL): a list of
 * HubspotOldest, palloc'd.  To be called before the transaction has deleted a
 * row, since that is there again if it is rolled back.
 */
List *
hubspot_oldest(const char *server)
{
	Look		look = {.outbox = table_open(hubspot_outbox_schema(false)->outbox, AccessShareLock)};
	List	   *accounts;

	look.index = open_index(look.outbox);
	if (look.index == NULL)
	{
		table_close(look.outbox, NoLock);
		return look_by_table(server);
	}
	look.horizon = hubspot_horizon_look(RelationGetRelid(look.outbox));
	accounts = look_by_index(&look, server);
	index_close(look.index, NoLock);
	table_close(look.outbox, NoLock);
	return accounts;
}

/* The index of what is due, or NULL. */
static Relation
open_index(Relation outbox)
{
	List	   *indexes = RelationGetIndexList(outbox);
	Relation	found = NULL;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (found == NULL && is_of_due(outbox, index))
			found = index;
		else
			index_close(index, AccessShareLock);
	}
	list_free(indexes);
	return found;
}

static bool
is_of_due(Relation outbox, Relation index)
{
	const		FormData_pg_index *form = index->rd_index;

	if (index->rd_rel->relam != BTREE_AM_OID || !form->indisvalid ||
		form->indcheckxmin || form->indnkeyatts != lengthof(index_columns) ||
		index->rd_indcollation[INDEX_SERVER - 1] != C_COLLATION_OID ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		return false;
	for (size_t i = 0; i < lengthof(index_columns); i++)
	{
		AttrNumber	number = form->indkey.values[i];

		if (number == InvalidAttrNumber ||
			number != get_attnum(RelationGetRelid(outbox), index_columns[i].name) ||
			get_atttype(RelationGetRelid(outbox), number) != index_columns[i].type ||
			index->rd_opfamily[i] != default_family(index_columns[i].type) ||
			index->rd_indoption[i] != 0)
			return false;
	}
	return true;
}

static Oid
default_family(Oid type)
{
	return get_opclass_family(GetDefaultOpClass(type, BTREE_AM_OID));
}

static List *
look_by_index(Look *look, const char *server)
{
	HubspotOldest account = {.server = NULL};
	List	   *accounts = NIL;

	InitDirtySnapshot(look->dirty);
	CommandCounterIncrement();
	look->snapshot = RegisterSnapshot(GetLatestSnapshot());
	look->slot = table_slot_create(look->outbox, NULL);
	look->not_before = look->index->rd_index->indkey.values[INDEX_NOT_BEFORE - 1];
	while (following_account(look, server, &account))
	{
		HubspotOldest *copy;

		CHECK_FOR_INTERRUPTS();
		if (!find_oldest(look, &account))
			continue;
		copy = palloc(sizeof(HubspotOldest));
		*copy = account;
		accounts = lappend(accounts, copy);
	}
	ExecDropSingleTupleTableSlot(look->slot);
	UnregisterSnapshot(look->snapshot);
	return accounts;
}

/*
 * Go on to the account whose key comes next (server NULL: to the first one).  False: there is
 * none.
 */
static bool
following_account(Look *look, const char *only, HubspotOldest *account)
{
	ScanKeyData keys[2];

	if (account->server == NULL)
	{
		if (only == NULL)
			return first_key(look, NULL, 0, account);
		server_key(&keys[0], BTEqualStrategyNumber, only);
		return first_key(look, keys, 1, account);
	}
	server_key(&keys[0], BTEqualStrategyNumber, account->server);
	ScanKeyInit(&keys[1], INDEX_ROLE, BTGreaterStrategyNumber, F_OIDGT,
				ObjectIdGetDatum(account->role));
	if (first_key(look, keys, 2, account))
		return true;
	if (only)
		return false;
	server_key(&keys[0], BTGreaterStrategyNumber, account->server);
	return first_key(look, keys, 1, account);
}

static void
server_key(ScanKey key, StrategyNumber strategy, const char *server)
{
	ScanKeyEntryInitialize(key, 0, INDEX_SERVER, strategy, InvalidOid, C_COLLATION_OID,
						   strategy == BTEqualStrategyNumber ? F_TEXTEQ : F_TEXT_GT,
						   CStringGetTextDatum(server));
}

/*
 * The account of the first entry with these keys, whatever has become of its
 * row; false: there is no entry.
 */
static bool
first_key(Look *look, ScanKey keys, int nkeys, HubspotOldest *account)
{
	IndexScanDesc scan = hubspot_index_beginscan(look->outbox, look->index, SnapshotAny,
												 nkeys);
	bool		found;
	bool		isnull;

	scan->xs_want_itup = true;
	index_rescan(scan, keys, nkeys, NULL, 0);
	found = (index_getnext_tid(scan, ForwardScanDirection) != NULL);
	if (found)
	{
		account->server = TextDatumGetCString(index_getattr(scan->xs_itup, INDEX_SERVER,
															scan->xs_itupdesc, &isnull));
		account->role = DatumGetObjectId(index_getattr(scan->xs_itup, INDEX_ROLE,
													   scan->xs_itupdesc, &isnull));
	}
	index_endscan(scan);
	return found;
}

/*
 * The account's first row; false: it has none.  Its horizon is raised to the
 * first row that is there or may come to be there.
 */
static bool
find_oldest(Look *look, HubspotOldest *account)
{
	TimestampTz first = DT_NOEND;
	IndexScanDesc scan;
	ScanKeyData keys[3];
	bool		found = false;

	account->horizon = hubspot_horizon(account->server, account->role);
	server_key(&keys[0], BTEqualStrategyNumber, account->server);
	ScanKeyInit(&keys[1], INDEX_ROLE, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(account->role));
	ScanKeyInit(&keys[2], INDEX_NOT_BEFORE, BTGreaterEqualStrategyNumber,
				F_TIMESTAMPTZ_GE, TimestampTzGetDatum(account->horizon));
	scan = hubspot_index_beginscan(look->outbox, look->index, &look->dirty, lengthof(keys));
	index_rescan(scan, keys, lengthof(keys), NULL, 0);
	while (!found && index_getnext_slot(scan, ForwardScanDirection, look->slot))
	{
		bool		isnull;
		Datum		time = slot_getattr(look->slot, look->not_before, &isnull);

		CHECK_FOR_INTERRUPTS();
		account->due = DatumGetTimestampTz(time);
		if (first == DT_NOEND)
			first = account->due;
		found = table_tuple_satisfies_snapshot(look->outbox, look->slot, look->snapshot);
	}
	ExecClearTuple(look->slot);
	index_endscan(scan);
	hubspot_horizon_raise(&look->horizon, account->server, account->role,
						  account->horizon, first);
	return found;
}

static List *
look_by_table(const char *server)
{
	HubspotValues values = {0};
	HubspotRows rows;
	List	   *accounts = NIL;

	hubspot_set_text(&values, OLDEST_OF_SERVER, server);
	hubspot_query(&oldest_statement, &values, &rows);
	for (uint64 i = 0; i < rows.count; i++)
	{
		HubspotOldest *account = palloc(sizeof(HubspotOldest));
		HubspotRow	row;

		hubspot_read_row(&rows, i, &row);
		account->server = hubspot_get_text(&row, OLDEST_SERVER);
		account->role = hubspot_get_oid(&row, OLDEST_ROLE);
		account->due = hubspot_get_time(&row, OLDEST_DUE);
		account->horizon = DT_NOBEGIN;
		accounts = lappend(accounts, account);
	}
	hubspot_rows_free(&rows);
	return accounts;
}
