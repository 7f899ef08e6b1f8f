"""
test_cursors: tests of places in a list of associations
"""

import unittest

from .cursors import make_cursor, read_cursor
from .errors import ApiError


class CursorTest(unittest.TestCase):
    """A cursor leads on in the list of its record, and in no other."""

    def test_there_and_back(self):
        for source, last in ("1", 2), ("9" * 19, 10 ** 19 - 1):
            self.assertEqual(read_cursor(make_cursor(source, last), source),
                             last)

    def test_plus(self):
        """A query must not have the text as it is."""
        self.assertIn("+", make_cursor("7", 500))

    def test_wrong(self):
        good = make_cursor("1", 2)
        for text, source in ((good, "2"), (good[1:], "1"), ("", "1"),
                             (good + "\n", "1"), ("\u00e4", "1"),
                             ("eA==", "1")):
            with self.subTest(text=text), self.assertRaises(ApiError):
                read_cursor(text, source)
