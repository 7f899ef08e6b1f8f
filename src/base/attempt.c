/*-------------------------------------------------------------------------
 *
 * attempt.c
 *	  What may fail without its caller.
 *
 * It has a subtransaction of its own, which is over in any case: a session whose statement
 * was ended by an ERROR, and left one behind, would be in an aborted transaction that it has
 * never begun.
 *
 * IDENTIFICATION
 *	  src/base/attempt.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/attempt.h"

/*
 * Try to do something, in the current memory context.  Returns its ERROR, palloc'd there, and
 * has undone what it has done; or NULL.  A cancel, or whatever else somebody has ended it
 * with, is thrown on.
 */
ErrorData *
hubspot_attempt(HubspotAttempt * attempt, void *state)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		attempt(state);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		/* this also restores the user */
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		hubspot_throw_again(error);
	return error;
}

/*
 * Throw a copy of an ERROR.  ReThrowError() copies all but its constants, which CopyErrorData()
 * has copied: without this, they would go with the memory of the copy, before it is reported.
 */
void
hubspot_throw_again(ErrorData *error)
{
	const char **constants[] = {
		&error->filename, &error->funcname, &error->domain, &error->context_domain
	};

	for (size_t i = 0; i < lengthof(constants); i++)
	{
		if (*constants[i])
			*constants[i] = MemoryContextStrdup(ErrorContext, *constants[i]);
	}
	ReThrowError(error);
}
