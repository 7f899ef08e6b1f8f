"""
test_changes: tests of what rules make of replies
"""

from .harness import BATCH, SimulatorTest, inputs, spec


class ReplyTest(SimulatorTest):
    """Another status, other headers, another body."""

    def test_bodies(self):
        for action, raw, kind in (
                ({"status": 502, "text": "<html>bad</html>",
                  "content_type": "text/html"}, b"<html>bad</html>",
                 "text/html"),
                ({"base64": "AP/+"}, b"\x00\xff\xfe",
                 "application/json;charset=utf-8"),
                ({"body": {"a": ["\u00e4", None]}},
                 '{"a":["\u00e4",null]}'.encode("utf-8"),
                 "application/json;charset=utf-8"),
                ({"body": ["\ud800\u0000"]}, b'["\\ud800\\u0000"]',
                 "application/json;charset=utf-8"),
                ({"body": "\u00e4", "encoding": "latin-1"}, b'"\xe4"',
                 "application/json;charset=utf-8"),
                ({"text": ""}, b"", "application/json;charset=utf-8")):
            with self.subTest(action=action):
                self.control("DELETE", "/rules")
                self.rule(action)
                answer = self.put()
                self.assertEqual(answer.raw, raw)
                self.assertEqual(answer.headers["content-type"], kind)
                self.assertEqual(answer.status, action.get("status", 200))

    def test_canned_errors(self):
        for status, category in ((429, "RATE_LIMITS"), (503, None),
                                 (401, "INVALID_AUTHENTICATION")):
            self.control("DELETE", "/rules")
            self.rule({"status": status})
            value = self.put(status=status).json()
            self.assertEqual(value.get("category"), category)
        self.control("DELETE", "/rules")
        self.rule({"status": 204})
        self.assertEqual(self.put(status=204).raw, b"")

    def test_headers(self):
        self.rule({"status": 503, "headers": {
            "Retry-After": "7", "X-HubSpot-Correlation-Id": None}})
        answer = self.put(status=503)
        self.assertEqual(answer.headers["retry-after"], "7")
        self.assertIsNone(answer.headers["x-hubspot-correlation-id"])
        self.control("DELETE", "/rules")
        self.rule({"redirect": "http://127.0.0.1:1/x"})
        answer = self.put(status=302)
        self.assertEqual(answer.headers["location"], "http://127.0.0.1:1/x")
        self.control("DELETE", "/rules")
        self.rule({"headers": {"content-length": None}})
        answer = self.put(status=200)
        self.assertEqual(len(answer.json()["results"]), 2)
        self.assertEqual(self.put(status=200).headers["content-length"], None)

    def test_encoding(self):
        self.rule({"envelope": {"x": "\u00e4"}, "encoding": "latin-1"})
        self.assertIn(b'"x":"\xe4"', self.put().raw)


class ResultsTest(SimulatorTest):
    """The reply of the operation, changed."""

    def changed(self, action, pairs=None, default=False):
        """The envelope that a rule makes of a batch's reply."""
        pairs = pairs or [(str(n), str(n + 10)) for n in range(1, 7)]
        self.control("DELETE", "/rules")
        self.rule(action)
        if default:
            answer = self.api("POST", BATCH + "associate/default",
                              inputs(pairs))
        else:
            answer = self.batch(pairs)
        self.assertLess(answer.status, 300)
        return answer.json()

    def froms(self, *changes, **options):
        return [str(r.get("fromObjectId") or r["from"]["id"]) for r in
                self.changed({"results": list(changes)}, **options)[
                    "results"]]

    def test_changed_results(self):
        plain = ["1", "2", "3", "4", "5", "6"]
        self.assertEqual(self.froms("reverse"), plain[::-1])
        shuffled = self.froms("shuffle")
        self.assertNotEqual(shuffled, plain)
        self.assertEqual(sorted(shuffled), plain)
        self.assertEqual(self.froms("shuffle"), shuffled)
        self.assertEqual(self.froms("drop:2"), ["1", "3", "5"])
        self.assertEqual(self.froms("drop:3", default=True),
                         ["1", "11", "2", "12", "4", "14", "5", "15"])
        self.assertEqual(self.froms("drop_pair:2:12", default=True),
                         ["1", "11", "3", "13", "4", "14", "5", "15", "6",
                          "16"])
        self.assertEqual(self.froms("double", "drop_pair:1:11")[:3],
                         ["2", "2", "3"])
        self.assertEqual(self.froms("empty"), [])
        foreign = self.froms("foreign")
        self.assertEqual(len(foreign), 8)
        self.assertEqual(len(set(foreign) - set(plain)), 2)
        self.assertEqual(len(self.stored()), 6)
        others = self.froms("others")
        self.assertEqual(len(others), 6)
        self.assertFalse(set(others) & set(plain))

    def test_twins(self):
        self.control("POST", "/records", {"type": "contacts", "records": [
            {"id": "1", "properties": {"email": "a@example.com"}}]})
        self.rule({"results": ["twins"]})
        found = self.api("POST", "/crm/objects/2026-03/contacts/batch/read", {
            "idProperty": "email", "properties": ["email"],
            "propertiesWithHistory": [],
            "inputs": [{"id": "a@example.com"}]}).json()["results"]
        self.assertEqual(
            [(str(r["id"]), r["properties"]["email"]) for r in found],
            [("1", "a@example.com"), ("777011", "a@example.com")])

    def test_changed_values(self):
        value = self.changed({"results": ["numbers", "unknown_keys"]})
        self.assertEqual(value["results"][0]["fromObjectId"], 1)
        self.assertIn("unknownKey", value["results"][0])
        self.assertIn("unknownKey", value)
        value = self.changed({"results": ["numbers"]}, default=True)
        self.assertEqual(value["results"][1]["from"]["id"], 11)
        value = self.changed({"envelope": {"status": "PENDING",
                                           "startedAt": None}})
        self.assertEqual(value["status"], "PENDING")
        self.assertNotIn("startedAt", value)
        errors = [{"category": "X"}]
        value = self.changed({"errors": errors, "status": 207,
                              "results": ["drop:2"]})
        self.assertEqual((value["errors"], value["numErrors"]), (errors, 1))
        self.assertEqual(len(value["results"]), 3)

    def test_single_result_is_changed(self):
        self.rule({"results": ["numbers", "unknown_keys"]})
        value = self.api(
            "PUT", "/crm/v4/objects/contacts/1/associations/companies/2",
            [spec(279)]).json()
        self.assertEqual(value["toObjectId"], 2)
        self.assertIn("unknownKey", value)

    def test_nest_and_pad(self):
        self.rule({"nest": 10000, "pad": 1000})
        raw = self.batch([("1", "2")]).raw
        self.assertIn(b"[" * 10001 + b"{", raw)
        self.assertIn(b'"' + b"x" * 1000 + b'"', raw)
        self.assertEqual(raw.count(b"["), raw.count(b"]"))
        self.control("DELETE", "/rules")
        self.rule({"pad": 3000000, "encoding": "utf-8"})
        answer = self.put()
        self.assertGreater(len(answer.raw), 3000000)
        self.assertEqual(len(answer.json()["results"]), 2)
