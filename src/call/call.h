/*-------------------------------------------------------------------------
 *
 * call.h
 *	  API calls from start to end: throttled, sent, and sent again.
 *
 * IDENTIFICATION
 *	  src/call/call.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_CALL_H
#define HUBSPOT_CALL_CALL_H

#include "lib/ilist.h"

#include "account/client.h"
#include "http/http.h"
#include "hubspot.h"

/* How long, in us, an impatient client waits for something. */
#define HUBSPOT_IMPATIENT_WAIT	INT64CONST(1000000)

/* The calls of one statement; see call.c. */
typedef struct HubspotCalls HubspotCalls;

/* May calls be sent, as far as it depends on what they need? */
typedef enum HubspotReadiness
{
	HUBSPOT_READY,
	HUBSPOT_UNREADY,
	HUBSPOT_THROTTLED			/* what they need waits for the account's rate
								 * limit */
} HubspotReadiness;

/*
 * Tells whether calls may be sent.  If not, *wake is when to ask again, unless
 * something comes back before; or the check has stopped the calls.
 */
typedef HubspotReadiness (*HubspotReadyCheck) (void *arg, int64 *wake);

/*
 * One call.  The caller fills in the first part, and may read the last one
 * when the call has come back from hubspot_calls_next().
 */
typedef struct HubspotCall
{
	const char *method;
	const char *path;			/* with the query, begins with a slash */
	const char *body;			/* JSON in UTF-8 (or a form), or NULL */
	size_t		body_len;
	bool		form;			/* the body is a form */
	bool		repeatable;		/* doing it twice is as good as once */
	HubspotOperation operation;
	bool		search;			/* it is one of the account's searches */
	bool		own_connection; /* each attempt is one request: libcurl
								 * doesn't repeat it by itself */
	size_t		max_reply;		/* the largest answer that can be meant; 0:
								 * call.c's choice.  It counts where there is
								 * a reply_budget */
	int64		inputs;			/* how many are sent with it for the first
								 * time */
	void	   *owner;
	void		(*take) (struct HubspotCall *call); /* gets it back in place
													 * of the caller of
													 * hubspot_calls_next();
													 * or NULL */

	dlist_node	node;			/* where it waits: call.c's */
	int64		not_before;		/* call.c's */
	int64		sent;			/* call.c's: when it was last sent; 0: never */
	struct HubspotTransfer *transfer;	/* call.c's, NULL if nothing was sent */
	int64		token_serial;	/* call.c's: of the token it was sent with */
	bool		renewed;		/* call.c's: sent again with a new token */

	int			attempts;		/* those that failed, and the last one */
	bool		may_have_acted; /* HubSpot may have acted on an attempt before
								 * the last one */
	const HubspotHttpReply *reply;	/* NULL: it was canceled before it was
									 * sent */
	const HubspotError *error;	/* why it was canceled; NULL: another call was
								 * refused */
} HubspotCall;

/* What a statement's calls have cost. */
typedef struct HubspotCallCounts
{
	int64		requests;		/* all that were sent */
	int64		retries;		/* requests after a failed attempt */
	int64		rate_limited;	/* requests that were answered with a 429 */
	int64		inputs;			/* of the calls that were sent */
	bool		throttled;		/* calls wait for the account's rate limit */
	int64		throttled_time; /* microseconds of waiting, while some did */
} HubspotCallCounts;

extern HubspotCalls *hubspot_calls_create(MemoryContext context,
										  const HubspotClient *client,
										  HubspotReadyCheck is_ready,
										  void *ready_arg);
extern void hubspot_calls_start(HubspotCalls *calls, HubspotCall *call);
extern bool hubspot_calls_wait(HubspotCalls *calls, int64 until);
extern bool hubspot_calls_drive(HubspotCalls *calls, int64 *wake);
extern bool hubspot_calls_move_on(HubspotCalls *calls, int64 *wake);
extern void hubspot_calls_wait_for_any(HubspotCalls *calls, int64 until);
extern HubspotCall *hubspot_calls_next(HubspotCalls *calls);
extern void hubspot_calls_stop(HubspotCalls *calls, const HubspotError *error);
extern struct HubspotExchange *hubspot_calls_exchange(const HubspotCalls *calls);
extern const HubspotError *hubspot_calls_error(const HubspotCalls *calls);
extern const HubspotError *hubspot_call_unsent(const HubspotCalls *calls,
											   const HubspotCall *call);
extern void hubspot_call_free(HubspotCall *call);
extern const HubspotCallCounts *hubspot_calls_counts(const HubspotCalls *calls);

#endif							/* HUBSPOT_CALL_CALL_H */
