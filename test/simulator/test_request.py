"""
test_request: tests of requests as they come
"""

import json
import unittest

from .request import BadRequest, ChunkedBody, Headers, Request

OBJECTS = "/crm/v4/objects/contacts/1/associations/"
BATCH = "/crm/v4/associations/contacts/companies/batch/"


def request(path, value=None):
    """A request with this path, and this JSON for a body."""
    made = Request("POST %s HTTP/1.1" % path, Headers.of(b"Host: x"))
    made.body = b"" if value is None else json.dumps(value).encode()
    return made


class ConcernTest(unittest.TestCase):
    """Which records a request is about, for the rules."""

    def test_paths(self):
        for path, pair in ((OBJECTS + "companies/2", ("1", "2")),
                           (OBJECTS + "default/companies/2", ("1", "2")),
                           (OBJECTS + "companies", ("1", "")),
                           (OBJECTS + "companies/%32", ("1", "2"))):
            self.assertEqual(request(path).concerns(), {pair}, path)

    def test_bodies(self):
        one, two, three = ({"id": i} for i in "123")
        for value, pairs in (
                ({"inputs": [{"from": one, "to": two, "types": []}]},
                 {("1", "2")}),
                ({"inputs": [{"from": one, "to": [two, three]}]},
                 {("1", "2"), ("1", "3")}),
                ({"inputs": [one, two]}, {("1", ""), ("2", "")}),
                ({"inputs": [1, {"from": "1", "to": {"id": 2}}]},
                 {("", "")}), ([], set()), (None, set())):
            self.assertEqual(request(BATCH + "create", value).concerns(),
                             pairs, value)

    def test_counts(self):
        for value, count in (({"inputs": [1, 2]}, 2), ({"inputs": 1}, None),
                             ([], None), (None, None)):
            self.assertEqual(request(BATCH, value).count_inputs(), count)


class ChunkTest(unittest.TestCase):
    """Bodies in chunks."""

    def test_pieces(self):
        """However the bytes arrive, the body and the rest are the same."""
        data = b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\nGET"
        for size in range(1, len(data) + 1):
            chunks = ChunkedBody()
            rest = None
            for start in range(0, len(data), size):
                piece = data[start:start + size]
                rest = chunks.feed(piece) if rest is None else rest + piece
            self.assertEqual((b"".join(chunks.parts), rest),
                             (b"abc0123456789", b"GET"), size)

    def test_malformed(self):
        for data in b"xyz\r\n", b"\r\n", b"123456789\r\n":
            with self.assertRaises(BadRequest):
                ChunkedBody().feed(data)
