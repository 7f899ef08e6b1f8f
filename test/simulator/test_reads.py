"""
test_reads: tests of the reads, and of bad inputs in their batches
"""

import urllib.parse

from .harness import BATCH, C2C, BadBatchTest, VersionsTest


class ReadTest(VersionsTest):
    """What a read gives, in each version of the API."""

    def test_list_pages(self):
        for version in self.each_version():
            self.control("POST", "/associations", {
                "from_type": "contacts", "to_type": "companies",
                "generate": {"first_from": 7, "count": 1, "per_from": 1203,
                             "first_to": 1}})
            path = self.objects(version, "contact/7/associations/company")
            seen, after, pages = [], None, 0
            while True:
                query = "" if after is None else "?" + urllib.parse.urlencode(
                    {"limit": 500, "after": after})
                answer = self.api("GET", path + query, status=200).json()
                pages += 1
                seen += [item["toObjectId"] for item in answer["results"]]
                if "paging" not in answer:
                    break
                after = answer["paging"]["next"]["after"]
                self.assertIn("+", after)
                self.assertIn(urllib.parse.quote(after, safe=""),
                              answer["paging"]["next"]["link"])
            self.assertEqual(pages, 3)
            self.assertEqual(seen, [str(n) for n in range(1, 1204)])
            self.assertEqual(answer["results"][0]["associationTypes"], [
                {"category": "HUBSPOT_DEFINED", "typeId": 279,
                 "label": None}])
            short = self.api("GET", path + "?limit=2", status=200).json()
            self.assertEqual(len(short["results"]), 2)
            empty = self.api("GET", self.objects(
                version, "contact/8/associations/company"), status=200)
            self.assertEqual(empty.json(), {"results": []})

    def test_batch_read(self):
        for version in self.each_version():
            self.control("POST", "/associations", {
                "from_type": "deals", "to_type": "contacts",
                "generate": {"first_from": 1, "count": 3, "per_from": 5,
                             "first_to": 11}})
            self.settings(page_size=2)
            path = self.associations(version, "deals/contacts/batch/read")
            answer = self.api("POST", path, {"inputs": [
                {"id": "1"}, {"id": "3"}, {"id": "x"}, {"id": "515"}]},
                status=207).json()
            self.assertEqual(
                [(r["from"]["id"], [t["toObjectId"] for t in r["to"]])
                 for r in answer["results"]],
                [("1", ["11", "12"]), ("3", ["21", "22"])])
            self.assertEqual(answer["numErrors"], 2)
            wrong, empty = answer["errors"]
            self.assertEqual(empty["category"], "OBJECT_NOT_FOUND")
            self.assertEqual(empty["subCategory"],
                             "crm.associations.NO_ASSOCIATIONS_FOUND")
            self.assertEqual(empty["context"], {
                "fromObjectId": ["515"], "fromObjectType": ["deal"],
                "toObjectType": ["contact"]})
            self.assertEqual(wrong["subCategory"],
                             "crm.associations.INVALID_IDENTIFIER")
            self.read_on(path, answer["results"][1])

    def read_on(self, path, result):
        """Follows one input's pages to their end."""
        seen = [t["toObjectId"] for t in result["to"]]
        while "paging" in result:
            answer = self.api("POST", path, {"inputs": [
                {"id": "3", "after": result["paging"]["next"]["after"]}]},
                status=200).json()
            result, = answer["results"]
            seen += [t["toObjectId"] for t in result["to"]]
        self.assertEqual(seen, ["21", "22", "23", "24", "25"])

    def test_batch_read_mixes_pages(self):
        """Each input has a place of its own, whatever stands beside it."""
        for version in self.each_version():
            self.control("POST", "/associations", {
                "from_type": "contacts", "to_type": "companies", "generate": {
                    "first_from": 1, "count": 4, "per_from": 7,
                    "first_to": 11}})
            self.settings(page_size=3)
            path = self.associations(version, C2C + "/batch/read")
            seen, todo = {}, [{"id": "1"}, {"id": "3"}]
            new, requests = [{"id": "2"}, {"id": "4"}], 0
            while todo:
                results = self.api("POST", path, {"inputs": todo},
                                   status=200).json()["results"]
                requests += 1
                todo, new = new, []
                for result in results:
                    source = result["from"]["id"]
                    seen.setdefault(source, []).extend(
                        t["toObjectId"] for t in result["to"])
                    if "paging" in result:
                        todo.append({"id": source, "after": result["paging"][
                            "next"]["after"]})
            self.assertEqual(requests, 4)
            self.assertEqual(seen, {
                str(n): [str(7 * n + 4 + i) for i in range(7)]
                for n in range(1, 5)})


class BadReadTest(BadBatchTest):
    """The ways in which a batch read with bad inputs is answered."""

    def setUp(self):
        super().setUp()
        self.control("POST", "/associations", {
            "from_type": "contacts", "to_type": "companies",
            "pairs": [["1", "11"], ["2", "12"], ["383", "13"]]})
        self.control("POST", "/objects", {"type": "contacts",
                                          "missing": ["383"]})

    def send(self, *ids, **settings):
        self.settings(**settings)
        return self.api("POST", BATCH + "read", {
            "inputs": [{"id": i} for i in ids or ("1", "x", "2")]})

    def froms(self, value):
        return [result["from"]["id"] for result in value["results"]]

    def test_partial(self):
        for mode, status in (("partial", 207), ("partial200", 200)):
            answer = self.send(bad_batch=mode)
            value = answer.json()
            self.assertEqual((answer.status, value["status"],
                              self.froms(value), value["numErrors"]),
                             (status, "COMPLETE", ["1", "2"], 1))
            self.assertEqual(value["errors"], [{
                "status": "error", "category": "VALIDATION_ERROR",
                "subCategory": "crm.associations.INVALID_IDENTIFIER",
                "message": '"x" is not a record id', "context": {
                    "fromObjectId": ["x"], "fromObjectType": ["contact"],
                    "toObjectType": ["company"]}, "errors": [], "links": {}}])

    def test_refused(self):
        self.assert_whole("x")
        self.assert_canceled()

    def test_silent(self):
        answer = self.send(bad_batch="silent")
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.froms(answer.json()), ["1", "2"])
        self.assertNotIn("errors", answer.json())

    def test_nothing_is_no_bad_input(self):
        """Neither is a record that is missing: it has no associations."""
        for mode in ("partial", "whole", "unnamed", "canceled", "silent"):
            answer = self.send("1", "383", "515", bad_batch=mode)
            self.assertEqual(answer.status, 207)
            value = answer.json()
            self.assertEqual(self.froms(value), ["1"])
            self.assertEqual(
                [(e["category"], e["subCategory"], e["context"])
                 for e in value["errors"]],
                [("OBJECT_NOT_FOUND",
                  "crm.associations.NO_ASSOCIATIONS_FOUND",
                  {"fromObjectId": [i], "fromObjectType": ["contact"],
                   "toObjectType": ["company"]}) for i in ("383", "515")])

    def test_contexts(self):
        for form, expected in (
                ("pair", {"fromObjectId": ["x"]}),
                ("from", {"fromObjectId": ["x"]}), ("to", {}),
                ("objectId", {"objectId": ["x"], "objectType": ["CONTACT"]}),
                ("ids", {"ids": ["x"]}), ("id", {"id": ["x"]}),
                ("INVALID_OBJECT_IDS",
                 {"INVALID_OBJECT_IDS": ["CONTACT=x is not valid"]}),
                ("string", "{fromObjectId=[x]}"), ("none", None)):
            with self.subTest(form=form):
                error, = self.send(context=form,
                                   bad_batch="partial").json()["errors"]
                self.assertEqual(error.get("context"), expected)
                value = self.send(bad_batch="whole").json()
                self.assertEqual(value.get("context"), expected)
