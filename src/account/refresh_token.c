/*-------------------------------------------------------------------------
 *
 * refresh_token.c
 *	  Storing a new refresh token of OAuth in the user mapping.
 *
 * HubSpot may give a new refresh token at any time, in the midst of a query.
 * It has to be written to a row of a catalog, with the rights of the role
 * whose user mapping it is, or of the current role if it is PUBLIC's, in the
 * transaction of the caller: there is no other one.  So that may be
 * impossible, or be undone with the transaction.  A WARNING tells of either:
 * if HubSpot refuses the old refresh token and the new one is lost, nobody can
 * use the account any more.
 *
 * IDENTIFICATION
 *	  src/account/refresh_token.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "foreign/foreign.h"
#include "utils/guc.h"
#include "utils/inval.h"

#include "account/refresh_token.h"
#include "base/attempt.h"
#include "schema/rights.h"

/* It takes no time to change a user mapping, but somebody may forget to commit. */
#define STORE_LOCK_TIMEOUT	"100ms"

/* What is to be stored. */
typedef struct Store
{
	const HubspotOptions *options;
	const List *refresh_tokens;
} Store;

/*
 * The nesting levels of the innermost and the outermost of the transactions
 * that have stored refresh tokens and are not committed, or 0.
 */
static int	store_level = 0;
static int	outer_store_level = 0;

static int	rollbacks = 0;

static void try_store(void *state);
static void watch_transactions(void);
static void transaction_ends(XactEvent event, void *arg);
static void subtransaction_ends(SubXactEvent event, SubTransactionId mine,
								SubTransactionId parent, void *arg);
static void warn_rolled_back(void);

/*
 * Store the first of the refresh tokens, which has replaced the others, in the
 * user mapping that the options come from.  Returns a sentence that says why
 * that cannot be done, or NULL if it is done.
 *
 * This may happen in the midst of a query, so whatever was done is undone if
 * it fails.
 */
const char *
hubspot_store_refresh_token(const HubspotOptions *options,
							const List *refresh_tokens)
{
	Store		store = {options, refresh_tokens};
	const ErrorData *error;

	if (RecoveryInProgress())
		return "The server is a standby.";
	if (XactReadOnly)
		return "The transaction is read-only.";
	if (IsInParallelMode())
		return "A parallel operation is under way.";

	error = hubspot_attempt(try_store, &store);
	if (error == NULL)
	{
		watch_transactions();
		return NULL;
	}
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		return "Another transaction is changing the user mapping.";
	return psprintf("%c%s.", toupper((unsigned char) error->message[0]), error->message + 1);
}

/* Is the refresh token of the options one of these? */
bool
hubspot_is_refresh_token(const HubspotOptions *options,
						 const List *refresh_tokens)
{
	ListCell   *lc;

	foreach(lc, refresh_tokens)
	{
		if (strcmp(lfirst(lc), options->refresh_token) == 0)
			return true;
	}
	return false;
}

/* Store it, or throw an ERROR. */
static void
try_store(void *state)
{
	const HubspotOptions *options = ((const Store *) state)->options;
	const List *refresh_tokens = ((const Store *) state)->refresh_tokens;
	HubspotOptions *present;
	int			nest_level = NewGUCNestLevel();
	HubspotFormerUser former;

	(void) set_config_option("lock_timeout", STORE_LOCK_TIMEOUT, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);

	/* somebody may have given the mapping another client in the meantime */
	AcceptInvalidationMessages();
	if (GetForeignServerExtended(options->server, FSV_MISSING_OK) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the server has been dropped")));
	present = hubspot_get_options(options->server, options->user);
	if (present->mapping != options->mapping || present->client_id == NULL ||
		strcmp(present->client_id, options->client_id) != 0 ||
		!hubspot_is_refresh_token(present, refresh_tokens))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the user mapping has been changed")));

	/*
	 * a role may change its own mapping, also where somebody else sends its
	 * rows
	 */
	former = options->own_mapping ? hubspot_act_as(options->user) :
		hubspot_act_restricted();
	hubspot_set_refresh_token(present, linitial(refresh_tokens));
	hubspot_act_as_before(former);
	AtEOXact_GUC(true, nest_level);
}

/* A refresh token was stored: watch whether it is committed. */
static void
watch_transactions(void)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(transaction_ends, NULL);
		RegisterSubXactCallback(subtransaction_ends, NULL);
		registered = true;
	}
	store_level = GetCurrentTransactionNestLevel();
	if (outer_store_level == 0 || outer_store_level > store_level)
		outer_store_level = store_level;
}

/* How often what was stored has been rolled back since the session began. */
int
hubspot_refresh_rollbacks(void)
{
	return rollbacks;
}

static void
transaction_ends(XactEvent event, void *arg)
{
	if (store_level == 0)
		return;
	if (event == XACT_EVENT_ABORT)
		warn_rolled_back();
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT ||
		event == XACT_EVENT_PREPARE)
		store_level = outer_store_level = 0;
}

static void
subtransaction_ends(SubXactEvent event, SubTransactionId mine,
					SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (store_level < level)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		store_level = level - 1;
		outer_store_level = Min(outer_store_level, store_level);
	}
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		warn_rolled_back();

		/* an outer transaction may have stored another before */
		if (outer_store_level >= level)
			outer_store_level = 0;
		store_level = outer_store_level;
	}
}

/* The catalogs cannot be read here, so the WARNING cannot name the server. */
static void
warn_rolled_back(void)
{
	rollbacks++;
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("the new refresh token of OAuth is no longer in the user mapping, because the transaction was rolled back"),
			 errhint("The session goes on with it, and stores it again the next time it uses the server. After the session's end, HubSpot may refuse the old one.")));
}
