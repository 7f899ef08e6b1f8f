"""
test_removals: tests of the removals, and of bad inputs in their batches
"""

from .harness import (BATCH, C2C, PLAIN, SimulatorTest, VersionsTest, inputs,
                      spec)


class RemovalTest(VersionsTest):
    """What a removal does, in each version of the API."""

    def test_archive(self):
        for version in self.each_version():
            self.put()
            self.put("101", "9002")
            path = self.objects(
                version, "contacts/101/associations/companies/9001")
            self.assertEqual(self.api("DELETE", path, status=204).raw, b"")
            self.assertEqual(set(self.stored()), {("101", "9002")})
            self.assertEqual(set(self.stored("companies", "contacts")),
                             {("9002", "101")})
            self.api("DELETE", path, status=204)
            self.settings(archive_missing=404)
            self.api("DELETE", path, status=404)
            self.settings(archive_missing=204, archive_status=200)
            self.assertEqual(self.api("DELETE", path, status=200).json()[
                "status"], "COMPLETE")

    def test_batch_archive(self):
        for version in self.each_version():
            self.batch([("1", "11"), ("1", "12"), ("2", "11"), ("3", "13")])
            path = self.associations(version, C2C + "/batch/archive")
            self.archived(version, self.api("POST", path, {"inputs": [
                {"from": {"id": "1"}, "to": [{"id": "11"}, {"id": "12"}]},
                {"from": {"id": "2"}, "to": [{"id": "11"}]}]}))
            self.assertEqual(set(self.stored()), {("3", "13")})
            self.assertEqual(set(self.stored("0-2", "0-1")), {("13", "3")})

    def test_batch_archive_labels(self):
        for version in self.each_version():
            self.batch([("1", "11")], [spec(279), spec(1)])
            path = self.associations(version, C2C + "/batch/labels/archive")
            self.archived(version, self.api(
                "POST", path, inputs([("1", "11")], [spec(1)])))
            self.assertEqual(self.stored(), {("1", "11"): [PLAIN]})
            self.archived(version, self.api(
                "POST", path, inputs([("1", "11")], [spec(279)])))
            self.assertEqual(self.stored(), {})

    def archived(self, version, answer):
        if version == "v4":
            self.assertEqual((answer.status, answer.raw), (204, b""))
        else:
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.json()["status"], "COMPLETE")


class BadRemovalTest(SimulatorTest):
    """The ways in which a batch removal with bad inputs is answered."""

    PAIRS = [("1", "11"), ("383", "12"), ("2", "x"), ("3", "13")]
    # which of them are there, and can go
    GOOD = [("1", "11"), ("3", "13")]

    def each_removal(self):
        for labels in (False, True):
            self.control("POST", "/reset", {})
            self.control("POST", "/objects", {"type": "contacts",
                                              "missing": ["383"]})
            with self.subTest(labels=labels):
                yield labels

    def send(self, labels, pairs=None, **settings):
        """What is left of the good pairs, and the answer."""
        self.control("DELETE", "/associations")
        self.control("POST", "/associations", {
            "from_type": "contacts", "to_type": "companies",
            "pairs": self.GOOD})
        self.settings(**settings)
        pairs = pairs or self.PAIRS
        if labels:
            body = inputs(pairs, [spec(279)])
        else:
            body = {"inputs": [{"from": {"id": source},
                                "to": [{"id": target}]}
                               for source, target in pairs]}
        answer = self.api("POST", BATCH + (
            "labels/archive" if labels else "archive"), body)
        return sorted(self.stored()), answer

    def test_partial(self):
        for labels in self.each_removal():
            for mode, status in (("partial", 200), ("partial200", 200),
                                 ("partial207", 207)):
                left, answer = self.send(labels, bad_batch=mode)
                value = answer.json()
                self.assertEqual((left, answer.status, value["status"],
                                  value["results"], value["numErrors"]),
                                 ([], status, "COMPLETE", [], 2))
                self.assertEqual(
                    [(e["category"], e["context"]) for e in value["errors"]],
                    [("OBJECT_NOT_FOUND", {"fromObjectId": ["383"],
                                           "toObjectId": ["12"]}),
                     ("VALIDATION_ERROR", {"fromObjectId": ["2"],
                                           "toObjectId": ["x"]})])

    def test_refused(self):
        for labels in self.each_removal():
            left, answer = self.send(labels, bad_batch="whole")
            self.assertEqual((left, answer.status), (self.GOOD, 400))
            self.assertEqual(answer.json()["context"], {
                "INVALID_OBJECT_IDS": ["CONTACT=383 is not valid",
                                       "COMPANY=x is not valid"],
                "objectId": ["383", "x"],
                "objectType": ["CONTACT", "COMPANY"]})
            left, answer = self.send(labels, bad_batch="unnamed")
            self.assertEqual((left, answer.status), (self.GOOD, 400))
            self.assertNotIn("context", answer.json())
            for mode in ("canceled", "canceled-unnamed"):
                left, answer = self.send(labels, bad_batch=mode)
                value = answer.json()
                self.assertEqual((left, answer.status, value["status"],
                                  value["numErrors"]),
                                 (self.GOOD, 200, "CANCELED", 1))
                self.assertEqual("context" in value["errors"][0],
                                 mode == "canceled")

    def test_silent(self):
        for labels in self.each_removal():
            left, answer = self.send(labels, bad_batch="silent")
            self.assertEqual((left, answer.status), ([], 200))
            self.assertNotIn("errors", answer.json())
            left, answer = self.send(labels, archive_status=204)
            self.assertEqual((left, answer.status), ([], 204))

    def test_contexts(self):
        for labels in self.each_removal():
            for form, expected in (
                    ("from", {"fromObjectId": ["383"]}),
                    ("to", {"toObjectId": ["12"]}),
                    ("objectId", {"objectId": ["383"],
                                  "objectType": ["CONTACT"]}),
                    ("ids", {"ids": ["383"]}),
                    ("string", "{fromObjectId=[383]}"), ("none", None)):
                _, answer = self.send(labels, context=form)
                self.assertEqual(answer.json()["errors"][0].get("context"),
                                 expected)

    def test_missing_pairs(self):
        pairs = [("1", "11"), ("1", "12"), ("4", "11")]
        for labels in self.each_removal():
            left, answer = self.send(labels, pairs)
            self.assertEqual((left, answer.status), ([("3", "13")], 200))
            for mode, status in (("partial", 200), ("partial207", 207),
                                 ("whole", 200)):
                left, answer = self.send(labels, pairs, bad_batch=mode,
                                         archive_missing="item")
                value = answer.json()
                self.assertEqual((left, answer.status), ([("3", "13")],
                                                         status))
                self.assertEqual(
                    [(e["category"], e["context"]) for e in value["errors"]],
                    [("OBJECT_NOT_FOUND", {"fromObjectId": [source],
                                           "toObjectId": [target]})
                     for source, target in pairs[1:]])
        self.settings(archive_missing="item")
        self.api("DELETE", "/crm/v4/objects/contacts/1/associations/companies"
                 "/12", status=404)

    def test_bad_types(self):
        body = inputs(self.GOOD, [spec(279)])
        body["inputs"][1]["types"] = [spec(280)]
        self.send(False, [("9", "9")])
        value = self.api("POST", BATCH + "labels/archive", body,
                         status=200).json()
        self.assertEqual(value["errors"][0]["category"], "VALIDATION_ERROR")
        self.assertEqual(set(self.stored()), {("3", "13")})
        body["inputs"][1]["types"] = [spec(999)]
        self.settings(bad_batch="whole")
        value = self.api("POST", BATCH + "labels/archive", body,
                         status=400).json()
        self.assertEqual(value["context"]["associationSpec"],
                         ["HUBSPOT_DEFINED=999"])
        self.assertEqual(set(self.stored()), {("3", "13")})
