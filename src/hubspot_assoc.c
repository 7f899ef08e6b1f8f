/*-------------------------------------------------------------------------
 *
 * hubspot_assoc.c
 *	  Associate HubSpot CRM records from SQL: the door, and a map.
 *
 * A call of an SQL function goes down through these files and its results
 * come up again.  Includes go only downward (test/headerscheck has the rows).
 *
 *	   hubspot_assoc.c	module magic, settings
 *
 *	   launcher.c		starts workers in the databases that have something to send
 *	   database.c		what it knows of them
 *	   hold.c			keeps them out of databases that are dropped or copied
 *	   worker.c			a process that sends the outbox of a database
 *	   functions.c		SQL functions on associations: arguments in, rows out
 *	   definitions.c	SQL functions on labels, limits and the report
 *	   passthrough.c	the SQL function for the rest of the API
 *	   queue.c			SQL functions on the outbox
 *	   pair.c			what a pair is, for its indexes
 *	   sync.c			SQL functions on tables kept in sync
 *	   sync_rows.c		their triggers
 *	   sync_ddl.c		event triggers that follow DDL on them
 *	   statistics.c		SQL functions that show throttles and counters
 *	   argument.c		what all of these want of their arguments
 *
 *	   sender.c			sends what is due in the outbox
 *	   charge.c			ERRORs of a sender, and whom they are charged to
 *	   delivery.c		rows on their way to HubSpot and back
 *	   enqueue.c		inputs of a query into the outbox
 *	   lease.c			who sends to a server
 *	   claim.c			what of the outbox is sent next
 *	   claimant.c		whose it is
 *	   settle.c			what became of it
 *	   undone.c			rows that are not done, recorded by their reasons
 *	   doubt.c			what wasn't confirmed, but may still be done
 *	   clock_change.c	what waits when the clock is set
 *	   change.c			changes of tables kept in sync into the outbox
 *	   delta.c			the rows of these changes, in SQL
 *	   dropped.c		what was dropped that a sync needs
 *	   retyped.c		what DDL would change of their values
 *	   link.c			which tables can be kept in sync
 *	   idtype.c			types whose text is good for an id
 *	   link_trigger.c	their triggers
 *	   synced.c			what is kept in sync
 *	   transaction.c	short transactions of a sender
 *	   outbox.c			the outbox itself
 *	   extension_schema.c	the schema of the extension, and who may do what there
 *	   prepared.c		statements of ours, bound to the objects that they mean
 *	   extension.c		where the extension is in this database
 *	   rights.c			whose rights we act with
 *
 *	   statement.c		one call, from its inputs to its rows
 *	   source.c			inputs from a query or an array
 *	   draft.c			an input while it is read
 *	   sort.c			inputs in the order of their from_id
 *	   result.c			outcomes to rows
 *	   stencil.c		rows that differ in little
 *	   error.c			error values to an ERROR
 *
 *	   batch.c			many inputs: cut, kept in flight, answered
 *	   labels.c			association types by their labels
 *	   call.c			API calls: throttled, sent, sent again
 *
 *	   connection.c		an account, as the current role may use it
 *	   account.c		its throttle and its statistics
 *	   damper.c			pairs that change all the time
 *	   wake.c			databases in which something was committed
 *	   place.c			the places of workers
 *	   shared.c			areas of shared memory
 *	   token.c			where its access tokens come from
 *	   tokenfile.c		the file that holds one
 *	   secret.c			secrets, which nothing may show
 *	   refresh.c		refresh tokens, which answers may replace
 *	   match.c			what an answer says of each input
 *	   blame.c			which inputs an error is about
 *	   keep.c			the labels that pairs have
 *
 *	   request.c		structs to paths and JSON
 *	   response.c		JSON to structs, of replies about inputs
 *	   answer.c			the same of other replies
 *	   failure.c		replies that are no success, as error values
 *	   transport.c		libcurl on PostgreSQL's wait events
 *	   guard.c			an end for calls of it that a peer keeps from returning
 *
 *	   option.c			what the user said of an account
 *	   setting.c		what the user said of all of them
 *	   cafile.c			the file of certificate authorities
 *	   context.c		what the context of an error names
 *	   chunk.c			inputs that go together, and their rows
 *	   unit.c			one of them: a pair, or a record that is read
 *	   type.c			association types
 *	   endpoint.c		what HubSpot offers
 *	   throttle.c		when a request may go
 *	   json.c, lexer.c	JSON by declared fields
 *	   digits.h			texts that are numbers
 *	   host.c			hosts of URLs and lists
 *	   shown.c			somebody's value in a message
 *	   clock.c			a clock that nobody sets
 *	   sockets.c		sockets to watch, on a WaitEventSet
 *
 *	   hubspot_assoc.h	the nouns
 *	   http.h			a request and a reply
 *	   compat.h			PostgreSQL's versions
 *
 * Some facts are known to one file alone: HubSpot's paths and limits to
 * endpoint.c, JSON keys to request.c, response.c, answer.c, failure.c and
 * context.c, libcurl to transport.c, server and user mapping options to option.c.
 *
 * What HubSpot or the network does wrong is data (HubspotError) until it
 * becomes a column or an ERROR in result.c or error.c.  Only misuse, a cancel and
 * lack of memory are thrown from below.  Whatever isn't palloc'd belongs to a
 * memory context by a reset callback, so that no error path has to free it.
 *
 * IDENTIFICATION
 *	  src/hubspot_assoc.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "account.h"
#include "compat.h"
#include "damper.h"
#include "hold.h"
#include "launcher.h"
#include "place.h"
#include "setting.h"
#include "wake.h"

HUBSPOT_MODULE_MAGIC("hubspot_assoc", "1.0");

void		_PG_init(void);

void
_PG_init(void)
{
	hubspot_define_settings();
	if (process_shared_preload_libraries_in_progress)
	{
		hubspot_accounts_add();
		hubspot_damper_add();
	}
	/* what pg_upgrade does is no reason to send anything */
	if (process_shared_preload_libraries_in_progress && !IsBinaryUpgrade)
	{
		hubspot_places_add();
		hubspot_wake_add();
		hubspot_hold_add();
		hubspot_launcher_register();
	}
}
