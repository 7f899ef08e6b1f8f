"""
test_searches: tests of searches for records
"""

import time

from .harness import SimulatorTest
from .test_record_reads import RecordsTest

SEARCH = "/crm/objects/2026-03/%s/search"


def filters(*triples):
    """A group of filters; each is property, operator, value or values."""
    return {"filters": [
        {"propertyName": name, "operator": operator,
         "values" if operator == "IN" else "value": operand}
        for name, operator, operand in triples]}


def query(*groups, **more):
    return {"filterGroups": list(groups), "properties": ["hs_object_id"],
            "sorts": ["hs_object_id"], "limit": 200, "after": "0", **more}


class SearchTest(RecordsTest):
    """What a search finds, when, and how much of it at once."""

    def setUp(self):
        super().setUp()
        self.control("POST", "/records", {"type": "companies", "records": [
            {"id": str(n), "properties": {"domain": "acme.com",
                                          "name": "Acme %d" % n}}
            for n in (12, 7, 100)] + [
                {"id": "8", "properties": {"domain": "Other.org"}}]})

    def search(self, *groups, kind="companies", **more):
        """The ids that are found."""
        value = self.api("POST", SEARCH % kind, query(*groups, **more),
                         status=200).json()
        found = [result["id"] for result in value["results"]]
        self.assertEqual(value["total"], len(found))
        return found

    def test_values(self):
        for triple, expected in (
                (("domain", "IN", ["acme.com", "other.org", "x.org"]),
                 ["7", "8", "12", "100"]),
                (("domain", "EQ", "acme.com"), ["7", "12", "100"]),
                (("domain", "EQ", "other.org"), ["8"]),
                (("domain", "EQ", "Other.org"), []),
                (("name", "EQ", "Acme 7"), []),
                (("name", "EQ", "acme 7"), ["7"]),
                (("hs_object_id", "IN", ["100", "8"]), ["8", "100"]),
                (("domain", "CONTAINS_TOKEN", "a*.com"), ["7", "12", "100"]),
                (("name", "IN", ["acme"]), [])):
            self.assertEqual(self.search(filters(triple)), expected, triple)

    def test_groups(self):
        acme = ("domain", "EQ", "acme.com")
        self.assertEqual(self.search(
            filters(acme, ("name", "IN", ["acme 7", "acme 9", "acme 12"])),
            filters(("hs_object_id", "EQ", "8"))), ["7", "8", "12"])
        self.assertEqual(self.search(), ["7", "8", "12", "100"])
        self.assertEqual(self.search(filters(acme), sorts=["-name"]),
                         ["7", "12", "100"])

    def test_results(self):
        value = self.api("POST", SEARCH % "companies", query(
            filters(("domain", "EQ", "other.org")), properties=["domain"]),
            status=200).json()
        self.assertEqual((value["total"], set(value)),
                         (1, {"total", "results"}))
        self.assertEqual(value["results"][0]["properties"]["domain"],
                         "other.org")
        self.assertIn("hs_lastmodifieddate", value["results"][0]["properties"])

    def test_several_values(self):
        def find(operator, operand):
            return self.search(filters(("hs_additional_emails", operator,
                                        operand)), kind="contacts")
        for operator, operand in (("IN", ["ann@x.org", "b@x.org"]),
                                  ("EQ", "a@x.org"),
                                  ("CONTAINS_TOKEN", "ann@x.org")):
            self.assertEqual(find(operator, operand), ["101"])
        self.settings(search_parts="token")
        self.assertEqual(find("IN", ["ann@x.org"]), [])
        self.assertEqual(find("EQ", "a@x.org;ann@x.org"), ["101"])
        self.assertEqual(find("CONTAINS_TOKEN", "ann@x.org"), ["101"])
        self.assertEqual(self.search(filters((
            "email", "EQ", "ann@x.org")), kind="contacts"), [])

    def test_pages(self):
        self.control("POST", "/records", {"type": "deals", "generate": {
            "count": 450, "properties": {"dealname": "same"}}})
        same = filters(("dealname", "EQ", "same"))
        found, after = [], "0"
        while after is not None:
            value = self.api("POST", SEARCH % "deals", query(
                same, after=after), status=200).json()
            self.assertEqual(value["total"], 450)
            found.append([int(r["id"]) for r in value["results"]])
            after = value.get("paging", {}).get("next", {}).get("after")
        self.assertEqual([len(page) for page in found], [200, 200, 50])
        self.assertEqual(sum(found, []), list(range(1, 451)))

    def test_most_results(self):
        self.control("POST", "/records", {"type": "deals", "generate": {
            "count": 10300, "properties": {}}})
        value = self.api("POST", SEARCH % "deals", query(after="9800"),
                         status=200).json()
        self.assertEqual((value["total"], value["paging"]["next"]["after"]),
                         (10300, "10000"))
        for after in ("9801", "10000"):
            self.api("POST", SEARCH % "deals", query(after=after), status=400)

    def test_bodies(self):
        good = filters(("domain", "EQ", "a"))
        item = good["filters"][0]
        cases = [{key: value for key, value in query(good).items()
                  if key != left} for left in query()]
        cases += [query(good, **change) for change in (
            {"query": "a"}, {"x": 1}, {"limit": 201}, {"limit": 0},
            {"limit": "200"}, {"after": 0}, {"after": "x"}, {"after": ""},
            {"sorts": ["name", "domain"]}, {"sorts": [{"x": 1}]},
            {"sorts": ["emial"]}, {"properties": ["emial"]},
            {"filterGroups": [{}]}, {"filterGroups": [{"filters": []}]},
            {"filterGroups": [good] * 6},
            {"filterGroups": [{"filters": [item] * 7}]},
            {"filterGroups": [{"filters": [item] * 5}] * 4})]
        cases += [query({"filters": [change]}) for change in (
            {"propertyName": "domain", "operator": "EQ"},
            {"propertyName": "domain", "operator": "IN", "value": "a"},
            {**item, "values": ["a"]}, {**item, "value": ""},
            {**item, "operator": "LIKE"}, {**item, "operator": "GT"},
            {**item, "propertyName": "emial"},
            {**item, "propertyName": "createdate"})]
        cases += [query(filters(("domain", "IN", values))) for values in (
            [], [1], ["%d.org" % n for n in range(101)])]
        self.assert_refused([("body", "POST", SEARCH % "companies", body, 400)
                             for body in cases])
        self.search(filters(("domain", "IN", ["%d.org" % n
                                              for n in range(100)])))

    def test_scopes(self):
        self.control("POST", "/accounts", {"token": "narrow", "scopes": []})
        self.api("POST", SEARCH % "contacts", query(), token="narrow",
                 status=403)

    def test_log(self):
        self.search(filters(("domain", "IN", ["a", "b"])),
                    filters(("name", "EQ", "c")))
        self.rule({"status": 503}, id="b")
        self.api("POST", SEARCH % "companies", query(filters((
            "domain", "IN", ["a", "b"]))), status=503)
        self.search(filters(("domain", "IN", ["a"])))
        self.assertEqual(self.control("GET", "/stats")["operations"], {
            "search_records": {"requests": 2, "inputs": 4}})


class LagTest(SimulatorTest):
    """What a search does not see yet."""

    def put(self, record_id, **properties):
        self.control("POST", "/records", {"type": "contacts", "records": [
            {"id": record_id, "properties": properties}]})

    def found(self, email):
        return [r["id"] for r in self.api(
            "POST", SEARCH % "contacts", query(filters((
                "email", "EQ", email)))).json()["results"]]

    def read(self, email):
        return [r["id"] for r in self.api(
            "POST", "/crm/objects/2026-03/contacts/batch/read", {
                "idProperty": "email", "properties": [],
                "propertiesWithHistory": [], "inputs": [{"id": email}]}
        ).json()["results"]]

    def wait(self, email, expected):
        end = time.monotonic() + 10
        while self.found(email) != expected:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def test_lag(self):
        """A batch read sees at once what a search sees later, in order."""
        self.put("1", email="old@x.org")
        self.settings(search_lag_ms=600000)
        self.put("1", email="new@x.org")
        self.put("2", email="two@x.org")
        self.assertEqual((self.read("new@x.org"), self.read("old@x.org"),
                          self.read("two@x.org")), (["1"], [], ["2"]))
        self.assertEqual((self.found("new@x.org"), self.found("old@x.org"),
                          self.found("two@x.org")), ([], ["1"], []))
        self.settings(search_lag_ms=0)
        self.put("1", email="newest@x.org")
        self.assertEqual(self.found("newest@x.org"), [])

    def test_end(self):
        self.settings(search_lag_ms=100)
        self.put("1", email="one@x.org")
        self.wait("one@x.org", ["1"])
        self.put("1", email="other@x.org")
        self.wait("other@x.org", ["1"])
        self.assertEqual(self.found("one@x.org"), [])
        self.control("DELETE", "/records?type=contacts&id=1")
        self.assertEqual(self.read("other@x.org"), [])
        self.wait("other@x.org", [])


class SearchLimitTest(SimulatorTest):
    """The limit of searches, beside the other one."""

    def test_limit(self):
        self.settings(search_rate_limit={"interval_ms": 600000},
                      rate_limit={"max": 100})
        answers = [self.api("POST", SEARCH % "contacts", query())
                   for _ in range(7)]
        self.assertEqual([a.status for a in answers], [200] * 5 + [429] * 2)
        value = answers[-1].json()
        self.assertEqual((value["policyName"], value["errorType"]),
                         ("SECONDLY", "RATE_LIMIT"))
        for answer in answers:
            self.assertFalse([name for name in answer.headers
                              if "ratelimit" in name.lower()])
        other = self.api("GET", "/crm/properties/2026-03/contacts",
                         status=200)
        self.assertEqual(other.headers["X-HubSpot-RateLimit-Remaining"], "92")
        self.settings(search_rate_limit={"max": 1, "interval_ms": 600000,
                                         "retry_after": 3})
        self.api("POST", SEARCH % "contacts", query(), status=200)
        answer = self.api("POST", SEARCH % "contacts", query(), status=429)
        self.assertEqual(answer.headers["Retry-After"], "3")
        self.settings(search_rate_limit=None)
        self.api("POST", SEARCH % "contacts", query(), status=200)
