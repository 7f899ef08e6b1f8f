"""
test_replies: tests of replies and of what stands in them
"""

import json
import unittest

from .errors import invalid, rate_limited
from .replies import Clock, CorrelationIds, Reply, reason, to_json


class JsonTest(unittest.TestCase):
    """JSON as it is sent."""

    def test_characters(self):
        """Characters are not escaped, unless they have to be."""
        self.assertEqual(to_json({"a": ["\u00e4", 1]}),
                         '{"a":["\u00e4",1]}'.encode("utf-8"))
        self.assertEqual(to_json("\u00e4", "latin-1"), b'"\xe4"')
        self.assertEqual(to_json("\u0416", "latin-1"), b'"\\u0416"')
        self.assertEqual(to_json("\ud800"), b'"\\ud800"')


class ReplyTest(unittest.TestCase):
    """A reply's body in its forms."""

    def test_body(self):
        self.assertEqual(Reply(204).body(), b"")
        self.assertEqual(Reply(200, b"<html>").body(), b"<html>")
        self.assertEqual(Reply(200, {"a": None}).body(), b'{"a":null}')

    def test_value(self):
        """A body that is bytes becomes a value that can be changed."""
        reply = Reply(200, b'{"results":[]}')
        reply.value()["results"].append(1)
        self.assertEqual(reply.body(), b'{"results":[1]}')

    def test_refusals(self):
        reply = invalid("no", context={"id": ["1"]}).reply("x")
        self.assertEqual((reply.status, reply.data), (400, {
            "status": "error", "message": "no", "correlationId": "x",
            "category": "VALIDATION_ERROR", "context": {"id": ["1"]}}))
        reply = rate_limited("DAILY", [("Retry-After", "5")]).reply("x")
        self.assertEqual((reply.status, reply.headers),
                         (429, [("Retry-After", "5")]))
        self.assertEqual(reply.data["policyName"], "DAILY")

    def test_reason(self):
        self.assertEqual((reason(404), reason(530)),
                         ("Not Found", "Status 530"))


class StampTest(unittest.TestCase):
    """Times and ids."""

    def test_clock(self):
        clock = Clock()
        self.assertRegex(clock.timestamp(),
                         r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertRegex(clock.date(), r"^\w{3}, \d\d \w{3} 20\d\d "
                         r"\d\d:\d\d:\d\d GMT$")

    def test_ids(self):
        ids = CorrelationIds()
        made = [ids.next() for _ in range(3)]
        self.assertEqual(len(set(made)), 3)
        for correlation_id in made:
            self.assertRegex(json.dumps(correlation_id),
                             r'^"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"$')
