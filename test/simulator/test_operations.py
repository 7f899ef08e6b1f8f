"""
test_operations: tests of the table of operations
"""

import unittest

from .operations import OPERATIONS, OPERATIONS_BY_PLACE


class TableTest(unittest.TestCase):
    """Paths and methods tell the operations apart."""

    def test_names(self):
        self.assertEqual(len({o.name for o in OPERATIONS}), len(OPERATIONS))

    def test_own_paths(self):
        """The first operation that fits a row's path and method is its own,
        whatever stands in the places of the path."""
        for operation in OPERATIONS:
            segments = ["7"] * len(operation.segments)
            for place, literal in operation.literals:
                segments[place] = literal
            for version in operation.versions:
                found = [o for o in OPERATIONS_BY_PLACE[
                    operation.area, version, len(segments)]
                    if o.fits(segments) and o.method == operation.method]
                self.assertIs(found[0], operation, operation.name)

    def test_limits(self):
        """Only batches have a most of inputs, and all batches have one."""
        for operation in OPERATIONS:
            self.assertEqual(operation.limit is not None,
                             "batch" in operation.segments, operation.name)
