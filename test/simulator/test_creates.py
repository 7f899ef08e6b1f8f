"""
test_creates: tests of the creates, and of bad inputs in their batches
"""

from .harness import (BATCH, C2C, PLAIN, REVERSE, BadBatchTest, SimulatorTest,
                      VersionsTest, inputs, spec)


class CreateTest(VersionsTest):
    """What a create does, in each version of the API."""

    def test_create_default(self):
        for version in self.each_version():
            answer = self.api("PUT", self.objects(
                version, "contacts/101/associations/default/companies/9001"),
                status=200).json()
            self.assertEqual(answer["status"], "COMPLETE")
            self.assertEqual(answer["results"], [
                {"from": {"id": "101"}, "to": {"id": "9001"},
                 "associationSpec": spec(279)},
                {"from": {"id": "9001"}, "to": {"id": "101"},
                 "associationSpec": spec(280)}])
            for key in ("startedAt", "completedAt"):
                self.assertRegex(answer[key],
                                 r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertEqual(self.stored(), {("101", "9001"): [PLAIN]})
            self.assertEqual(self.stored("companies", "contacts"),
                             {("9001", "101"): [REVERSE]})

    def test_create_labelled(self):
        for version in self.each_version():
            path = self.objects(
                version, "contacts/101/associations/companies/9001")
            answer = self.api("PUT", path, [spec(279), spec(1)], status=201)
            bare = {"fromObjectTypeId": "0-1", "fromObjectId": "101",
                    "toObjectTypeId": "0-2", "toObjectId": "9001",
                    "labels": ["Primary"]}
            self.assertEqual(answer.json(), bare)
            self.settings(single_create_form="entity")
            answer = self.api("PUT", path, [spec(1)], status=201).json()
            self.assertEqual(answer["entity"], bare)
            self.assertEqual(set(answer),
                             {"createdResourceId", "entity", "location"})
            self.assertEqual(self.stored(), {("101", "9001"): [
                ("HUBSPOT_DEFINED", 1, "Primary"), PLAIN]})
            self.assertEqual(self.stored("0-2", "0-1"), {("9001", "101"): [
                ("HUBSPOT_DEFINED", 2, "Contact with Primary Company"),
                REVERSE]})

    def test_batch_create(self):
        for version in self.each_version():
            path = self.associations(version, C2C + "/batch/create")
            body = inputs([("101", "9001"), ("102", "9001")], [spec(279)])
            answer = self.api("POST", path, body, status=201).json()
            self.assertEqual(answer["status"], "COMPLETE")
            self.assertEqual(answer["results"], [
                {"fromObjectTypeId": "0-1", "fromObjectId": source,
                 "toObjectTypeId": "0-2", "toObjectId": "9001", "labels": []}
                for source in ("101", "102")])
            self.assertNotIn("errors", answer)
            self.assertEqual(self.stored(), {("101", "9001"): [PLAIN],
                                             ("102", "9001"): [PLAIN]})
            self.settings(batch_create_status=200)
            self.api("POST", path, body, status=200)
            self.assertEqual(len(self.stored()), 2)

    def test_batch_create_default(self):
        for version in self.each_version():
            path = self.associations(version,
                                     "tickets/deals/batch/associate/default")
            answer = self.api("POST", path, inputs([("1", "2"), ("3", "4")]),
                              status=200).json()
            self.assertEqual(
                [(r["from"]["id"], r["to"]["id"],
                  r["associationSpec"]["associationTypeId"])
                 for r in answer["results"]],
                [("1", "2", 28), ("2", "1", 27), ("3", "4", 28),
                 ("4", "3", 27)])
            self.assertEqual(self.stored("deals", "tickets"), {
                ("2", "1"): [("HUBSPOT_DEFINED", 27, None)],
                ("4", "3"): [("HUBSPOT_DEFINED", 27, None)]})


class FormTest(SimulatorTest):
    """What replies can look like, and the largest and smallest requests."""

    def test_id_forms(self):
        for form, source, target in (("string", "1", "2"), ("number", 1, 2),
                                     ("mixed", "1", 2)):
            self.settings(id_form=form)
            result = self.put("1", "2").json()["results"][0]
            self.assertEqual((result["from"]["id"], result["to"]["id"]),
                             (source, target))
            result = self.batch([("1", "2")]).json()["results"][0]
            self.assertEqual((result["fromObjectId"], result["toObjectId"]),
                             (source, target))
            result = self.api(
                "POST", BATCH + "read",
                {"inputs": [{"id": "1"}]}).json()["results"][0]
            self.assertEqual((result["from"]["id"],
                              result["to"][0]["toObjectId"]),
                             (source, target))

    def test_forward_results_only(self):
        self.settings(default_results="forward")
        self.assertEqual(len(self.put().json()["results"]), 1)
        answer = self.api("POST", BATCH + "associate/default",
                          inputs([("1", "2"), ("3", "4")])).json()
        self.assertEqual([r["from"]["id"] for r in answer["results"]],
                         ["1", "3"])

    def test_largest_batch(self):
        pairs = [(str(n + 1), "2") for n in range(2000)]
        self.batch(pairs, status=201)
        self.assertEqual(len(self.stored()), 2000)

    def test_no_operation(self):
        self.batch([("1", "2")], [], status=201)
        self.api("PUT", "/crm/v4/objects/contacts/1/associations/companies/2",
                 [], status=201)
        self.put("1", "3")
        self.assertEqual(set(self.stored()), {("1", "3")})
        self.assertEqual([entry["noop"] for entry in self.log()],
                         [True, True, False])


class BadCreateTest(BadBatchTest):
    """The ways in which a batch with bad inputs is answered."""

    def setUp(self):
        super().setUp()
        self.control("POST", "/objects", {"type": "contacts",
                                          "missing": ["383"]})

    def send(self, **settings):
        self.settings(**settings)
        return self.batch([("382", "1"), ("383", "2"), ("384", "3")])

    def good(self, answer):
        return [r["fromObjectId"] for r in answer.json()["results"]]

    def test_partial(self):
        for mode, status in (("partial", 207), ("partial200", 200),
                             ("partial207", 207)):
            answer = self.send(bad_batch=mode)
            self.assertEqual(answer.status, status)
            self.assertEqual(self.good(answer), ["382", "384"])
            value = answer.json()
            self.assertEqual(value["numErrors"], 1)
            error, = value["errors"]
            self.assertEqual(error["category"], "OBJECT_NOT_FOUND")
            self.assertEqual(error["context"], {"fromObjectId": ["383"],
                                                "toObjectId": ["2"]})
            self.assertEqual(set(self.stored()), {("382", "1"), ("384", "3")})

    def test_whole(self):
        self.assert_whole("383")
        self.assertEqual(self.stored(), {})

    def test_canceled(self):
        error = self.assert_canceled()
        self.assertEqual(error["context"]["objectId"], ["383"])
        self.assertEqual(self.stored(), {})

    def test_silent(self):
        answer = self.send(bad_batch="silent")
        self.assertEqual(answer.status, 201)
        self.assertNotIn("errors", answer.json())
        self.assertEqual(self.good(answer), ["382", "384"])

    def test_default_create(self):
        path = BATCH + "associate/default"
        body = inputs([("383", "2"), ("384", "3")])
        value = self.api("POST", path, body, status=200).json()
        self.assertEqual(len(value["results"]), 2)
        error, = value["errors"]
        self.assertEqual((error["errors"], error["links"]), ([], {}))
        self.settings(bad_batch="partial207")
        self.api("POST", path, body, status=207)
        self.settings(bad_batch="whole")
        self.api("POST", path, body, status=400)
        self.assertEqual(set(self.stored()), {("384", "3")})

    def test_bad_types(self):
        body = inputs([("1", "2"), ("3", "4")], [spec(279)])
        body["inputs"][1]["types"] = [spec(999)]
        value = self.api("POST", BATCH + "create", body, status=207).json()
        self.assertEqual(value["errors"][0]["category"], "VALIDATION_ERROR")
        self.settings(bad_batch="whole")
        value = self.api("POST", BATCH + "create", body, status=400).json()
        self.assertEqual(value["context"]["associationSpec"],
                         ["HUBSPOT_DEFINED=999"])

    def test_contexts(self):
        for form, expected in (
                ("pair", {"fromObjectId": ["383"], "toObjectId": ["2"]}),
                ("from", {"fromObjectId": ["383"]}),
                ("to", {"toObjectId": ["2"]}),
                ("objectId", {"objectId": ["383"],
                              "objectType": ["CONTACT"]}),
                ("ids", {"ids": ["383"]}),
                ("id", {"id": ["383"]}),
                ("INVALID_OBJECT_IDS",
                 {"INVALID_OBJECT_IDS": ["CONTACT=383 is not valid"]}),
                ("associationSpec", {
                    "associationSpec": ["HUBSPOT_DEFINED=279"],
                    "INVALID_ASSOCIATION_TYPE_ID": [
                        "HUBSPOT_DEFINED=279 is not a valid association "
                        "definition id"]}),
                ("string", "{fromObjectId=[383]}"),
                ("none", None)):
            with self.subTest(form=form):
                error, = self.send(context=form,
                                   bad_batch="partial").json()["errors"]
                self.assertEqual(error.get("context"), expected)
                value = self.send(bad_batch="whole").json()
                self.assertEqual(value.get("context"), expected)
