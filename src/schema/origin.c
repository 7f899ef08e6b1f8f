/*-------------------------------------------------------------------------
 *
 * origin.c
 *	  Is this database the one that is to send, or a copy of it?
 *
 * A copy of a database contains its syncs, its tokens and what was waiting in
 * its outbox, and would send all of that once more.  So a database sends only if
 * it is the one in which that was decided.  Two tables tell.  hs_assoc_identity,
 * which pg_dump leaves out, has the OID of the database and a random token;
 * hs_assoc_origin, which it takes along, has the same token, and which server and
 * database that was.
 *
 * CREATE DATABASE ... TEMPLATE copies both, and the OID is wrong.  A dump that is
 * restored has no identity: its origin is that of another database, unless it is
 * restored into the same one.  (Servers that were made from one image have the
 * same system identifier, and their databases may have the same OIDs; so it is
 * also compared when the database's folder was made.  A database that is in the image is one
 * that nothing tells from its twin, in which its dump may be restored.)  A dump that is restored
 * beside the rows of another database brings an origin whose token is not ours,
 * in whichever order the tables come.  A subscription to all tables brings both rows, and the
 * other database may have the OID that ours has in another server; so identities are not
 * taken over (hs_assoc_keep_identity).  Nor is anything sent as long as a subscription fills
 * the outbox, with or without an origin; a sender that sees that leaves an origin of no
 * server, which stays.  But a
 * crash, a new name, a failover, a restore to an earlier time and pg_upgrade
 * change neither the OID nor a row.  A clone of the data directory has both as
 * they were: nothing in there tells it from a failover, so hubspot_assoc.instance,
 * which is outside, is compared, too.  Where people would rather have a failover hold
 * than a clone send, hubspot_assoc.hold_after_promotion has the timeline compared, which
 * changes by a promotion and by a restore to an earlier time.
 *
 * Both rows are written by the first function that enqueues, and only if there
 * are none.  Sessions that do so at the same time don't wait for each other: each
 * adds a pair of rows, and all of these count.  A restore writes tables without
 * any function of ours, so what it has brought until its origin is there is not
 * sent either.
 *
 * IDENTIFICATION
 *	  src/schema/origin.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/setting.h"
#include "schema/extension.h"
#include "schema/origin.h"
#include "schema/prepared.h"
#include "schema/subscription.h"

/* The columns of hs_assoc_identity, and of hs_assoc_origin, in their order. */
enum
{
	IDENTITY_TOKEN = 1,
	IDENTITY_DATABASE,
	IDENTITY_TIMELINE,
	IDENTITY_NCOLUMNS = IDENTITY_TIMELINE
};

enum
{
	ORIGIN_TOKEN = 1,
	ORIGIN_SYSTEM,
	ORIGIN_DATABASE,
	ORIGIN_MADE_AT,
	ORIGIN_INSTANCE,
	ORIGIN_NCOLUMNS = ORIGIN_INSTANCE
};

/* What the two tables say. */
typedef enum Finding
{
	FINDING_NO_TABLES,			/* those of a version without them */
	FINDING_OURS,
	FINDING_RESTORED,			/* ours, by a dump that came back */
	FINDING_NOTHING,			/* no function has enqueued anything */
	FINDING_COPY,
	FINDING_DUMP,
	FINDING_OTHERS_TOO,
	FINDING_SUBSCRIBED,			/* a subscription fills the outbox */
	FINDING_FILLED,				/* ... has filled it */
	FINDING_LOST,
	FINDING_INSTANCE,
	FINDING_TIMELINE
} Finding;

typedef struct Origin
{
	pg_uuid_t	token;
	uint64		system;
	Oid			database;
	TimestampTz made_at;
	char	   *instance;
} Origin;

enum
{
	CLAIM_SYSTEM,
	CLAIM_DATABASE,
	CLAIM_MADE_AT,
	CLAIM_INSTANCE,
	CLAIM_TIMELINE
};

/* Is there anything in the outbox? */
static HubspotStatement waiting_statement = {
	.text = "SELECT FROM %1$s.hs_assoc_outbox LIMIT 1"
};

static HubspotStatement claim_statement = {
	.text =
	"WITH token AS MATERIALIZED (SELECT gen_random_uuid() AS token),"
	" identity AS (INSERT INTO %1$s.hs_assoc_identity (token, database, timeline)"
	"  SELECT t.token, $2, $5 FROM token AS t)"
	"INSERT INTO %1$s.hs_assoc_origin (token, system, database, made_at, instance)"
	" SELECT t.token, $1, $2, $3, $4 FROM token AS t",
	.types = {
		[CLAIM_SYSTEM] = INT8OID,
		[CLAIM_DATABASE] = OIDOID,
		[CLAIM_MADE_AT] = TIMESTAMPTZOID,
		[CLAIM_INSTANCE] = TEXTOID,
		[CLAIM_TIMELINE] = INT8OID
	}
};

/* The parameters of the statement below */
enum
{
	SETTLE_DATABASE,
	SETTLE_TIMELINE
};

static HubspotStatement settle_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_identity (token, database, timeline)"
	" SELECT o.token, $1, $2 FROM %1$s.hs_assoc_origin AS o",
	.types = {[SETTLE_DATABASE] = OIDOID,[SETTLE_TIMELINE] = INT8OID}
};

/* An origin of no server */
static HubspotStatement filled_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_origin (token, system, database, made_at, instance)"
	" VALUES (gen_random_uuid(), 0, 0, 'epoch', '')"
};

static HubspotStatement forget_identity_statement = {
	.text = "DELETE FROM %1$s.hs_assoc_identity"
};

static HubspotStatement forget_origin_statement = {
	.text = "DELETE FROM %1$s.hs_assoc_origin"
};

static Finding look(const char **instance);
static bool is_subscribed(const HubspotSchema *schema);
static Finding read_tables(const HubspotSchema *schema, const char **instance);
static Relation open_table(const HubspotSchema *schema, const char *name,
						   int ncolumns);
static List *read_identity(Relation table, bool *copied, int64 *timeline);
static int64 current_timeline(void);
static List *read_origin(Relation table);
static bool is_here(const Origin *origin);
static TimestampTz made_at(void);
static Finding compare(const List *tokens, const List *origins,
					   const char **instance);
static bool has_token(const List *tokens, const pg_uuid_t * token);
static bool sends(Finding finding);
static bool is_unused(Finding finding);
static const char *reason(Finding finding, const char *instance);
static void write_rows(void);
static void settle(void);
static void report(int elevel);

/*
 * May the outbox of this database be sent?  To be asked by a sender, in each of
 * its rounds, in a transaction with a snapshot.  A database into which its own
 * dump was restored gets its identity back, which outlives pg_upgrade; and one whose outbox
 * a subscription fills is told apart when there is no subscription any more.
 */
bool
hubspot_origin_sends(void)
{
	const char *instance;
	Finding		finding = look(&instance);

	if (finding == FINDING_RESTORED)
		settle();
	if (finding == FINDING_SUBSCRIBED)
		hubspot_execute(&filled_statement, NULL);
	return sends(finding);
}

/* Why the outbox of this database is not sent, as a sentence; NULL: it is. */
const char *
hubspot_origin_problem(void)
{
	const char *instance;
	Finding		finding = look(&instance);

	return sends(finding) || is_unused(finding) ? NULL : reason(finding, instance);
}

/* Was nothing ever enqueued here, so that this database is not a copy of any other? */
bool
hubspot_origin_is_open(void)
{
	const char *instance;

	return look(&instance) == FINDING_NOTHING;
}

/*
 * To be called when something is about to be enqueued: where nobody has decided which database
 * is to send, it is this one.  False: it is not, and the caller ought to tell the user so, by
 * hubspot_origin_warn().
 */
bool
hubspot_origin_claim(void)
{
	const char *instance;
	Finding		finding = look(&instance);

	if (finding == FINDING_NOTHING)
		write_rows();
	else if (finding == FINDING_RESTORED)
		settle();
	return finding == FINDING_NOTHING || sends(finding);
}

/*
 * Likewise, and if it is not, a WARNING says so; as that is in the server's log, too, it
 * comes once a session.
 */
void
hubspot_origin_claim_or_warn(void)
{
	static bool warned = false;

	if (hubspot_origin_claim())
		return;
	if (!warned)
		hubspot_origin_warn();
	warned = true;
}

/*
 * ERROR if this database is a copy: something is about to be sent at once.
 * Where nothing was ever enqueued, nobody can have copied anything.
 */
void
hubspot_origin_require(void)
{
	report(ERROR);
}

/* The same, as a WARNING that what waits is not sent. */
void
hubspot_origin_warn(void)
{
	report(WARNING);
}

/* Make this database the one that sends.  ERROR if a subscription fills its outbox. */
void
hubspot_origin_adopt(void)
{
	if (is_subscribed(hubspot_outbox_schema(false)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database cannot send as long as a subscription fills its outbox"),
				 errdetail("What comes is another database's to send."),
				 errhint("Drop the subscription; or leave the tables of hubspot_assoc out of its publication, and ALTER SUBSCRIPTION ... REFRESH PUBLICATION.")));
	hubspot_execute(&forget_identity_statement, NULL);
	hubspot_execute(&forget_origin_statement, NULL);
	write_rows();
}

/* Was nothing ever enqueued here, and is nothing waiting? */
static bool
is_unused(Finding finding)
{
	static HubspotRows rows;

	if (finding != FINDING_NOTHING || hubspot_query(&waiting_statement, NULL, &rows) > 0)
		return false;
	hubspot_rows_free(&rows);
	return true;
}

static void
report(int elevel)
{
	const char *instance;
	Finding		finding = look(&instance);
	const char *schema;

	if (sends(finding) || (finding == FINDING_NOTHING && elevel >= ERROR) || is_unused(finding))
		return;
	schema = hubspot_outbox_schema(false)->name;
	ereport(elevel,
			(errcode(elevel >= ERROR ? ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE : ERRCODE_WARNING),
			 errmsg("nothing is sent from this database until hs_assoc_adopt is called"),
			 errdetail("%s", reason(finding, instance)),
			 errhint("If it is to send, SELECT %s.hs_assoc_adopt('send'), or %s.hs_assoc_adopt('discard') without what waits in its outbox.",
					 schema, schema)));
}

/*
 * What the tables say.  *instance is what hubspot_assoc.instance was, or the timeline,
 * where that is the finding.  Without the extension's SQL there is nothing to copy.
 */
static Finding
look(const char **instance)
{
	const HubspotSchema *schema = hubspot_outbox_schema(true);
	Finding		finding;

	*instance = NULL;
	if (schema == NULL)
		return FINDING_NO_TABLES;
	finding = read_tables(schema, instance);
	if ((sends(finding) || finding == FINDING_NOTHING) && is_subscribed(schema))
		return FINDING_SUBSCRIBED;
	return finding;
}

/* The same, as far as the two tables tell. */
static Finding
read_tables(const HubspotSchema *schema, const char **instance)
{
	Relation	identity;
	Relation	origin;
	Finding		finding = FINDING_NO_TABLES;

	identity = open_table(schema, "hs_assoc_identity", IDENTITY_NCOLUMNS);
	origin = open_table(schema, "hs_assoc_origin", ORIGIN_NCOLUMNS);
	if (identity && origin)
	{
		bool		copied = false;
		int64		timeline = 0;
		List	   *tokens = read_identity(identity, &copied, &timeline);

		finding = copied ? FINDING_COPY : compare(tokens, read_origin(origin), instance);
		if (finding == FINDING_OURS && timeline != 0)
		{
			finding = FINDING_TIMELINE;
			*instance = psprintf(INT64_FORMAT, timeline);
		}
	}
	if (identity)
		table_close(identity, AccessShareLock);
	if (origin)
		table_close(origin, AccessShareLock);
	return finding;
}

/*
 * Does a subscription of this database, enabled or not, fill the outbox?  From PostgreSQL 16 on,
 * others than superusers may have one that names the table; what that brings is refused unless
 * its owner may act as the table's.
 */
static bool
is_subscribed(const HubspotSchema *schema)
{
	ListCell   *lc;

	foreach(lc, hubspot_subscriptions(schema->outbox))
	{
		const HubspotSubscription *subscription = lfirst(lc);

		if (is_member_of_role(subscription->owner, schema->owner))
			return true;
	}
	return false;
}

/* Open a table.  NULL: it does not exist, or is that of another version. */
static Relation
open_table(const HubspotSchema *schema, const char *name, int ncolumns)
{
	Oid			relid = hubspot_own_relation(schema, name);
	Relation	table = OidIsValid(relid) ? try_table_open(relid, AccessShareLock) : NULL;

	if (table && RelationGetNumberOfAttributes(table) < ncolumns)
	{
		table_close(table, AccessShareLock);
		table = NULL;
	}
	return table;
}

/*
 * The tokens, a list of pg_uuid_t.  *copied: one is another database's.  *timeline: one
 * is of that timeline, which is no longer the server's, if that matters.  Rows are
 * read as those of a catalog, so that an old snapshot finds what is committed
 * now; there are few.
 */
static List *
read_identity(Relation table, bool *copied, int64 *timeline)
{
	int64		current = current_timeline();
	List	   *tokens = NIL;
	SysScanDesc scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		no_token;
		bool		no_database;
		bool		no_timeline;
		Datum		token = heap_getattr(tuple, IDENTITY_TOKEN, RelationGetDescr(table),
										 &no_token);
		Datum		database = heap_getattr(tuple, IDENTITY_DATABASE,
											RelationGetDescr(table), &no_database);
		Datum		its_timeline = heap_getattr(tuple, IDENTITY_TIMELINE,
												RelationGetDescr(table), &no_timeline);
		pg_uuid_t  *copy = palloc(sizeof(pg_uuid_t));

		if (no_token || no_database)
			continue;
		if (current != 0 && !no_timeline && DatumGetInt64(its_timeline) != current)
			*timeline = DatumGetInt64(its_timeline);
		*copied |= DatumGetObjectId(database) != MyDatabaseId;
		*copy = *DatumGetUUIDP(token);
		tokens = lappend(tokens, copy);
	}
	systable_endscan(scan);
	return tokens;
}

/* The server's timeline; 0: it does not matter, or there is none yet. */
static int64
current_timeline(void)
{
	return hubspot_hold_after_promotion && !RecoveryInProgress() ?
		(int64) GetWALInsertionTimeLine() : 0;
}

/* The rows of hs_assoc_origin: a list of Origin. */
static List *
read_origin(Relation table)
{
	List	   *origins = NIL;
	SysScanDesc scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	TupleDesc	tupdesc = RelationGetDescr(table);
	Datum	   *values = palloc(sizeof(Datum) * tupdesc->natts);
	bool	   *isnull = palloc(sizeof(bool) * tupdesc->natts);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Origin	   *origin = palloc(sizeof(Origin));

		heap_deform_tuple(tuple, tupdesc, values, isnull);
		origin->token = *DatumGetUUIDP(values[ORIGIN_TOKEN - 1]);
		origin->system = (uint64) DatumGetInt64(values[ORIGIN_SYSTEM - 1]);
		origin->database = DatumGetObjectId(values[ORIGIN_DATABASE - 1]);
		origin->made_at = DatumGetTimestampTz(values[ORIGIN_MADE_AT - 1]);
		origin->instance = TextDatumGetCString(values[ORIGIN_INSTANCE - 1]);
		origins = lappend(origins, origin);
	}
	systable_endscan(scan);
	return origins;
}

/* Does an origin mean this server and this database? */
static bool
is_here(const Origin *origin)
{
	return origin->system == GetSystemIdentifier() &&
		origin->database == MyDatabaseId && origin->made_at == made_at();
}

/*
 * When the folder of this database was made, in which CREATE DATABASE writes one
 * file that nobody writes again.
 */
static TimestampTz
made_at(void)
{
	char		path[MAXPGPATH];
	struct stat status;

	snprintf(path, sizeof(path), "%s/PG_VERSION", DatabasePath);
	if (stat(path, &status) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", path)));
	return time_t_to_timestamptz(status.st_mtime);
}

static Finding
compare(const List *tokens, const List *origins, const char **instance)
{
	ListCell   *lc;

	if (origins == NIL)
		return tokens == NIL ? FINDING_NOTHING : FINDING_LOST;
	foreach(lc, origins)
	{
		const Origin *origin = lfirst(lc);

		if (origin->system == 0)
			return FINDING_FILLED;
		if (tokens == NIL && !is_here(origin))
			return FINDING_DUMP;
		if (tokens != NIL && !has_token(tokens, &origin->token))
			return FINDING_OTHERS_TOO;
	}
	foreach(lc, origins)
	{
		*instance = ((const Origin *) lfirst(lc))->instance;
		if (strcmp(*instance, hubspot_instance) != 0)
			return FINDING_INSTANCE;
	}
	return tokens == NIL ? FINDING_RESTORED : FINDING_OURS;
}

static bool
has_token(const List *tokens, const pg_uuid_t * token)
{
	ListCell   *lc;

	foreach(lc, tokens)
	{
		if (memcmp(lfirst(lc), token, sizeof(pg_uuid_t)) == 0)
			return true;
	}
	return false;
}

static bool
sends(Finding finding)
{
	return finding == FINDING_OURS || finding == FINDING_RESTORED ||
		finding == FINDING_NO_TABLES;
}

static const char *
reason(Finding finding, const char *instance)
{
	switch (finding)
	{
		case FINDING_COPY:
			return "This database was copied from another one, as by CREATE DATABASE ... TEMPLATE.";
		case FINDING_DUMP:
			return "What this database keeps was restored from a dump of another database.";
		case FINDING_OTHERS_TOO:
			return "This database has rows of another one beside its own, by a restore or by replication.";
		case FINDING_SUBSCRIBED:
			return "A subscription of this database fills the table hs_assoc_outbox, with what another one sends.";
		case FINDING_FILLED:
			return "A subscription has filled the table hs_assoc_outbox, with what another database sends.";
		case FINDING_LOST:
			return "The table hs_assoc_origin was emptied, so it is not known what is this database's own.";
		case FINDING_INSTANCE:
			return psprintf("The setting hubspot_assoc.instance is \"%s\", and was \"%s\" when this database began to send.",
							hubspot_instance, instance);
		case FINDING_TIMELINE:
			return psprintf("This server was promoted, or restored to an earlier time: its timeline is " INT64_FORMAT ", and was %s when this database began to send.",
							current_timeline(), instance);
		case FINDING_NOTHING:
			return "Rows are in the outbox that no function of the extension has enqueued in this database, as after a restore of that table alone.";
		default:
			elog(ERROR, "unexpected finding: %d", (int) finding);
	}
}

static void
write_rows(void)
{
	HubspotValues values = {0};

	hubspot_set_int64(&values, CLAIM_SYSTEM, (int64) GetSystemIdentifier());
	hubspot_set_oid(&values, CLAIM_DATABASE, MyDatabaseId);
	hubspot_set_time(&values, CLAIM_MADE_AT, made_at());
	hubspot_set_text(&values, CLAIM_INSTANCE, hubspot_instance);
	hubspot_set_int64(&values, CLAIM_TIMELINE, (int64) GetWALInsertionTimeLine());
	hubspot_execute(&claim_statement, &values);
}

static void
settle(void)
{
	HubspotValues values = {0};

	hubspot_set_oid(&values, SETTLE_DATABASE, MyDatabaseId);
	hubspot_set_int64(&values, SETTLE_TIMELINE, (int64) GetWALInsertionTimeLine());
	hubspot_execute(&settle_statement, &values);
}
