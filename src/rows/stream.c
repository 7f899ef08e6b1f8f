/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  Rows of a function one by one, as inputs are settled.
 *
 * In the select list, the executor asks a function for its next row when it needs one, and
 * may never do so again: there may be a LIMIT, or a cursor that is closed.  In FROM it
 * collects all rows before it goes on, and we give them to it in a tuplestore.
 *
 * A stream ends in one of three ways:
 *
 * - After its last row.
 * - Early, with the statement or a rescan of it: the executor calls back, with
 *	 everything in order, maybe while the transaction commits.
 * - By an ERROR, of this statement or another one in the (sub)transaction: then
 *	 the executor does not call back, but the memory context of the batch does.
 *
 * What is in flight at an early end is broken off rather than waited for: COMMIT and CLOSE
 * are no place to wait for a network, and LIMIT is there to save time.  But a WARNING says
 * for how many inputs HubSpot has acted, or may still act, since no row will.  Nothing
 * else is sent.
 *
 * IDENTIFICATION
 *	  src/rows/stream.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "rows/stream.h"

struct HubspotStream
{
	MemoryContext context;		/* of all that the stream has */
	HubspotStream **place;		/* the owner's pointer to it; set to NULL when
								 * it ends */
	ExprContext *econtext;
	HubspotRun *run;
	HubspotResultRow *row;
	bool		acts;			/* it does more than read */
	bool		ended;			/* there is nothing more to tell */
	int64		confirmed;		/* rows that were given, of confirmed inputs */
	int64		failed;			/* rows that were given, of failed inputs */
	MemoryContextCallback callback;
};

static void end(HubspotStream *stream);
static void end_early(Datum arg);
static void break_off(void *arg);
static void tell_unseen(HubspotStream *stream);

/* Does the executor take one row at a time, and prefer that to all at once? */
bool
hubspot_may_stream(const ReturnSetInfo *rsinfo)
{
	return rsinfo && IsA(rsinfo, ReturnSetInfo) &&
		(rsinfo->allowedModes & SFRM_ValuePerCall) != 0 &&
		(rsinfo->allowedModes & SFRM_Materialize_Preferred) == 0;
}

/*
 * Begin a stream of the pipeline's rows.  The current memory context, in which source and
 * row were made, becomes the stream's, and is deleted at its end.  *place, which must live
 * until then, points to the stream, and then becomes NULL.
 */
void
hubspot_stream_begin(HubspotStream **place, ReturnSetInfo *rsinfo,
					 const HubspotPipeline *pipeline, HubspotSource *source,
					 HubspotResultRow *row)
{
	HubspotInputShape shape = hubspot_endpoint(pipeline->operation)->input_shape;
	HubspotStream *stream = palloc0(sizeof(HubspotStream));
	const HubspotBatch *batch;

	stream->context = CurrentMemoryContext;
	stream->place = place;
	stream->econtext = rsinfo->econtext;
	stream->row = row;
	stream->acts = (shape != HUBSPOT_INPUT_RECORD && shape != HUBSPOT_INPUT_KEY);
	stream->run = hubspot_run_begin(pipeline, source, true);

	/* a context's children are gone when it calls back, so use the batch's */
	batch = hubspot_run_batch(stream->run);
	stream->callback.func = break_off;
	stream->callback.arg = stream;
	MemoryContextRegisterResetCallback(GetMemoryChunkContext(unconstify(HubspotBatch *, batch)),
									   &stream->callback);
	RegisterExprContextCallback(stream->econtext, end_early, PointerGetDatum(stream));
	*place = stream;
}

/*
 * The next row, palloc'd in the current memory context.  False: there is none, and the
 * stream is gone.
 */
bool
hubspot_stream_next(HubspotStream *stream, Datum *row)
{
	MemoryContext old = MemoryContextSwitchTo(stream->context);
	HubspotOutcome outcome;
	bool		any = hubspot_run_next(stream->run, &outcome);

	MemoryContextSwitchTo(old);
	if (!any)
	{
		UnregisterExprContextCallback(stream->econtext, end_early,
									  PointerGetDatum(stream));
		end(stream);
		return false;
	}
	*row = hubspot_result_row(stream->row, &outcome);
	if (outcome.error)
		stream->failed++;
	else
		stream->confirmed++;
	return true;
}

static void
end(HubspotStream *stream)
{
	*stream->place = NULL;
	stream->ended = true;
	hubspot_run_end(stream->run);
	MemoryContextDelete(stream->context);
}

/* Callback: the executor wants no more rows. */
static void
end_early(Datum arg)
{
	HubspotStream *stream = (HubspotStream *) DatumGetPointer(arg);

	tell_unseen(stream);
	end(stream);
}

/* Callback of the batch's memory context. */
static void
break_off(void *arg)
{
	HubspotStream *stream = arg;

	if (!stream->ended)
		tell_unseen(stream);
}

/*
 * Tell how many inputs HubSpot may have acted upon without a row, since they will not get
 * one.
 */
static void
tell_unseen(HubspotStream *stream)
{
	HubspotBatchCounts counts;
	int64		confirmed;
	int64		failed;

	stream->ended = true;
	hubspot_batch_counts(hubspot_run_batch(stream->run), &counts);
	confirmed = counts.confirmed - stream->confirmed;
	failed = counts.failed - stream->failed;
	if (!stream->acts || (confirmed == 0 && counts.in_doubt == 0))
		return;

	/* when a backend exits, there may no longer be a client that reads this */
	ereport(proc_exit_inprogress ? LOG_SERVER_ONLY : WARNING,
			(errmsg("a batch has ended before the rows of %lld of its inputs were fetched",
					(long long) (confirmed + failed + counts.in_doubt)),
			 counts.in_doubt > 0 ?
			 errdetail("HubSpot has confirmed %lld of these, %lld failed, and HubSpot may or may not act on %lld that were in flight. Nothing else was sent.",
					   (long long) confirmed, (long long) failed,
					   (long long) counts.in_doubt) :
			 errdetail("HubSpot has confirmed %lld of these, and %lld failed. Nothing else was sent.",
					   (long long) confirmed, (long long) failed)));
}
