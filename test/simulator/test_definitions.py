"""
test_definitions: tests of the association types of an account
"""

import unittest

from .catalog import ASSOCIATION_TYPES, object_type
from .definitions import Definitions
from .errors import ApiError

CONTACT = object_type("contacts")
COMPANY = object_type("companies")


class DefinitionsTest(unittest.TestCase):
    """What is there, and what a look at it makes."""

    def setUp(self):
        self.notes = []
        self.definitions = Definitions(lambda *note: self.notes.append(note))

    def test_standard_types(self):
        """Each has another direction, whose other direction it is."""
        by_key = self.definitions.by_key
        self.assertEqual(len(by_key), sum(
            1 if row[2] == row[3] else 2 for row in ASSOCIATION_TYPES))
        for key, definition in by_key.items():
            back = by_key[self.definitions.inverse_key(key)]
            self.assertEqual((back.from_id, back.to_id),
                             (definition.to_id, definition.from_id))
            self.assertEqual(self.definitions.inverse_key(back.key()), key)
        self.assertEqual(self.notes, [])

    def test_primary_types(self):
        """They have one name towards the company, and one from there."""
        label = self.definitions.label
        for name, there, back in (("Contact", 1, 2), ("Deal", 5, 6),
                                  ("Ticket", 26, 25)):
            self.assertEqual(label(("HUBSPOT_DEFINED", there)), "Primary")
            self.assertEqual(label(("HUBSPOT_DEFINED", back)),
                             name + " with Primary Company")

    def test_plain(self):
        self.assertEqual(self.definitions.plain(CONTACT, COMPANY).type_id,
                         279)
        self.assertEqual(self.definitions.plain(COMPANY, CONTACT).type_id,
                         280)
        with self.assertRaises(ApiError):
            self.definitions.plain(object_type("notes"),
                                   object_type("orders"))

    def test_custom_types(self):
        """The first look at a custom type gives it its two ids."""
        custom = object_type("2-5")
        there = self.definitions.plain(custom, CONTACT)
        back = self.definitions.plain(CONTACT, custom)
        self.assertEqual((there.type_id, back.type_id), (1, 2))
        self.assertEqual(self.notes, [
            ("define", "2-5", "0-1", None, None, None)])

    def test_removal(self):
        """A label goes in both directions."""
        made = self.definitions.add_user_defined("0-1", "0-2", "A", "B", "a")
        before = len(self.definitions.by_key)
        self.definitions.remove(made[1])
        self.assertEqual(len(self.definitions.by_key), before - 2)
        self.assertEqual([d.label for d in
                          self.definitions.of(CONTACT, COMPANY)],
                         [None, "Primary"])
