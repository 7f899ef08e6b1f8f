"""
test_record_reads: tests of reads of records and of properties
"""

import re

from .harness import SimulatorTest, VersionsTest

READ = "/crm/objects/2026-03/contacts/batch/read?archived=false"
PEOPLE = [
    {"id": "101", "properties": {"email": "Ann@Example.com",
                                 "firstname": "Ann",
                                 "hs_additional_emails": "a@x.org;ann@x.org"}},
    {"id": "102", "properties": {"email": "bob@example.com"}},
    {"id": "103", "properties": {"firstname": "Cid"}},
]


def asked(*keys, by=None, properties=("email",)):
    """The body of a batch read."""
    body = {"properties": list(properties), "propertiesWithHistory": [],
            "inputs": [{"id": key} for key in keys]}
    return body if by is None else {"idProperty": by, **body}


class RecordsTest(SimulatorTest):
    """A test with a few contacts."""

    def setUp(self):
        super().setUp()
        self.control("POST", "/records", {"type": "contacts",
                                          "records": PEOPLE})

    def read(self, *keys, status=200, path=READ, token="test-token", **more):
        """A batch read; {id: e-mail}, and the keys that are missing."""
        value = self.api("POST", path, asked(*keys, **more), status=status,
                         token=token).json()
        if status >= 400:
            return value
        errors = value.get("errors", [])
        self.assertEqual(value.get("numErrors", 0), len(errors))
        return ({result["id"]: result["properties"]["email"]
                 for result in value["results"]},
                [key for e in errors for key in e["context"]["ids"]])


class ReadTest(RecordsTest):
    """What a batch read finds, and says of what it does not find."""

    def test_result(self):
        result, = self.api("POST", READ, asked(
            "103", properties=["firstname", "phone"]),
            status=200).json()["results"]
        times = (result["createdAt"], result["updatedAt"])
        self.assertRegex(times[0], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(result, {
            "id": "103", "archived": False, "createdAt": times[0],
            "updatedAt": times[1], "properties": {
                "firstname": "Cid", "phone": None, "hs_object_id": "103",
                "createdate": times[0], "lastmodifieddate": times[1]}})
        self.control("POST", "/records", {"type": "companies", "records": [
            {"id": "7", "properties": {"name": "Acme"}}]})
        result, = self.api("POST", READ.replace("contacts", "0-2"), asked(
            "7", properties=[]), status=200).json()["results"]
        self.assertEqual(list(result["properties"]), [
            "domain", "name", "hs_object_id", "createdate",
            "hs_lastmodifieddate"])

    def test_keys(self):
        found = {"101": "ann@example.com", "102": "bob@example.com"}
        self.assertEqual(self.read("101", "102"), (found, []))
        self.assertEqual(self.read("BOB@example.com", "ann@example.com",
                                   by="email"), (found, []))
        self.assertEqual(self.read("101", path=READ.replace("false", "true"),
                                   status=207), ({}, ["101"]))

    def test_order(self):
        """It is any, but the same in each process."""
        self.control("POST", "/records", {"type": "contacts", "generate": {
            "first_id": 1000, "count": 50, "properties": {}}})
        keys = [str(1000 + n) for n in range(50)]
        found = list(self.read(*keys)[0])
        self.assertNotEqual(found, keys)
        self.assertEqual(sorted(found), keys)

    def test_missing_keys(self):
        keys = ("Nobody@x.org", "ann@example.com", "no@x.org")
        found = {"101": "ann@example.com"}
        for mode, status, expected in (
                ("named", 207, (found, [keys[0], keys[2]])),
                ("empties", 207, ({}, [keys[0], keys[2]])),
                ("silent", 200, (found, []))):
            self.settings(missing_keys=mode)
            self.assertEqual(self.read(*keys, by="email", status=status),
                             expected, mode)
            self.assertEqual(self.read(keys[1], by="email"), (found, []))
        self.settings(missing_keys="named")
        error, = self.api("POST", READ, asked("7"), status=207).json()[
            "errors"]
        self.assertEqual((error["category"], error["message"]), (
            "OBJECT_NOT_FOUND", "Could not get some CONTACT objects, they may "
            "be deleted or not exist. Check that ids are valid."))

    def test_secondary_emails(self):
        key = "ANN@x.org"
        found = {"101": "ann@example.com"}
        self.assertEqual(self.read(key, by="email"), (found, []))
        self.assertEqual(self.read(key, "ann@example.com", by="email"),
                         (found, []))
        self.settings(secondary_emails="missing")
        self.assertEqual(self.read(key, by="email", status=207), ({}, [key]))

    def test_own_property(self):
        self.control("POST", "/properties", {
            "type": "contacts", "name": "erp", "unique": True})
        self.control("POST", "/records", {"type": "contacts", "records": [
            {"id": "102", "properties": {"erp": "B-7"}}]})
        self.assertEqual(self.read("B-7", by="erp")[1], [])
        self.assertEqual(self.read("b-7", "B-8", by="erp", status=207)[1],
                         ["b-7", "B-8"])
        self.settings(key_case="any")
        self.assertEqual(self.read("b-7", "B-7", by="erp"),
                         ({"102": "bob@example.com"}, []))

    def test_bad_properties(self):
        value = self.read("x", by="emial", status=400)
        self.assertIn("\"emial\" does not exist", value["message"])
        self.assertEqual(value["errors"][0]["code"], "PROPERTY_DOESNT_EXIST")
        self.read("101", properties=["email", "emial"], status=400)
        self.settings(unknown_properties="ignored")
        self.assertEqual(self.read("101", properties=["email", "emial"])[1],
                         [])
        self.read("x", by="emial", status=400)

    def test_not_unique(self):
        for words, pattern in (
                ("write", "^Unable to perform .* by non-unique 0-1 property "
                 "firstname$"), ("read", "by non-unique 0-1 property first"),
                ("context", "^idProperty is"), ("plain", "^There was a")):
            self.settings(not_unique=words)
            value = self.read("Ann", by="firstname", status=400)
            self.assertRegex(value["message"], pattern)
            self.assertEqual(value["category"], "VALIDATION_ERROR")
            self.assertEqual("context" in value, words == "context")
        self.read("101", by="hs_object_id", status=400)

    def test_bodies(self):
        good = asked("1")
        cases = [{k: v for k, v in good.items() if k != key} for key in good]
        cases += [{**good, **change} for change in (
            {"x": 1}, {"idProperty": None}, {"idProperty": ""},
            {"properties": [1]}, {"properties": ["email", "email"]},
            {"propertiesWithHistory": ["email"]}, {"inputs": []},
            {"inputs": [{"id": 1}]}, {"inputs": [{"id": "1", "x": 1}]},
            {"inputs": [{"id": "1"}, {"id": "1"}]}, {"inputs": [{"id": "x"}]},
            {"inputs": [{"id": str(n + 1)} for n in range(101)]})]
        cases.append(asked("a@x.org", "A@x.org", by="email"))
        self.assert_refused([("body", "POST", READ, body, 400)
                             for body in cases])
        path = READ.partition("?")[0]
        self.assert_refused([("query", "POST", path + query, good, 400)
                             for query in ("?archived=", "?archived=no",
                                           "?archived=false&archived=false",
                                           "?limit=1")])
        self.read(*(str(n + 1) for n in range(100)), path=path, status=207)

    def test_scopes(self):
        self.control("POST", "/accounts", {
            "token": "narrow", "scopes": ["crm.objects.contacts.write"]})
        for method, path, body in (
                ("POST", READ, asked("1")),
                ("GET", "/crm/properties/2026-03/contacts", None)):
            value = self.api(method, path, body, token="narrow",
                             status=403).json()
            self.assertEqual(value["category"], "MISSING_SCOPES")
            self.assertEqual(
                value["errors"][0]["context"]["requiredGranularScopes"],
                ["crm.objects.contacts.read"])

    def test_id_form(self):
        self.settings(id_form="number")
        self.assertEqual(set(self.read("101", "102")[0]), {101, 102})

    def test_accounts(self):
        """Each has records of its own."""
        self.control("POST", "/accounts", {"token": "other"})
        self.assertEqual(self.read("101", token="other", status=207),
                         ({}, ["101"]))

    def test_log(self):
        """Reads, those that rules prevent among them, can be told apart."""
        self.read("101")
        self.rule({"status": 503}, id="Ann@Example.com")
        self.read("Ann@Example.com", by="email", status=503)
        self.read("bob@example.com", "a@x.org", by="email")
        self.assertEqual([(e["operation"], e["inputs"], e["status"])
                          for e in self.log()], [
            ("read_records", 1, 200), (None, 1, 503),
            ("read_records", 2, 200)])
        self.assertEqual(self.control(
            "GET", "/log/count?operation=read_records")["count"], 2)
        self.assertEqual(self.control("GET", "/stats")["operations"], {
            "read_records": {"requests": 2, "inputs": 3}})

    def test_rules(self):
        """What a rule changes are results of records."""
        for change, expected in (
                ("drop:2", 1), ("double", 4), ("empty", 0), ("numbers", 2),
                ("foreign", 4), ("others", 2)):
            self.control("DELETE", "/rules")
            self.rule({"results": [change]})
            results = self.api("POST", READ, asked("101", "102"),
                               status=200).json()["results"]
            self.assertEqual(len(results), expected, change)
            for result in results:
                email = result["properties"]["email"]
                self.assertEqual(type(result["id"]) is int,
                                 change == "numbers")
                self.assertEqual(str(result["id"]).startswith("77700"),
                                 email.startswith("77700"))
        self.assertEqual({r["properties"]["hs_object_id"] for r in results},
                         {"77700101", "77700102"})


class RecordVersionsTest(VersionsTest):
    """The same in each version, whose names have v3 in place of v4."""

    def test_versions(self):
        for version in self.each_version():
            self.control("POST", "/records", {"type": "contacts",
                                              "records": PEOPLE})
            path = self.records(version, "contacts/batch/read?archived=false")
            found = self.api("POST", path, asked("102"), status=200).json()
            self.assertEqual(found["results"][0]["id"], "102")
            for name in ("contacts", "contacts/email"):
                self.api("GET", self.records(version, name, "properties"),
                         status=200)
            self.api("POST", self.records(version, "contacts/search"), {
                "filterGroups": [], "properties": [], "sorts": [],
                "limit": 1, "after": "0"}, status=200)
        self.api("POST", "/crm/v4/objects/contacts/batch/read", asked("1"),
                 status=404)
        self.api("POST", "/crm/v4/objects/contacts/search", {}, status=404)
        self.api("GET", "/crm/v4/properties/contacts", status=404)
        self.api("GET", READ.partition("?")[0], status=405)


class PropertyTest(SimulatorTest):
    """The definitions of properties."""

    PATH = "/crm/properties/2026-03/"

    def names(self, kind):
        results = self.api("GET", self.PATH + kind, status=200).json()[
            "results"]
        return {d["name"]: d["hasUniqueValue"] for d in results}

    def test_standard(self):
        unique = {(kind, name) for kind in (
            "contacts", "companies", "deals", "tickets", "products",
            "line_items", "2-7") for name, value in self.names(kind).items()
            if value}
        self.assertEqual(unique, {
            ("contacts", "email"), ("tickets", "hs_external_object_ids"),
            ("products", "hs_sku"), ("line_items", "hs_external_id")})
        self.assertIn("domain", self.names("companies"))
        self.assertEqual(set(self.names("2-7")), {
            "hs_object_id", "hs_merged_object_ids", "hs_createdate",
            "hs_lastmodifieddate"})

    def test_entry(self):
        entry = self.api("GET", self.PATH + "contacts/email",
                         status=200).json()
        self.assertEqual(
            {key: entry[key] for key in ("name", "label", "type", "fieldType",
                                         "hasUniqueValue", "options")},
            {"name": "email", "label": "Email", "type": "string",
             "fieldType": "text", "hasUniqueValue": True, "options": []})
        value = self.api("GET", self.PATH + "contacts/emial",
                         status=404).json()
        self.assertEqual(value["category"], "OBJECT_NOT_FOUND")
        self.api("GET", self.PATH + "contacts/email?archived=true",
                 status=404)
        self.assertEqual(self.api(
            "GET", self.PATH + "contacts?archived=true").json(),
            {"results": []})
        self.api("GET", self.PATH + "widgets", status=400)

    def test_own(self):
        for wrong in ({"name": "Erp"}, {"name": "dealname"}, {"name": "hs-x"},
                      {"name": "erp", "kind": "money"}, {"name": ""}):
            self.control("POST", "/properties", {"type": "deals", **wrong},
                         400)
        self.control("POST", "/properties", {
            "type": "deals", "name": "erp", "unique": True,
            "has_unique_value": False, "label": "Number"})
        self.assertIs(self.names("deals")["erp"], False)
        for n in range(9):
            self.control("POST", "/properties", {
                "type": "deals", "name": "key%d" % n, "unique": True})
        self.control("POST", "/properties", {
            "type": "deals", "name": "key9", "unique": True}, 400)
        self.control("DELETE", "/properties?type=deals&name=erp")
        self.assertNotIn("erp", self.names("deals"))
        self.control("DELETE", "/properties?type=deals&name=dealname",
                     status=400)
        self.control("POST", "/reset", {})
        self.assertFalse([name for name in self.names("deals")
                          if re.fullmatch("key.", name)])
