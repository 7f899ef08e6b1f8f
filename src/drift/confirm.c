/*-------------------------------------------------------------------------
 *
 * confirm.c
 *	  Which differences are still there, when tables and outbox are looked at again.
 *
 * HubSpot was read after the table, while both went on changing.  So each difference is
 * looked at again, by what is committed now:
 *
 * - what is missing in HubSpot must be in the table;
 * - what HubSpot has beyond it must not be, nor in any other table that is in sync with
 *   these object types of the account, in either direction;
 * - nothing of the pair may wait in the outbox, or have waited when the table was read: what
 *   was sent since then, HubSpot may have had after it was read.
 *
 * Other tables are read without regard to privileges: what they say only keeps HubSpot from
 * losing it.
 *
 * IDENTIFICATION
 *	  src/drift/confirm.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_inherits.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "api/key.h"
#include "api/object_type.h"
#include "drift/confirm.h"
#include "drift/names.h"
#include "schema/prepared.h"
#include "sync/change.h"
#include "sync/difference_sql.h"
#include "sync/planned_code.h"

/* A sync that may want what HubSpot holds. */
typedef struct Claim
{
	const HubspotSync *sync;
	bool		reverse;		/* it is of the other direction */
	bool		locked;			/* by us, to be read */
} Claim;

/* A query about a table in sync. */
typedef struct Look
{
	const HubspotDelta *delta;
	bool		reverse;
	bool		types;			/* is its type there at all? */
} Look;

/* Marks the differences whose numbers a query gives. */
typedef struct Marker
{
	DestReceiver receiver;		/* must be first */
	HubspotDifferences *differences;
	uint8		mark;
} Marker;

/* The beginning of the ids of custom object types */
#define CUSTOM_ID	"2-"

/* How such queries are planned, whatever the session or a sender has set. */
static const char *const own_settings[][2] = {
	{"row_security", "off"},
	{"constraint_exclusion", "off"},
	{"enable_seqscan", "on"},
	{"enable_indexscan", "on"},
	{"enable_nestloop", "on"},
	{"enable_hashjoin", "on"},
	{"enable_mergejoin", "on"},
	{"enable_bitmapscan", "on"}
};

static void parse(const char *text, HubspotObjectType *type);
static bool same_types(const HubspotObjectType *from, const HubspotObjectType *to,
					   const HubspotObjectType *other_from, const HubspotObjectType *other_to);
static bool may_be_same_type(const char *name, const char *other);
static List *add_claim(List *claims, const HubspotSync *sync, bool reverse);
static void add_names(HubspotDrift *drift, const HubspotSync *sync, bool reverse, bool given);
static HubspotRecordNames *find_names(const HubspotDrift *drift, HubspotSide side,
									  const HubspotObjectType *type);
static HubspotSide side_of(HubspotSide side, bool reverse);
static bool try_lock(Oid link_table);
static void look_for_claims(HubspotDrift *drift);
static bool have_changed(const HubspotDrift *drift);
static bool is_same_sync(const HubspotSync *sync, const HubspotSync *other);
static void keep_all(HubspotDrift *drift);
static bool is_readable(const HubspotSync *sync);
static bool runs_others_code(const HubspotDrift *drift, Oid link_table);
static void look(HubspotDrift *drift, const Look *query, Oid reader, uint8 mark);
static char *write_look(const void *state);
static QueryEnvironment *make_environment(const HubspotDrift *drift, const HubspotSync *sync,
										  bool reverse);
static Tuplestorestate *names_of(const HubspotDrift *drift, HubspotSide side,
								 const HubspotObjectType *type);
static Marker make_marker(HubspotDrift *drift, uint8 mark);
static void marker_startup(DestReceiver *self, int operation, TupleDesc typeinfo);
static bool mark_row(TupleTableSlot *slot, DestReceiver *self);
static void marker_nothing(DestReceiver *self);

/*
 * All syncs that may want what HubSpot holds of the pairs of a sync: those of its server
 * and its object types, in either direction; but not itself.
 */
List *
hubspot_claims_on(const HubspotSync *sync)
{
	HubspotObjectType from;
	HubspotObjectType to;
	List	   *claims = NIL;
	ListCell   *lc;

	parse(sync->from_type, &from);
	parse(sync->to_type, &to);
	foreach(lc, hubspot_syncs(hubspot_outbox_schema(false), InvalidOid))
	{
		const HubspotSync *other = lfirst(lc);
		HubspotObjectType other_from;
		HubspotObjectType other_to;

		if (strcmp(other->server, sync->server) != 0)
			continue;
		parse(other->from_type, &other_from);
		parse(other->to_type, &other_to);
		if (other->id != sync->id && same_types(&from, &to, &other_from, &other_to))
			claims = add_claim(claims, other, false);
		if (same_types(&from, &to, &other_to, &other_from))
			claims = add_claim(claims, other, true);
	}
	return claims;
}

static void
parse(const char *text, HubspotObjectType *type)
{
	char	   *hint;
	char	   *problem = hubspot_parse_object_type(text, type, &hint);

	if (problem)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid object type \"%s\" of a sync: %s", text, problem)));
}

static bool
same_types(const HubspotObjectType *from, const HubspotObjectType *to,
		   const HubspotObjectType *other_from, const HubspotObjectType *other_to)
{
	return may_be_same_type(from->name, other_from->name) &&
		may_be_same_type(to->name, other_to->name);
}

/* May two names be of one object type?  A custom one has several names, and an id. */
static bool
may_be_same_type(const char *name, const char *other)
{
	HubspotSlice slices[] = {{name, strlen(name)}, {other, strlen(other)}};
	int			number = hubspot_standard_number(slices[0]);

	if (pg_strcasecmp(name, other) == 0)
		return true;
	if (number != hubspot_standard_number(slices[1]))
		return false;
	return number != 0 || strncmp(name, CUSTOM_ID, strlen(CUSTOM_ID)) != 0 ||
		strncmp(other, CUSTOM_ID, strlen(CUSTOM_ID)) != 0;
}

static List *
add_claim(List *claims, const HubspotSync *sync, bool reverse)
{
	Claim	   *claim = palloc(sizeof(Claim));

	claim->sync = sync;
	claim->reverse = reverse;
	claim->locked = false;
	return lappend(claims, claim);
}

/* Find out what the records of the differences may be called in any of the tables. */
void
hubspot_drift_name(HubspotDrift *drift)
{
	ListCell   *lc;

	add_names(drift, drift->sync, false, true);
	foreach(lc, drift->differences->nremovals > 0 ? drift->claims : NIL)
	{
		const Claim *claim = lfirst(lc);

		add_names(drift, claim->sync, claim->reverse, false);
	}
}

static void
add_names(HubspotDrift *drift, const HubspotSync *sync, bool reverse, bool given)
{
	for (HubspotSide side = HUBSPOT_SIDE_FROM; side <= HUBSPOT_SIDE_TO; side++)
	{
		HubspotObjectType type;

		parse(side_of(side, reverse) == HUBSPOT_SIDE_FROM ? sync->from_type : sync->to_type,
			  &type);
		if (find_names(drift, side, &type) == NULL)
			drift->names = lappend(drift->names,
								   hubspot_names_create(drift->differences,
														&drift->plan, side, &type,
														given));
	}
}

/* The names of one side's records by a type's property; NULL: they are not known. */
static HubspotRecordNames *
find_names(const HubspotDrift *drift, HubspotSide side, const HubspotObjectType *type)
{
	ListCell   *lc;

	foreach(lc, drift->names)
	{
		HubspotRecordNames *names = lfirst(lc);

		if (names->side == side &&
			(type->property == NULL ? names->property == NULL :
			 names->property && strcmp(names->property, type->property) == 0))
			return names;
	}
	return NULL;
}

/* Which side of a sync of the other direction is one of ours? */
static HubspotSide
side_of(HubspotSide side, bool reverse)
{
	return reverse == (side == HUBSPOT_SIDE_FROM) ? HUBSPOT_SIDE_TO : HUBSPOT_SIDE_FROM;
}

/* What the outbox is asked for. */
void
hubspot_drift_pending(const HubspotSync *sync, HubspotPending *pending)
{
	HubspotObjectType from;
	HubspotObjectType to;

	parse(sync->from_type, &from);
	parse(sync->to_type, &to);
	pending->server = sync->server;
	pending->role = sync->role;
	pending->from_type = from.name;
	pending->to_type = to.name;
	pending->from_given = sync->from_type;
	pending->to_given = sync->to_type;
}

/*
 * Lock all tables that hubspot_drift_confirm() is to read, as these reads do, until the end
 * of the transaction.  The owners of other tables are not waited for: what they have locked
 * is not read.
 */
void
hubspot_drift_lock(const HubspotDrift *drift)
{
	ListCell   *lc;

	LockRelationOid(drift->sync->link_table, AccessShareLock);
	foreach(lc, drift->differences->nremovals > 0 ? drift->claims : NIL)
	{
		Claim	   *claim = lfirst(lc);

		claim->locked = try_lock(claim->sync->link_table);
	}
}

/* Lock a table and its partitions, unless somebody keeps others from reading one. */
static bool
try_lock(Oid link_table)
{
	ListCell   *lc;

	if (!ConditionalLockRelationOid(link_table, AccessShareLock) ||
		!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(link_table)))
		return false;			/* or it was dropped since */
	foreach(lc, find_all_inheritors(link_table, NoLock, NULL))
	{
		if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessShareLock))
			return false;
	}
	return true;
}

/* Look at the differences again, by what is committed now, and mark them. */
void
hubspot_drift_confirm(HubspotDrift *drift)
{
	HubspotDifferences *differences = drift->differences;
	Look		own = {.delta = &drift->delta};
	HubspotPending pending;
	Marker		marker;
	QueryEnvironment *environment;
	int			nest_level;
	Oid			owner;

	if (differences->count == 0)
		return;
	nest_level = NewGUCNestLevel();
	for (size_t i = 0; i < lengthof(own_settings); i++)
		(void) set_config_option(own_settings[i][0], own_settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	owner = hubspot_link_owner(drift->sync->link_table);
	look(drift, &own, owner, HUBSPOT_DIFFERENCE_THERE);
	own.types = true;
	if (differences->nremovals > 0 && drift->plan.manages_all)
		look(drift, &own, owner, HUBSPOT_DIFFERENCE_MANAGED);
	if (differences->nremovals > 0)
		look_for_claims(drift);

	hubspot_drift_pending(drift->sync, &pending);
	environment = make_environment(drift, drift->sync, false);
	marker = make_marker(drift, HUBSPOT_DIFFERENCE_WAITS);
	hubspot_pending_waiting(&pending, environment, &marker.receiver);
	drift->dead = hubspot_pending_dead(&pending, environment);
	AtEOXact_GUC(false, nest_level);
	if (differences->nremovals > 0)
		hubspot_drift_keep_defaults(drift);
}

/* Mark what other syncs want, or all, if that is not to be known. */
static void
look_for_claims(HubspotDrift *drift)
{
	ListCell   *lc;

	if (have_changed(drift))
	{
		keep_all(drift);
		return;
	}
	foreach(lc, drift->claims)
	{
		const Claim *claim = lfirst(lc);
		HubspotDelta delta;
		Look		other = {.delta = &delta,.reverse = claim->reverse};

		if (!claim->locked || !is_readable(claim->sync) ||
			runs_others_code(drift, claim->sync->link_table))
		{
			keep_all(drift);
			return;
		}
		hubspot_delta_init(&delta, claim->sync, claim->sync->link_table);
		look(drift, &other, BOOTSTRAP_SUPERUSERID, HUBSPOT_DIFFERENCE_WANTED);
	}
}

/*
 * Have the syncs that may want something changed since the comparison began, which may be
 * long ago?  Names were looked up for those that there were then.
 */
static bool
have_changed(const HubspotDrift *drift)
{
	List	   *claims = hubspot_claims_on(drift->sync);
	ListCell   *old;
	ListCell   *lc;

	if (list_length(claims) != list_length(drift->claims))
		return true;
	forboth(lc, claims, old, drift->claims)
	{
		const Claim *claim = lfirst(lc);
		const Claim *before = lfirst(old);

		if (claim->reverse != before->reverse || !is_same_sync(claim->sync, before->sync))
			return true;
	}
	return false;
}

static bool
is_same_sync(const HubspotSync *sync, const HubspotSync *other)
{
	const char *columns[HUBSPOT_SYNC_COLUMNS];
	const char *others[HUBSPOT_SYNC_COLUMNS];
	int			ncolumns = hubspot_sync_columns(sync, columns);

	if (sync->id != other->id || sync->link_table != other->link_table ||
		strcmp(sync->from_type, other->from_type) != 0 ||
		strcmp(sync->to_type, other->to_type) != 0 ||
		ncolumns != hubspot_sync_columns(other, others))
		return false;
	for (int i = 0; i < ncolumns; i++)
	{
		if (strcmp(columns[i], others[i]) != 0)
			return false;
	}
	return true;
}

/* It is not known what others want: nothing is to be removed. */
static void
keep_all(HubspotDrift *drift)
{
	HubspotDifferences *differences = drift->differences;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc kept difference",
												  ALLOCSET_SMALL_SIZES);
	HubspotSlice packed;
	int64		no;

	hubspot_differences_rewind(differences);
	while (hubspot_differences_next(differences, &no, &packed))
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		HubspotUnpackedChange unpacked;

		MemoryContextReset(context);
		hubspot_unpack_change(packed, &unpacked);
		MemoryContextSwitchTo(old);
		if (hubspot_is_removal(unpacked.change.action))
			differences->marks[no] |= HUBSPOT_DIFFERENCE_UNSURE;
	}
	MemoryContextDelete(context);
}

/*
 * Would a look at a table that is locked run what somebody else than the owner of the table
 * that is compared has put there?  That may take any time.
 */
static bool
runs_others_code(const HubspotDrift *drift, Oid link_table)
{
	Oid			owner = hubspot_link_owner(drift->sync->link_table);
	ListCell   *lc;

	foreach(lc, find_all_inheritors(link_table, NoLock, NULL))
	{
		Oid			table = lfirst_oid(lc);

		/* a partition may have come since */
		if (!ConditionalLockRelationOid(table, AccessShareLock) ||
			!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(table)))
			return true;
		if (hubspot_link_owner(table) != owner && hubspot_planning_runs_code(table))
			return true;
	}
	return false;
}

/* Are the columns of a table that is locked still there? */
static bool
is_readable(const HubspotSync *sync)
{
	const char *columns[HUBSPOT_SYNC_COLUMNS];
	int			ncolumns = hubspot_sync_columns(sync, columns);

	for (int i = 0; i < ncolumns; i++)
	{
		if (get_attnum(sync->link_table, columns[i]) == InvalidAttrNumber)
			return false;
	}
	return true;
}

/* Mark the differences whose numbers a query gives. */
static void
look(HubspotDrift *drift, const Look *query, Oid reader, uint8 mark)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc look at a table",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotSubject subject = {
		.write = write_look,
		.state = query,
		.relation = query->delta->table,
		.reader = reader
	};
	Marker		marker = make_marker(drift, mark);

	(void) hubspot_run(hubspot_prepare(&subject), NULL,
					   make_environment(drift, query->delta->sync, query->reverse), true,
					   &marker.receiver);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static char *
write_look(const void *state)
{
	const Look *query = state;

	return query->types ? hubspot_delta_types_matching(query->delta) :
		hubspot_delta_matching(query->delta, query->reverse);
}

/* The tuplestores that queries name, for a sync's columns. */
static QueryEnvironment *
make_environment(const HubspotDrift *drift, const HubspotSync *sync, bool reverse)
{
	QueryEnvironment *environment = create_queryEnv();
	HubspotObjectType from;
	HubspotObjectType to;

	parse(sync->from_type, &from);
	parse(sync->to_type, &to);
	hubspot_name_rows(environment, HUBSPOT_DIFFERENCES, drift->differences->tupdesc,
					  drift->differences->rows);
	hubspot_name_rows(environment, HUBSPOT_FROM_NAMES, hubspot_names_tupdesc(),
					  names_of(drift, side_of(HUBSPOT_SIDE_FROM, reverse), &from));
	hubspot_name_rows(environment, HUBSPOT_TO_NAMES, hubspot_names_tupdesc(),
					  names_of(drift, side_of(HUBSPOT_SIDE_TO, reverse), &to));
	hubspot_name_rows(environment, HUBSPOT_PENDING_BEFORE, hubspot_pending_tupdesc(),
					  drift->pending);
	return environment;
}

/* Those names, which are known by now. */
static Tuplestorestate *
names_of(const HubspotDrift *drift, HubspotSide side, const HubspotObjectType *type)
{
	const HubspotRecordNames *names = find_names(drift, side, type);

	Assert(names != NULL);
	return names->rows;
}

static Marker
make_marker(HubspotDrift *drift, uint8 mark)
{
	Marker		marker = {.differences = drift->differences,.mark = mark};

	marker.receiver.receiveSlot = mark_row;
	marker.receiver.rStartup = marker_startup;
	marker.receiver.rShutdown = marker_nothing;
	marker.receiver.rDestroy = marker_nothing;
	marker.receiver.mydest = DestNone;
	return marker;
}

static void
marker_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
	/* its only column is the number */
}

static bool
mark_row(TupleTableSlot *slot, DestReceiver *self)
{
	Marker	   *marker = (Marker *) self;
	bool		isnull;
	int64		no = DatumGetInt64(slot_getattr(slot, 1, &isnull));

	marker->differences->marks[no] |= marker->mark;
	return true;
}

static void
marker_nothing(DestReceiver *self)
{
}

/*
 * Is a difference with these marks still there?  One that cannot be resolved or read is, as
 * long as nothing waits that may change that.
 */
bool
hubspot_is_open(const HubspotPlanChange *change, uint8 marks)
{
	if (marks & (HUBSPOT_DIFFERENCE_WAITS | HUBSPOT_DIFFERENCE_UNSURE |
				 HUBSPOT_DIFFERENCE_STAYS))
		return false;
	if (hubspot_is_notice(change->action))
		return true;
	if (!hubspot_is_removal(change->action))
		return (marks & HUBSPOT_DIFFERENCE_THERE) != 0;
	return (marks & (HUBSPOT_DIFFERENCE_THERE | HUBSPOT_DIFFERENCE_WANTED)) == 0;
}

/*
 * Types that the table has for no pair are not its own to take away.  And a pair's default
 * type goes only with all others: it stays where one of these does.
 */
void
hubspot_drift_keep_defaults(HubspotDrift *drift)
{
	HubspotDifferences *differences = drift->differences;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc removal",
												  ALLOCSET_SMALL_SIZES);
	StringInfoData pair;
	HubspotSlice packed;
	int64		no;
	int64		default_no = -1;	/* of the pair's default type, if it is to
									 * go */
	bool		stays = false;	/* another type of the pair */

	initStringInfo(&pair);
	hubspot_differences_rewind(differences);
	while (hubspot_differences_next(differences, &no, &packed))
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		int			len = hubspot_skip_id(hubspot_change_to(packed)) - packed.data;
		HubspotUnpackedChange unpacked;

		MemoryContextReset(context);
		hubspot_unpack_change(packed, &unpacked);
		MemoryContextSwitchTo(old);
		if (unpacked.change.action != HUBSPOT_ACTION_REMOVE)
			continue;
		if (len != pair.len || memcmp(packed.data, pair.data, len) != 0)
		{
			if (stays && default_no >= 0)
				differences->marks[default_no] |= HUBSPOT_DIFFERENCE_STAYS;
			resetStringInfo(&pair);
			appendBinaryStringInfo(&pair, packed.data, len);
			default_no = -1;
			stays = false;
		}
		if (drift->plan.manages_all &&
			!(differences->marks[no] & HUBSPOT_DIFFERENCE_MANAGED))
			differences->marks[no] |= HUBSPOT_DIFFERENCE_STAYS;
		if (unpacked.change.is_default)
			default_no = no;
		else
			stays |= !hubspot_is_open(&unpacked.change, differences->marks[no]);
	}
	if (stays && default_no >= 0)
		differences->marks[default_no] |= HUBSPOT_DIFFERENCE_STAYS;
	MemoryContextDelete(context);
}
