#!/usr/bin/env python3
"""
simulator.py -- a stateful simulator of the HubSpot associations API

It stands in for api.hubapi.com wherever hubspot_assoc is tested, shown or
measured: it keeps records, association types, labels, limits and
associations, refuses what the API would refuse, misbehaves on demand, and
remembers every request.  One process, one thread, nothing but Python's
standard library (3.9 or later).

Command line
------------
    simulator.py [--host 127.0.0.1] [--port 0] [--control-port 0]
                 [--tls-cert FILE --tls-key FILE] [--latency MS]
                 [--token TOKEN] [--discard] [--journal FILE]

    --port, --control-port  0 lets the system choose
    --tls-cert, --tls-key   the API speaks TLS (the control port never does)
    --latency MS            each reply starts this long after its request came
    --token TOKEN           the default account's token ("test-token")
    --discard               for measurements of any length: the fast path
                            counts what it creates, but does not keep it; and
                            a batch read or removal that was answered before,
                            byte for byte, is answered as it was then, if
                            nothing has changed since
    --journal FILE          associations outlive the process: see "Journal"

Prints one line, "port=NNN control=NNN", then serves until SIGTERM, SIGINT,
or the end of the process that started it.

What is simulated
-----------------
All association operations of v4 and of the dated versions from 2025-09 on:
create (default and labelled), list, delete, the batch forms, label
definitions, limits, the high-usage report; and the OAuth token endpoint.

An account is found by its bearer token.  Every record whose id is a positive
integer of at most 19 digits exists, unless the control port says otherwise.
Custom object types ("2-123", "p123_name") exist when they are named, and get
the two ids of their plain association when these are first needed.

Validation is stricter than need be: unknown keys, query parameters nobody
defined, a body where none belongs, numbers for ids, or a pair that stands
twice in a batch are refused, so that a client which works here has nothing
to fear elsewhere.  An account restricted to scopes needs
"crm.objects.<plural name, or custom>.<read|write>" for both object types.

Control port
------------
Plain HTTP, JSON both ways, no authorization.  Wrong requests get 400 and
{"error": text}.  "token" always selects the account (default: the default
account).

POST /reset             forget everything; back to the state at the start
GET  /health            {"ok": true}
GET  /stats             connections_open, connections_accepted, requests,
                        in_flight, max_in_flight, inputs; and "operations",
                        {"batch_read": {"requests", "inputs"}, ...}, of the
                        requests that came as far as their operation, without
                        those that a rule kept from taking effect; with
                        --discard also "digest", a sum of hashes of the whole
                        requests, the same for the same ones in any order,
                        within a process
DELETE /stats           all of that from 0 on, but for the connections
GET  /stats?token=      requests, inputs and operations of one account: of
                        the requests whose access token led to it
GET  /settings[?token=] the account's settings
POST /settings          change some; answers all of them:
    bad_batch           how a batch with bad inputs is answered; in a read
                        these are ids that cannot be (one that is missing has
                        no associations), in a removal such ids, missing
                        records and types that don't fit:
        partial           207: results, and one error for each bad input
        partial200        the same with 200
        whole             400, nothing done, the offenders named
        unnamed           400, nothing done, nobody named
        canceled          200, status CANCELED, one error, offenders named
        canceled-unnamed  the same, nobody named
        silent            bad inputs are in neither results nor errors
    context             how errors name them: pair, from, to, objectId, ids,
                        id, INVALID_OBJECT_IDS, associationSpec, string,
                        none; null: pair in a batch's errors, and what the
                        live API says in those of a read and where a request
                        is refused whole
    id_form             string, number, mixed: record ids in replies
    batch_create_status 200 or 201
    single_create_form  bare or entity: the labelled create's reply
    default_results     both or forward: results for each pair of a default
                        create
    archive_status      200 (with a body), 204, null: as the version does
    archive_missing     deleting what is not there: 204, as if it had been;
                        404, for a single pair; item, that and an error of a
                        batch for each such pair
    page_size           most associations in a page, 1 to 500
    max_body_bytes      a longer body is answered 413; null: none is
    latency_ms          as --latency
    rate_limit          null, or {"max", "interval_ms", "policy",
                        "retry_after"}; policy is TEN_SECONDLY_ROLLING,
                        SECONDLY or DAILY
POST /accounts          {"token", "scopes": [...] or null}: add or change
DELETE /accounts/TOKEN
POST /objects           {"type", "missing": [ids]} or {"type", "existing":
                        [ids]}; each replaces what was said before
GET  /associations?from_type=&to_type=[&from_id=][&token=]
                        {"count", "associations": [{"from_id", "to_id",
                        "types": [{"category", "type_id", "label"}]}]}
GET  /associations/count?from_type=&to_type=[&token=]
                        {"count"}
GET  /associations/table?from_type=&to_type=[&token=]
                        all of them as text, cheap even for 100,000: a line
                        "from,to,types" for each, in the order of the ids;
                        types are "category=type_id", with blanks between
                        them, for instance "101,9001,HUBSPOT_DEFINED=279"
POST /associations      {"from_type", "to_type", "pairs": [[from, to], ...]}
                        or, instead of pairs, "generate": {"first_from",
                        "count", "per_from", "first_to", "to_count"}, which
                        gives "count" records "per_from" associations each,
                        all in all to "to_count" others; optionally "types":
                        [{"category", "type_id"}]: put them in place
DELETE /associations[?token=]
POST /labels            {"from_type", "to_type", "label", "name",
                        "inverse_label"}: a label, as if the API had been
                        asked for it; "types": [{"category", "type_id"}], one
                        for each direction, or one for both
POST /limits            {"category", "type_id", "max_to_ids"}: likewise; null
                        removes it
POST /oauth             {"client_id", "client_secret", "refresh_token",
                        "expires_in", "rotate", "latency_ms"}: a client whose
                        access tokens lead to the account; the last three are
                        optional: seconds, whether each refresh token is good
                        for one use, latency of the refreshes alone
POST /oauth/expire      every access token given out so far has expired
GET  /log[?path=REGEX][&limit=N]
                        {"count", "dropped", "requests": [...]}, the last N
GET  /log/count[?path=REGEX]
GET  /log/paths[?path=REGEX]
                        {"requests": [[method, path, status], ...]}
DELETE /log
POST /rules             one rule or a list; {"ids": [...]}
GET  /rules             all of them, with "id", "seen" and "hits"
DELETE /rules
POST /batch             [[method, path, body], ...]: requests to this port,
                        one after the other; "replies": what is answered to
                        each, texts as strings.  The first wrong one ends it

A log entry has n, time_ms (of a clock that simulators share), method, path, query, status
(null: no answer), inputs, token_hash (never the token), connection,
http_version, content_type, headers (without authorization), body (its first
4,000 characters, secrets left out), rule, noop (answered as a success
although nothing was asked for), in_flight (requests at work when it came).

Rules
-----
{"match": {...}, "action": {...}}.  The first rule that matches decides.

match, all optional:
    method, token       equal
    path                a regular expression, searched in the path; also in
                        that of the OAuth endpoint
    pair                ["101", "9001"]: alone or among a batch's inputs
    id                  the same for one record, on either side
    nth, every, first, after
                        the nth, every nth, the first n, all but the first n
                        of the requests that fit the rest; a request counts
                        for every rule it fits, also where an earlier one
                        decides

action, combinable:
    status, headers     headers with null are removed
    body, text, base64  JSON, a string, bytes; without one, an error status
                        gets a plausible error body, any other the reply that
                        the operation would give
    act                 whether the operation takes effect; default: yes,
                        unless there is a status, redirect, reset, close
                        or hang
    late_ms             the operation takes effect so long after the request
                        came, whatever has become of its connection by then;
                        what is replied is what it would have given at once
    results             list of changes to the reply's results: shuffle,
                        reverse, drop:N, drop_pair:FROM:TO, double, foreign,
                        others, numbers, unknown_keys, empty
    errors              list of items appended to the reply's errors
    envelope            keys to set in the reply, or with null to remove
    nest, pad           an unknown key that holds the results N brackets
                        deep; an unknown key with a string of N bytes
    encoding            the body in this charset (the content type goes on to
                        say UTF-8, unless content_type says otherwise)
    content_type, redirect, chunked
    informational       list of statuses 1xx that go ahead of the reply
    delay_ms, delay_body_ms
                        before the first byte; between headers and body
    drip                {"bytes", "interval_ms"}: the body in small pieces
    truncate            N bytes of body, then the end of the connection
    cut_head            N bytes of the status line and headers, then the same
    reset               before, headers, body: TCP reset at that point
    close               before: closed without an answer
    hang                never answered, kept open
    close_after         closed after the reply; silent_close: without saying

To stall one account: match the token that its requests carry, with delay_ms,
or with hang for good.  While there is a rule, the fast path rests for all
accounts; the account's setting latency_ms delays without that.

Journal
-------
With --journal every change of associations, whoever made it and in whatever
account, is handed to the kernel before the reply to it starts, and at the
start the file is played back.  So whatever a client or a test was told is
still there after a kill -9.  A change that took effect, but was not answered
yet, is there as well; of one request, either all changes are or none.

What comes back: associations with their types; labels, and the ids that the
types of custom objects were given; the accounts that the control port added,
without those that it deleted, and all scopes.  What does not: settings, limits
on associations, which records exist, OAuth clients and their tokens, rules,
the log, statistics.  The default account is found by --token, which must be
what it was.

POST /reset empties the journal as well.  It only grows otherwise.  It holds
the tokens, as they are, to tell accounts by.

Each line is a request's changes: a JSON array of [what, token, argument, ...].
A last line without its end is of a write that was cut short, so nobody was
told of it: it is cut off at the start.  Any other line that makes no sense
keeps the simulator from starting.

Ideas
-----
Delays count from the moment a request was completely received, so the time
spent on working the reply out is part of the latency, not added to it.

A request is answered by one pure chain: authorize, route, validate, operate.
Any link refuses by raising ApiError.  Rules stand around that chain: they may
keep it from taking effect ("dry": it answers, but stores nothing), and change
what it said.  How a reply goes over the wire, faults included, is a schedule
of (delay, bytes) and one of four ends; the connection merely plays it.

The fast path serves a batch in the compact form that well-made clients send
without parsing it.  Deleting all but digits and braces from the body leaves
little more than a table of "from,to" lines.  The body is then written anew
from that table: if this gives the same bytes, the body was what it should be.
The reply is the table written in another way.  The table is kept as it is,
and only becomes associations when somebody looks.  Whatever is odd about a
body, the fast path leaves to the ordinary one, which answers alike but knows
what to say.  Of a batch read only the parsing has such a short way.

IDENTIFICATION
    test/simulator.py
"""

import argparse
import asyncio
import base64
import binascii
import bisect
import collections
import copy
import ctypes
import gc
import hashlib
import http
import itertools
import json
import os
import random
import re
import select
import selectors
import signal
import socket
import ssl
import struct
import sys
import time
import traceback
import urllib.parse
import uuid

# ---------------------------------------------------------------------------
# What HubSpot defines
# ---------------------------------------------------------------------------

# singular name, plural name, object type id
OBJECT_TYPES = (
    ("contact", "contacts", "0-1"),
    ("company", "companies", "0-2"),
    ("deal", "deals", "0-3"),
    ("ticket", "tickets", "0-5"),
    ("product", "products", "0-7"),
    ("line_item", "line_items", "0-8"),
    ("quote", "quotes", "0-14"),
    ("communication", "communications", "0-18"),
    ("feedback_submission", "feedback_submissions", "0-19"),
    ("task", "tasks", "0-27"),
    ("note", "notes", "0-46"),
    ("meeting", "meetings", "0-47"),
    ("call", "calls", "0-48"),
    ("email", "emails", "0-49"),
    ("invoice", "invoices", "0-53"),
    ("subscription", "subscriptions", "0-69"),
    ("payment", "payments", "0-101"),
    ("postal_mail", "postal_mails", "0-116"),
    ("order", "orders", "0-123"),
    ("lead", "leads", "0-136"),
    ("service", "services", "0-162"),
    ("course", "courses", "0-410"),
    ("listing", "listings", "0-420"),
    ("appointment", "appointments", "0-421"),
)

# from, to, type id, type id of the other direction, label, and the label of
# the other direction.  The first row of a pair holds its plain association.
ASSOCIATION_TYPES = (
    ("contact", "company", 279, 280, None, None),
    ("contact", "company", 1, 2, "Primary", "Primary"),
    ("deal", "company", 341, 342, None, None),
    ("deal", "company", 5, 6, "Primary", "Primary"),
    ("ticket", "company", 339, 340, None, None),
    ("ticket", "company", 26, 25, "Primary", "Primary"),
    ("deal", "contact", 3, 4, None, None),
    ("ticket", "contact", 16, 15, None, None),
    ("deal", "ticket", 27, 28, None, None),
    ("contact", "contact", 449, 449, None, None),
    ("company", "company", 450, 450, None, None),
    ("company", "company", 13, 14, "Child Company", "Parent Company"),
    ("deal", "deal", 451, 451, None, None),
    ("ticket", "ticket", 452, 452, None, None),
    ("call", "company", 182, 181, None, None),
    ("call", "contact", 194, 193, None, None),
    ("call", "deal", 206, 205, None, None),
    ("call", "ticket", 220, 219, None, None),
    ("email", "company", 186, 185, None, None),
    ("email", "contact", 198, 197, None, None),
    ("email", "deal", 210, 209, None, None),
    ("email", "ticket", 224, 223, None, None),
    ("meeting", "company", 188, 187, None, None),
    ("meeting", "contact", 200, 199, None, None),
    ("meeting", "deal", 212, 211, None, None),
    ("meeting", "ticket", 226, 225, None, None),
    ("note", "company", 190, 189, None, None),
    ("note", "contact", 202, 201, None, None),
    ("note", "deal", 214, 213, None, None),
    ("note", "ticket", 228, 227, None, None),
    ("task", "company", 192, 191, None, None),
    ("task", "contact", 204, 203, None, None),
    ("task", "deal", 216, 215, None, None),
    ("task", "ticket", 230, 229, None, None),
    ("task", "quote", 218, 217, None, None),
    ("communication", "company", 87, 88, None, None),
    ("communication", "contact", 81, 82, None, None),
    ("communication", "deal", 85, 86, None, None),
    ("communication", "ticket", 83, 84, None, None),
    ("line_item", "deal", 20, 19, None, None),
    ("line_item", "quote", 68, 67, None, None),
    ("line_item", "order", 514, 513, None, None),
    ("quote", "deal", 64, 63, None, None),
    ("quote", "contact", 69, 70, None, None),
    ("quote", "company", 71, 72, None, None),
    ("invoice", "deal", 175, 176, None, None),
    ("invoice", "contact", 177, 178, None, None),
    ("invoice", "company", 179, 180, None, None),
    ("order", "contact", 507, 508, None, None),
    ("order", "company", 509, 510, None, None),
    ("order", "deal", 512, 511, None, None),
    ("order", "ticket", 525, 526, None, None),
)

# The record on the "from" side of these has at most one of them.
PRIMARY_OF_FROM = frozenset([("HUBSPOT_DEFINED", n) for n in (1, 5, 26)])
# The same seen from the other end.
PRIMARY_OF_TO = frozenset([("HUBSPOT_DEFINED", n) for n in (2, 6, 25)])

CATEGORIES = frozenset(["HUBSPOT_DEFINED", "USER_DEFINED",
                        "INTEGRATOR_DEFINED", "WORK"])
FIRST_DATED_VERSION = "2025-09"
MAX_LABELS = 50                 # label definitions of a pair of object types
MAX_ID_DIGITS = 19
MAX_INT32 = 2 ** 31 - 1
OAUTH_PATHS = frozenset(["/oauth/2026-03/token", "/oauth/v3/token",
                         "/oauth/v1/token"])


class ObjectType:
    """A kind of record: its name in scopes, its id, its name in messages."""

    __slots__ = ("id", "upper", "scope", "custom")

    def __init__(self, type_id, upper, scope, custom):
        self.id = type_id
        self.upper = upper
        self.scope = scope
        self.custom = custom


def standard_object_types():
    """Every accepted spelling of every standard object type."""
    known = {}
    for singular, plural, type_id in OBJECT_TYPES:
        kind = ObjectType(type_id, singular.upper(), plural, False)
        for spelling in (singular, plural, type_id):
            known[spelling] = kind
    return known


KNOWN_TYPES = standard_object_types()
CUSTOM_TYPE = re.compile(r"2-[1-9][0-9]{0,17}|p[0-9]{1,18}_[A-Za-z0-9_]+",
                         re.ASCII)


def object_type(name):
    """The object type that a path segment names; ApiError if none."""
    kind = KNOWN_TYPES.get(name)
    if kind is None:
        if not CUSTOM_TYPE.fullmatch(name):
            raise ApiError(400, "Unable to infer object type from: " + name)
        kind = ObjectType(name, name, "custom", True)
        KNOWN_TYPES[name] = kind
    return kind


# ---------------------------------------------------------------------------
# Errors, replies, and what stands in them
# ---------------------------------------------------------------------------

class ApiError(Exception):
    """A refusal: an HTTP status and the members of its error body."""

    def __init__(self, status, message, category=None, headers=(), **members):
        super().__init__(message)
        self.status = status
        self.message = message
        self.category = category
        self.headers = tuple(headers)
        self.members = members

    def reply(self, correlation_id):
        data = {"status": "error", "message": self.message,
                "correlationId": correlation_id}
        if self.category is not None:
            data["category"] = self.category
        data.update(self.members)
        return Reply(self.status, data, headers=self.headers)


def invalid(message, **members):
    """The refusal of a request that is wrong in itself."""
    return ApiError(400, message, "VALIDATION_ERROR", **members)


class Reply:
    """
    What goes back for a request.  "data" is a JSON value, or bytes that are
    sent as they are, or None for no body at all.
    """

    __slots__ = ("status", "data", "headers", "content_type", "fault")

    def __init__(self, status, data=None, headers=(),
                 content_type="application/json;charset=utf-8"):
        self.status = status
        self.data = data
        self.headers = list(headers)
        self.content_type = content_type
        self.fault = None

    def value(self):
        """The body as a JSON value, to be changed in place."""
        if isinstance(self.data, bytes):
            self.data = json.loads(self.data)
        return self.data

    def body(self, encoding="utf-8"):
        """The body as bytes."""
        if self.data is None:
            return b""
        if isinstance(self.data, bytes):
            return self.data
        return to_json(self.data, encoding)


COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def to_json(value, encoding="utf-8"):
    """
    Compact JSON with the characters themselves, not their escapes, unless
    the charset cannot hold them or they are lone surrogates.
    """
    try:
        return COMPACT.encode(value).encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode("ascii")


REASONS = {status.value: status.phrase for status in http.HTTPStatus}


def reason(status):
    """The words of a status line."""
    return REASONS.get(status) or "Status %d" % status


class Clock:
    """Times of day as text, computed once a second rather than each time."""

    def __init__(self):
        self.second = None
        self.iso = ""
        self.http = ""

    def tick(self):
        now = time.time()
        second = int(now)
        if second != self.second:
            parts = time.gmtime(second)
            self.second = second
            self.iso = time.strftime("%Y-%m-%dT%H:%M:%S", parts)
            self.http = time.strftime("%a, %d %b %Y %H:%M:%S GMT", parts)
        return now - second

    def timestamp(self):
        milliseconds = int(self.tick() * 1000)
        return "%s.%03dZ" % (self.iso, milliseconds)

    def date(self):
        self.tick()
        return self.http


CLOCK = Clock()


class CorrelationIds:
    """UUIDs that cost no system call: a random head and a counter."""

    def __init__(self):
        self.head = str(uuid.uuid4())[:24]
        self.counter = itertools.count(1)

    def next(self):
        return "%s%012x" % (self.head, next(self.counter))


CORRELATION_IDS = CorrelationIds()


# ---------------------------------------------------------------------------
# State: definitions, associations, accounts
# ---------------------------------------------------------------------------

class Definition:
    """
    An association type: a category and a number, good for one direction.
    "inverse" is the number for the other direction; "paired" says that the
    two directions have labels of their own.
    """

    __slots__ = ("category", "type_id", "from_id", "to_id", "label",
                 "inverse", "name", "paired")

    def __init__(self, category, type_id, from_id, to_id, label, inverse,
                 name=None, paired=False):
        self.category = category
        self.type_id = type_id
        self.from_id = from_id
        self.to_id = to_id
        self.label = label
        self.inverse = inverse
        self.name = name
        self.paired = paired

    def key(self):
        return (self.category, self.type_id)

    def entry(self):
        """As the labels endpoint shows it."""
        return {"category": self.category, "typeId": self.type_id,
                "label": self.label}


class Definitions:
    """
    The association types of one account.  "note" is told of new ones, which
    may come of a mere look at a custom object type.
    """

    def __init__(self, note):
        self.note = note
        self.by_key = {}
        self.by_direction = {}
        self.next_id = 1
        for row in ASSOCIATION_TYPES:
            self.add_standard(*row)

    def add_standard(self, from_name, to_name, type_id, inverse, label,
                     inverse_label):
        from_id = KNOWN_TYPES[from_name].id
        to_id = KNOWN_TYPES[to_name].id
        self.add(Definition("HUBSPOT_DEFINED", type_id, from_id, to_id,
                            label, inverse))
        if inverse != type_id:
            self.add(Definition("HUBSPOT_DEFINED", inverse, to_id, from_id,
                                inverse_label, type_id))

    def add(self, definition):
        self.by_key[definition.key()] = definition
        direction = (definition.from_id, definition.to_id)
        self.by_direction.setdefault(direction, []).append(definition)
        return definition

    def add_user_defined(self, from_id, to_id, label, inverse_label, name):
        """
        A new type in both directions; a list of one definition where record
        types are equal and the label says the same both ways, else of two.
        """
        self.note("define", from_id, to_id, label, inverse_label, name)
        type_id = self.next_id
        paired = inverse_label is not None
        alone = from_id == to_id and not paired
        inverse = type_id if alone else type_id + 1
        self.next_id = inverse + 1
        made = [self.add(Definition("USER_DEFINED", type_id, from_id, to_id,
                                    label, inverse, name, paired))]
        if not alone:
            made.append(self.add(Definition(
                "USER_DEFINED", inverse, to_id, from_id,
                inverse_label if paired else label, type_id, name, paired)))
        return made

    def remove(self, definition):
        """Takes out a definition and that of the other direction."""
        for type_id in {definition.type_id, definition.inverse}:
            gone = self.by_key.pop((definition.category, type_id))
            self.by_direction[(gone.from_id, gone.to_id)].remove(gone)

    def of(self, from_type, to_type):
        """All definitions of a direction, the plain one first."""
        direction = (from_type.id, to_type.id)
        if from_type.custom or to_type.custom:
            if not any(d.label is None
                       for d in self.by_direction.get(direction, ())):
                self.add_user_defined(from_type.id, to_type.id, None, None,
                                      None)
        return sorted(self.by_direction.get(direction, ()),
                      key=lambda d: d.label is not None)

    def plain(self, from_type, to_type):
        """The definition that a default create uses."""
        for definition in self.by_direction.get(
                (from_type.id, to_type.id), ()):
            if definition.label is None:
                return definition
        known = self.of(from_type, to_type)
        if not known or known[0].label is not None:
            raise invalid("There is no default association type from %s to %s"
                          % (from_type.upper, to_type.upper))
        return known[0]

    def inverse_key(self, key):
        return (key[0], self.by_key[key].inverse)

    def label(self, key):
        return self.by_key[key].label


class Store:
    """
    The associations of one account: for each direction, from id -> to id ->
    sorted tuple of (category, type id).  Both directions are always there.

    Tables that the fast path left behind wait in "pending" until somebody
    asks for anything.
    """

    def __init__(self, definitions):
        self.definitions = definitions
        self.clear()

    def clear(self):
        self.directions = {}
        self.primaries = {}
        self.pending = []
        self.sorted_ids = {}

    def defer(self, from_id, to_id, types, replace, table):
        """Remembers a fast-path table: link() for each line, later."""
        self.pending.append((from_id, to_id, types, replace, table))

    def table(self, from_id, to_id):
        """The associations of one direction."""
        if self.pending:
            self.materialise()
        return self.directions.setdefault((from_id, to_id), {})

    def materialise(self):
        pending, self.pending = self.pending, []
        for from_id, to_id, types, replace, table in pending:
            pairs = (line.split(",")
                     for line in table.decode("ascii").split("\n"))
            self.link_many(from_id, to_id, types, replace, pairs)

    def link_many(self, from_id, to_id, types, replace, pairs):
        """link() for many pairs, with a short way for new ones."""
        forward = self.table(from_id, to_id)
        backward = self.table(to_id, from_id)
        types = tuple(sorted(set(types)))
        inverse = tuple(sorted(map(self.definitions.inverse_key, types)))
        primary = not PRIMARY_OF_FROM.union(PRIMARY_OF_TO).isdisjoint(types)
        self.sorted_ids.clear()
        for source, target in pairs:
            row = forward.get(source)
            if primary or row is not None and target in row:
                self.link(from_id, source, to_id, target, types, replace)
                continue
            if row is None:
                row = forward[source] = {}
            row[target] = types
            row = backward.get(target)
            if row is None:
                row = backward[target] = {}
            row[source] = inverse

    def get(self, from_id, source, to_id, target):
        return self.table(from_id, to_id).get(source, {}).get(target, ())

    def link(self, from_id, source, to_id, target, types, replace):
        """
        Associates two records.  With "replace" the pair's labels give way to
        those of "types"; types that HubSpot defines stay in any case.
        """
        forward = self.table(from_id, to_id).setdefault(source, {})
        current = forward.get(target, ())
        kept = current
        if replace and current:
            kept = [key for key in current if not self.is_label(key)]
        if target not in forward:
            self.sorted_ids.clear()
        for key in types:
            if key in PRIMARY_OF_FROM:
                self.take_primary(from_id, source, to_id, target, key)
            elif key in PRIMARY_OF_TO:
                self.take_primary(to_id, target, from_id, source,
                                  self.definitions.inverse_key(key))
        self.put(from_id, source, to_id, target,
                 tuple(sorted({*kept, *types})))

    def is_label(self, key):
        return key[0] == "USER_DEFINED" and \
            self.definitions.label(key) is not None

    def take_primary(self, from_id, source, to_id, target, key):
        """
        The record's primary association moves to "target"; the record that
        had it stays associated.
        """
        place = (from_id, source, to_id)
        before = self.primaries.get(place)
        self.primaries[place] = target
        if before is not None and before != target:
            types = self.get(from_id, source, to_id, before)
            left = tuple(k for k in types if k != key)
            plain = self.definitions.by_direction[(from_id, to_id)][0]
            self.put(from_id, source, to_id, before, left or (plain.key(),))

    def put(self, from_id, source, to_id, target, types):
        """Stores a pair's types in both directions; none: it is gone."""
        inverse_key = self.definitions.inverse_key
        inverse = [inverse_key(key) for key in types]
        if len(inverse) > 1:
            inverse.sort()
        self.put_one(from_id, source, to_id, target, types)
        self.put_one(to_id, target, from_id, source, tuple(inverse))

    def put_one(self, from_id, source, to_id, target, types):
        targets = self.directions.setdefault((from_id, to_id), {})
        row = targets.setdefault(source, {})
        if types:
            row[target] = types
        else:
            row.pop(target, None)
            if not row:
                del targets[source]
            self.sorted_ids.clear()

    def unlink(self, from_id, source, to_id, target, types=None):
        """
        Takes types (default: all) off a pair, and whether there were any.
        """
        current = self.get(from_id, source, to_id, target)
        left = () if types is None else tuple(
            key for key in current if key not in types)
        if left == current:
            return False
        for key in current:
            if key not in left:
                self.forget_primary(from_id, source, to_id, target, key)
        self.put(from_id, source, to_id, target, left)
        return True

    def forget_primary(self, from_id, source, to_id, target, key):
        if key in PRIMARY_OF_FROM:
            place, holder = (from_id, source, to_id), target
        elif key in PRIMARY_OF_TO:
            place, holder = (to_id, target, from_id), source
        else:
            return
        if self.primaries.get(place) == holder:
            del self.primaries[place]

    def drop_type(self, definition):
        """Takes one association type off every pair that has it."""
        key = definition.key()
        table = self.table(definition.from_id, definition.to_id)
        for source, row in list(table.items()):
            for target, types in list(row.items()):
                if key in types:
                    self.unlink(definition.from_id, source, definition.to_id,
                                target, [key])

    def count(self, from_id, to_id):
        """Pairs of a direction, without unfolding fast-path tables if those
        are all there is."""
        waiting = [p for p in self.pending if p[0] == from_id and
                   p[1] == to_id]
        if len(waiting) == len(self.pending) and from_id != to_id and \
                not self.directions.get((from_id, to_id)):
            lines = set()
            for entry in waiting:
                lines.update(entry[-1].split(b"\n"))
            return len(lines)
        return sum(map(len, self.table(from_id, to_id).values()))

    def count_of_type(self, from_id, source, to_id, key):
        """Records that this one is associated to by one type."""
        row = self.table(from_id, to_id).get(source, {})
        return sum(key in types for types in row.values())

    def page(self, from_id, source, to_id, after, size):
        """
        Associations of one record in the order of their ids, from those past
        "after" on: these ids, the row that has their types, and whether
        there are more.
        """
        row = self.table(from_id, to_id).get(source)
        if not row:
            return (), row, False
        if after is None and len(row) <= size:
            return sorted(row, key=int), row, False
        place = (from_id, source, to_id)
        ids = self.sorted_ids.get(place)
        if ids is None:
            ids = sorted(map(int, row))
            self.sorted_ids[place] = ids
        start = 0 if after is None else bisect.bisect_right(ids, after)
        return (list(map(str, ids[start:start + size])), row,
                start + size < len(ids))


SETTINGS = {
    "bad_batch": ("partial", "partial200", "whole", "unnamed", "canceled",
                  "canceled-unnamed", "silent"),
    "context": (None, "pair", "from", "to", "objectId", "ids", "id",
                "INVALID_OBJECT_IDS", "associationSpec", "string", "none"),
    "id_form": ("string", "number", "mixed"),
    "batch_create_status": (201, 200),
    "single_create_form": ("bare", "entity"),
    "default_results": ("both", "forward"),
    "archive_status": (None, 200, 204),
    "archive_missing": (204, 404, "item"),
}
POLICIES = {"TEN_SECONDLY_ROLLING": 10000, "SECONDLY": 1000,
            "DAILY": 86400000}


class Counts:
    """Requests, the inputs of their batches, and both for each operation."""

    __slots__ = ("requests", "inputs", "operations")

    def __init__(self):
        self.requests = 0
        self.inputs = 0
        self.operations = {}

    def add(self, operation, inputs):
        """Counts a request; "operation" can be None."""
        self.requests += 1
        self.inputs += inputs
        if operation is not None:
            counts = self.operations.setdefault(
                operation, {"requests": 0, "inputs": 0})
            counts["requests"] += 1
            counts["inputs"] += inputs

    def show(self):
        return {"requests": self.requests, "inputs": self.inputs,
                "operations": self.operations}


class Account:
    """
    Everything that one token leads to.  Associations and labels are changed
    by its methods alone, so that the journal knows of it.
    """

    def __init__(self, token, scopes=None, latency_ms=0, journal=None):
        self.token = token
        self.scopes = scopes
        self.journal = journal or Journal()
        self.counts = Counts()
        self.definitions = Definitions(self.note)
        self.store = Store(self.definitions)
        self.missing = {}
        self.existing = {}
        self.limits = {}
        self.fast_types = {}
        self.replies = {}       # see answer_again()
        self.recent = collections.deque()
        self.settings = {name: values[0] for name, values in SETTINGS.items()}
        self.settings.update(page_size=500, max_body_bytes=None,
                             latency_ms=latency_ms, rate_limit=None)

    def exists(self, kind, record):
        """Whether there is such a record."""
        if not is_record_id(record):
            return False
        existing = self.existing.get(kind.id)
        if existing is not None and record not in existing:
            return False
        return record not in self.missing.get(kind.id, ())

    def restricts(self, kind):
        """Whether some record of this type might not exist."""
        return kind.id in self.missing or kind.id in self.existing

    def set_objects(self, kind, missing, existing):
        self.replies.clear()
        self.missing.pop(kind.id, None)
        self.existing.pop(kind.id, None)
        if missing:
            self.missing[kind.id] = frozenset(missing)
        if existing is not None:
            self.existing[kind.id] = frozenset(existing)

    def definitions_changed(self):
        self.fast_types.clear()
        self.replies.clear()

    def note(self, what, *arguments):
        """Tells the journal of a change."""
        self.journal.note(what, self.token, *arguments)

    def link(self, from_id, source, to_id, target, types, replace):
        """Associates two records, as Store.link()."""
        self.note("link", from_id, source, to_id, target, types, replace)
        self.replies.clear()
        self.store.link(from_id, source, to_id, target, types, replace)

    def link_many(self, from_id, to_id, types, replace, pairs):
        """The same for many pairs."""
        if self.journal.is_open():
            pairs = list(pairs)
            self.note("link_many", from_id, to_id, types, replace, pairs)
        self.replies.clear()
        self.store.link_many(from_id, to_id, types, replace, pairs)

    def link_table(self, from_id, to_id, types, replace, table):
        """The same for a table of the fast path."""
        self.note("link_table", from_id, to_id, types, replace, table)
        self.replies.clear()
        self.store.defer(from_id, to_id, types, replace, table)

    def unlink(self, from_id, source, to_id, target, types):
        """Takes two records apart, as Store.unlink()."""
        found = self.store.unlink(from_id, source, to_id, target, types)
        if found:
            self.replies.clear()
            self.note("unlink", from_id, source, to_id, target, types)
        return found

    def clear(self):
        """Takes everything apart."""
        self.note("clear")
        self.replies.clear()
        self.store.clear()

    def define(self, from_id, to_id, label, inverse_label, name):
        """A new label, as Definitions.add_user_defined(), which notes it."""
        made = self.definitions.add_user_defined(from_id, to_id, label,
                                                 inverse_label, name)
        self.definitions_changed()
        return made

    def relabel(self, type_id, label, inverse_label):
        """Other words for a label."""
        self.note("relabel", type_id, label, inverse_label)
        definition = self.definitions.by_key[("USER_DEFINED", type_id)]
        other = self.definitions.by_key[("USER_DEFINED", definition.inverse)]
        definition.label = label
        if inverse_label is not None:
            other.label = inverse_label
        elif not definition.paired:
            other.label = label
        self.definitions_changed()

    def drop_label(self, type_id):
        """A label is gone, and with it what it says of any pair."""
        self.note("drop_label", type_id)
        definition = self.definitions.by_key[("USER_DEFINED", type_id)]
        self.store.drop_type(definition)
        self.definitions.remove(definition)
        self.definitions_changed()
        for gone in (definition.type_id, definition.inverse):
            self.limits.pop(("USER_DEFINED", gone), None)

    def change_settings(self, changes):
        """Takes over settings; ValueError, and none of them, if one is bad."""
        new = dict(self.settings)
        for name, value in changes.items():
            new[name] = self.checked_setting(name, value)
        if "rate_limit" in changes:
            self.recent.clear()
        if changes.keys() - {"latency_ms", "rate_limit"}:
            self.replies.clear()
        self.settings = new

    @staticmethod
    def checked_setting(name, value):
        if name in SETTINGS:
            if value not in SETTINGS[name]:
                raise ValueError("%s cannot be %r" % (name, value))
            return value
        if name == "rate_limit":
            return None if value is None else checked_rate_limit(value)
        if name == "latency_ms" and is_number(value) and value >= 0:
            return value
        if name == "page_size" and is_integer(value) and 1 <= value <= 500:
            return value
        if name == "max_body_bytes" and (value is None or is_integer(value)):
            return value
        raise ValueError("no such setting, or not such a value: %s" % name)

    def spend_request(self, now):
        """
        Counts a request against the rate limit.  Headers that tell where the
        account stands; ApiError if the request is one too many.
        """
        limit = self.settings["rate_limit"]
        interval = limit["interval_ms"]
        while self.recent and now - self.recent[0] >= interval / 1000:
            self.recent.popleft()
        refused = len(self.recent) >= limit["max"]
        if not refused:
            self.recent.append(now)
        left = str(limit["max"] - len(self.recent))
        if limit["policy"] == "DAILY":
            headers = [("X-HubSpot-RateLimit-Daily", str(limit["max"])),
                       ("X-HubSpot-RateLimit-Daily-Remaining", left)]
        else:
            headers = [("X-HubSpot-RateLimit-Max", str(limit["max"])),
                       ("X-HubSpot-RateLimit-Remaining", left),
                       ("X-HubSpot-RateLimit-Interval-Milliseconds",
                        str(interval))]
        if refused:
            if limit["retry_after"] is not None:
                headers.append(("Retry-After", str(limit["retry_after"])))
            raise rate_limited(limit["policy"], headers)
        return headers


def rate_limited(policy, headers=()):
    """The refusal of one request too many."""
    return ApiError(429, "You have reached your %s limit." % policy.lower(),
                    "RATE_LIMITS", headers, errorType="RATE_LIMIT",
                    policyName=policy)


def is_record_id(text):
    """Whether this could be a record's id."""
    return text.isdigit() and text.isascii() and text[0] != "0" and \
        len(text) <= MAX_ID_DIGITS


def is_integer(value):
    return type(value) is int


def is_number(value):
    return type(value) in (int, float)


def checked_rate_limit(value):
    if not isinstance(value, dict) or not value.keys() <= {
            "max", "interval_ms", "policy", "retry_after"}:
        raise ValueError("rate_limit is null or an object of max, "
                         "interval_ms, policy, retry_after")
    policy = value.get("policy", "TEN_SECONDLY_ROLLING")
    if policy not in POLICIES:
        raise ValueError("no such policy: %r" % (policy,))
    limit = {"max": value.get("max", 100), "policy": policy,
             "interval_ms": value.get("interval_ms", POLICIES[policy]),
             "retry_after": value.get("retry_after")}
    if not is_integer(limit["max"]) or not is_number(limit["interval_ms"]):
        raise ValueError("rate_limit wants numbers")
    return limit


class OAuthClient:
    """An app that gets access tokens for one account."""

    def __init__(self, account, client_id, client_secret, refresh_token,
                 expires_in=1800, rotate=False, latency_ms=None):
        self.account = account
        self.client_id = client_id
        self.client_secret = client_secret
        self.refresh_token = refresh_token
        self.expires_in = expires_in
        self.rotate = rotate
        self.latency_ms = latency_ms


class State:
    """All accounts, OAuth clients and the access tokens they got."""

    def __init__(self, default_token, latency_ms, discard, journal):
        self.default_token = default_token
        self.latency_ms = latency_ms
        self.discard = discard
        self.journal = journal
        self.reset()

    def reset(self):
        self.journal.clear()
        self.accounts = {}
        self.clients = {}
        self.access_tokens = {}
        self.default = self.new_account(self.default_token)

    def new_account(self, token):
        account = Account(token, None, self.latency_ms, self.journal)
        self.accounts[token] = account
        return account

    def add_account(self, token, scopes):
        """Adds an account, or changes its scopes."""
        scopes = None if scopes is None else frozenset(scopes)
        self.journal.note("add_account", token, scopes)
        account = self.accounts.get(token) or self.new_account(token)
        account.scopes = scopes
        if token == self.default_token:
            self.default = account

    def delete_account(self, token):
        """What still leads to the account is of no interest any more."""
        account = self.accounts.pop(token)
        self.journal.note("delete_account", token)
        account.journal = Journal()

    def account_of(self, authorization):
        """The account behind an Authorization header; ApiError if none."""
        if authorization is None:
            raise ApiError(401, "Authentication credentials not found.",
                           "INVALID_AUTHENTICATION")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not re.fullmatch(
                r"[A-Za-z0-9._~+/=-]+", token):
            raise ApiError(530, "The access token is malformed.")
        account = self.accounts.get(token)
        if account is not None:
            return account
        account, expires = self.access_tokens.get(token, (None, 0))
        if account is None:
            raise ApiError(401, "Authentication credentials are not valid.",
                           "INVALID_AUTHENTICATION")
        if time.monotonic() >= expires:
            raise ApiError(401, "The OAuth token expired.",
                           "EXPIRED_AUTHENTICATION")
        return account

    def client_of(self, form):
        """The client that wants a token; ApiError if it may not have one."""
        client = self.clients.get(form["client_id"])
        if client is None:
            raise oauth_error("invalid_client", "BAD_CLIENT_ID",
                              "missing or unknown client id")
        if client.client_secret != form["client_secret"]:
            raise oauth_error("invalid_client", "BAD_CLIENT_SECRET",
                              "missing or invalid client secret")
        if client.refresh_token != form["refresh_token"]:
            raise oauth_error("invalid_grant", "BAD_REFRESH_TOKEN",
                              "missing or invalid refresh token")
        return client

    def give_token(self, client, dry):
        """What a client gets; "dry" makes nothing of it good for anything."""
        token = "access-" + uuid.uuid4().hex
        refresh_token = client.refresh_token
        if client.rotate:
            refresh_token = "refresh-" + uuid.uuid4().hex
        if not dry:
            self.access_tokens[token] = (
                client.account, time.monotonic() + client.expires_in)
            client.refresh_token = refresh_token
        return {"access_token": token, "refresh_token": refresh_token,
                "expires_in": client.expires_in, "token_type": "bearer"}

    def expire_access_tokens(self):
        for token, (account, _) in self.access_tokens.items():
            self.access_tokens[token] = (account, 0)


class OAuthError(ApiError):
    """A refusal in the words of the OAuth endpoint."""

    def reply(self, correlation_id):
        reply = super().reply(correlation_id)
        reply.data["status"] = self.category
        reply.data.pop("category")
        return reply


def oauth_error(error, status, message):
    return OAuthError(400, message, status, error=error,
                      error_description=message)


# ---------------------------------------------------------------------------
# The journal
# ---------------------------------------------------------------------------

# What changes are called, which is how the methods are that make them.
ACCOUNT_CHANGES = frozenset(["link", "link_many", "link_table", "unlink",
                             "clear", "define", "relabel", "drop_label"])
STATE_CHANGES = frozenset(["add_account", "delete_account"])


class Journal:
    """
    The changes that outlive the process.  They are noted as they are made,
    and written, all those of a request at once, before its reply starts.
    Without a file, and while that is played back, nothing is noted.
    """

    def __init__(self):
        self.file = None
        self.changes = []

    def is_open(self):
        return self.file is not None

    def note(self, *change):
        if self.file is not None:
            self.changes.append(change)

    def write(self):
        """Hands what was noted to the kernel."""
        if not self.changes:
            return
        line = JOURNAL_JSON.encode(self.changes).encode("utf-8") + b"\n"
        self.changes = []
        try:
            while line:
                line = line[os.write(self.file, line):]
        except OSError as problem:
            sys.exit("simulator.py: could not write the journal: %s"
                     % problem)

    def clear(self):
        """Forgets everything, also what was written."""
        self.changes = []
        if self.file is not None:
            os.ftruncate(self.file, 0)

    def open(self, path, state):
        """Makes the changes that the file tells of; then goes on with it."""
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        size = 0
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    for change in json.loads(line):
                        self.repeat(state, *map(as_tuples, change))
                except (ValueError, LookupError, TypeError,
                        AttributeError) as problem:
                    sys.exit("simulator.py: %s, line %d: %s: %s" % (
                        path, number, type(problem).__name__, problem))
                size += len(line)
        os.ftruncate(file, size)
        self.file = file

    @staticmethod
    def repeat(state, what, token, *arguments):
        """Makes one change again."""
        if what in STATE_CHANGES:
            getattr(state, what)(token, *arguments)
        elif what in ACCOUNT_CHANGES:
            if what == "link_table":
                arguments = (*arguments[:-1], arguments[-1].encode("ascii"))
            getattr(state.accounts[token], what)(*arguments)
        else:
            raise ValueError("there is no change %r" % (what,))


def journal_json(value):
    """What JSON has no form for: a table of the fast path, scopes."""
    return value.decode("ascii") if isinstance(value, bytes) else list(value)


JOURNAL_JSON = json.JSONEncoder(separators=(",", ":"), default=journal_json)


def as_tuples(value):
    """JSON's arrays as tuples, also where they are inside others."""
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value


# ---------------------------------------------------------------------------
# Validators: from a request's JSON to plain tuples, or ApiError
# ---------------------------------------------------------------------------

def check_object(value, keys, where, optional=frozenset()):
    """An object with these keys and no others."""
    if type(value) is not dict:
        raise invalid("Invalid input JSON: %s must be an object" % where)
    if value.keys() == keys:
        return
    for key in keys:
        if key not in value:
            raise invalid("Invalid input JSON: %s lacks \"%s\""
                          % (where, key))
    for key in value:
        if key not in keys and key not in optional:
            raise invalid("Invalid input JSON: %s has the unknown key \"%s\""
                          % (where, key))


def check_list(value, where):
    if type(value) is not list:
        raise invalid("Invalid input JSON: %s must be an array" % where)
    return value


def check_text(value, where):
    if type(value) is not str or not value.strip():
        raise invalid("Invalid input JSON: %s must be a non-empty string"
                      % where)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise invalid("Invalid input JSON: %s is not Unicode text" % where)
    return value


INPUT_KEYS = frozenset(["inputs"])
ID_KEYS = frozenset(["id"])
PAIR_KEYS = frozenset(["from", "to"])
CREATE_KEYS = frozenset(["from", "to", "types"])
SPEC_KEYS = frozenset(["associationCategory", "associationTypeId"])
LIMIT_KEYS = frozenset(["category", "typeId", "maxToObjectIds"])
PURGE_KEYS = frozenset(["category", "typeId"])


def check_record(value, where):
    """{"id": "101"}; what it gives is the id."""
    if type(value) is not dict or value.keys() != ID_KEYS:
        check_object(value, ID_KEYS, where)
    return check_text(value["id"], where + ".id")


def check_type_key(category, type_id, where):
    if type(category) is not str or category not in CATEGORIES:
        raise invalid("Invalid input JSON: %s has no known category" % where)
    if type(type_id) is not int or not 1 <= type_id <= MAX_INT32:
        raise invalid("Invalid input JSON: %s has no integer type id" % where)
    return (category, type_id)


def check_types(value, where="types"):
    """A list of association types; what it gives are (category, id)s."""
    types = []
    for spec in check_list(value, where):
        check_object(spec, SPEC_KEYS, where)
        types.append(check_type_key(spec["associationCategory"],
                                    spec["associationTypeId"], where))
    return tuple(types)


def check_inputs(value, limit):
    """The list in {"inputs": [...]}, which may neither be empty nor long."""
    check_object(value, INPUT_KEYS, "the body")
    inputs = check_list(value["inputs"], "inputs")
    if not inputs:
        raise invalid("inputs must not be empty")
    if limit is not None and len(inputs) > limit:
        raise invalid("The maximum number of inputs is %d, but there are %d"
                      % (limit, len(inputs)))
    return inputs


def refuse_duplicates(pairs):
    seen = set()
    for source, target in pairs:
        if (source, target) in seen:
            raise invalid("The pair %s, %s stands twice in this batch"
                          % (source, target))
        seen.add((source, target))


def check_create(value, limit):
    """[(from id, to id, types)]"""
    made = []
    for item in check_inputs(value, limit):
        if type(item) is not dict or item.keys() != CREATE_KEYS:
            check_object(item, CREATE_KEYS, "an input")
        made.append((check_record(item["from"], "from"),
                     check_record(item["to"], "to"),
                     check_types(item["types"])))
    refuse_duplicates(item[:2] for item in made)
    return made


def check_default(value, limit):
    """[(from id, to id, None)]"""
    made = []
    for item in check_inputs(value, limit):
        if type(item) is not dict or item.keys() != PAIR_KEYS:
            check_object(item, PAIR_KEYS, "an input")
        made.append((check_record(item["from"], "from"),
                     check_record(item["to"], "to"), None))
    refuse_duplicates(item[:2] for item in made)
    return made


def check_read(value, limit):
    """[(id, cursor or None)]"""
    made = []
    for item in check_inputs(value, limit):
        check_object(item, ID_KEYS, "an input", {"after"})
        source = check_text(item["id"], "id")
        after = item.get("after")
        if after is not None:
            after = read_cursor(check_text(after, "after"), source)
        made.append((source, after))
    return made


READ_START = b'{"inputs":[{"id":"'
READ_NEXT = '"},{"id":"'
READ_AFTER = '","after":"'
READ_END = b'"}]}'


def scan_read(body, limit):
    """What check_read() makes of a compact body; None if it is no such one,
    or if there is anything to be said against it."""
    if not body.startswith(READ_START) or not body.endswith(READ_END) or \
            not body.isascii():
        return None
    made = []
    for item in body[len(READ_START):-len(READ_END)].decode("ascii").split(
            READ_NEXT):
        after = None
        if not item.isdigit():
            item, _, cursor = item.partition(READ_AFTER)
            try:
                after = read_cursor(cursor, item)
            except ApiError:
                return None
        made.append((item, after))
    return made if len(made) <= limit else None


def check_archive(value, limit):
    """[(from id, to id)]; the limit is on distinct from ids."""
    made = []
    for item in check_inputs(value, None):
        check_object(item, PAIR_KEYS, "an input")
        source = check_record(item["from"], "from")
        targets = check_list(item["to"], "to")
        if not targets:
            raise invalid("to must not be empty")
        made.extend((source, check_record(target, "to"))
                    for target in targets)
    distinct = len({source for source, _ in made})
    if distinct > limit:
        raise invalid("The maximum number of from records is %d, but there "
                      "are %d" % (limit, distinct))
    refuse_duplicates(made)
    return made


def check_label_create(value, _limit):
    check_object(value, {"label", "name"}, "the body", {"inverseLabel"})
    name = check_text(value["name"], "name")
    if name[0].isdigit() or "-" in name:
        raise invalid("name must neither begin with a digit nor have a "
                      "hyphen in it")
    inverse = value.get("inverseLabel")
    if inverse is not None:
        check_text(inverse, "inverseLabel")
    return check_text(value["label"], "label"), name, inverse


def check_label_update(value, _limit):
    check_object(value, {"associationTypeId", "label"}, "the body",
                 {"inverseLabel"})
    type_id = value["associationTypeId"]
    check_type_key("USER_DEFINED", type_id, "the body")
    inverse = value.get("inverseLabel")
    if inverse is not None:
        check_text(inverse, "inverseLabel")
    return type_id, check_text(value["label"], "label"), inverse


def check_limits(value, limit):
    """[((category, type id), maximum)]"""
    made = []
    for item in check_inputs(value, limit):
        check_object(item, LIMIT_KEYS, "an input")
        most = item["maxToObjectIds"]
        if type(most) is not int or not 1 <= most <= MAX_INT32:
            raise invalid("maxToObjectIds must be a positive integer")
        made.append((check_type_key(item["category"], item["typeId"],
                                    "an input"), most))
    return made


def check_purge(value, limit):
    """[((category, type id), None)]"""
    made = []
    for item in check_inputs(value, limit):
        check_object(item, PURGE_KEYS, "an input")
        made.append((check_type_key(item["category"], item["typeId"],
                                    "an input"), None))
    return made


def check_specs(value, _limit):
    """The labelled create's bare array."""
    return check_types(value, "the body")


def make_cursor(source, last):
    """
    An opaque place in the list of one record's associations: after this id.
    It has a "+" in it, which a query must not have as it is.
    """
    return base64.b64encode(b"at>%s:%d" % (source.encode("ascii"),
                                           last)).decode("ascii")


def read_cursor(text, source):
    """The id that a cursor of this record's list holds, or ApiError."""
    try:
        plain = base64.b64decode(text.encode("ascii"), validate=True)
        place, _, last = plain.partition(b":")
        if place == b"at>%s" % source.encode("utf-8") and last.isdigit():
            return int(last)
    except (binascii.Error, UnicodeEncodeError):
        pass
    raise invalid("Invalid paging cursor: " + text)


def not_json(name):
    raise ValueError("%s is no JSON" % name)


def parse_json(body):
    """Strict JSON in UTF-8, or ApiError."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=not_json)
    except (ValueError, RecursionError) as problem:
        raise invalid("Invalid input JSON: %s" % problem)


# ---------------------------------------------------------------------------
# Bad inputs, and the ways the API speaks of them
# ---------------------------------------------------------------------------

class Problem:
    """
    Why nothing can be done with one pair, or with one record, whose target
    is None.
    """

    __slots__ = ("source", "target", "category", "sub_category", "message",
                 "kinds", "offenders", "side", "specs", "unknown_type")

    def __init__(self, call, source, target, category, message, side,
                 specs=(), unknown_type=False, sub_category=None):
        self.source = source
        self.target = target
        self.category = category
        self.sub_category = sub_category
        self.message = message
        self.kinds = (call.from_type.upper.lower(),
                      call.to_type.upper.lower())
        self.side = side
        self.specs = specs
        self.unknown_type = unknown_type
        self.offenders = []
        if side in ("from", "both"):
            self.offenders.append((call.from_type.upper, source))
        if side in ("to", "both"):
            self.offenders.append((call.to_type.upper, target))


INVALID_ASSOCIATIONS = "One or more associations are invalid"


def unique(values):
    return list(dict.fromkeys(values))


def object_context(problems):
    offenders = unique(o for p in problems for o in p.offenders)
    return {"INVALID_OBJECT_IDS": ["%s=%s is not valid" % o
                                   for o in offenders],
            "objectId": [o[1] for o in offenders],
            "objectType": [o[0] for o in offenders]}


def type_context(problems):
    specs = unique("%s=%d" % key for p in problems for key in p.specs)
    return {"associationSpec": specs,
            "INVALID_ASSOCIATION_TYPE_ID": [
                spec + " is not a valid association definition id"
                for spec in specs]}


def live_context(problems):
    """As the real API has been seen to answer."""
    context = {}
    types = [p for p in problems if p.unknown_type]
    objects = [p for p in problems if not p.unknown_type]
    if objects:
        context.update(object_context(objects))
    if types:
        context.update(type_context(types))
    return context


def string_context(problems):
    sides = []
    for side, key, attribute in (("from", "fromObjectId", "source"),
                                 ("to", "toObjectId", "target")):
        ids = unique(getattr(p, attribute) for p in problems
                     if p.side in (side, "both"))
        if ids:
            sides.append("%s=[%s]" % (key, ", ".join(ids)))
    return "{%s}" % ", ".join(sides)


def from_context(problems):
    return {"fromObjectId": unique(p.source for p in problems)}


def to_context(problems):
    """Nothing, where there is no other side."""
    targets = unique(p.target for p in problems if p.target is not None)
    return {"toObjectId": targets} if targets else {}


def read_context(problems):
    """As the real API has been seen to speak of records it read."""
    return {**from_context(problems),
            "fromObjectType": unique(p.kinds[0] for p in problems),
            "toObjectType": unique(p.kinds[1] for p in problems)}


CONTEXTS = {
    "live": live_context,
    "read": read_context,
    "pair": lambda problems: {**from_context(problems),
                              **to_context(problems)},
    "from": from_context,
    "to": to_context,
    "objectId": lambda problems: {
        key: value for key, value in object_context(problems).items()
        if key != "INVALID_OBJECT_IDS"},
    "ids": lambda problems: {
        "ids": object_context(problems)["objectId"]},
    "id": lambda problems: {
        "id": object_context(problems)["objectId"]},
    "INVALID_OBJECT_IDS": lambda problems: {
        "INVALID_OBJECT_IDS":
            object_context(problems)["INVALID_OBJECT_IDS"]},
    "associationSpec": type_context,
    "string": string_context,
}


def context_members(form, problems):
    """{"context": ...}, or nothing for the form "none"."""
    if form == "none":
        return {}
    return {"context": CONTEXTS[form](problems)}


def refusal(call, problems):
    """A request refused whole, the offenders named."""
    message = INVALID_ASSOCIATIONS
    if problems[0].category != "OBJECT_NOT_FOUND" and \
            len({p.message for p in problems}) == 1:
        message = problems[0].message
    form = call.account.settings["context"] or "live"
    return invalid(message, **context_members(form, problems))


def error_item(problems, form, category=None, message=None):
    """One item of a batch's errors."""
    first = problems[0]
    category = category or first.category
    if category == "LIMIT":
        category = "VALIDATION_ERROR"
    item = {"status": "error", "category": category}
    if first.sub_category is not None:
        item["subCategory"] = first.sub_category
    return {**item, "message": message or first.message,
            **context_members(form, problems)}


def error_items(call, problems):
    """An item of a batch's errors for each problem."""
    form = call.account.settings["context"] or (
        "read" if call.operation.access == "read" else "pair")
    return [error_item([problem], form) for problem in problems]


def side_of(good_source, good_target):
    """Which side of a pair is bad; None if both are good."""
    if good_source:
        return None if good_target else "to"
    return "from" if good_target else "both"


def find_missing(call, source, target, types):
    """The Problem if one of the two records is not there, or None."""
    side = side_of(call.account.exists(call.from_type, source),
                   call.account.exists(call.to_type, target))
    return side and Problem(call, source, target, "OBJECT_NOT_FOUND",
                            "One or more records were not found", side, types)


def find_misfit(call, source, target, types):
    """The Problem if a type is unknown or of another direction, or None."""
    unknown = [key for key in types
               if key not in call.account.definitions.by_key]
    wrong = unknown or [key for key in types if not call.fits(key)]
    if not wrong:
        return None
    return Problem(call, source, target, "VALIDATION_ERROR",
                   INVALID_ASSOCIATIONS, "from", wrong, bool(unknown))


def find_problem(call, source, target, types, added):
    """The Problem with associating these two, or None."""
    if types is None:
        types = (call.plain_type().key(),)
    return find_missing(call, source, target, types) or \
        find_misfit(call, source, target, types) or \
        find_exceeded(call, source, target, types, added)


def find_removal_problem(call, source, target, types):
    """The Problem with taking these two apart, or None."""
    side = side_of(is_record_id(source), is_record_id(target))
    if side:
        return Problem(call, source, target, "VALIDATION_ERROR",
                       "\"%s\" is not a record id" % (
                           target if side == "to" else source), side,
                       types or ())
    return find_missing(call, source, target, types or ()) or \
        types and find_misfit(call, source, target, types)


def find_exceeded(call, source, target, types, added):
    """
    The Problem if a limit forbids this pair.  "added" counts what earlier
    inputs of the same batch take up.
    """
    account = call.account
    if not account.limits:
        return None
    store = account.store
    present = store.get(call.from_type.id, source, call.to_type.id, target)
    ends = []
    for key in types:
        if key not in present:
            inverse = account.definitions.inverse_key(key)
            ends.append((call.from_type.id, source, call.to_type.id, key))
            ends.append((call.to_type.id, target, call.from_type.id, inverse))
    for end in ends:
        most = account.limits.get(end[3])
        if most is not None and \
                store.count_of_type(*end) + added.get(end, 0) >= most:
            side = "from" if end[1] == source else "to"
            return Problem(call, source, target, "LIMIT",
                           "A record has as many associations of the type "
                           "%s=%d as its limit allows" % end[3], side, types)
    for end in ends:
        added[end] = added.get(end, 0) + 1
    return None


# ---------------------------------------------------------------------------
# Operations
# ---------------------------------------------------------------------------

class Call:
    """A request that has found its account and operation."""

    __slots__ = ("request", "account", "state", "operation", "dated", "dry",
                 "from_type", "to_type", "parts", "query", "body", "plain")

    def __init__(self, request, account, state, dry):
        self.request = request
        self.account = account
        self.state = state
        self.dry = dry
        self.operation = None
        self.from_type = None
        self.to_type = None
        self.body = None
        self.plain = None

    def fits(self, key):
        """Whether an association type is known and of this direction."""
        definition = self.account.definitions.by_key.get(key)
        return definition is not None and \
            definition.from_id == self.from_type.id and \
            definition.to_id == self.to_type.id

    def plain_type(self):
        if self.plain is None:
            self.plain = self.account.definitions.plain(self.from_type,
                                                        self.to_type)
        return self.plain

    def link(self, source, target, types):
        """Associates; None for types: by the plain type."""
        if self.dry:
            return
        replace = types is not None
        if not replace:
            types = (self.plain_type().key(),)
        if types:
            self.account.link(self.from_type.id, source, self.to_type.id,
                              target, types, replace)

    def unlink(self, source, target, types=None):
        """Takes apart; whether there was anything."""
        if self.dry:
            return True
        return self.account.unlink(self.from_type.id, source,
                                   self.to_type.id, target, types)

    def id_formats(self):
        """How record ids stand in this account's replies: from, to."""
        form = self.account.settings["id_form"]
        return (int if form == "number" else str,
                str if form == "string" else int)


DEFAULT_RESULT = ('{"from":{"id":%s},"to":{"id":%s},"associationSpec":'
                  '{"associationCategory":"%s","associationTypeId":%d}}')


def envelope(results, status="COMPLETE", errors=None):
    now = CLOCK.timestamp()
    data = {"status": status, "results": results, "startedAt": now,
            "completedAt": now}
    if errors:
        data["numErrors"] = len(errors)
        data["errors"] = errors
    return data


def envelope_of(results, errors=None):
    """The same from results that are JSON already, without the brackets."""
    if errors:
        return to_json(envelope([], errors=errors)).replace(
            b'"results":[]', b'"results":[' + results + b"]", 1)
    now = CLOCK.timestamp().encode("ascii")
    return b'{"status":"COMPLETE","results":[%b],"startedAt":"%b",' \
        b'"completedAt":"%b"}' % (results, now, now)


def labelled_result(call, source, target, types):
    """A labelled create's result for one pair."""
    from_form, to_form = call.id_formats()
    label = call.account.definitions.label
    return {"fromObjectTypeId": call.from_type.id,
            "fromObjectId": from_form(source),
            "toObjectTypeId": call.to_type.id,
            "toObjectId": to_form(target),
            "labels": [label(key) for key in types
                       if label(key) is not None]}


def default_results(call, source, target):
    """
    A default create's results for one pair as JSON text, one for each
    direction.
    """
    form = call.account.settings["id_form"]
    left = source if form == "number" else '"%s"' % source
    right = '"%s"' % target if form == "string" else target
    plain = call.plain_type()
    text = DEFAULT_RESULT % (left, right, plain.category, plain.type_id)
    if call.account.settings["default_results"] == "both":
        if form == "mixed":
            left, right = source, '"%s"' % target
        text += "," + DEFAULT_RESULT % (right, left, plain.category,
                                        plain.inverse)
    return text


def create_default(call):
    source, target = call.parts["from_id"], call.parts["to_id"]
    problem = find_problem(call, source, target, None, {})
    if problem:
        raise refusal(call, [problem])
    call.link(source, target, None)
    results = default_results(call, source, target)
    return Reply(200, envelope_of(results.encode("ascii")))


def create_labelled(call):
    source, target = call.parts["from_id"], call.parts["to_id"]
    call.request.noop = not call.body
    problem = find_problem(call, source, target, call.body, {})
    if problem:
        raise refusal(call, [problem])
    call.link(source, target, call.body)
    result = labelled_result(call, source, target, call.body)
    if call.account.settings["single_create_form"] == "entity":
        result = {"createdResourceId": "%s-%s" % (source, target),
                  "entity": result, "location": call.request.path}
    return Reply(201, result)


def batch_create(call):
    return create_batch(call, labelled_batch_results,
                        call.account.settings["batch_create_status"])


def batch_create_default(call):
    return create_batch(call, default_batch_results, 200)


def labelled_batch_results(call, good):
    results = to_json([labelled_result(call, *item) for item in good])
    return results[1:-1]


def default_batch_results(call, good):
    return ",".join([default_results(call, source, target)
                     for source, target, _ in good]).encode("ascii")


def create_batch(call, make_results, status):
    """Either batch create: sorts out bad inputs, stores, answers."""
    good, problems, added = [], [], {}
    for item in call.body:
        problem = find_problem(call, *item, added)
        if problem:
            problems.append(problem)
        else:
            good.append(item)
        if item[2] == ():
            call.request.noop = True
    errors = judge(call, problems)
    for item in good:
        call.link(*item)
    return Reply(partial_status(call) if errors else status,
                 envelope_of(make_results(call, good), errors))


class Canceled(ApiError):
    """The refusal of a batch in the form of a success."""

    def __init__(self, item):
        super().__init__(200, item["message"])
        self.item = item

    def reply(self, _correlation_id):
        return Reply(200, envelope([], "CANCELED", [self.item]))


def judge(call, problems):
    """
    What the setting bad_batch makes of a batch's bad inputs: the errors that
    go beside the results, or ApiError if nothing of the batch is done.
    """
    mode = call.account.settings["bad_batch"]
    form = call.account.settings["context"]
    if not problems or mode == "silent":
        return []
    if mode == "whole":
        raise refusal(call, problems)
    if mode == "unnamed":
        raise invalid(INVALID_ASSOCIATIONS)
    if mode in ("canceled", "canceled-unnamed"):
        form = "none" if mode == "canceled-unnamed" else form or "live"
        raise Canceled(error_item(problems, form, "VALIDATION_ERROR",
                                  INVALID_ASSOCIATIONS))
    return error_items(call, problems)


def partial_status(call):
    """How a batch with errors is answered."""
    return 200 if call.account.settings["bad_batch"] == "partial200" else 207


def archived(call, errors=None):
    """A removal's success: without a body, or with one."""
    if errors:
        return Reply(partial_status(call), envelope([], errors=errors))
    status = call.account.settings["archive_status"]
    if status is None:
        status = 200 if call.dated else 204
    return Reply(status, envelope([]) if status == 200 else None)


def require_record_ids(*ids):
    for record in ids:
        if not is_record_id(record):
            raise invalid("\"%s\" is not a record id" % record)


def archive(call):
    require_record_ids(call.parts["from_id"], call.parts["to_id"])
    found = call.unlink(call.parts["from_id"], call.parts["to_id"])
    if not found and call.account.settings["archive_missing"] != 204:
        raise ApiError(404, "There is no such association")
    return archived(call)


def batch_archive(call):
    return archive_batch(call, [(*pair, None) for pair in call.body])


def batch_archive_labels(call):
    if not all(types for _, _, types in call.body):
        raise invalid("types must not be empty")
    return archive_batch(call, call.body)


def archive_batch(call, items):
    """Either batch removal: sorts out bad inputs, removes, answers."""
    good, problems, absent = [], [], []
    for item in items:
        problem = find_removal_problem(call, *item)
        if problem:
            problems.append(problem)
        else:
            good.append(item)
    errors = judge(call, problems)
    for item in good:
        if not call.unlink(*item):
            absent.append(item)
    if call.account.settings["archive_missing"] == "item":
        errors += error_items(call, [
            Problem(call, source, target, "OBJECT_NOT_FOUND",
                    "There is no such association", "both", types or ())
            for source, target, types in absent])
    return archived(call, errors)


class AssociationWriter:
    """Writes associations as JSON text, each set of types only once."""

    def __init__(self, call):
        self.label = call.account.definitions.label
        self.quote = '"' if call.account.settings["id_form"] == "string" \
            else ""
        self.start = '{"toObjectId":' + self.quote
        self.tails = {}

    def tail(self, types):
        text = self.tails.get(types)
        if text is None:
            text = self.quote + ',"associationTypes":%s}' % to_json([
                {"category": key[0], "typeId": key[1],
                 "label": self.label(key)} for key in types]).decode("utf-8")
            self.tails[types] = text
        return text

    def write(self, ids, row):
        """The associations to these ids, of a store's row that has them."""
        start = self.start
        types = [row[target] for target in ids]
        if types.count(types[0]) < len(types):
            return "[%s]" % ",".join([
                start + target + self.tail(row[target]) for target in ids])
        tail = self.tail(types[0])
        return "[" + start + (tail + "," + start).join(ids) + tail + "]"


def list_associations(call):
    source = call.parts["from_id"]
    if not call.account.exists(call.from_type, source):
        require_record_ids(source)
        raise not_found()
    size = min(call.query["limit"], call.account.settings["page_size"])
    ids, row, more = call.account.store.page(
        call.from_type.id, source, call.to_type.id, call.query["after"], size)
    shown = AssociationWriter(call).write(ids, row) if ids else "[]"
    text = '{"results":' + shown
    if more:
        after = make_cursor(source, int(ids[-1]))
        link = "%s?limit=%d&after=%s" % (call.request.path, size,
                                         urllib.parse.quote(after, safe=""))
        text += ',"paging":' + to_json(
            {"next": {"after": after, "link": link}}).decode()
    return Reply(200, (text + "}").encode("utf-8"))


def batch_read(call):
    """One result for each record with associations, an error for others."""
    from_form, _ = call.id_formats()
    pattern = '{"from":{"id":%s},"to":' if from_form is int \
        else '{"from":{"id":"%s"},"to":'
    write = AssociationWriter(call).write
    size = call.account.settings["page_size"]
    page = call.account.store.page
    from_id, to_id = call.from_type.id, call.to_type.id
    restricted = call.account.restricts(call.from_type)
    results, bad, empty = [], [], []
    for source, after in unique(call.body):
        ids, row, more = page(from_id, source, to_id, after, size)
        if not ids or restricted and \
                not call.account.exists(call.from_type, source):
            (empty if is_record_id(source) else bad).append(source)
            continue
        text = pattern % source + write(ids, row)
        if more:
            text += ',"paging":{"next":{"after":"%s","link":"%s"}}' % (
                make_cursor(source, int(ids[-1])), call.request.path)
        results.append(text + "}")
    errors = judge(call, [
        unread(call, source, "VALIDATION_ERROR", "INVALID_IDENTIFIER",
               "\"%s\" is not a record id" % source) for source in bad])
    errors += error_items(call, [
        unread(call, source, "OBJECT_NOT_FOUND", "NO_ASSOCIATIONS_FOUND",
               "Nothing is associated with the record " + source)
        for source in empty])
    return Reply(partial_status(call) if errors else 200,
                 envelope_of(",".join(results).encode("utf-8"), errors))


def unread(call, source, category, sub_category, message):
    """The Problem with a record that has nothing to be read."""
    return Problem(call, source, None, category, message, "from",
                   sub_category="crm.associations." + sub_category)


def labels_list(call):
    return Reply(200, {"results": [
        definition.entry() for definition in
        call.account.definitions.of(call.from_type, call.to_type)]})


def labels_create(call):
    label, name, inverse = call.body
    definitions = call.account.definitions
    labels = [d for d in definitions.of(call.from_type, call.to_type)
              if d.category == "USER_DEFINED" and d.label is not None]
    if any(d.name == name or d.label == label for d in labels):
        raise invalid("A label \"%s\" with the name \"%s\" is there already"
                      % (label, name))
    if len(labels) >= MAX_LABELS:
        raise ApiError(437, "The limit of %d labels is reached" % MAX_LABELS,
                       "VALIDATION_ERROR")
    if call.dry:
        return Reply(200, {"results": []})
    made = call.account.define(call.from_type.id, call.to_type.id, label,
                               inverse, name)
    return Reply(200, {"results": [d.entry() for d in made]})


def find_label(call, type_id):
    """A label of this direction that the account itself defined."""
    definition = call.account.definitions.by_key.get(
        ("USER_DEFINED", type_id))
    if definition is None or not call.fits(definition.key()) or \
            definition.label is None:
        raise ApiError(404, "There is no label with the id %d" % type_id)
    return definition


def labels_update(call):
    type_id, label, inverse = call.body
    definition = find_label(call, type_id)
    if not call.dry:
        call.account.relabel(definition.type_id, label, inverse)
    return Reply(204)


def labels_delete(call):
    definition = find_label(call, call.parts["type_id"])
    if not call.dry:
        call.account.drop_label(definition.type_id)
    return Reply(204)


def limit_entry(call, key):
    definition = call.account.definitions.by_key[key]
    entry = {"category": key[0], "typeId": key[1],
             "userEnforcedMaxToObjectIds": call.account.limits.get(key)}
    if definition.label is not None:
        entry["label"] = definition.label
    return entry


def limits_all(call):
    return Reply(200, {"results": [limit_entry(call, key)
                                   for key in sorted(call.account.limits)]})


def limits_pair(call):
    return Reply(200, {"results": [limit_entry(call, key)
                                   for key in sorted(call.account.limits)
                                   if call.fits(key)]})


def check_limit_keys(call, present):
    """
    Refuses limits on types of another direction, and, where "present" is
    not None, on types that have one or have none.
    """
    for key, _ in call.body:
        if not call.fits(key):
            raise invalid("%s=%d is not a valid association definition id"
                          % key)
        if present is not None and (key in call.account.limits) != present:
            raise invalid("%s=%d has %s limit" % (
                key[0], key[1], "no" if present else "already a"))


def set_limits(call, status):
    if not call.dry:
        call.account.limits.update(call.body)
    return Reply(status, envelope([
        {**limit_entry(call, key), "userEnforcedMaxToObjectIds": most}
        for key, most in call.body]))


def limits_create(call):
    check_limit_keys(call, False)
    return set_limits(call, 201)


def limits_update(call):
    check_limit_keys(call, True)
    return set_limits(call, 200)


def limits_purge(call):
    check_limit_keys(call, None)
    if not call.dry:
        for key, _ in call.body:
            call.account.limits.pop(key, None)
    return Reply(204)


def high_usage_report(call):
    user = call.parts["user_id"]
    return Reply(200, {"userId": user,
                       "userEmail": "user%d@example.com" % user,
                       "enqueueTime": CLOCK.timestamp()})


class Operation:
    """
    A row of the API's table: method, path, validator of the body (None:
    there must be no body), most inputs, and the access its scopes want; for
    compact bodies also the fast path, or a scanner: what that finds is what
    the validator would, or None.
    """

    def __init__(self, method, area, path, handler, check=None, limit=None,
                 access="write", fast=None, scan=None, paged=False):
        self.name = handler.__name__
        self.method = method
        self.area = area
        self.segments = path.split("/")
        self.handler = handler
        self.check = check
        self.limit = limit
        self.access = access
        self.fast = fast
        self.scan = scan
        self.paged = paged
        self.literals = [(i, s) for i, s in enumerate(self.segments)
                         if not s.startswith("{")]
        self.places = [(i, s[1:-1]) for i, s in enumerate(self.segments)
                       if s.startswith("{")]

    def fits(self, segments):
        for i, literal in self.literals:
            if segments[i] != literal:
                return False
        return True


PAIR = "{from_type}/{from_id}/associations/{to_type}/{to_id}"
BATCH = "{from_type}/{to_type}/batch/"
LABELS = "{from_type}/{to_type}/labels"
LIMITS = "definitions/configurations/"

OPERATIONS = (
    Operation("PUT", "objects",
              "{from_type}/{from_id}/associations/default/{to_type}/{to_id}",
              create_default),
    Operation("PUT", "objects", PAIR, create_labelled, check_specs),
    Operation("DELETE", "objects", PAIR, archive),
    Operation("GET", "objects", "{from_type}/{from_id}/associations/{to_type}",
              list_associations, access="read", paged=True),
    Operation("POST", "associations", BATCH + "create", batch_create,
              check_create, 2000, fast="labelled"),
    Operation("POST", "associations", BATCH + "associate/default",
              batch_create_default, check_default, 2000, fast="default"),
    Operation("POST", "associations", BATCH + "read", batch_read, check_read,
              1000, access="read", scan=scan_read),
    Operation("POST", "associations", BATCH + "archive", batch_archive,
              check_archive, 100),
    Operation("POST", "associations", BATCH + "labels/archive",
              batch_archive_labels, check_create, 100),
    Operation("GET", "associations", LIMITS + "all", limits_all,
              access="read"),
    Operation("GET", "associations", LABELS, labels_list, access="read"),
    Operation("POST", "associations", LABELS, labels_create,
              check_label_create),
    Operation("PUT", "associations", LABELS, labels_update,
              check_label_update),
    Operation("DELETE", "associations", LABELS + "/{type_id}",
              labels_delete),
    Operation("GET", "associations", LIMITS + "{from_type}/{to_type}",
              limits_pair, access="read"),
    Operation("POST", "associations",
              LIMITS + "{from_type}/{to_type}/batch/create", limits_create,
              check_limits, 100),
    Operation("POST", "associations",
              LIMITS + "{from_type}/{to_type}/batch/update", limits_update,
              check_limits, 100),
    Operation("POST", "associations",
              LIMITS + "{from_type}/{to_type}/batch/purge", limits_purge,
              check_purge, 100),
    Operation("POST", "associations", "usage/high-usage-report/{user_id}",
              high_usage_report, access="read"),
)


def operations_by_size():
    index = {}
    for operation in OPERATIONS:
        index.setdefault((operation.area, len(operation.segments)),
                         []).append(operation)
    return index


OPERATIONS_BY_SIZE = operations_by_size()
DATED_VERSION = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])", re.ASCII)


def not_found():
    return ApiError(404, "resource not found")


def split_path(path):
    """The path's segments, decoded one by one."""
    segments = path.split("/")[1:]
    if "%" in path:
        try:
            segments = [urllib.parse.unquote(s, errors="strict")
                        for s in segments]
        except UnicodeDecodeError:
            raise invalid("The path is not UTF-8")
    if "" in segments or "." in segments or ".." in segments:
        raise not_found()
    return segments


def area_of(segments):
    """The part of the API, whether dated, and the rest of the path."""
    if len(segments) < 4 or segments[0] != "crm":
        raise not_found()
    if segments[1] == "v4":
        return segments[2], False, segments[3:]
    version = segments[2]
    if not DATED_VERSION.fullmatch(version) or version < FIRST_DATED_VERSION:
        raise not_found()
    return segments[1], True, segments[3:]


def route(call):
    """Finds the operation and what the path names."""
    area, call.dated, rest = area_of(split_path(call.request.path))
    fitting = [operation for operation
               in OPERATIONS_BY_SIZE.get((area, len(rest)), ())
               if operation.fits(rest)]
    if not fitting:
        raise not_found()
    method = call.request.method
    for operation in fitting:
        if operation.method == method:
            break
    else:
        allowed = ", ".join(unique(o.method for o in fitting))
        raise ApiError(405, "Method not allowed",
                       headers=[("Allow", allowed)])
    call.operation = operation
    call.request.operation = None if call.dry else operation.name
    call.parts = parts = {name: rest[i] for i, name in operation.places}
    if "from_type" in parts:
        call.from_type = object_type(parts["from_type"])
        call.to_type = object_type(parts["to_type"])
    for name in ("type_id", "user_id"):
        if name in parts:
            if not re.fullmatch("[1-9][0-9]{0,8}", parts[name]):
                raise invalid("%s is not a number" % parts[name])
            parts[name] = int(parts[name])


def authorize_scopes(call):
    scopes = call.account.scopes
    if scopes is None or call.from_type is None:
        return
    wanted = unique("crm.objects.%s.%s" % (kind.scope, call.operation.access)
                    for kind in (call.from_type, call.to_type))
    if not scopes.issuperset(wanted):
        raise ApiError(
            403, "The app has not been granted all scopes that this call "
            "requires.", "MISSING_SCOPES",
            errors=[{"message": "These scopes are required.",
                     "context": {"requiredGranularScopes": wanted}}])


def validate_query(call):
    """Only the list takes parameters: limit and after."""
    text = call.request.query
    call.query = {"limit": 500, "after": None}
    if not text:
        return
    if not call.operation.paged:
        raise invalid("This operation takes no query parameters")
    try:
        pairs = urllib.parse.parse_qsl(text, keep_blank_values=True,
                                       strict_parsing=True, errors="strict")
    except ValueError:
        raise invalid("Invalid query")
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names) or not set(names) <= {"limit", "after"}:
        raise invalid("Unknown or repeated query parameter")
    given = dict(pairs)
    if "after" in given:
        call.query["after"] = read_cursor(given["after"],
                                          call.parts["from_id"])
    if "limit" in given:
        limit = given["limit"]
        if not re.fullmatch("[0-9]{1,4}", limit) or \
                not 1 <= int(limit) <= 500:
            raise invalid("limit must be from 1 to 500")
        call.query["limit"] = int(limit)


JSON_TYPE = re.compile(r"application/json\s*(;\s*charset=\"?utf-8\"?\s*)?",
                       re.IGNORECASE)


def validate_envelope(call):
    """The presence, size and content type of the body."""
    request = call.request
    if call.operation.check is None:
        if request.body:
            raise invalid("This operation takes no body")
        return
    if not request.body:
        raise invalid("This operation wants a body")
    most = call.account.settings["max_body_bytes"]
    if most is not None and len(request.body) > most:
        raise ApiError(413, "Request Entity Too Large")
    if not JSON_TYPE.fullmatch(request.headers.content_type or ""):
        raise invalid("The content type must be application/json")


def validate_body(call):
    if call.operation.scan is not None:
        call.body = call.operation.scan(call.request.body,
                                        call.operation.limit)
        if call.body is not None:
            call.request.inputs = len(call.body)
            return
    value = parse_json(call.request.body)
    if type(value) is dict and type(value.get("inputs")) is list:
        call.request.inputs = len(value["inputs"])
    call.body = call.operation.check(value, call.operation.limit)


# ---------------------------------------------------------------------------
# The fast path
# ---------------------------------------------------------------------------

FAST_START = b'{"inputs":[{"from":{"id":"'
FAST_MIDDLE = b'"},"to":{"id":"'
FAST_NEXT = b',{"from":{"id":"'
FAST_TYPES = b'"},"types":['
FAST_PLAIN = b'"}}'
DIGITS = b"0123456789"
NEITHER_DIGIT_NOR_BRACE = bytes(set(range(256)) - set(b"0123456789{"))
ALTERNATING = b",\n" * 2000


def fast_table(body, ending, limit):
    """
    The inputs as lines of "from,to" and their number, if the body consists
    of nothing but inputs that end in "ending"; else None.
    """
    if not body.startswith(FAST_START) or not body.endswith(ending + b"]}"):
        return None
    inner = body[len(FAST_START):-len(ending) - 2]
    border = ending + FAST_NEXT
    table = inner.translate(None, NEITHER_DIGIT_NOR_BRACE).replace(
        border.translate(None, NEITHER_DIGIT_NOR_BRACE), b"\n").replace(
            b"{", b",")
    rows = table.split(b"\n")
    count = len(rows)
    if count > limit or \
            table.translate(None, DIGITS) != ALTERNATING[:2 * count - 1] or \
            table.replace(b",", FAST_MIDDLE).replace(b"\n", border) != inner:
        return None
    if len(set(rows)) != count or \
            not fast_ids_good(table, max(map(len, rows))):
        return None
    return table, count


def fast_ids_good(table, longest_row):
    """Whether no id is empty, too long, or begins with a zero."""
    if table[:1] in b"0," or table[-1:] == b"," or b",\n" in table or \
            b"\n," in table or b"\n0" in table or b",0" in table:
        return False
    return longest_row <= MAX_ID_DIGITS + 1 or max(map(
        len, table.replace(b"\n", b",").split(b","))) <= MAX_ID_DIGITS


def fast_types(call, ending):
    """
    The types and, as JSON, the labels of the text that ends each input; None
    if there is anything wrong with them.
    """
    place = (call.from_type.id, call.to_type.id, ending)
    cache = call.account.fast_types
    if place not in cache:
        if len(cache) > 100:
            cache.clear()
        cache[place] = None
        try:
            types = check_types(json.loads(ending[len(FAST_TYPES) - 1:-1]))
        except (ApiError, ValueError, RecursionError):
            types = ()
        if types and all(map(call.fits, types)):
            label = call.account.definitions.label
            cache[place] = (types, to_json([
                label(key) for key in types if label(key) is not None]))
    return cache[place]


def fast_labelled(call, body):
    start = body.find(FAST_TYPES)
    ending = body[start:body.find(b"]}", start) + 2]
    if start < 0:
        return None
    known = fast_types(call, ending)
    found = known and fast_table(body, ending, call.operation.limit)
    if not found:
        return None
    table, call.request.inputs = found
    fast_keep(call, known[0], True, table)
    first = b'{"fromObjectTypeId":"%s","fromObjectId":"' \
        % call.from_type.id.encode()
    middle = b'","toObjectTypeId":"%s","toObjectId":"' \
        % call.to_type.id.encode()
    last = b'","labels":%s}' % known[1]
    results = b"".join((first, table.replace(b",", middle).replace(
        b"\n", last + b"," + first), last))
    return Reply(call.account.settings["batch_create_status"],
                 envelope_of(results))


def fast_default(call, body):
    plain = call.plain_type()
    found = fast_table(body, FAST_PLAIN, call.operation.limit)
    if not found:
        return None
    table, call.request.inputs = found
    fast_keep(call, (plain.key(),), False, table)
    ids = table.replace(b"\n", b",").split(b",")
    pattern = DEFAULT_RESULT % ('"%b"', '"%b"', plain.category, plain.type_id)
    if call.account.settings["default_results"] == "forward":
        rows = zip(ids[::2], ids[1::2])
    else:
        rows = zip(ids[::2], ids[1::2], ids[1::2], ids[::2])
        pattern += "," + DEFAULT_RESULT % ('"%b"', '"%b"', plain.category,
                                           plain.inverse)
    pattern = pattern.encode("ascii")
    return Reply(200, envelope_of(b",".join(map(pattern.__mod__, rows))))


def fast_keep(call, types, replace, table):
    if not call.state.discard:
        call.account.link_table(call.from_type.id, call.to_type.id, types,
                                replace, table)


FAST_PATHS = {"labelled": fast_labelled, "default": fast_default}


def answer_fast(call):
    """
    The reply to a batch create in compact form, or None; only for accounts
    of which nothing unusual is known.
    """
    account = call.account
    settings = account.settings
    if account.limits or settings["id_form"] != "string" or \
            settings["rate_limit"] is not None or \
            account.restricts(call.from_type) or \
            account.restricts(call.to_type):
        return None
    return FAST_PATHS[call.operation.fast](call, call.request.body)


# What a request leads to that was answered before, with --discard
REPEATED = frozenset(["batch_read", "batch_archive"])
MAX_REPLIES = 10000             # more than these are forgotten, all of them


def answer_again(call):
    """The reply to a repeated request, or None."""
    known = call.account.replies.get((call.request.path, call.request.body))
    if known is None:
        return None
    call.request.inputs, status, data = known
    return Reply(status, data)


def remember_reply(call, reply):
    """Has a plain reply given again, until something changes."""
    if reply.data is None or reply.headers or reply.fault:
        return
    replies = call.account.replies
    if len(replies) >= MAX_REPLIES:
        replies.clear()
    replies[call.request.path, call.request.body] = (
        call.request.inputs, reply.status, reply.data)


# ---------------------------------------------------------------------------
# Rules
# ---------------------------------------------------------------------------

MATCH_KEYS = frozenset(["method", "path", "pair", "id", "nth", "every",
                        "first", "after", "token"])
ACTION_KEYS = frozenset([
    "status", "body", "text", "base64", "headers", "act", "delay_ms",
    "delay_body_ms", "drip", "truncate", "reset", "close", "hang",
    "close_after", "silent_close", "chunked", "content_type", "results",
    "errors", "envelope", "encoding", "nest", "pad", "redirect",
    "informational", "cut_head", "late_ms"])
# With one of these the operation takes no effect unless "act" says so.
PREVENTING_KEYS = frozenset(["status", "redirect", "reset", "close", "hang"])
# These change the reply of the operation, so there must be one.
CHANGING_KEYS = frozenset(["results", "errors", "envelope", "nest", "pad"])
BODY_KEYS = frozenset(["body", "text", "base64"])
TRANSFORMS = re.compile("shuffle|reverse|drop:[1-9][0-9]*|drop_pair:[^:]+:"
                        "[^:]+|double|foreign|others|numbers|unknown_keys|empty")
UNKNOWN_VALUE = {"nested": [1, 2.5e3, {"deeper": None}, "\u00e4"], "on": True}


class Rule:
    """When to misbehave, and how."""

    def __init__(self, number, definition):
        if not isinstance(definition, dict) or \
                not definition.keys() <= {"match", "action"}:
            raise ValueError("a rule is {\"match\": {}, \"action\": {}}")
        self.id = number
        self.definition = definition
        self.match = definition.get("match", {})
        self.action = definition.get("action", {})
        self.check_keys("match", self.match, MATCH_KEYS)
        self.check_keys("action", self.action, ACTION_KEYS)
        for change in self.action.get("results", ()):
            if not TRANSFORMS.fullmatch(change):
                raise ValueError("no such change of results: %s" % change)
        path = self.match.get("path")
        self.path = None if path is None else re.compile(path)
        self.seen = 0
        self.hits = 0

    @staticmethod
    def check_keys(what, value, known):
        if not isinstance(value, dict):
            raise ValueError("%s must be an object" % what)
        unknown = sorted(value.keys() - known)
        if unknown:
            raise ValueError("unknown in %s: %s" % (what, ", ".join(unknown)))

    def fits(self, request):
        """Whether a request is of the kind that this rule is about."""
        match = self.match
        if match.get("method", request.method) != request.method:
            return False
        if self.path is not None and not self.path.search(request.path):
            return False
        if "token" in match and \
                request.headers.authorization != "Bearer " + match["token"]:
            return False
        if "pair" in match and \
                tuple(match["pair"]) not in request.concerns():
            return False
        return "id" not in match or any(
            match["id"] in pair for pair in request.concerns())

    def counts(self, request):
        """Counts a request that fits; whether it is one to act on."""
        if not self.fits(request):
            return False
        self.seen += 1
        match = self.match
        return (match.get("nth", self.seen) == self.seen and
                self.seen % match.get("every", 1) == 0 and
                self.seen <= match.get("first", self.seen) and
                self.seen > match.get("after", 0))

    def takes_effect(self):
        """Whether the operation does so at once."""
        if "late_ms" in self.action:
            return False
        act = self.action.get("act")
        if act is None:
            act = not self.action.keys() & PREVENTING_KEYS
        return act

    def is_error(self):
        return self.action.get("status", 200) >= 400 and \
            not self.action.keys() & CHANGING_KEYS

    def wants_reply(self):
        """Whether the reply is made from that of the operation."""
        return not (self.action.keys() & BODY_KEYS or self.is_error() or
                    "redirect" in self.action)

    def show(self):
        return {"id": self.id, **self.definition, "seen": self.seen,
                "hits": self.hits}


def canned_error(status, correlation_id):
    """An error body as goes with a status."""
    if status == 429:
        return rate_limited("TEN_SECONDLY_ROLLING").reply(correlation_id)
    category = {400: "VALIDATION_ERROR", 401: "INVALID_AUTHENTICATION",
                403: "MISSING_SCOPES"}.get(status)
    return ApiError(status, "This is a simulated error: " + reason(status),
                    category).reply(correlation_id)


def apply_action(rule, request, reply):
    """Changes a reply as a rule says; "reply" can be None."""
    action = rule.action
    status = action.get("status")
    if "redirect" in action:
        reply = Reply(status or 302, b"", [("Location", action["redirect"])])
    elif reply is None or rule.is_error():
        status = status or 200
        reply = canned_error(status, request.correlation) \
            if status >= 400 else Reply(status, {})
    if status is not None:
        reply.status = status
    replace_body(action, reply)
    change_reply(action, reply)
    if reply.status in (204, 304):
        reply.data = None
    if "encoding" in action and reply.data is not None and \
            not action.keys() & BODY_KEYS:
        reply.data = to_json(reply.value(), action["encoding"])
    if "content_type" in action:
        reply.content_type = action["content_type"]
    reply.fault = action
    return reply


def replace_body(action, reply):
    if "body" in action:
        reply.data = to_json(action["body"], action.get("encoding", "utf-8"))
    elif "text" in action:
        reply.data = action["text"].encode(action.get("encoding", "utf-8"))
    elif "base64" in action:
        reply.data = base64.b64decode(action["base64"])


def change_reply(action, reply):
    """Changes the reply's JSON, if it is an object."""
    if not action.keys() & CHANGING_KEYS or reply.data is None:
        return
    try:
        data = reply.value()
    except ValueError:
        return
    if not isinstance(data, dict):
        return
    for change in action.get("results", ()):
        change_results(data, change)
    if action.get("errors"):
        data["errors"] = data.get("errors", []) + action["errors"]
        data["numErrors"] = len(data["errors"])
    for key, value in action.get("envelope", {}).items():
        if value is None:
            data.pop(key, None)
        else:
            data[key] = value
    surround(action, reply, data)


def surround(action, reply, data):
    """Puts a deeply nested or a long value before all others."""
    front = b""
    if "nest" in action:
        depth = action["nest"]
        front += b'"unknownNested":%b%b%b,' % (
            b"[" * depth, to_json(data.get("results")), b"]" * depth)
    if "pad" in action:
        front += b'"unknownPadding":"%b",' % (b"x" * action["pad"])
    if front:
        body = to_json(data)
        if body == b"{}":
            front = front[:-1]
        reply.data = b"{" + front + body[1:]


def result_pair(result):
    """What a result is about, the same for both directions of a pair."""
    if "fromObjectId" in result:
        ends = (result["fromObjectId"], result["toObjectId"])
    elif isinstance(result.get("to"), dict):
        ends = (result["from"]["id"], result["to"]["id"])
    elif "from" in result:
        ends = (result["from"]["id"],)
    else:
        ends = (result.get("toObjectId", result.get("typeId")),)
    return tuple(sorted(map(str, ends)))


def change_results(data, change):
    """One change to a reply's results."""
    name, _, argument = change.partition(":")
    if name == "numbers":
        data.update(with_number_ids(data))
    if name == "unknown_keys":
        data["unknownKey"] = UNKNOWN_VALUE
    results = data.get("results")
    if not isinstance(results, list):
        return
    if name == "shuffle":
        random.Random(1).shuffle(results)
    elif name == "reverse":
        results.reverse()
    elif name == "empty":
        results.clear()
    elif name == "double":
        results[:] = [r for result in results for r in (result, result)]
    elif name == "foreign":
        results[:] = foreign_results(results[:2]) + results
    elif name == "others":
        results[:] = foreign_results(results)
    elif name == "unknown_keys":
        results[:] = [{"unknownKey": UNKNOWN_VALUE, **r} for r in results]
    elif name == "drop":
        pairs = unique(map(result_pair, results))
        drop_pairs(results, pairs[int(argument) - 1::int(argument)])
    elif name == "drop_pair":
        drop_pairs(results, [tuple(sorted(argument.split(":")))])


def drop_pairs(results, pairs):
    gone = set(pairs)
    results[:] = [r for r in results if result_pair(r) not in gone]


def foreign_results(results):
    """Copies of results, with ids that nobody sent."""
    text = json.dumps(results)
    return json.loads(re.sub(r'("(?:id|fromObjectId|toObjectId)": ?"?)',
                             r"\g<1>77700", text))


def with_number_ids(value):
    """The same JSON, with record ids as numbers."""
    if isinstance(value, list):
        return [with_number_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: int(item) if key in ("id", "fromObjectId", "toObjectId") and
            isinstance(item, str) and item.isdigit()
            else with_number_ids(item) for key, item in value.items()}


# ---------------------------------------------------------------------------
# HTTP
# ---------------------------------------------------------------------------

MAX_HEAD = 65536
MAX_BODY = 1 << 29
NO_FAULT = {}
PLAIN_HEAD = ("HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\n"
              "Content-Length: %d\r\nx-hubspot-correlation-id: %s\r\n\r\n")


class BadRequest(Exception):
    """What came is not HTTP; the status to say so with."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Headers:
    """A request's headers, and what the server itself needs of them."""

    __slots__ = ("fields", "length", "chunked", "close", "expects",
                 "authorization", "content_type")
    known = {}

    def __init__(self, block):
        self.fields = fields = {}
        lines = block.decode("latin-1").split("\r\n") if block else ()
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise BadRequest(400, "malformed header")
            name = name.lower()
            if name in fields and name in ("content-length", "host",
                                           "authorization"):
                raise BadRequest(400, "repeated header: " + name)
            fields[name] = value.strip()
        length = fields.get("content-length", "0")
        if not (length.isdigit() and length.isascii()):
            raise BadRequest(400, "malformed Content-Length")
        self.length = int(length)
        self.chunked = "transfer-encoding" in fields
        if self.chunked and (fields["transfer-encoding"].lower() != "chunked"
                             or "content-length" in fields):
            raise BadRequest(400, "malformed Transfer-Encoding")
        self.close = "close" in re.split(
            r"[,\s]+", fields.get("connection", "").lower())
        self.expects = fields.get("expect", "").lower() == "100-continue"
        self.authorization = fields.get("authorization")
        self.content_type = fields.get("content-type")

    @classmethod
    def of(cls, block):
        """
        Parses, or remembers: clients send the same block again and again.
        """
        headers = cls.known.get(block)
        if headers is None:
            headers = cls(block)
            if len(cls.known) >= 1000:
                cls.known.clear()
            cls.known[block] = headers
        return headers

    def token_hash(self):
        if self.authorization is None:
            return None
        token = self.authorization.split(" ", 1)[-1]
        return hashlib.sha256(token.encode("latin-1")).hexdigest()[:12]

    def public(self):
        return {name: value for name, value in self.fields.items()
                if name not in ("authorization", "proxy-authorization")}


class Request:
    """A request as it came."""

    __slots__ = ("head", "method", "path", "query", "version", "headers",
                 "body", "received", "correlation", "latency_ms", "operation",
                 "account", "inputs", "noop", "pairs")

    def __init__(self, line, headers):
        words = line.split(" ")
        if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
            raise BadRequest(400, "malformed request line")
        self.method, target, self.version = words
        if self.version == "HTTP/1.1" and "host" not in headers.fields:
            raise BadRequest(400, "no Host header")
        if not target.startswith("/"):
            target = self.strip_origin(target)
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.body = b""
        self.operation = None
        self.account = None
        self.inputs = None
        self.noop = False
        self.pairs = None

    @staticmethod
    def strip_origin(target):
        """The path of a target as it is sent to a proxy."""
        parts = re.fullmatch(r"https?://[^/?#]+(/.*)", target)
        if not parts:
            raise BadRequest(400, "malformed request target")
        return parts.group(1)

    def wants_close(self):
        return self.headers.close or (
            self.version == "HTTP/1.0" and
            self.headers.fields.get("connection", "").lower() != "keep-alive")

    def concerns(self):
        """Every (from id, to id) that path and body speak of, as far as one
        can tell; a record alone is (id, "")."""
        if self.pairs is None:
            self.pairs = set(self.pairs_of_path())
            try:
                self.pairs.update(self.pairs_of_body(json.loads(self.body)))
            except (ValueError, RecursionError):
                pass
        return self.pairs

    PAIR_PATH = re.compile(
        r"/(?P<from>[^/]+)/associations/(default/[^/]+|(?!default/)[^/]+)"
        r"(/(?P<to>[^/]+))?$")

    def pairs_of_path(self):
        found = self.PAIR_PATH.search(self.path)
        if found and "/objects/" in self.path:
            yield (urllib.parse.unquote(found.group("from")),
                   urllib.parse.unquote(found.group("to") or ""))

    @staticmethod
    def pairs_of_body(value):
        inputs = value.get("inputs") if isinstance(value, dict) else None
        for item in inputs if isinstance(inputs, list) else ():
            if not isinstance(item, dict):
                continue
            source, targets = item.get("from", item), item.get("to")
            for target in targets if isinstance(targets, list) else [targets]:
                yield tuple(
                    end.get("id", "") if isinstance(end, dict) and
                    isinstance(end.get("id"), str) else ""
                    for end in (source, target))


class ChunkedBody:
    """Puts a body together that comes in chunks."""

    def __init__(self):
        self.data = b""
        self.parts = []
        self.size = 0

    def feed(self, data):
        """Takes bytes; what is left over once the body is complete, or
        None while it is not."""
        self.data += data
        while True:
            line, end, rest = self.data.partition(b"\r\n")
            if not end:
                return None
            if not re.fullmatch(b"[0-9A-Fa-f]{1,8}", line.split(b";")[0]):
                raise BadRequest(400, "malformed chunk")
            size = int(line.split(b";")[0], 16)
            if len(rest) < size + 2:
                return None
            self.data = rest[size + 2:]
            if size == 0:
                return self.data
            self.parts.append(rest[:size])
            self.size += size
            if self.size > MAX_BODY:
                raise BadRequest(413, "the body is too long")


class HttpConnection(asyncio.Protocol):
    """
    One connection: takes requests off it, one at a time, and plays replies.
    What comes while a request is at work waits in "buffer".
    """

    def __init__(self, server, loop):
        self.server = server
        self.loop = loop
        self.number = 0
        self.transport = None
        self.buffer = b""
        self.request = None     # being received or at work
        self.parts = None       # of the body being received
        self.missing = 0        # bytes of it still to come
        self.chunks = None
        self.busy = False       # the request is at work
        self.pumping = False
        self.timer = None
        self.plan = None
        self.ending = None

    # Receiving

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = self.server.opened(self)

    def connection_lost(self, exc):
        self.transport = None
        if self.timer is not None:
            self.timer.cancel()
        if self.busy:
            self.busy = False
            self.server.finished()
        self.server.closed(self)

    def data_received(self, data):
        if self.busy:
            self.buffer += data
            return
        if self.parts is not None and len(data) < self.missing:
            self.parts.append(data)
            self.missing -= len(data)
            return
        self.buffer = self.buffer + data if self.buffer else data
        self.pump()

    def pump(self):
        """Takes requests off the buffer for as long as that is possible."""
        if self.pumping:
            return
        self.pumping = True
        try:
            while self.transport is not None and not self.busy and \
                    self.buffer and self.take_request():
                pass
        except BadRequest as problem:
            self.refuse(problem)
        finally:
            self.pumping = False

    def take_request(self):
        """Makes progress with the buffer; false if more must come first."""
        if self.request is None and not self.take_head():
            return False
        if self.chunks is not None:
            rest = self.chunks.feed(self.buffer)
            if rest is None:
                self.buffer = b""
                return False
            self.request.body = b"".join(self.chunks.parts)
            self.buffer = rest
        elif self.missing:
            if len(self.buffer) < self.missing:
                self.missing -= len(self.buffer)
                self.parts.append(self.buffer)
                self.buffer = b""
                return False
            self.parts.append(self.buffer[:self.missing])
            self.buffer = self.buffer[self.missing:]
            self.request.body = b"".join(self.parts)
        self.dispatch()
        return True

    def take_head(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end > MAX_HEAD or end < 0 and len(self.buffer) > MAX_HEAD:
            raise BadRequest(431, "the head is too long")
        if end < 0:
            return False
        head = self.buffer[:end]
        line, _, block = head.partition(b"\r\n")
        try:
            line = line.decode("ascii")
        except UnicodeDecodeError:
            raise BadRequest(400, "the request line is not ASCII")
        headers = Headers.of(block)
        self.request = Request(line, headers)
        self.request.head = head
        self.buffer = self.buffer[end + 4:]
        if headers.chunked:
            self.chunks = ChunkedBody()
        elif headers.length:
            if headers.length > MAX_BODY:
                raise BadRequest(413, "the body is too long")
            self.missing = headers.length
            self.parts = []
        if headers.expects and not self.buffer:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def dispatch(self):
        """The request is complete."""
        self.parts = self.chunks = None
        self.missing = 0
        self.busy = True
        self.request.received = self.loop.time()
        self.server.handle(self, self.request)

    def refuse(self, problem):
        """Answers what is no HTTP, and closes."""
        body = to_json({"status": "error", "message": str(problem)})
        self.transport.write(
            b"HTTP/1.1 %d %b\r\nConnection: close\r\nContent-Type: "
            b"application/json\r\nContent-Length: %d\r\n\r\n%b" % (
                problem.status, reason(problem.status).encode(), len(body),
                body))
        self.transport.close()

    # Sending

    def respond(self, reply, due):
        """Answers the request at work, not before the time "due"."""
        if self.transport is None:
            return
        if due > self.loop.time():
            self.timer = self.loop.call_at(due, self.send, reply)
        else:
            self.send(reply)

    def send(self, reply):
        request = self.request
        if not (reply.fault or reply.headers or request.wants_close()) and \
                reply.data is not None and request.method != "HEAD":
            self.transport.write(render_plain(reply, request))
            self.done("keep")
            return
        fault = reply.fault or NO_FAULT
        if fault.get("hang"):
            return
        head, body, closing = render(reply, request)
        self.ending = "keep"
        if closing or fault.keys() & {"close", "truncate", "cut_head"} or \
                fault.get("close_after"):
            self.ending = "close"
        if "reset" in fault:
            self.ending = "reset"
        self.plan = schedule(head, body, fault)
        self.play()

    def play(self, data=None):
        """Plays the schedule of a reply."""
        while self.transport is not None:
            if data is not None:
                self.transport.write(data)
            delay, data = next(self.plan, (None, None))
            if delay is None:
                self.done(self.ending)
                return
            if delay:
                self.timer = self.loop.call_later(delay, self.play, data)
                return

    def done(self, ending):
        """The reply is out."""
        if ending == "reset":
            self.reset()
            return
        self.busy = False
        self.request = None
        self.server.finished()
        if ending == "close":
            self.transport.close()
        else:
            self.pump()

    def reset(self):
        """Breaks the connection with a TCP reset, once what was written has
        gone out."""
        if self.transport is None:
            return
        if self.transport.get_write_buffer_size():
            self.timer = self.loop.call_later(0.005, self.reset)
            return
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def render_plain(reply, request):
    """Head and body of a reply without anything special about it."""
    body = reply.body()
    return (PLAIN_HEAD % (reply.status, reason(reply.status), CLOCK.date(),
                          reply.content_type, len(body),
                          request.correlation)).encode("ascii") + body


def render(reply, request):
    """Head and body of a reply, and whether the connection ends with it."""
    fault = reply.fault or NO_FAULT
    body = reply.body()
    headers = {"Date": CLOCK.date()}
    if reply.data is not None:
        headers["Content-Type"] = reply.content_type
        if fault.get("chunked"):
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = len(body)
    headers["x-hubspot-correlation-id"] = request.correlation
    headers.update(reply.headers)
    closing = request.wants_close()
    if closing or fault.get("close_after") and not fault.get("silent_close"):
        headers["Connection"] = "close"
    if "headers" in fault:
        replace_headers(headers, fault["headers"])
        closing = closing or reply.data is not None and not (
            {"content-length", "transfer-encoding"} & set(map(
                str.lower, headers)))
    lines = ["HTTP/1.1 %d %s" % (reply.status, reason(reply.status))]
    lines[:0] = ["HTTP/1.1 %d %s\r\n" % (status, reason(status))
                 for status in fault.get("informational", ())]
    lines += ["%s: %s" % field for field in headers.items()]
    head = "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n"
    return head, b"" if request.method == "HEAD" else body, closing


def replace_headers(headers, changes):
    """Sets headers whatever their case, or with None removes them."""
    for name, value in changes.items():
        for present in list(headers):
            if present.lower() == name.lower():
                del headers[present]
        if value is not None:
            headers[name] = value


def schedule(head, body, fault):
    """A reply as (delay in seconds, bytes), as a rule wants it."""
    if fault.get("close") == "before" or fault.get("reset") == "before":
        return
    if "cut_head" in fault:
        yield 0, head[:fault["cut_head"]]
        return
    if fault.get("reset") == "headers":
        yield 0, head
        yield 0.01, b""
        return
    whole = len(body)
    if "truncate" in fault:
        body = body[:fault["truncate"]]
    if fault.get("reset") == "body":
        body = body[:whole // 2]
    pieces = cut(body, fault, len(body) == whole)
    delay_body = fault.get("delay_body_ms", 0) / 1000
    if not delay_body and len(pieces) <= 1:
        yield 0, head + b"".join(pieces)
    else:
        yield 0, head
        delay = fault.get("drip", {}).get("interval_ms", 0) / 1000
        for number, piece in enumerate(pieces):
            yield delay if number else delay_body, piece
    if "reset" in fault:
        yield 0.01, b""


def cut(body, fault, complete):
    """The body in pieces, as chunks if need be."""
    size = fault.get("drip", {}).get("bytes")
    if size is None:
        size = max(1, min(16384, len(body) // 3 + 1)) \
            if fault.get("chunked") else max(1, len(body))
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    if fault.get("chunked"):
        pieces = [b"%x\r\n%b\r\n" % (len(p), p) for p in pieces]
        if complete:
            pieces.append(b"0\r\n\r\n")
    return pieces


# ---------------------------------------------------------------------------
# The API server
# ---------------------------------------------------------------------------

MAX_LOG = 100000
LOGGED_BODY = 4000
# Of the OAuth endpoint's form only these are logged.
PUBLIC_FIELDS = frozenset(["grant_type", "client_id"])
SECRET_FIELDS = frozenset(["client_secret", "refresh_token"])


def without_secrets(form):
    """A form with "..." for what must not be seen."""
    shown = []
    for field in form.split("&") if form else ():
        name = field.partition("=")[0]
        if name in SECRET_FIELDS:
            field = name + "=..."
        elif name not in PUBLIC_FIELDS:
            field = "..."
        shown.append(field)
    return "&".join(shown)


class LogEntry:
    """What is remembered of a request."""

    __slots__ = ("n", "time", "request", "body", "status", "connection",
                 "rule", "in_flight")

    def __init__(self, n, moment, request, connection, in_flight):
        self.n = n
        self.time = moment
        self.request = request
        self.connection = connection
        self.in_flight = in_flight
        self.status = None
        self.rule = None
        self.body = None

    def close(self):
        """The request has been worked on: keeps only what will be shown."""
        self.body = self.request.body[:LOGGED_BODY]
        self.request.body = self.request.pairs = self.request.account = None

    def show(self):
        request = self.request
        query = request.query
        body = (self.body or b"").decode("utf-8", "replace")
        if request.path in OAUTH_PATHS:
            query, body = without_secrets(query), without_secrets(body)
        return {"n": self.n, "time_ms": round(self.time * 1000, 3),
                "method": request.method, "path": request.path,
                "query": query, "status": self.status,
                "inputs": request.inputs,
                "token_hash": request.headers.token_hash(),
                "connection": self.connection,
                "http_version": request.version,
                "content_type": request.headers.content_type,
                "headers": request.headers.public(), "body": body,
                "rule": self.rule, "noop": request.noop,
                "in_flight": self.in_flight}


class ApiServer:
    """Answers for the API, by the rules; counts and remembers."""

    def __init__(self, state, loop):
        self.state = state
        self.connections = set()
        self.numbers = itertools.count(1)
        self.in_flight = 0
        self.rule_numbers = itertools.count(1)
        self.loop = loop
        self.late = []
        self.reset()

    def reset(self):
        self.rules = []
        for timer in self.late:
            timer.cancel()
        self.late = []
        self.clear_log()
        self.accepted = 0
        self.clear_counts()

    def clear_counts(self):
        self.counts = Counts()
        self.digest = 0
        self.max_in_flight = self.in_flight

    def clear_log(self):
        self.log = collections.deque(maxlen=MAX_LOG)
        self.logged = 0

    # What connections tell

    def opened(self, connection):
        self.connections.add(connection)
        self.accepted += 1
        return next(self.numbers)

    def closed(self, connection):
        self.connections.discard(connection)

    def finished(self):
        self.in_flight -= 1

    def handle(self, connection, request):
        """Works a request out at once, and sends the reply in due time."""
        self.logged += 1
        entry = LogEntry(self.logged, request.received, request,
                         connection.number, self.in_flight)
        self.log.append(entry)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        request.correlation = CORRELATION_IDS.next()
        request.latency_ms = self.state.default.settings["latency_ms"]
        rule = self.find_rule(request) if self.rules else None
        if rule is None:
            reply = self.answer(request)
        else:
            reply = self.obey(rule, request)
            entry.rule = rule.id
        self.state.journal.write()
        self.count(request)
        entry.close()
        fault = reply.fault or NO_FAULT
        if not (fault.get("hang") or "close" in fault or
                fault.get("reset") == "before"):
            entry.status = reply.status
        delay = request.latency_ms + fault.get("delay_ms", 0)
        connection.respond(reply, request.received + delay / 1000)

    def count(self, request):
        """Adds a request to the statistics."""
        inputs = request.inputs or 0
        self.counts.add(request.operation, inputs)
        if self.state.discard:
            self.digest += hash((request.head, request.body))
        account = request.account
        if account is None:
            # A rule, perhaps, has kept anybody from asking.
            try:
                account = self.state.account_of(request.headers.authorization)
            except ApiError:
                return
        account.counts.add(request.operation, inputs)

    # Rules

    def add_rules(self, definitions):
        rules = [Rule(next(self.rule_numbers), d) for d in definitions]
        self.rules.extend(rules)
        return [rule.id for rule in rules]

    def find_rule(self, request):
        """The rule that decides.  Every rule counts, also past that one."""
        found = None
        for rule in self.rules:
            if rule.counts(request) and found is None:
                found = rule
        return found

    def obey(self, rule, request):
        rule.hits += 1
        reply = None
        if "late_ms" in rule.action:
            self.late.append(self.loop.call_later(
                rule.action["late_ms"] / 1000, self.act_late,
                copy.copy(request)))    # the log strips the original
        if rule.takes_effect():
            reply = self.answer(request)
        elif rule.wants_reply():
            reply = self.answer(request, dry=True)
        if request.inputs is None:
            request.inputs = count_inputs(request)
        return apply_action(rule, request, reply)

    def act_late(self, request):
        """Nobody hears of it."""
        self.answer(request)
        self.state.journal.write()

    # The chain: authorize, route, validate, operate

    def answer(self, request, dry=False):
        """The API's reply; "dry" keeps the operation from having effects."""
        headers = []
        try:
            if request.path in OAUTH_PATHS:
                return self.give_token(request, dry)
            account = self.state.account_of(request.headers.authorization)
            request.account = account
            request.latency_ms = account.settings["latency_ms"]
            call = Call(request, account, self.state, dry)
            if account.settings["rate_limit"] is not None:
                headers = account.spend_request(request.received)
            reply = self.operate(call)
        except ApiError as problem:
            reply = problem.reply(request.correlation)
        except Exception:       # a fault of the simulator itself
            traceback.print_exc()
            reply = ApiError(500, "The simulator failed").reply(
                request.correlation)
        reply.headers += headers
        return reply

    def operate(self, call):
        route(call)
        authorize_scopes(call)
        validate_query(call)
        validate_envelope(call)
        if call.operation.fast and not self.rules and not call.dry:
            reply = answer_fast(call)
            if reply is not None:
                return reply
        again = self.state.discard and not self.rules and not call.dry and \
            call.operation.name in REPEATED
        if again:
            reply = answer_again(call)
            if reply is not None:
                return reply
        if call.operation.check is not None:
            validate_body(call)
        reply = call.operation.handler(call)
        if again:
            remember_reply(call, reply)
        return reply

    def give_token(self, request, dry):
        """The OAuth token endpoint."""
        request.operation = None if dry else "give_token"
        if request.method != "POST":
            raise ApiError(405, "Method not allowed",
                           headers=[("Allow", "POST")])
        kind = (request.headers.content_type or "").partition(";")[0]
        if kind.strip().lower() != "application/x-www-form-urlencoded":
            raise invalid("The content type must be "
                          "application/x-www-form-urlencoded")
        try:
            pairs = urllib.parse.parse_qsl(
                request.body.decode("ascii"), keep_blank_values=True,
                strict_parsing=True, errors="strict")
        except ValueError:
            raise invalid("Invalid form")
        form = dict(pairs)
        if len(pairs) != 4 or form.keys() != {
                "grant_type", "client_id", "client_secret", "refresh_token"}:
            raise invalid("The form must have grant_type, client_id, "
                          "client_secret and refresh_token")
        if form["grant_type"] != "refresh_token":
            raise oauth_error("unsupported_grant_type", "BAD_GRANT_TYPE",
                              "the grant type must be refresh_token")
        client = self.state.client_of(form)
        if client.latency_ms is not None:
            request.latency_ms = client.latency_ms
        return Reply(200, self.state.give_token(client, dry))


def count_inputs(request):
    """A batch's inputs, where nothing else has counted them."""
    try:
        value = json.loads(request.body)
    except (ValueError, RecursionError):
        return None
    inputs = value.get("inputs") if isinstance(value, dict) else None
    return len(inputs) if isinstance(inputs, list) else None


# ---------------------------------------------------------------------------
# The control port
# ---------------------------------------------------------------------------

class Control:
    """The port over which tests arrange and look at things."""

    def __init__(self, state, api):
        self.state = state
        self.api = api

    def opened(self, _connection):
        return 0

    def closed(self, _connection):
        pass

    def finished(self):
        pass

    def handle(self, connection, request):
        request.correlation = "control"
        try:
            reply = self.dispatch(request)
            if not isinstance(reply, Reply):
                reply = Reply(200, reply)
        except (ValueError, KeyError, TypeError, AttributeError, LookupError,
                re.error, ApiError) as problem:
            reply = Reply(400, {"error": "%s: %s" % (
                type(problem).__name__, problem)})
        self.state.journal.write()
        connection.respond(reply, 0)

    def dispatch(self, request):
        """What is answered: a JSON value, or a Reply."""
        body = json.loads(request.body) \
            if request.method == "POST" and request.body else {}
        return self.perform(request.method, request.path, request.query, body)

    def perform(self, method, path, query, body):
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        parts = path.strip("/").split("/")
        if method == "DELETE" and parts[0] == "accounts":
            return self.delete_account(urllib.parse.unquote(parts[1]))
        handler = self.HANDLERS.get((method, "/".join(parts)))
        if handler is None:
            raise ValueError("there is no %s %s" % (method, path))
        return handler(self, body if method == "POST" else query)

    def batch(self, body):
        replies = []
        for method, target, *more in body:
            path, _, query = target.partition("?")
            reply = self.perform(method, path, query, *more or [{}])
            if isinstance(reply, Reply):
                reply = reply.body().decode("utf-8")
            replies.append(reply)
        return {"replies": replies}

    def account(self, options):
        """The account that "token" names, which is taken out of options."""
        token = options.pop("token", None)
        if token is None:
            return self.state.default
        if token not in self.state.accounts:
            raise ValueError("there is no such account")
        return self.state.accounts[token]

    def reset(self, _body):
        self.state.reset()
        self.api.reset()
        return {"ok": True}

    def health(self, _query):
        return {"ok": True}

    def stats(self, query):
        if "token" in query:
            return self.account(query).counts.show()
        digest = {"digest": "%016x" % (self.api.digest % 2 ** 64)} \
            if self.state.discard else {}
        return {"connections_open": len(self.api.connections),
                "connections_accepted": self.api.accepted,
                "in_flight": self.api.in_flight,
                "max_in_flight": self.api.max_in_flight,
                **digest, **self.api.counts.show()}

    def clear_stats(self, _query):
        self.api.clear_counts()
        for account in self.state.accounts.values():
            account.counts = Counts()
        return {"ok": True}

    def get_settings(self, query):
        return self.account(query).settings

    def set_settings(self, body):
        account = self.account(body)
        account.change_settings(body)
        return account.settings

    def add_account(self, body):
        if not isinstance(body["token"], str) or not \
                body.keys() <= {"token", "scopes"}:
            raise ValueError("an account is token and scopes")
        self.state.add_account(body["token"], body.get("scopes"))
        return {"ok": True}

    def delete_account(self, token):
        self.state.delete_account(token)
        return {"ok": True}

    def set_objects(self, body):
        account = self.account(body)
        kind = object_type(body.pop("type"))
        if not body.keys() <= {"missing", "existing"}:
            raise ValueError("objects are missing or existing")
        account.set_objects(kind, body.get("missing"), body.get("existing"))
        return {"ok": True}

    def direction(self, options):
        return (object_type(options["from_type"]).id,
                object_type(options["to_type"]).id)

    def get_associations(self, query):
        account = self.account(query)
        from_id, to_id = self.direction(query)
        table = account.store.table(from_id, to_id)
        label = account.definitions.label
        sources = [query["from_id"]] if "from_id" in query else \
            sorted(table, key=int)
        found = []
        for source in sources:
            row = table.get(source, {})
            found += [{"from_id": source, "to_id": target, "types": [
                {"category": key[0], "type_id": key[1], "label": label(key)}
                for key in row[target]]} for target in sorted(row, key=int)]
        return {"count": len(found), "associations": found}

    def get_association_table(self, query):
        account = self.account(query)
        table = account.store.table(*self.direction(query))
        tails = {}
        lines = []
        for source in sorted(table, key=int):
            row = table[source]
            for target in sorted(row, key=int):
                types = row[target]
                tail = tails.get(types)
                if tail is None:
                    tail = tails[types] = " ".join("%s=%d" % key
                                                   for key in types)
                lines.append("%s,%s,%s\n" % (source, target, tail))
        return Reply(200, "".join(lines).encode("ascii"),
                     content_type="text/csv;charset=utf-8")

    def count_associations(self, query):
        account = self.account(query)
        return {"count": account.store.count(*self.direction(query))}

    def add_associations(self, body):
        account = self.account(body)
        from_type = object_type(body["from_type"])
        to_type = object_type(body["to_type"])
        types = tuple((t["category"], t["type_id"])
                      for t in body.get("types", ()))
        if not types:
            types = (account.definitions.plain(from_type, to_type).key(),)
        for key in types:
            definition = account.definitions.by_key[key]
            if (definition.from_id, definition.to_id) != (from_type.id,
                                                          to_type.id):
                raise ValueError("%s=%d is of another direction" % key)
        if "pairs" in body:
            pairs = [(str(source), str(target))
                     for source, target in body["pairs"]]
            require_record_ids(*itertools.chain(*pairs))
        else:
            pairs = self.generate(**body["generate"])
        account.link_many(from_type.id, to_type.id, types, True, pairs)
        return {"count": account.store.count(from_type.id, to_type.id)}

    @staticmethod
    def generate(first_from=1, count=1, per_from=1, first_to=1,
                 to_count=None):
        """Pairs of ids; with to_count the second ones go in a circle."""
        to_count = to_count or count * per_from
        targets = itertools.cycle(map(str, range(first_to,
                                                 first_to + to_count)))
        for source in map(str, range(first_from, first_from + count)):
            for target in itertools.islice(targets, per_from):
                yield source, target

    def delete_associations(self, query):
        self.account(query).clear()
        return {"ok": True}

    def add_label(self, body):
        account = self.account(body)
        made = account.define(*self.direction(body), body["label"],
                              body.get("inverse_label"), body["name"])
        return {"types": [{"category": definition.category,
                           "type_id": definition.type_id}
                          for definition in made]}

    def add_limit(self, body):
        account = self.account(body)
        key = (body["category"], body["type_id"])
        if key not in account.definitions.by_key:
            raise ValueError("there is no such association type")
        if body["max_to_ids"] is None:
            account.limits.pop(key, None)
        else:
            account.limits[key] = body["max_to_ids"]
        return {"ok": True}

    def add_oauth(self, body):
        client = OAuthClient(self.account(body), **body)
        self.state.clients[client.client_id] = client
        return {"ok": True}

    def expire_oauth(self, _body):
        self.state.expire_access_tokens()
        return {"ok": True}

    def logged(self, query):
        if "path" not in query:
            return list(self.api.log)
        path = re.compile(query["path"])
        return [e for e in self.api.log if path.search(e.request.path)]

    def get_log(self, query):
        entries = self.logged(query)
        limit = int(query.get("limit", len(entries)))
        shown = entries[len(entries) - limit:] if limit < len(entries) \
            else entries
        return {"count": len(entries),
                "dropped": self.api.logged - len(self.api.log),
                "requests": [entry.show() for entry in shown]}

    def count_log(self, query):
        return {"count": len(self.logged(query))}

    def get_log_paths(self, query):
        return {"requests": [
            [entry.request.method, entry.request.path, entry.status]
            for entry in self.logged(query)]}

    def delete_log(self, _query):
        self.api.clear_log()
        return {"ok": True}

    def add_rules(self, body):
        return {"ids": self.api.add_rules(
            body if isinstance(body, list) else [body])}

    def get_rules(self, _query):
        return {"rules": [rule.show() for rule in self.api.rules]}

    def delete_rules(self, _query):
        self.api.rules = []
        return {"ok": True}

    HANDLERS = {
        ("POST", "reset"): reset,
        ("GET", "health"): health,
        ("GET", "stats"): stats,
        ("DELETE", "stats"): clear_stats,
        ("GET", "settings"): get_settings,
        ("POST", "settings"): set_settings,
        ("POST", "accounts"): add_account,
        ("POST", "objects"): set_objects,
        ("GET", "associations"): get_associations,
        ("GET", "associations/count"): count_associations,
        ("GET", "associations/table"): get_association_table,
        ("POST", "associations"): add_associations,
        ("DELETE", "associations"): delete_associations,
        ("POST", "labels"): add_label,
        ("POST", "limits"): add_limit,
        ("POST", "oauth"): add_oauth,
        ("POST", "oauth/expire"): expire_oauth,
        ("GET", "log"): get_log,
        ("GET", "log/count"): count_log,
        ("GET", "log/paths"): get_log_paths,
        ("DELETE", "log"): delete_log,
        ("POST", "rules"): add_rules,
        ("GET", "rules"): get_rules,
        ("DELETE", "rules"): delete_rules,
        ("POST", "batch"): batch,
    }


# ---------------------------------------------------------------------------
# The process
# ---------------------------------------------------------------------------

class ExactSelector(selectors.DefaultSelector):
    """
    Waits to the microsecond.  epoll itself rounds up to milliseconds, which
    would make every simulated latency longer than it was meant to be.
    """

    MARGIN = 0.002

    def select(self, timeout=None):
        if timeout is None or timeout <= 0 or not hasattr(self, "fileno"):
            return super().select(timeout)
        if timeout > self.MARGIN:
            # Ends early; the loop then asks again for the rest.
            return super().select(timeout - self.MARGIN)
        select.select([self.fileno()], [], [], timeout)
        return super().select(0)


PR_SET_PDEATHSIG = 1
PARENT_CHECK_SECONDS = 0.2


def end_with_parent(loop, parent):
    """Has the process end when the one that started it has ended."""
    def check(*_signal):
        if os.getppid() != parent:
            os._exit(0)

    def check_again():
        check()
        loop.call_later(PARENT_CHECK_SECONDS, check_again)

    if sys.platform.startswith("linux"):
        # The signal also comes when the thread that started this process
        # ends, which is no reason to end: hence a signal that only asks.
        signal.signal(signal.SIGUSR1, check)
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGUSR1, 0, 0, 0)
        except (OSError, AttributeError):
            pass
    check_again()


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="A simulator of the HubSpot associations API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--tls-cert", metavar="FILE")
    parser.add_argument("--tls-key", metavar="FILE")
    parser.add_argument("--latency", type=float, default=0, metavar="MS")
    parser.add_argument("--token", default="test-token")
    parser.add_argument("--discard", action="store_true",
                        help="count what the fast path creates, but do not "
                        "keep it; answer repeated reads and removals as "
                        "before")
    parser.add_argument("--journal", metavar="FILE",
                        help="keep associations there for the next start")
    arguments = parser.parse_args()
    if arguments.discard and arguments.journal:
        parser.error("--discard and --journal exclude each other")
    if bool(arguments.tls_cert) != bool(arguments.tls_key):
        parser.error("--tls-cert and --tls-key go together")
    return arguments


def tls_context(arguments):
    if not arguments.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(arguments.tls_cert, arguments.tls_key)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def serve(arguments, loop):
    """Opens both ports, and says where they are."""
    journal = Journal()
    state = State(arguments.token, arguments.latency, arguments.discard,
                  journal)
    if arguments.journal:
        journal.open(arguments.journal, state)
    api = ApiServer(state, loop)
    control = Control(state, api)
    servers = []
    for handler, host, port, tls in (
            (api, arguments.host, arguments.port, tls_context(arguments)),
            (control, "127.0.0.1", arguments.control_port, None)):
        servers.append(await loop.create_server(
            lambda handler=handler: HttpConnection(handler, loop), host, port,
            ssl=tls, backlog=1024))
    print("port=%d control=%d" % tuple(
        server.sockets[0].getsockname()[1] for server in servers), flush=True)
    return servers


def main():
    parent = os.getppid()
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    loop = asyncio.SelectorEventLoop(ExactSelector())
    asyncio.set_event_loop(loop)
    end_with_parent(loop, parent)
    loop.run_until_complete(serve(arguments, loop))
    # What lives long makes no cycles: look for garbage seldom, and not there.
    gc.freeze()
    gc.set_threshold(50000, 20, 50)
    loop.run_forever()


if __name__ == "__main__":
    main()
