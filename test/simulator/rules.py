"""
rules: faults that tests inject

POST /rules of the control port takes one of these, or a list:
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
    meanwhile           list of [from type, from id, to type, to id, types]:
                        what somebody else does right after the operation has
                        taken effect; types are added, [] takes the two apart
    results             list of changes to the reply's results: shuffle,
                        reverse, drop:N, drop_pair:FROM:TO, double, foreign,
                        others, twins, numbers, unknown_keys, empty
    errors              list of items appended to the reply's errors
    envelope            keys to set in the reply, or with null to remove
    nest, pad           an unknown key that holds the results N brackets
                        deep; an unknown key with a string of N bytes
    encoding            the body in this charset (the content type goes on to
                        say UTF-8, unless content_type says otherwise)
    content_type, redirect, chunked
    compress            gzip or deflate: the body, for clients that accept that
    informational       list of statuses 1xx that go ahead of the reply
    delay_ms, delay_body_ms
                        before the first byte; between headers and body
    drip                {"bytes", "interval_ms"}: the body in small pieces
    truncate            N bytes of body, then the end of the connection
    cut_head            N bytes of the status line and headers, then the same
    reset               before, headers, body: TCP reset at that point
    close               before: closed without an answer
    hang                never answered, kept open
    hold                answered when POST /release of the control port says so
    close_after         closed after the reply; silent_close: without saying

To stall one account: match the token that its requests carry, with delay_ms,
or with hang for good.  While there is a rule, the fast path rests for all
accounts; the account's setting latency_ms delays without that.

What a rule makes of the reply is changes.py's; how it goes over the wire,
with delays and faults, is wire.py's.
"""

import re

MATCH_KEYS = frozenset(["method", "path", "pair", "id", "nth", "every",
                        "first", "after", "token"])

ACTION_KEYS = frozenset([
    "status", "body", "text", "base64", "headers", "act", "delay_ms",
    "delay_body_ms", "drip", "truncate", "reset", "close", "hang", "hold",
    "close_after", "silent_close", "chunked", "content_type", "results",
    "errors", "envelope", "encoding", "nest", "pad", "redirect",
    "informational", "cut_head", "late_ms", "compress", "meanwhile"])

# With one of these the operation takes no effect unless "act" says so.
PREVENTING_KEYS = frozenset(["status", "redirect", "reset", "close", "hang"])

# These change the reply of the operation, so there must be one.
CHANGING_KEYS = frozenset(["results", "errors", "envelope", "nest", "pad"])
BODY_KEYS = frozenset(["body", "text", "base64"])
TRANSFORMS = re.compile(
    "shuffle|reverse|drop:[1-9][0-9]*|drop_pair:[^:]+:[^:]+|double|foreign|"
    "others|twins|numbers|unknown_keys|empty")


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
        if self.action.get("compress", "gzip") not in ("gzip", "deflate"):
            raise ValueError("compress is gzip or deflate")
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
