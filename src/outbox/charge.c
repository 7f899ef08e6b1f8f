/*-------------------------------------------------------------------------
 *
 * charge.c
 *	  ERRORs of a sender, and whom they are charged to.
 *
 * An ERROR while rows of one account are prepared, sent or recorded must not
 * keep those of others from being sent.  So the sender catches it, whatever it
 * is (except a cancel, and what the lock_timeout of a procedure's session ends),
 * undoes what was begun, and charges it in a transaction of its own: to the row,
 * if it was alone, as a failed attempt; or to the account, which backs off.
 * Charging may fail for the same reason.  Then the sender has to remember it.
 *
 * IDENTIFICATION
 *	  src/outbox/charge.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#include "api/error.h"
#include "base/attempt.h"
#include "outbox/charge.h"
#include "outbox/fault.h"
#include "outbox/lease.h"
#include "outbox/settle.h"

/* How many bytes of a message are kept in a row: as many as of one from HubSpot. */
#define MAX_MESSAGE		1000

/* What is done in one transaction. */
typedef enum ChargeKind
{
	CHARGE_NOBODY,				/* only note that nothing is being sent */
	CHARGE_ROW,
	CHARGE_ACCOUNT
} ChargeKind;

static bool is_sessions_own(const ErrorData *fault);
static bool charge(HubspotTransaction *transaction, ChargeKind kind,
				   const HubspotClaimant *claimant,
				   const HubspotProgress *progress, const ErrorData *fault,
				   MemoryContext context);
static void charge_row(const HubspotClaimant *claimant,
					   const HubspotProgress *progress,
					   const HubspotError *error);
static const HubspotError *as_error(const ErrorData *fault);

/*
 * Copy an ERROR that was caught into a memory context, and undo what the sender has begun: its
 * transaction, and what it has in flight.  What is the session's own is thrown again; so is any
 * ERROR that is not theirs: one that no caller here deals with.
 */
ErrorData *
hubspot_catch(HubspotTransaction *transaction, MemoryContext context,
			  bool theirs)
{
	ErrorData  *fault;

	hubspot_transaction_abort(transaction);
	/* the ERROR may be a lack of memory */
	MemoryContextReset(transaction->context);
	MemoryContextSwitchTo(context);
	fault = CopyErrorData();
	FlushErrorState();
	MemoryContextSwitchTo(transaction->context);
	if (!theirs || is_sessions_own(fault))
		hubspot_throw_again(fault);
	return fault;
}

/*
 * Is it nobody's failure but the end that somebody, or this session's settings, have put to its
 * statement?  Workers have no lock_timeout.
 */
static bool
is_sessions_own(const ErrorData *fault)
{
	return ERRCODE_TO_CATEGORY(fault->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
		(fault->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && LockTimeout > 0);
}

/* Report what was caught; server: the one whose outbox it is, or NULL. */
void
hubspot_tell_fault(const char *server, const ErrorData *fault)
{
	ErrorContextCallback *here = error_context_stack;

	/* its own CONTEXT ends with what this place would add */
	if (fault->context)
		error_context_stack = NULL;
	ereport(WARNING,
			(errcode(fault->sqlerrcode),
			 server ?
			 errmsg("could not send the outbox of server \"%s\": %s", server,
					fault->message) :
			 errmsg("could not maintain the outbox: %s", fault->message),
			 fault->detail ? errdetail_internal("%s", fault->detail) : 0,
			 fault->hint ? errhint("%s", fault->hint) : 0,
			 fault->context ? errcontext("%s", fault->context) : 0));
	error_context_stack = here;
}

/*
 * Charge an ERROR to the one row that was being sent.  False: charging has
 * failed, too.  The memory context is for that ERROR.
 */
bool
hubspot_charge_row(HubspotTransaction *transaction,
				   const HubspotClaimant *claimant,
				   const HubspotProgress *progress, const ErrorData *fault,
				   MemoryContext context)
{
	return charge(transaction, CHARGE_ROW, claimant, progress, fault, context);
}

/* Charge it to the account. */
bool
hubspot_charge_account(HubspotTransaction *transaction,
					   const HubspotClaimant *claimant, const ErrorData *fault,
					   MemoryContext context)
{
	return charge(transaction, CHARGE_ACCOUNT, claimant, NULL, fault, context);
}

/* Charge it to nobody: only note that nothing is being sent any more. */
bool
hubspot_charge_nobody(HubspotTransaction *transaction,
					  const HubspotClaimant *claimant, MemoryContext context)
{
	return charge(transaction, CHARGE_NOBODY, claimant, NULL, NULL, context);
}

static bool
charge(HubspotTransaction *transaction, ChargeKind kind,
	   const HubspotClaimant *claimant, const HubspotProgress *progress,
	   const ErrorData *fault, MemoryContext context)
{
	volatile bool done = true;

	PG_TRY();
	{
		if (hubspot_transaction_begin(transaction))
		{
			if (kind == CHARGE_ROW && progress && fault)
				charge_row(claimant, progress, as_error(fault));
			else if (kind == CHARGE_ACCOUNT && fault)
				hubspot_settle_account(claimant, as_error(fault));
			else
				hubspot_lease_release(claimant->server);
			hubspot_transaction_end(transaction);
		}
	}
	PG_CATCH();
	{
		ErrorData  *again = hubspot_catch(transaction, context, true);

		hubspot_tell_fault(claimant->server, again);
		hubspot_fault_note(claimant->server, claimant->role, again);
		done = false;
	}
	PG_END_TRY();
	return done;
}

/*
 * Record a failed attempt of the row, which may have been its last.  If the
 * ERROR came before the row was read, the row is the first of those that are
 * due.
 */
static void
charge_row(const HubspotClaimant *claimant,
		   const HubspotProgress *progress, const HubspotError *error)
{
	int64		id = progress->row;

	if (id == 0 && !hubspot_claim_first(claimant, &id))
		return;
	hubspot_settle_failed(hubspot_failures_alike(&id, 1, error), 1, progress->max_attempts);
}

static const HubspotError *
as_error(const ErrorData *fault)
{
	const char *message = fault->message ? fault->message : "";
	int			len = pg_mbcliplen(message, strlen(message), MAX_MESSAGE);

	return hubspot_make_error(HUBSPOT_VERDICT_INTERNAL, fault->sqlerrcode,
							  pnstrdup(message, len));
}
