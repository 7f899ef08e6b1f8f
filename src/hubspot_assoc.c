/*-------------------------------------------------------------------------
 *
 * hubspot_assoc.c
 *	  Associate HubSpot CRM records from SQL: the door, and a map.
 *
 * A call of an SQL function goes down through these files and its results
 * come up again.  Includes go only downward.
 *
 *	9  hubspot_assoc.c	module magic, settings
 *	8  functions.c		SQL functions that associate: arguments in, rows out
 *	   passthrough.c	the SQL function for the rest of the API
 *	7  source.c			inputs from a query or an array
 *	   result.c			outcomes to rows, or to an ERROR
 *	6  batch.c			many inputs: cut, kept in flight, answered
 *	5  call.c			API calls: throttled, sent, sent again
 *	4  connection.c		an account, as the current role may use it
 *	   match.c			what an answer says of each input
 *	3  request.c		structs to JSON
 *	   response.c		status and JSON to structs, or an error value
 *	   transport.c		libcurl on PostgreSQL's wait events
 *	2  option.c			what the user said
 *	   context.c		which inputs an error names
 *	1  endpoint.c		what HubSpot offers
 *	   throttle.c		when a request may go
 *	   unit.c			a pair in a batch, and its rows
 *	   json.c, lexer.c	JSON by declared fields
 *	   host.c			hosts of URLs and lists
 *	   sockets.c		sockets to watch, on a WaitEventSet
 *	0  hubspot_assoc.h	the nouns
 *	   http.h			a request and a reply
 *	   compat.h			PostgreSQL's versions
 *
 * Some facts are known to one file alone: HubSpot's paths and limits to
 * endpoint.c, JSON keys to request.c, response.c and context.c, libcurl to
 * transport.c, server and user mapping options to option.c.
 *
 * What HubSpot or the network does wrong is data (HubspotError) until it
 * becomes a column or an ERROR in rows 7 and 8.  Only misuse, a cancel and
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

#include "compat.h"
#include "option.h"

HUBSPOT_MODULE_MAGIC("hubspot_assoc", "1.0");

void		_PG_init(void);

void
_PG_init(void)
{
	hubspot_define_settings();
}
