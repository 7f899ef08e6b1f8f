"""
test_labels: tests of the operations on labels
"""

from .harness import C2C, LABELS, SimulatorTest, VersionsTest, inputs, spec


class LabelTest(VersionsTest):
    """What they do, in each version of the API."""

    def test_labels(self):
        for version in self.each_version():
            path = self.associations(version, C2C + "/labels")
            before = self.api("GET", path, status=200).json()["results"]
            self.assertEqual(before, [
                {"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None},
                {"category": "HUBSPOT_DEFINED", "typeId": 1,
                 "label": "Primary"}])
            made = self.api("POST", path, {
                "label": "Manager", "name": "manager",
                "inverseLabel": "Reports"}, status=200).json()["results"]
            self.assertEqual([m["label"] for m in made],
                             ["Manager", "Reports"])
            type_id, inverse = (m["typeId"] for m in made)
            self.assertIn({"category": "USER_DEFINED", "typeId": type_id,
                           "label": "Manager"},
                          self.api("GET", path).json()["results"])
            self.batch([("1", "11")], [spec(type_id, "USER_DEFINED")])
            self.assertEqual(self.stored("companies", "contacts"), {
                ("11", "1"): [("USER_DEFINED", inverse, "Reports")]})
            self.api("PUT", path, {"associationTypeId": type_id,
                                   "label": "Boss"}, status=400)
            self.assertEqual(self.api("PUT", path, {
                "associationTypeId": type_id, "label": "Boss",
                "inverseLabel": "Staff"}, status=204).raw, b"")
            self.assertEqual(self.stored()[("1", "11")],
                             [("USER_DEFINED", type_id, "Boss")])
            self.assertEqual(self.stored("0-2", "0-1")[("11", "1")],
                             [("USER_DEFINED", inverse, "Staff")])
            self.api("DELETE", "%s/%d" % (path, type_id), status=204)
            self.assertEqual(self.api("GET", path).json()["results"], before)
            self.assertEqual(self.stored(), {})
            self.api("DELETE", "%s/%d" % (path, type_id), status=404)


class DefinitionTest(SimulatorTest):
    """Which labels there can be."""

    def test_label_definitions(self):
        single = self.api("POST", "/crm/v4/associations/deals/deals/labels",
                          {"label": "Twin", "name": "twin"}).json()["results"]
        self.assertEqual(len(single), 1)
        both = self.api("POST", LABELS, {"label": "A", "name": "a"}).json()
        self.assertEqual([r["label"] for r in both["results"]], ["A", "A"])
        self.api("POST", LABELS, {"label": "A", "name": "a2"}, status=400)
        self.api("POST", LABELS, {"label": "A2", "name": "a"}, status=400)
        self.api("PUT", LABELS, {"associationTypeId": 279, "label": "x"},
                 status=404)
        self.api("PUT", LABELS, {"associationTypeId":
                                 both["results"][0]["typeId"], "label": "B"},
                 status=204)
        self.assertEqual([r["label"] for r in self.api(
            "GET", LABELS).json()["results"]], [None, "Primary", "B"])
        for number in range(49):
            self.api("POST", LABELS, {"label": "L%d" % number,
                                      "name": "l%d" % number}, status=200)
        self.api("POST", LABELS, {"label": "One more", "name": "more"},
                 status=437)

    def test_plain_type(self):
        """A custom object's association without a label can be made."""
        path = "/crm/v4/associations/%s/labels"
        body = {"label": "", "name": "plain"}
        made = self.api("POST", path % "2-5/contacts", body,
                        status=200).json()["results"]
        self.assertEqual([(r["category"], r["label"]) for r in made],
                         [("USER_DEFINED", None), ("USER_DEFINED", None)])
        self.api("PUT", "/crm/v4/objects/2-5/1/associations/default/"
                 "contacts/2", status=200)
        self.assertEqual(self.stored("2-5", "contacts")[("1", "2")],
                         [("USER_DEFINED", made[0]["typeId"], None)])
        for kinds, wrong in (("2-5/contacts", body), ("contacts/2-5", body),
                             ("contacts/companies", body),
                             ("2-6/contacts", {**body, "inverseLabel": "x"}),
                             ("2-6/contacts", {**body, "label": " "}),
                             ("2-6/contacts", {**body, "label": None})):
            self.api("POST", path % kinds, wrong, status=400)

    def test_inverse_labels(self):
        """Both labels of a pair of labels can be between equal types."""
        path = "/crm/associations/2026-03/contacts/contacts/labels"
        made = self.api("POST", path, {
            "label": "Manager", "name": "manager", "inverseLabel": "Report"},
            status=200).json()["results"]
        manager, report = (("USER_DEFINED", m["typeId"], m["label"])
                           for m in made)
        self.assertEqual((manager[2], report[2]), ("Manager", "Report"))
        create = "/crm/associations/2026-03/contacts/contacts/batch/create"
        self.api("POST", create, inputs(
            [("1", "2")], [spec(manager[1], "USER_DEFINED")]), status=201)
        self.assertEqual(self.stored("0-1", "0-1"), {
            ("1", "2"): [manager], ("2", "1"): [report]})
        self.api("PUT", path, {"associationTypeId": report[1], "label": "R",
                               "inverseLabel": "M"}, status=204)
        self.assertEqual(self.stored("0-1", "0-1")[("1", "2")],
                         [(*manager[:2], "M")])
        self.api("DELETE", "%s/%d" % (path, report[1]), status=204)
        self.assertEqual(self.stored("0-1", "0-1"), {})
        self.assertEqual(len(self.api("GET", path).json()["results"]), 1)

    def test_most_labels(self):
        """A label counts on both sides."""
        back = LABELS.replace("contacts/companies", "companies/contacts")
        for number in range(50):
            self.api("POST", (LABELS, back)[number % 2], {
                "label": "L%d" % number, "name": "l%d" % number,
                "inverseLabel": "I%d" % number}, status=200)
        for path in (LABELS, back):
            answer = self.api("POST", path, {"label": "x", "name": "x"},
                              status=437).json()
            self.assertEqual(answer["category"], "VALIDATION_ERROR")
            self.assertEqual(len(self.api("GET", path).json()["results"]), 52)
        last = self.api("GET", LABELS).json()["results"][-1]["typeId"]
        self.api("DELETE", "%s/%d" % (LABELS, last), status=204)
        self.api("POST", back, {"label": "x", "name": "x"}, status=200)
