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

    def test_case(self):
        for name in ("CONTACTS", "Contact", "cOntacts"):
            self.api("PUT", "/crm/v4/objects/%s/5/associations/default/"
                     "COMPANY/6" % name, status=200)
        self.assertEqual(set(self.stored()), {("5", "6")})

    def test_more_names(self):
        """What HubSpot's list has, with and without associations of ours."""
        for name in ("carts", "0-142", "CART"):
            self.api("GET", "/crm/v4/associations/%s/contacts/labels" % name,
                     status=200)
        for name in ("marketing_events", "0-54", "0-115", "users", "0-970"):
            self.api("GET", "/crm/v4/objects/%s/1/associations/contacts"
                     % name, status=200)

    def test_ids_of_custom_objects(self):
        for name, status in (("2-2147483647", 200), ("2-2147483648", 400),
                             ("2-0", 400), ("2-01", 400), ("p_cars", 200),
                             ("p12_cars", 200), ("p12cars", 400),
                             ("0-99999", 400), ("widgets", 400)):
            with self.subTest(name=name):
                answer = self.api("GET", "/crm/v4/associations/%s/contacts/"
                                  "labels" % name, status=status)
                if status == 400:
                    self.assertEqual(
                        answer.json()["message"],
                        "Unable to infer object type from: " + name)

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
