"""
test_validators: tests of the refusal of wrong bodies
"""

import unittest

from .errors import ApiError
from .harness import (BATCH, LABELS, LIMITS, SimulatorTest, compact, inputs,
                      spec)
from .validators import check_archive, check_read, scan_read

PAIR = [("1", "2")]
GOOD = inputs(PAIR, [spec(279)])
SINGLE = "/crm/v4/objects/contacts/1/associations/companies/2"
LIST = "/crm/v4/objects/contacts/1/associations/companies"


def changed(**changes):
    """A good body, with other members of its one input."""
    return {"inputs": [{**GOOD["inputs"][0], **changes}]}


def pairs(count):
    """So many pairs."""
    return [(str(n + 1), "2") for n in range(count)]


class RefusalTest(SimulatorTest):
    """Each refusal."""

    def refuses(self, path, *bodies, method="POST"):
        """Each of (what, body) is refused."""
        self.assert_refused((what, method, path, body, 400)
                            for what, body in bodies)

    def test_json(self):
        self.refuses(
            BATCH + "create", ("no JSON", "{"), ("not UTF-8", b'{"\xff":1}'),
            ("NaN", '{"inputs":[NaN]}'), ("deep", "[" * 100000),
            ("two values", compact(GOOD) + "{}"), ("array", []),
            ("no inputs", {}), ("empty inputs", {"inputs": []}),
            ("extra top key", {**GOOD, "x": 1}))

    def test_creates(self):
        self.refuses(
            BATCH + "create", ("extra key", changed(x=1)),
            ("id number", changed(**{"from": {"id": 1}})),
            ("id missing", changed(to={})), ("id empty", changed(
                to={"id": ""})),
            ("record key", changed(to={"id": "2", "type": "x"})),
            ("record text", changed(to="2")),
            ("duplicate pair", inputs(PAIR * 2, [spec(279)])),
            ("2,001 inputs", inputs(pairs(2001), [spec(279)])))
        self.refuses(
            BATCH + "associate/default", ("types in a default", GOOD),
            ("duplicate pair", inputs(PAIR * 2)),
            ("2,001 inputs", inputs(pairs(2001))))
        self.refuses(SINGLE, ("object", spec(279)), ("batch body", GOOD),
                     method="PUT")

    def test_types(self):
        self.refuses(
            BATCH + "create", ("no types", inputs(PAIR)),
            ("types null", changed(types=None)),
            ("types object", changed(types=spec(279))), *(
                (what, changed(types=[wrong])) for what, wrong in (
                    ("type id text", spec("279")),
                    ("type id float", spec(279.0)),
                    ("type id true", spec(True)),
                    ("type id huge", spec(2 ** 31)),
                    ("category", spec(279, "hubspot_defined")),
                    ("spec key", {**spec(279), "label": None}))))

    def test_reads(self):
        self.refuses(
            BATCH + "read",
            ("1,001 reads", {"inputs": [{"id": i} for i, _ in pairs(1001)]}),
            ("read key", {"inputs": [{"id": "1", "before": "x"}]}),
            ("read cursor", {"inputs": [{"id": "1", "after": "x"}]}),
            ("cursor of another record", {"inputs": [
                {"id": "1", "after": "YXQ+MjoyMg=="}]}))
        self.assert_refused((
            ("cursor of another record", "GET", LIST +
             "?after=YXQ%2BMjoyMg%3D%3D", None, 400),
            ("cursor not encoded", "GET", LIST.replace("/1/", "/2/") +
             "?after=YXQ+MjoyMg==", None, 400)))

    def test_removals(self):
        self.refuses(
            BATCH + "archive", ("archive of one", inputs(PAIR)),
            ("archive of none", {"inputs": [{"from": {"id": "1"},
                                             "to": []}]}),
            ("101 sources", {"inputs": [
                {"from": {"id": i}, "to": [{"id": "1"}]}
                for i, _ in pairs(101)]}))
        self.refuses(
            BATCH + "labels/archive",
            ("101 label removals", inputs(pairs(101), [spec(279)])),
            ("removal of no label", changed(types=[])))
        self.refuses(SINGLE + "x", ("delete of text", None), method="DELETE")

    def test_labels(self):
        self.refuses(
            LABELS, ("label without a name", {"label": "x"}),
            ("label key", {"label": "x", "name": "x", "y": 1}),
            ("label name", {"label": "x", "name": "x-y"}),
            ("label name", {"label": "x", "name": "1x"}),
            ("surrogate", '{"label":"\\ud800","name":"x"}'))
        self.refuses(LABELS + "/x", ("label id", None), method="DELETE")

    def test_limits(self):
        path = LIMITS + "contacts/companies/batch/"
        limit = {"category": "HUBSPOT_DEFINED", "typeId": 279}
        self.refuses(
            path + "create", ("limit of nothing", {"inputs": [limit]}),
            ("limit 0", {"inputs": [{**limit, "maxToObjectIds": 0}]}),
            ("limit of another direction", {"inputs": [
                {**limit, "typeId": 280, "maxToObjectIds": 1}]}))
        self.refuses(path + "update", ("update of no limit", {
            "inputs": [{**limit, "maxToObjectIds": 1}]}))


class ValueTest(unittest.TestCase):
    """What validators make of good bodies."""

    def test_scanner(self):
        """What the scanner finds is what the validator would find."""
        body = {"inputs": [{"id": "1"}, {"id": "22", "after": "YXQ+MjI6Nw=="},
                           {"id": "3"}]}
        found = [("1", None), ("22", 7), ("3", None)]
        self.assertEqual(check_read(body, 3), found)
        self.assertEqual(scan_read(compact(body).encode(), 3), found)
        self.assertIsNone(scan_read(compact(body).encode(), 2))
        with self.assertRaises(ApiError):
            check_read(body, 2)

    def test_sources_are_limited(self):
        """The limit of an archive is on records, not on pairs."""
        body = {"inputs": [
            {"from": {"id": "1"}, "to": [{"id": "2"}, {"id": "3"}]},
            {"from": {"id": "1"}, "to": [{"id": "4"}]}]}
        self.assertEqual(check_archive(body, 1),
                         [("1", "2"), ("1", "3"), ("1", "4")])
