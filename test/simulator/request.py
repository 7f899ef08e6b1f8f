"""
request: requests as they come: the head, the body, the records they concern
"""

import hashlib
import json
import re
import urllib.parse

MAX_HEAD = 65536                # bytes
MAX_BODY = 1 << 29


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
        if not isinstance(value, dict):
            return
        for text in searched(value.get("filterGroups")):
            yield text, ""
        inputs = value.get("inputs")
        for item in inputs if isinstance(inputs, list) else ():
            if not isinstance(item, dict):
                continue
            source, targets = item.get("from", item), item.get("to")
            for target in targets if isinstance(targets, list) else [targets]:
                yield tuple(
                    end.get("id", "") if isinstance(end, dict) and
                    isinstance(end.get("id"), str) else ""
                    for end in (source, target))

    def count_inputs(self):
        """A batch's inputs, where nothing else has counted them."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        inputs = value.get("inputs") if isinstance(value, dict) else None
        return len(inputs) if isinstance(inputs, list) else None


def searched(value):
    """The values that a search looks for, of its filters as they came."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from searched(item)
    elif isinstance(value, dict):
        for key in value.keys() - {"propertyName", "operator"}:
            yield from searched(value[key])


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
