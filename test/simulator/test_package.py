"""
test_package: tests of the order of the parts
"""

import ast
import os
import unittest

from . import PARTS

HERE = os.path.dirname(os.path.abspath(__file__))


def parsed(part):
    """A part's source, as a tree."""
    with open(os.path.join(HERE, part + ".py"), encoding="utf-8") as file:
        return ast.parse(file.read())


def imports(part):
    """The other parts that a part names in its imports."""
    for node in ast.walk(parsed(part)):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            if node.module is None:
                yield from (name.name for name in node.names)
            else:
                yield node.module


class OrderTest(unittest.TestCase):
    """PARTS is all there is, and dependencies go one way."""

    def test_parts(self):
        files = {name[:-len(".py")] for name in os.listdir(HERE)
                 if name.endswith(".py") and not name.startswith("test_")}
        self.assertEqual(files - {"__init__", "__main__", "harness"},
                         set(PARTS))
        self.assertEqual(len(set(PARTS)), len(PARTS))

    def test_order(self):
        for place, part in enumerate(PARTS):
            with self.subTest(part=part):
                self.assertLessEqual(set(imports(part)), set(PARTS[:place]))

    def test_docstrings(self):
        """A part begins with its name and what it is."""
        for part in PARTS:
            with self.subTest(part=part):
                self.assertTrue(ast.get_docstring(parsed(part)).startswith(
                    part + ": "))
