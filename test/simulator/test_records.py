"""
test_records: tests of what records there are, and which have become others
"""

import time

from .harness import C2C, PLAIN, inputs, spec
from .test_record_reads import PEOPLE, READ, RecordsTest, asked


class PutTest(RecordsTest):
    """What can be put, and is held."""

    def held(self, kind="contacts", query=""):
        value = self.control("GET", "/records?type=%s%s" % (kind, query))
        self.assertEqual(value["count"], len(value["records"]))
        return {r["id"]: r["properties"] for r in value["records"]}

    def put(self, record_id, status=200, **properties):
        return self.control("POST", "/records", {
            "type": "contacts", "records": [
                {"id": record_id, "properties": properties}]}, status)

    def test_values(self):
        self.put("102", firstname="Bob", email="Robert@x.org", phone=None)
        self.put("101", firstname="", hs_additional_emails=None)
        self.assertEqual(self.held(), {
            "101": {"email": "ann@example.com"},
            "102": {"email": "robert@x.org", "firstname": "Bob"},
            "103": {"firstname": "Cid"}})
        self.assertEqual(self.read("ann@x.org", "bob@example.com", by="email",
                                   status=207)[0], {})

    def test_refused(self):
        before = self.held()
        for record_id, properties in (
                ("x", {}), ("0", {}), ("101", {"emial": "x"}),
                ("101", {"hs_object_id": "7"}), ("101", {"email": 7}),
                ("102", {"email": "ANN@example.com"}),
                ("102", {"hs_additional_emails": "b@x.org;ann@x.org"}),
                ("102", {"hs_additional_emails": "ann@example.com"}),
                ("104", {"email": "Ann@x.org"})):
            self.put(record_id, 400, **properties)
        self.control("POST", "/records", {"type": "deals", "records": [
            {"id": "1", "properties": {"amount": "much"}}]}, 400)
        self.assertEqual(self.held(), before)
        self.put("104", email="bob@x.org")
        self.put("104", email="rob@x.org")
        self.put("102", email="bob@x.org")

    def test_delete(self):
        self.put_pair("101", "9001")
        self.control("DELETE", "/records?type=contacts&id=101")
        self.assertEqual(set(self.held()), {"102", "103"})
        self.assertEqual(self.stored(), {})
        self.control("DELETE", "/records?type=contacts&id=101", status=400)
        self.put("105", email="ann@example.com")
        self.control("DELETE", "/records?type=0-1")
        self.assertEqual(self.held(), {})

    def put_pair(self, source, target):
        self.control("POST", "/associations", {
            "from_type": "contacts", "to_type": "companies",
            "pairs": [[source, target]]})

    def test_many(self):
        """100,000 contacts and 20,000 companies are there soon."""
        start = time.monotonic()
        self.assertEqual(self.control("POST", "/records", {
            "type": "contacts", "generate": {
                "count": 100000, "first_id": 1000000,
                "properties": {"email": "Contact{n}@example.com"}}}),
            {"count": 100003})
        self.control("POST", "/records", {"type": "companies", "records": [
            {"id": str(n + 1), "properties": {"domain": "c%d.org" % n}}
            for n in range(20000)]})
        self.assertLess(time.monotonic() - start, 30)
        found, missing = self.read(
            "contact1@example.com", "contact100000@example.com",
            "contact100001@example.com", by="email", status=207)
        self.assertEqual((found, missing), ({
            "1000000": "contact1@example.com",
            "1099999": "contact100000@example.com"},
            ["contact100001@example.com"]))


class MergeTest(RecordsTest):
    """Three ways in which two records become one."""

    def merge(self, old_id, into_id, variant="survivor", status=200, **more):
        return self.control("POST", "/records/merge", {
            "type": "contacts", "id": old_id, "into": into_id,
            "variant": variant, **more}, status).get("id")

    def properties(self, record_id):
        result, = self.api("POST", READ, asked(record_id, properties=[
            "email", "hs_additional_emails", "hs_merged_object_ids",
            "firstname"]), status=200).json()["results"]
        return result["id"], [
            result["properties"][name] for name in (
                "email", "hs_additional_emails", "hs_merged_object_ids",
                "firstname")]

    def search(self, name, operator, value):
        return [r["id"] for r in self.api(
            "POST", "/crm/objects/2026-03/contacts/search", {
                "filterGroups": [{"filters": [{
                    "propertyName": name, "operator": operator,
                    "value": value}]}],
                "properties": [], "sorts": [], "limit": 10, "after": "0"},
            status=200).json()["results"]]

    def test_survivor(self):
        self.assertEqual(self.merge("101", "102"), "102")
        expected = ("102", ["bob@example.com",
                            "a@x.org;ann@x.org;ann@example.com", "101", "Ann"])
        self.assertEqual(self.properties("101"), expected)
        self.assertEqual(self.properties("102"), expected)
        self.assertEqual(self.read("101", "102"),
                         ({"102": "bob@example.com"}, []))
        self.assertEqual(self.read("ann@example.com", by="email"),
                         ({"102": "bob@example.com"}, []))
        self.assertEqual(self.search("hs_merged_object_ids", "CONTAINS_TOKEN",
                                     "101"), ["102"])
        self.assertEqual(self.search("email", "EQ", "ann@example.com"), [])
        self.assertEqual(self.merge("102", "103"), "103")
        self.assertEqual(self.properties("101")[1][2:], ["101;102", "Cid"])

    def test_new(self):
        self.assertEqual(self.merge("101", "102", "new", new_id="900"), "900")
        for record_id in ("101", "102", "900"):
            self.assertEqual(self.properties(record_id), (
                "900", ["bob@example.com", "a@x.org;ann@x.org;ann@example.com",
                        "102;101", "Ann"]))
        self.assertEqual(self.merge("900", "103", "new"), "901")
        self.assertEqual(self.properties("101")[0], "901")
        self.assertEqual(self.control("GET", "/records?type=contacts")[
            "merged"], {"101": "901", "102": "901", "900": "901",
                        "103": "901"})

    def test_vanished(self):
        self.assertEqual(self.merge("101", "102", "vanished"), "102")
        self.assertEqual(self.read("101", status=207), ({}, ["101"]))
        self.assertEqual(self.properties("102")[1][2], "101")
        self.assertEqual(self.search("hs_merged_object_ids", "EQ", "101"),
                         ["102"])

    def test_deleted(self):
        """Nothing answers for what went into a record that is gone."""
        self.merge("101", "102")
        self.control("DELETE", "/records?type=contacts&id=102")
        self.assertEqual(self.read("101", status=207), ({}, ["101"]))
        self.settings(check_records=True)
        self.assertEqual(self.put("101", status=400).json()["context"][
            "objectId"], ["101"])

    def test_refused(self):
        self.merge("101", "101", status=400)
        self.merge("101", "7", status=400)
        self.merge("101", "102", "other", status=400)
        self.merge("101", "102", "new", status=400, new_id="103")
        self.merge("101", "102")
        self.merge("101", "103", status=400)
        self.control("POST", "/records", {"type": "contacts", "records": [
            {"id": "101"}]}, 400)

    def test_associations(self):
        """The record that stays has those of both."""
        path = "/crm/v4/associations/contacts/%s/batch/create"
        self.api("POST", path % "companies", inputs(
            [("101", "1"), ("102", "1"), ("101", "2")], [spec(279)]),
            status=201)
        self.api("POST", path % "companies", inputs(
            [("101", "1")], [spec(1)]), status=201)
        self.api("POST", path % "contacts", inputs(
            [("101", "102"), ("103", "101")], [spec(449)]), status=201)
        self.merge("101", "102")
        self.assertEqual(self.stored(), {
            ("102", "1"): [("HUBSPOT_DEFINED", 1, "Primary"), PLAIN],
            ("102", "2"): [PLAIN]})
        self.assertEqual(set(self.stored("contacts", "contacts")),
                         {("103", "102"), ("102", "103")})


class CheckTest(RecordsTest):
    """Associations of records that are there, and of no others."""

    def setUp(self):
        super().setUp()
        self.settings(check_records=True, bad_batch="whole")

    def again(self):
        """The same records in a new account."""
        self.control("POST", "/reset", {})
        self.control("POST", "/records", {"type": "contacts",
                                          "records": PEOPLE})
        self.settings(check_records=True, bad_batch="whole")

    def create(self, *sources, status=201):
        return self.api("POST", "/crm/v4/associations/%s/batch/create" % C2C,
                        inputs([(s, "1") for s in sources], [spec(279)]),
                        status=status).json()

    def test_unknown(self):
        context = self.create("101", "7", status=400)["context"]
        self.assertEqual(context, {
            "INVALID_OBJECT_IDS": ["CONTACT=7 is not valid"],
            "objectId": ["7"], "objectType": ["CONTACT"]})
        self.put("7", status=400)
        self.assertEqual(self.stored(), {})
        self.create("101")
        self.put("102", status=200)
        self.assertEqual(set(self.stored()), {("101", "1"), ("102", "9001")})
        self.settings(check_records=False)
        self.create("7")
        self.assertIn(("7", "1"), self.stored())

    def test_deleted(self):
        self.control("DELETE", "/records?type=contacts&id=101")
        self.create("101", status=400)

    def test_merged(self):
        for variant in ("survivor", "new", "vanished"):
            with self.subTest(variant=variant):
                self.check_merged(variant)

    def check_merged(self, variant):
        self.again()
        kept = self.control("POST", "/records/merge", {
            "type": "contacts", "id": "101", "into": "102",
            "variant": variant})["id"]
        if variant == "vanished":
            self.assertEqual(self.create("101", status=400)["context"][
                "objectId"], ["101"])
            self.put("101", "1", status=400)
            self.assertEqual(self.stored(), {})
            return
        self.assertEqual([r["fromObjectId"] for r in self.create(
            "101", "103")["results"]], [kept, "103"])
        self.put("101", "2", status=200)
        self.api("PUT", "/crm/v4/objects/contacts/101/associations/"
                 "companies/3", [spec(279)], status=201)
        self.assertEqual(set(self.stored()), {
            (kept, "1"), ("103", "1"), (kept, "2"), (kept, "3")})
