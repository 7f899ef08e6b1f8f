"""
test_log: tests of what is remembered of requests
"""

import json

from .harness import DEFAULT_PUT, LABELS, TOKEN, SimulatorTest


class LogTest(SimulatorTest):
    """What an entry holds, and how to find it."""

    def test_entries(self):
        self.put(headers={"X-Test": "1"})
        self.batch([("1", "2"), ("3", "4")])
        self.api("GET", "/crm/v4/objects/deals/7/associations/contacts?"
                 "limit=5")
        put, batch, listing = self.log()
        self.assertEqual(
            [put[key] for key in ("n", "method", "path", "query", "status",
                                  "inputs", "http_version", "content_type",
                                  "body", "rule", "noop", "in_flight")],
            [1, "PUT", DEFAULT_PUT % ("101", "9001"), "", 200, None,
             "HTTP/1.1", None, "", None, False, 0])
        self.assertEqual(put["headers"]["x-test"], "1")
        self.assertNotIn("authorization", put["headers"])
        self.assertEqual(put["connection"], batch["connection"])
        self.assertEqual((batch["inputs"], batch["status"],
                          batch["content_type"]),
                         (2, 201, "application/json"))
        self.assertEqual(json.loads(batch["body"])["inputs"][1]["to"],
                         {"id": "4"})
        self.assertEqual(listing["query"], "limit=5")
        self.assertLess(put["time_ms"], listing["time_ms"])
        self.assertNotIn(TOKEN, json.dumps([put, batch, listing]))

    def test_queries(self):
        for _ in range(3):
            self.put()
        self.api("GET", LABELS)
        self.assertEqual(
            self.control("GET", "/log/paths?path=labels%24"),
            {"requests": [["GET", LABELS, 200]]})
        self.assertEqual(self.control("GET", "/log/count"), {"count": 4})
        self.assertEqual(self.control("GET", "/log/count?path=labels%24"),
                         {"count": 1})
        value = self.control("GET", "/log?path=default&limit=2")
        self.assertEqual((value["count"], value["dropped"],
                          [e["n"] for e in value["requests"]]),
                         (3, 0, [2, 3]))
        self.control("DELETE", "/log")
        self.assertEqual(self.control("GET", "/log"),
                         {"count": 0, "dropped": 0, "requests": []})
