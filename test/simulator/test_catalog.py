"""
test_catalog: tests of the ways to name object types and records
"""

from .harness import SimulatorTest


class NameTest(SimulatorTest):
    """What a path can name."""

    def test_spellings(self):
        for name in ("contact", "contacts", "0-1"):
            self.api("PUT", "/crm/v4/objects/%s/5/associations/default/0-2/6"
                     % name, status=200)
        self.assertEqual(len(self.stored("0-1", "company")), 1)
        self.api("PUT", "/crm/v4/objects/notes/5/associations/default/"
                 "line%5Fitems/6", status=400)
        self.api("PUT", "/crm/v4/objects/deals/5/associations/default/"
                 "line%5Fitems/6", status=200)

    def test_custom_objects(self):
        path = "/crm/v4/associations/2-77/contacts/labels"
        plain, = self.api("GET", path, status=200).json()["results"]
        self.assertEqual((plain["category"], plain["label"]),
                         ("USER_DEFINED", None))
        self.api("PUT", "/crm/v4/objects/2-77/1/associations/default/"
                 "contacts/2", status=200)
        self.assertEqual(self.stored("2-77", "contacts")[("1", "2")],
                         [("USER_DEFINED", plain["typeId"], None)])
        back, = self.stored("contacts", "2-77")[("2", "1")]
        self.assertNotEqual(back[1], plain["typeId"])
        self.api("PUT", "/crm/v4/objects/p12_car/1/associations/default/"
                 "p12_car/2", status=200)
        self.assertEqual(set(self.stored("p12_car", "p12_car")),
                         {("1", "2"), ("2", "1")})
