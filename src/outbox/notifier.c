/*-------------------------------------------------------------------------
 *
 * notifier.c
 *	  Tells listeners of the channel hs_assoc what has happened.
 *
 * Senders note events where they record what these are about (event.c).  After a round, a
 * sender tells of them: of each kind and server, at most once in a minute, with how many there
 * were since the last time.  When it was told of last is in the same table, so that all
 * senders keep to it together.
 *
 * A NOTIFY must not hold up a sender, nor undo what it has recorded:
 *
 * - At its commit it takes a lock that all notifying transactions of the server share, and
 *	 keeps it until the commit is over, a standby's answer included.  So it has a
 *	 transaction of its own, which takes that lock beforehand, if it is free, and whose
 *	 commit waits neither for the disk nor for a standby.  If it isn't free, we try again
 *	 another time.
 * - It is an ERROR if the queue is full.  Then the events stay in the table, with their
 *	 numbers, and that is tried again later, too.
 *
 * Everybody can listen.  So the payload has nothing of a record, unless the server's option
 * asks for that.
 *
 * IDENTIFICATION
 *	  src/outbox/notifier.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "account/account.h"
#include "account/option.h"
#include "base/clock.h"
#include "outbox/charge.h"
#include "outbox/event.h"
#include "outbox/notifier.h"
#include "schema/prepared.h"

#define CHANNEL			"hs_assoc"

/* How often listeners are told of a kind and server, and of a quota. */
#define INTERVAL		(60 * USECS_PER_SEC)
#define QUOTA_INTERVAL	(60 * 60 * USECS_PER_SEC)

/* When to look again: as a rule, if another process notifies, and after an ERROR. */
#define LOOK_DELAY		(10 * USECS_PER_SEC)
#define BUSY_DELAY		USECS_PER_SEC
#define ERROR_DELAY		(60 * USECS_PER_SEC)

/* If a kind and server has more rows than this that must not be told of yet, they become one. */
#define MANY_EVENTS		1000

/* The most bytes of a payload that ids of records fill; NOTIFY allows 7,999. */
#define MAX_RECORDS_SIZE	4000

/* The most bytes of a server's name; a longer one cannot be a server's. */
#define MAX_SERVER_LEN	(NAMEDATALEN - 1)

enum
{
	WAITING_SERVER,
	WAITING_KIND,
	WAITING_COUNT,
	WAITING_NOTIFIED_AT,
	WAITING_ROWS
};

static HubspotStatement waiting_statement = {
	.text =
	"SELECT e.server, e.kind, sum(e.count)::int8, max(e.notified_at), count(*)"
	" FROM %1$s.hs_assoc_event AS e GROUP BY e.server, e.kind ORDER BY e.server, e.kind"
};

/* The parameters of both statements below */
enum
{
	EVENT_SERVER,
	EVENT_KIND,
	EVENT_COUNT,
	EVENT_SINCE,
	EVENT_NOTIFIED_AT
};

enum
{
	TAKEN_COUNT,
	TAKEN_SINCE,
	TAKEN_NOTIFIED_AT
};

/* what somebody has locked is told of another time */
static HubspotStatement take_statement = {
	.text =
	"WITH taken AS (DELETE FROM %1$s.hs_assoc_event AS e WHERE e.ctid = ANY (ARRAY("
	"  SELECT l.ctid FROM %1$s.hs_assoc_event AS l WHERE l.server = $1 AND l.kind = $2"
	"  FOR UPDATE SKIP LOCKED)) RETURNING e.count, e.since, e.notified_at) "
	"SELECT coalesce(sum(count), 0)::int8, min(since) FILTER (WHERE count > 0), max(notified_at)"
	" FROM taken",
	.types = {[EVENT_SERVER] = TEXTOID,[EVENT_KIND] = TEXTOID}
};

static HubspotStatement keep_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_event (server, kind, count, since, notified_at)"
	" VALUES ($1, $2, $3, coalesce($4, now()), $5)",
	.types = {
		[EVENT_SERVER] = TEXTOID,
		[EVENT_KIND] = TEXTOID,
		[EVENT_COUNT] = INT8OID,
		[EVENT_SINCE] = TIMESTAMPTZOID,
		[EVENT_NOTIFIED_AT] = TIMESTAMPTZOID
	}
};

enum
{
	LETTERS_SERVER,
	LETTERS_SINCE
};

enum
{
	LETTER_ID,
	LETTER_OPERATION,
	LETTER_FROM_TYPE,
	LETTER_FROM_ID,
	LETTER_TO_TYPE,
	LETTER_TO_ID,
	LETTER_CATEGORY
};

/* 50 are more than a payload has room for */
static HubspotStatement letters_statement = {
	.text =
	"SELECT d.id, d.operation, d.from_type, d.from_id, d.to_type, d.to_id, d.error_category"
	" FROM %1$s.hs_assoc_dead_letter AS d WHERE d.server = $1 AND d.died_at >= $2"
	" ORDER BY d.died_at LIMIT 50",
	.types = {[LETTERS_SERVER] = TEXTOID,[LETTERS_SINCE] = TIMESTAMPTZOID}
};

/* Events of a kind and server. */
typedef struct Event
{
	const char *server;
	const char *kind;
	int64		count;			/* events in the table */
	int64		rows;			/* rows of the table that have them */
	int64		untabled;		/* events that are in no table */
	TimestampTz notified_at;	/* 0: never */
} Event;

/* What was taken out of the table. */
typedef struct Taken
{
	int64		count;
	TimestampTz since;			/* the first of them; 0: there is none */
	TimestampTz notified_at;	/* 0: never */
} Taken;

/* A NOTIFY, once all that it tells of was read. */
typedef struct Telling
{
	const Event *event;
	Taken		taken;
	const char *payload;
} Telling;

static void look_safely(HubspotNotifier *notifier, HubspotTransaction *transaction,
						MemoryContext fault_context);
static void look(HubspotNotifier *notifier, HubspotTransaction *transaction);
static List *all_events(const List *servers);
static void add_quotas(List **events, const List *servers);
static Event *find_event(const List *events, const char *server, const char *kind);
static int64 interval(const Event *event);
static bool is_due(const Event *event, TimestampTz now);
static bool may_notify(void);
static void keep(const Event *event, int64 count, TimestampTz since, TimestampTz notified_at);
static Telling *prepare(const Event *event, HubspotNotify what);
static bool notify(const List *tellings);
static void put_back(const Event *event, const Taken *taken);
static void compact(const Event *event, bool forget);
static Taken take(const Event *event);
static HubspotNotify choice(const List *servers, const char *server);
static char *payload(const Event *event, int64 count, TimestampTz since, bool records);
static void append_letters(StringInfo text, const char *server, TimestampTz since);
static bool append_letter(StringInfo text, const HubspotRow *row, bool first);
static void append_member(StringInfo text, const char *name, const char *value);

/*
 * After a round: tell of what has happened, if it is time to look for that.  To be called
 * outside a transaction, or in a procedure.  The round learns when to look again.  Only a
 * cancel is thrown.
 */
void
hubspot_notify(HubspotNotifier *notifier, HubspotTransaction *transaction,
			   MemoryContext fault_context, HubspotRound *round)
{
	if (!round->installed || round->held)
		return;
	if (hubspot_event_is_new() || hubspot_now() >= notifier->look_at)
		look_safely(notifier, transaction, fault_context);
	/* a sender that has nothing else to do comes back for it */
	if (notifier->due)
		round->next_due = Min(round->next_due, notifier->due);
}

static void
look_safely(HubspotNotifier *notifier, HubspotTransaction *transaction,
			MemoryContext fault_context)
{
	notifier->look_at = hubspot_now() + LOOK_DELAY;
	PG_TRY();
	{
		look(notifier, transaction);
	}
	PG_CATCH();
	{
		const ErrorData *fault = hubspot_catch(transaction, fault_context, true);

		notifier->look_at = hubspot_now() + ERROR_DELAY;
		notifier->due = GetCurrentTimestamp() + ERROR_DELAY;
		ereport(WARNING,
				(errcode(fault->sqlerrcode),
				 errmsg("could not notify the listeners of channel \"%s\": %s", CHANNEL,
						fault->message),
				 errdetail("Nothing else is affected, and the notification is tried again.")));
	}
	PG_END_TRY();
}

static void
look(HubspotNotifier *notifier, HubspotTransaction *transaction)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = DT_NOEND;
	List	   *tellings = NIL;
	bool		busy;
	List	   *servers;
	List	   *events;
	ListCell   *lc;

	transaction->asynchronous = true;
	if (!hubspot_transaction_begin(transaction))
		return;
	servers = hubspot_all_servers();
	events = all_events(servers);
	foreach(lc, events)
	{
		const Event *event = lfirst(lc);

		if (is_due(event, now))
		{
			Telling    *telling = prepare(event, choice(servers, event->server));

			if (telling)
				tellings = lappend(tellings, telling);
		}
		else
		{
			if (event->count > 0)
				next = Min(next, event->notified_at + interval(event));
			if (event->rows > MANY_EVENTS)
				compact(event, false);
		}
	}
	busy = !notify(tellings);
	hubspot_transaction_end(transaction);

	if (busy)
		next = now + BUSY_DELAY;
	notifier->due = TIMESTAMP_IS_NOEND(next) ? 0 : next;
	if (notifier->due)
		notifier->look_at = Min(notifier->look_at, hubspot_now() + Max(next - now, BUSY_DELAY));
}

/* Do what is due about an event.  Returns what is to be told of it; NULL: nothing. */
static Telling *
prepare(const Event *event, HubspotNotify what)
{
	Telling    *telling;
	Taken		taken;

	if (what == HUBSPOT_NOTIFY_OFF)
	{
		(void) take(event);
		return NULL;
	}
	if (event->count + event->untabled == 0)
	{
		compact(event, true);
		return NULL;
	}
	taken = take(event);
	if (taken.count + event->untabled == 0 || taken.notified_at > event->notified_at)
	{
		/* somebody has locked them, or another sender was faster */
		put_back(event, &taken);
		return NULL;
	}
	telling = palloc(sizeof(Telling));
	telling->event = event;
	telling->taken = taken;
	telling->payload = payload(event, taken.count + event->untabled, taken.since,
							   what == HUBSPOT_NOTIFY_RECORDS);
	return telling;
}

/*
 * Tell of all that was prepared; false: another process has the lock.  It is taken last, so
 * that we wait for nothing while we have it.
 */
static bool
notify(const List *tellings)
{
	bool		ours = (tellings == NIL || may_notify());
	const ListCell *lc;

	foreach(lc, tellings)
	{
		const Telling *telling = lfirst(lc);

		if (!ours)
		{
			put_back(telling->event, &telling->taken);
			continue;
		}
		Async_Notify(CHANNEL, telling->payload);
		keep(telling->event, 0, 0, GetCurrentTimestamp());
	}
	return ours;
}

/* Put back what was taken, as one row, if it was anything. */
static void
put_back(const Event *event, const Taken *taken)
{
	if (taken->count > 0 || taken->notified_at != 0)
		keep(event, taken->count, taken->since, taken->notified_at);
}

/* What there is to tell of, and what was told of before: a list of Events. */
static List *
all_events(const List *servers)
{
	HubspotRows rows;
	List	   *events = NIL;

	hubspot_query(&waiting_statement, NULL, &rows);
	for (uint64 i = 0; i < rows.count; i++)
	{
		HubspotRow	row;
		Event	   *event = palloc0(sizeof(Event));

		hubspot_read_row(&rows, i, &row);
		event->server = hubspot_get_text(&row, WAITING_SERVER);
		event->kind = hubspot_get_text(&row, WAITING_KIND);
		event->count = hubspot_get_int64(&row, WAITING_COUNT);
		event->notified_at = hubspot_get_time(&row, WAITING_NOTIFIED_AT);
		event->rows = hubspot_get_int64(&row, WAITING_ROWS);
		events = lappend(events, event);
	}
	add_quotas(&events, servers);
	return events;
}

/* Add low quotas, which are in no table: the throttles know of them, whoever has used them up. */
static void
add_quotas(List **events, const List *servers)
{
	const ListCell *lc;

	foreach(lc, servers)
	{
		const HubspotOptions *server = lfirst(lc);
		HubspotThrottle throttle;
		Event	   *event;

		if (!hubspot_account_read(server->server, NULL, &throttle) ||
			!hubspot_throttle_day_is_low(&throttle, hubspot_now()))
			continue;
		event = find_event(*events, server->server_name, HUBSPOT_EVENT_QUOTA_LOW);
		if (event == NULL)
		{
			event = palloc0(sizeof(Event));
			event->server = server->server_name;
			event->kind = HUBSPOT_EVENT_QUOTA_LOW;
			*events = lappend(*events, event);
		}
		event->untabled = 1;
	}
}

static Event *
find_event(const List *events, const char *server, const char *kind)
{
	const ListCell *lc;

	foreach(lc, events)
	{
		Event	   *event = lfirst(lc);

		if (strcmp(event->server, server) == 0 && strcmp(event->kind, kind) == 0)
			return event;
	}
	return NULL;
}

static int64
interval(const Event *event)
{
	return strcmp(event->kind, HUBSPOT_EVENT_QUOTA_LOW) == 0 ? QUOTA_INTERVAL : INTERVAL;
}

/*
 * Is something to be done about an event: tell of it, or forget that it was told of?  A time
 * in the future is one from before the clock was set back.
 */
static bool
is_due(const Event *event, TimestampTz now)
{
	return event->notified_at + interval(event) <= now || event->notified_at > now;
}

/*
 * Take the lock that a NOTIFY takes at its commit, until the end of the transaction; false:
 * another process has it.
 */
static bool
may_notify(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, InvalidOid, 0);
	return LockAcquire(&tag, AccessExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * Make one row of an event's rows; or none, if there is nothing to tell of, and it is to be
 * forgotten when that was done.
 */
static void
compact(const Event *event, bool forget)
{
	Taken		taken = take(event);

	if (taken.count > 0 || !forget)
		keep(event, taken.count, taken.since, taken.notified_at);
}

/* Take what the table has of an event. */
static Taken
take(const Event *event)
{
	HubspotValues values = {0};
	HubspotRows rows;
	HubspotRow	row;
	Taken		taken;

	hubspot_set_text(&values, EVENT_SERVER, event->server);
	hubspot_set_text(&values, EVENT_KIND, event->kind);
	hubspot_query(&take_statement, &values, &rows);
	hubspot_read_row(&rows, 0, &row);
	taken.count = hubspot_get_int64(&row, TAKEN_COUNT);
	taken.since = hubspot_get_time(&row, TAKEN_SINCE);
	taken.notified_at = hubspot_get_time(&row, TAKEN_NOTIFIED_AT);
	return taken;
}

/* Note so many events since a time, and when they were last told of; 0: never. */
static void
keep(const Event *event, int64 count, TimestampTz since, TimestampTz notified_at)
{
	HubspotValues values = {0};

	hubspot_set_text(&values, EVENT_SERVER, event->server);
	hubspot_set_text(&values, EVENT_KIND, event->kind);
	hubspot_set_int64(&values, EVENT_COUNT, count);
	if (since)
		hubspot_set_time(&values, EVENT_SINCE, since);
	if (notified_at)
		hubspot_set_time(&values, EVENT_NOTIFIED_AT, notified_at);
	hubspot_execute(&keep_statement, &values);
}

/* What a server's option notify says; for a server that has been dropped, its default. */
static HubspotNotify
choice(const List *servers, const char *server)
{
	const ListCell *lc;

	foreach(lc, servers)
	{
		const HubspotOptions *options = lfirst(lc);

		if (strcmp(options->server_name, server) == 0)
			return options->notify;
	}
	return HUBSPOT_NOTIFY_ON;
}

static char *
payload(const Event *event, int64 count, TimestampTz since, bool records)
{
	StringInfoData text;
	char		time[MAXDATELEN + 1];
	int			len = strlen(event->server);

	if (since == 0)
		since = GetCurrentTimestamp();
	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	append_member(&text, "kind", event->kind);
	appendStringInfoString(&text, ", ");
	append_member(&text, "server",
				  pnstrdup(event->server, pg_mbcliplen(event->server, len, MAX_SERVER_LEN)));
	appendStringInfo(&text, ", \"count\": " INT64_FORMAT ", ", count);
	append_member(&text, "since",
				  JsonEncodeDateTime(time, TimestampTzGetDatum(since), TIMESTAMPTZOID, NULL));
	if (records && strcmp(event->kind, HUBSPOT_EVENT_DEAD_LETTER) == 0)
		append_letters(&text, event->server, since);
	appendStringInfoChar(&text, '}');
	return text.data;
}

/* Append the first of the dead letters, as many as there is room for. */
static void
append_letters(StringInfo text, const char *server, TimestampTz since)
{
	HubspotValues values = {0};
	HubspotRows rows;

	hubspot_set_text(&values, LETTERS_SERVER, server);
	hubspot_set_time(&values, LETTERS_SINCE, since);
	hubspot_query(&letters_statement, &values, &rows);
	appendStringInfoString(text, ", \"dead_letters\": [");
	for (uint64 i = 0; i < rows.count; i++)
	{
		HubspotRow	row;

		hubspot_read_row(&rows, i, &row);
		if (!append_letter(text, &row, i == 0))
			break;
	}
	appendStringInfoChar(text, ']');
}

/* Append a dead letter; false: there is no room for it. */
static bool
append_letter(StringInfo text, const HubspotRow *row, bool first)
{
	static const char *const names[] = {
		[LETTER_OPERATION] = "operation",
		[LETTER_FROM_TYPE] = "from_type",
		[LETTER_FROM_ID] = "from_id",
		[LETTER_TO_TYPE] = "to_type",
		[LETTER_TO_ID] = "to_id",
		[LETTER_CATEGORY] = "error_category"
	};
	int			before = text->len;

	appendStringInfo(text, "%s{\"id\": " INT64_FORMAT, first ? "" : ", ",
					 hubspot_get_int64(row, LETTER_ID));
	for (int column = LETTER_OPERATION; column <= LETTER_CATEGORY; column++)
	{
		const char *value = hubspot_get_text(row, column);

		if (value == NULL)
			continue;
		appendStringInfoString(text, ", ");
		append_member(text, names[column], value);
	}
	appendStringInfoChar(text, '}');
	if (text->len <= MAX_RECORDS_SIZE)
		return true;
	text->len = before;
	text->data[before] = '\0';
	return false;
}

static void
append_member(StringInfo text, const char *name, const char *value)
{
	escape_json(text, name);
	appendStringInfoString(text, ": ");
	escape_json(text, value);
}
