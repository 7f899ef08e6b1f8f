"""
replies: what goes back for a request, and what stands in every reply
"""

import functools
import http
import itertools
import json
import time
import uuid


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

    def body(self):
        """The body as bytes."""
        if self.data is None:
            return b""
        if isinstance(self.data, bytes):
            return self.data
        return to_json(self.data)


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


@functools.lru_cache(maxsize=10000)
def iso_second(second):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def iso_time(seconds):
    """A time of day as text, of seconds since 1970."""
    return "%s.%03dZ" % (iso_second(int(seconds)), seconds * 1000 % 1000)


class CorrelationIds:
    """UUIDs that cost no system call: a random head and a counter."""

    def __init__(self):
        self.head = str(uuid.uuid4())[:24]
        self.counter = itertools.count(1)

    def next(self):
        return "%s%012x" % (self.head, next(self.counter))


CORRELATION_IDS = CorrelationIds()
