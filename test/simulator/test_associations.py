"""
test_associations: tests of what becomes of the types of a pair
"""

from .harness import LABELS, PLAIN, REVERSE, SimulatorTest, spec


class TypeTest(SimulatorTest):
    """Labels and the primary association."""

    def test_labels_are_replaced(self):
        one, two = (self.api("POST", LABELS, {"label": name, "name": name},
                             status=200).json()["results"][0]["typeId"]
                    for name in ("one", "two"))
        self.batch([("1", "11")], [spec(279)])
        self.batch([("1", "11")], [spec(one, "USER_DEFINED")])
        self.assertEqual(self.stored()[("1", "11")],
                         [PLAIN, ("USER_DEFINED", one, "one")])
        self.batch([("1", "11")], [spec(two, "USER_DEFINED")])
        self.assertEqual(self.stored()[("1", "11")],
                         [PLAIN, ("USER_DEFINED", two, "two")])
        self.put("1", "11", status=200)
        self.assertEqual(len(self.stored()[("1", "11")]), 2)
        answer = self.batch([("1", "11")], [spec(one, "USER_DEFINED"),
                                            spec(two, "USER_DEFINED")])
        self.assertEqual(answer.json()["results"][0]["labels"],
                         ["one", "two"])
        self.assertEqual(len(self.stored()[("1", "11")]), 3)

    def test_one_primary(self):
        self.batch([("1", "11")], [spec(279), spec(1)])
        self.batch([("1", "12"), ("2", "11")], [spec(279), spec(1)])
        primary = ("HUBSPOT_DEFINED", 1, "Primary")
        self.assertEqual(self.stored(), {
            ("1", "11"): [PLAIN], ("1", "12"): [primary, PLAIN],
            ("2", "11"): [primary, PLAIN]})
        self.assertEqual(self.stored("0-2", "0-1")[("11", "1")], [REVERSE])
        self.api("PUT", "/crm/v4/objects/companies/13/associations/contacts/"
                 "1", [spec(2)], status=201)
        self.assertEqual(self.stored()[("1", "12")], [PLAIN])
        self.assertEqual(self.stored()[("1", "13")], [primary])
        self.batch([("1", "14")], [spec(1)])
        self.assertEqual(self.stored()[("1", "13")], [PLAIN])
