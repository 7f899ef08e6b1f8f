/*-------------------------------------------------------------------------
 *
 * claimant.c
 *	  Who has something in the outbox: servers, as roles use them.
 *
 * A server may be used with several logins, by the user mappings of roles, and
 * these may be of different HubSpot accounts.  So a row overrides, and waits
 * for, only rows of roles with the same login: a login with which nothing can
 * be sent could otherwise hold up everybody's pairs.  And a row that cannot be
 * sent because of its role overrides no row of another role, which can.
 *
 * All functions here need a transaction with a snapshot.  What they return is
 * palloc'd in the current memory context.
 *
 * IDENTIFICATION
 *	  src/outbox/claimant.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "account/option.h"
#include "outbox/claimant.h"
#include "outbox/oldest.h"
#include "schema/prepared.h"

enum
{
	CLAIMANTS_SERVERS,
	CLAIMANTS_ROLES,
	CLAIMANTS_TIMES				/* when the first of their rows is due */
};

enum
{
	CLAIMANT_NUMBER,			/* in these arrays, from 1 */
	CLAIMANT_DUE,
	CLAIMANT_BACKING_OFF,
	CLAIMANT_KNOWN
};

static HubspotStatement claimants_statement = {
	.text =
	"SELECT a.no, greatest(a.due, b.retry_at) AS due, b.server IS NOT NULL AS backing_off,"
	" EXISTS (SELECT FROM %1$s.hs_assoc_lease AS l WHERE l.server = a.server) AS known "
	"FROM unnest($1, $2, $3) WITH ORDINALITY AS a (server, role, due, no)"
	" LEFT JOIN %1$s.hs_assoc_backoff AS b ON b.server = a.server AND b.role = a.role "
	"WHERE NOT EXISTS (SELECT FROM %1$s.hs_assoc_account_pause AS p WHERE p.server = a.server) "
	"ORDER BY due",
	.types = {
		[CLAIMANTS_SERVERS] = TEXTARRAYOID,
		[CLAIMANTS_ROLES] = OIDARRAYOID,
		[CLAIMANTS_TIMES] = TIMESTAMPTZARRAYOID
	}
};

enum
{
	RENEW_SERVER,
	RENEW_ROLE,
	RENEW_NOW
};

enum
{
	RENEWED_RETRY_AT,
	RENEWED_HAS_LATER,
	RENEWED_HAS_LETTERS,
	RENEWED_HAS_OUTDATED,
	RENEWED_HAS_DOUBTS,
	RENEWED_HAS_KEYS,
	RENEWED_HAS_LATE,
	RENEWED_FIRST_UNASKED
};

/* What earlier holders of the lease may have changed; no row: the account is paused */
static HubspotStatement renew_statement = {
	.text =
	"SELECT b.retry_at,"
	" EXISTS (SELECT FROM %1$s.hs_assoc_outbox AS o WHERE o.server = a.server"
	"  AND o.role = a.role AND o.not_before > $3) AS has_later,"
	" EXISTS (SELECT FROM %1$s.hs_assoc_dead_letter AS d WHERE d.server = a.server) AS has_letters,"
	" EXISTS (SELECT FROM %1$s.hs_assoc_outdated AS u WHERE u.server = a.server) AS has_outdated,"
	" EXISTS (SELECT FROM %1$s.hs_assoc_doubt AS d WHERE d.server = a.server AND d.until > $3) AS has_doubts,"
	" EXISTS (SELECT FROM %1$s.hs_assoc_outbox AS o WHERE o.server = a.server"
	"  AND o.waited IS NOT NULL) AS has_keys,"
	" EXISTS (SELECT FROM %1$s.hs_assoc_outbox AS o WHERE o.server = a.server"
	"  AND o.operation = ANY ('{archive,archive_labels}') AND o.waited > '0') AS has_late,"
	" (SELECT o.id FROM %1$s.hs_assoc_outbox AS o WHERE o.server = a.server"
	"  AND o.waited = '0' ORDER BY o.server, o.id LIMIT 1) AS first_unasked"
	" FROM (SELECT $1 AS server, $2 AS role) AS a"
	" LEFT JOIN %1$s.hs_assoc_backoff AS b ON b.server = a.server AND b.role = a.role "
	"WHERE NOT EXISTS (SELECT FROM %1$s.hs_assoc_account_pause AS p WHERE p.server = a.server)",
	.types = {
		[RENEW_SERVER] = TEXTOID,
		[RENEW_ROLE] = REGROLEOID,
		[RENEW_NOW] = TIMESTAMPTZOID
	}
};

/* The rows that the last query here has returned. */
static HubspotRows rows;

static void set_accounts(HubspotValues *values, const List *accounts);
static void find_company(HubspotClaimant *claimant, const List *claimants);

/*
 * The accounts that have rows in the outbox, of one server or of all (NULL),
 * except those that are paused; the one that is due first comes first.  To be called
 * before the transaction has deleted a row.
 */
List *
hubspot_claimants(const char *server)
{
	List	   *oldest = hubspot_oldest(server);
	HubspotValues values = {0};
	List	   *claimants = NIL;

	if (oldest == NIL)
		return NIL;
	set_accounts(&values, oldest);
	hubspot_query(&claimants_statement, &values, &rows);
	for (uint64 i = 0; i < rows.count; i++)
	{
		HubspotClaimant *claimant = palloc0(sizeof(HubspotClaimant));
		const HubspotOldest *account;
		HubspotRow	row;

		hubspot_read_row(&rows, i, &row);
		account = list_nth(oldest, hubspot_get_int64(&row, CLAIMANT_NUMBER) - 1);
		claimant->server = account->server;
		claimant->role = account->role;
		claimant->horizon = account->horizon;
		claimant->due = hubspot_get_time(&row, CLAIMANT_DUE);
		claimant->backing_off = hubspot_get_bool(&row, CLAIMANT_BACKING_OFF);
		claimant->known = hubspot_get_bool(&row, CLAIMANT_KNOWN);
		claimants = lappend(claimants, claimant);
	}
	hubspot_rows_free(&rows);
	return claimants;
}

static void
set_accounts(HubspotValues *values, const List *accounts)
{
	int			n = list_length(accounts);
	Datum	   *servers = palloc(sizeof(Datum) * n);
	Datum	   *roles = palloc(sizeof(Datum) * n);
	Datum	   *times = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
	{
		const HubspotOldest *account = list_nth(accounts, i);

		servers[i] = CStringGetTextDatum(account->server);
		roles[i] = ObjectIdGetDatum(account->role);
		times[i] = TimestampTzGetDatum(account->due);
	}
	hubspot_set_datum(values, CLAIMANTS_SERVERS, hubspot_array_of(servers, n, TEXTOID));
	hubspot_set_datum(values, CLAIMANTS_ROLES, hubspot_array_of(roles, n, OIDOID));
	hubspot_set_datum(values, CLAIMANTS_TIMES, hubspot_array_of(times, n, TIMESTAMPTZOID));
}

/*
 * Look at an account again, now that its lease is ours: since claimants were listed, a process
 * that had the lease may have failed, or put rows off.  False: the account is paused.
 */
bool
hubspot_claimant_renew(HubspotClaimant *claimant,
					   const List *claimants)
{
	HubspotValues values = {0};
	HubspotRow	row;

	hubspot_set_text(&values, RENEW_SERVER, claimant->server);
	hubspot_set_oid(&values, RENEW_ROLE, claimant->role);
	hubspot_set_time(&values, RENEW_NOW, GetCurrentTimestamp());
	if (hubspot_query(&renew_statement, &values, &rows) == 0)
		return false;
	hubspot_read_row(&rows, 0, &row);
	claimant->backing_off = !row.isnull[RENEWED_RETRY_AT];
	if (claimant->backing_off)
		claimant->due = Max(claimant->due, hubspot_get_time(&row, RENEWED_RETRY_AT));
	claimant->has_later = hubspot_get_bool(&row, RENEWED_HAS_LATER);
	claimant->has_letters = hubspot_get_bool(&row, RENEWED_HAS_LETTERS);
	claimant->has_outdated = hubspot_get_bool(&row, RENEWED_HAS_OUTDATED);
	claimant->has_doubts = hubspot_get_bool(&row, RENEWED_HAS_DOUBTS);
	claimant->has_keys = hubspot_get_bool(&row, RENEWED_HAS_KEYS);
	claimant->has_late = hubspot_get_bool(&row, RENEWED_HAS_LATE);
	claimant->first_unasked = row.isnull[RENEWED_FIRST_UNASKED] ? PG_INT64_MAX :
		hubspot_get_int64(&row, RENEWED_FIRST_UNASKED);
	find_company(claimant, claimants);
	return true;
}

/*
 * Find the roles that have rows for the server with the same login, and which of them override
 * each other's.
 */
static void
find_company(HubspotClaimant *claimant, const List *claimants)
{
	Datum	   *company = palloc(sizeof(Datum) * list_length(claimants));
	Datum	   *heeds = palloc(sizeof(Datum) * list_length(claimants));
	Datum	   *overrides = palloc(sizeof(Datum) * list_length(claimants));
	int			ncompany = 0;
	int			nheeds = 0;
	int			noverrides = 0;
	ListCell   *lc;

	foreach(lc, claimants)
	{
		const HubspotClaimant *other = lfirst(lc);

		if (other->role != claimant->role &&
			(strcmp(other->server, claimant->server) != 0 ||
			 !hubspot_claimant_is_with(claimant, other->role)))
			continue;
		if (other->role == claimant->role && other != claimant)
			continue;			/* on another server */
		company[ncompany++] = ObjectIdGetDatum(other->role);
		if (other == claimant || !other->backing_off)
			heeds[nheeds++] = ObjectIdGetDatum(other->role);
		if (other == claimant || !claimant->backing_off)
			overrides[noverrides++] = ObjectIdGetDatum(other->role);
	}
	claimant->has_company = ncompany > 1;
	claimant->company = PointerGetDatum(construct_array(company, ncompany, OIDOID,
														sizeof(Oid), true, TYPALIGN_INT));
	claimant->heeds = PointerGetDatum(construct_array(heeds, nheeds, OIDOID, sizeof(Oid),
													  true, TYPALIGN_INT));
	claimant->overrides = PointerGetDatum(construct_array(overrides, noverrides, OIDOID,
														  sizeof(Oid), true, TYPALIGN_INT));
}

/* Does a role have the same login on the claimant's server? */
bool
hubspot_claimant_is_with(const HubspotClaimant *claimant, Oid role)
{
	Oid			login;

	if (role == claimant->role)
		return true;
	login = hubspot_login(claimant->server, role);
	return OidIsValid(login) && login == hubspot_login(claimant->server, claimant->role);
}
