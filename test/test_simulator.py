#!/usr/bin/env python3
"""
test_simulator.py -- tests of the HubSpot simulator

Starts simulators on ephemeral ports of the loopback interface and talks HTTP
to them.  What is checked is what a request did: the reply, and what the
simulator holds afterwards.  Standard library only; runs in well under half a
minute.

    python3 test/test_simulator.py [-v] [Class.test]

IDENTIFICATION
    test/test_simulator.py
"""

import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

SIMULATOR = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                         "simulator")
TOKEN = "test-token"
VERSIONS = ("v4", "2025-09", "2026-03", "2026-09", "2027-03")
TIMEOUT = 10


class Simulator:
    """A running simulator."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, SIMULATOR, *arguments], stdout=subprocess.PIPE,
            text=True)
        self.line = self.process.stdout.readline()
        ports = dict(part.split("=") for part in self.line.split())
        self.port = int(ports["port"])
        self.control_port = int(ports["control"])

    def stop(self):
        """With SIGKILL."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def control(self, method, path, body=None, status=200):
        """A request to the control port; the JSON that comes back."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.control_port, timeout=TIMEOUT)
        connection.request(method, path,
                           None if body is None else json.dumps(body))
        response = connection.getresponse()
        value = json.loads(response.read())
        connection.close()
        if response.status != status:
            raise AssertionError("%s %s: %d %s" % (method, path,
                                                   response.status, value))
        return value


class Answer:
    """A reply of the API."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.raw = response.read()

    def json(self):
        return json.loads(self.raw)


def inputs(pairs, types=None):
    """A batch body."""
    made = []
    for source, target in pairs:
        item = {"from": {"id": source}, "to": {"id": target}}
        if types is not None:
            item["types"] = types
        made.append(item)
    return {"inputs": made}


def spec(type_id, category="HUBSPOT_DEFINED"):
    return {"associationCategory": category, "associationTypeId": type_id}


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def area(version, which):
    """Where a version's "objects" or "associations" paths begin."""
    if version == "v4":
        return "/crm/v4/" + which
    return "/crm/%s/%s" % (which, version)


C2C = "contacts/companies"
DEFAULT_PUT = "/crm/objects/2026-03/contacts/%s/associations/default/" \
    "companies/%s"
BATCH = "/crm/associations/2026-03/contacts/companies/batch/"
LABELS = "/crm/associations/2026-03/contacts/companies/labels"
LIMITS = "/crm/associations/2026-03/definitions/configurations/"

shared = None


def setUpModule():
    global shared
    shared = Simulator()


def tearDownModule():
    shared.stop()


class SimulatorTest(unittest.TestCase):
    """A test with a simulator in its initial state."""

    maxDiff = 4000

    def setUp(self):
        self.use(shared)
        self.control("POST", "/reset", {})

    def use(self, simulator, context=None):
        self.simulator = simulator
        if context is None:
            self.connection = http.client.HTTPConnection(
                "127.0.0.1", simulator.port, timeout=TIMEOUT)
        else:
            self.connection = http.client.HTTPSConnection(
                "localhost", simulator.port, timeout=TIMEOUT, context=context)
        self.addCleanup(self.connection.close)

    def control(self, method, path, body=None, status=200):
        return self.simulator.control(method, path, body, status)

    def settings(self, **changes):
        return self.control("POST", "/settings", changes)

    def rule(self, action, **match):
        return self.control("POST", "/rules",
                            {"match": match, "action": action})["ids"][0]

    def api(self, method, path, body=None, headers=None, token=TOKEN,
            status=None):
        """A request to the API; "body" is text, bytes or a JSON value."""
        sent = {}
        if token is not None:
            sent["Authorization"] = "Bearer " + token
        if body is not None:
            sent["Content-Type"] = "application/json"
            if not isinstance(body, (str, bytes)):
                body = compact(body)
        sent.update(headers or {})
        self.connection.request(method, path, body, sent)
        answer = Answer(self.connection.getresponse())
        if status is not None:
            self.assertEqual(answer.status, status, answer.raw[:500])
        return answer

    def put(self, source="101", target="9001", **options):
        return self.api("PUT", DEFAULT_PUT % (source, target), **options)

    def batch(self, pairs, types=(spec(279),), **options):
        return self.api("POST", BATCH + "create", inputs(pairs, list(types)),
                        **options)

    def stored(self, from_type="contacts", to_type="companies", **options):
        """{(from, to): [(category, type id, label)]} of a direction."""
        query = urllib.parse.urlencode(
            {"from_type": from_type, "to_type": to_type, **options})
        value = self.control("GET", "/associations?" + query)
        self.assertEqual(value["count"], len(value["associations"]))
        return {(a["from_id"], a["to_id"]): [
            (t["category"], t["type_id"], t["label"]) for t in a["types"]]
            for a in value["associations"]}

    def table(self, from_type="contacts", to_type="companies", **options):
        """The same as lines of text."""
        query = urllib.parse.urlencode(
            {"from_type": from_type, "to_type": to_type, **options})
        control = http.client.HTTPConnection(
            "127.0.0.1", self.simulator.control_port, timeout=TIMEOUT)
        self.addCleanup(control.close)
        control.request("GET", "/associations/table?" + query)
        answer = Answer(control.getresponse())
        self.assertEqual(answer.status, 200, answer.raw[:500])
        self.assertEqual(answer.headers["Content-Type"],
                         "text/csv;charset=utf-8")
        return answer.raw.decode("ascii").splitlines()

    def log(self, query=""):
        return self.control("GET", "/log" + query)["requests"]

    def raw(self, data, half_close=False):
        """All bytes that come back on a connection of its own."""
        with socket.create_connection(
                ("127.0.0.1", self.simulator.port), TIMEOUT) as plain:
            plain.sendall(data)
            if half_close:
                plain.shutdown(socket.SHUT_WR)
            got = b""
            while True:
                part = plain.recv(65536)
                if not part:
                    return got
                got += part


PLAIN = ("HUBSPOT_DEFINED", 279, None)
REVERSE = ("HUBSPOT_DEFINED", 280, None)


class OperationTest(SimulatorTest):
    """What each operation does, in each version of the API."""

    def each_version(self):
        for version in VERSIONS:
            self.control("POST", "/reset", {})
            with self.subTest(version=version):
                yield version

    def objects(self, version, rest):
        return area(version, "objects") + "/" + rest

    def associations(self, version, rest):
        return area(version, "associations") + "/" + rest

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
                ("HUBSPOT_DEFINED", 2, "Primary"), REVERSE]})

    def test_list_pages(self):
        for version in self.each_version():
            self.control("POST", "/associations", {
                "from_type": "contacts", "to_type": "companies",
                "generate": {"first_from": 7, "count": 1, "per_from": 1203,
                             "first_to": 1}})
            path = self.objects(version, "contact/7/associations/company")
            seen, after, pages = [], None, 0
            while True:
                query = "" if after is None else "?" + urllib.parse.urlencode(
                    {"limit": 500, "after": after})
                answer = self.api("GET", path + query, status=200).json()
                pages += 1
                seen += [item["toObjectId"] for item in answer["results"]]
                if "paging" not in answer:
                    break
                after = answer["paging"]["next"]["after"]
                self.assertIn("+", after)
                self.assertIn(urllib.parse.quote(after, safe=""),
                              answer["paging"]["next"]["link"])
            self.assertEqual(pages, 3)
            self.assertEqual(seen, [str(n) for n in range(1, 1204)])
            self.assertEqual(answer["results"][0]["associationTypes"], [
                {"category": "HUBSPOT_DEFINED", "typeId": 279,
                 "label": None}])
            short = self.api("GET", path + "?limit=2", status=200).json()
            self.assertEqual(len(short["results"]), 2)
            empty = self.api("GET", self.objects(
                version, "contact/8/associations/company"), status=200)
            self.assertEqual(empty.json(), {"results": []})

    def test_archive(self):
        for version in self.each_version():
            self.put()
            self.put("101", "9002")
            path = self.objects(
                version, "contacts/101/associations/companies/9001")
            self.archived(version, self.api("DELETE", path))
            self.assertEqual(set(self.stored()), {("101", "9002")})
            self.assertEqual(set(self.stored("companies", "contacts")),
                             {("9002", "101")})
            self.archived(version, self.api("DELETE", path))
            self.settings(archive_missing=404)
            self.api("DELETE", path, status=404)

    def archived(self, version, answer):
        if version == "v4":
            self.assertEqual((answer.status, answer.raw), (204, b""))
        else:
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.json()["status"], "COMPLETE")

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

    def test_batch_read(self):
        for version in self.each_version():
            self.control("POST", "/associations", {
                "from_type": "deals", "to_type": "contacts",
                "generate": {"first_from": 1, "count": 3, "per_from": 5,
                             "first_to": 11}})
            self.settings(page_size=2)
            path = self.associations(version, "deals/contacts/batch/read")
            answer = self.api("POST", path, {"inputs": [
                {"id": "1"}, {"id": "3"}, {"id": "x"}, {"id": "515"}]},
                status=207).json()
            self.assertEqual(
                [(r["from"]["id"], [t["toObjectId"] for t in r["to"]])
                 for r in answer["results"]],
                [("1", ["11", "12"]), ("3", ["21", "22"])])
            self.assertEqual(answer["numErrors"], 2)
            wrong, empty = answer["errors"]
            self.assertEqual(empty["category"], "OBJECT_NOT_FOUND")
            self.assertEqual(empty["subCategory"],
                             "crm.associations.NO_ASSOCIATIONS_FOUND")
            self.assertEqual(empty["context"], {
                "fromObjectId": ["515"], "fromObjectType": ["deal"],
                "toObjectType": ["contact"]})
            self.assertEqual(wrong["subCategory"],
                             "crm.associations.INVALID_IDENTIFIER")
            self.read_on(path, answer["results"][1])

    def read_on(self, path, result):
        """Follows one input's pages to their end."""
        seen = [t["toObjectId"] for t in result["to"]]
        while "paging" in result:
            answer = self.api("POST", path, {"inputs": [
                {"id": "3", "after": result["paging"]["next"]["after"]}]},
                status=200).json()
            result, = answer["results"]
            seen += [t["toObjectId"] for t in result["to"]]
        self.assertEqual(seen, ["21", "22", "23", "24", "25"])

    def test_batch_read_mixes_pages(self):
        """Each input has a place of its own, whatever stands beside it."""
        for version in self.each_version():
            self.control("POST", "/associations", {
                "from_type": "contacts", "to_type": "companies", "generate": {
                    "first_from": 1, "count": 4, "per_from": 7,
                    "first_to": 11}})
            self.settings(page_size=3)
            path = self.associations(version, C2C + "/batch/read")
            seen, todo = {}, [{"id": "1"}, {"id": "3"}]
            new, requests = [{"id": "2"}, {"id": "4"}], 0
            while todo:
                results = self.api("POST", path, {"inputs": todo},
                                   status=200).json()["results"]
                requests += 1
                todo, new = new, []
                for result in results:
                    source = result["from"]["id"]
                    seen.setdefault(source, []).extend(
                        t["toObjectId"] for t in result["to"])
                    if "paging" in result:
                        todo.append({"id": source, "after": result["paging"][
                            "next"]["after"]})
            self.assertEqual(requests, 4)
            self.assertEqual(seen, {
                str(n): [str(7 * n + 4 + i) for i in range(7)]
                for n in range(1, 5)})

    def test_batch_archive(self):
        for version in self.each_version():
            self.batch([("1", "11"), ("1", "12"), ("2", "11"), ("3", "13")])
            path = self.associations(version, C2C + "/batch/archive")
            self.archived(version, self.api("POST", path, {"inputs": [
                {"from": {"id": "1"}, "to": [{"id": "11"}, {"id": "12"}]},
                {"from": {"id": "2"}, "to": [{"id": "11"}]}]}))
            self.assertEqual(set(self.stored()), {("3", "13")})
            self.assertEqual(set(self.stored("0-2", "0-1")), {("13", "3")})

    def test_batch_archive_labels(self):
        for version in self.each_version():
            self.batch([("1", "11")], [spec(279), spec(1)])
            path = self.associations(version, C2C + "/batch/labels/archive")
            self.archived(version, self.api(
                "POST", path, inputs([("1", "11")], [spec(1)])))
            self.assertEqual(self.stored(), {("1", "11"): [PLAIN]})
            self.archived(version, self.api(
                "POST", path, inputs([("1", "11")], [spec(279)])))
            self.assertEqual(self.stored(), {})

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
            self.assertEqual(self.api("PUT", path, {
                "associationTypeId": type_id, "label": "Boss"},
                status=204).raw, b"")
            self.assertEqual(self.stored()[("1", "11")],
                             [("USER_DEFINED", type_id, "Boss")])
            self.api("DELETE", "%s/%d" % (path, type_id), status=204)
            self.assertEqual(self.api("GET", path).json()["results"], before)
            self.assertEqual(self.stored(), {})
            self.api("DELETE", "%s/%d" % (path, type_id), status=404)

    def test_limits(self):
        for version in self.each_version():
            base = self.associations(version, "definitions/configurations/")
            pair = base + "contacts/companies"
            limit = {"category": "HUBSPOT_DEFINED", "typeId": 279}
            self.assertEqual(self.api("GET", base + "all",
                                      status=200).json(), {"results": []})
            answer = self.api("POST", pair + "/batch/create", {"inputs": [
                {**limit, "maxToObjectIds": 2}]}, status=201).json()
            entry = {**limit, "userEnforcedMaxToObjectIds": 2}
            self.assertEqual(answer["results"], [entry])
            for path in (base + "all", pair):
                self.assertEqual(self.api("GET", path, status=200).json(),
                                 {"results": [entry]})
            self.assertEqual(
                self.api("GET", base + "companies/contacts").json(),
                {"results": []})
            self.put("1", "11", status=200)
            self.put("1", "12", status=200)
            self.put("1", "12", status=200)
            self.assertIn("limit", self.put("1", "13", status=400).json()[
                "message"])
            self.api("POST", pair + "/batch/update", {"inputs": [
                {**limit, "maxToObjectIds": 3}]}, status=200)
            self.put("1", "13", status=200)
            answer = self.batch([("1", "14"), ("2", "14")], status=207).json()
            self.assertEqual(answer["errors"][0]["context"], {
                "fromObjectId": ["1"], "toObjectId": ["14"]})
            self.api("POST", pair + "/batch/purge", {"inputs": [limit]},
                     status=204)
            self.put("1", "14", status=200)

    def test_high_usage_report(self):
        for version in self.each_version():
            answer = self.api("POST", self.associations(
                version, "usage/high-usage-report/12"), status=200).json()
            self.assertEqual(set(answer),
                             {"userId", "userEmail", "enqueueTime"})
            self.assertEqual(answer["userId"], 12)


class TypeTest(SimulatorTest):
    """Object types, association types, and their directions."""

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
        for number in range(49):
            self.api("POST", LABELS, {"label": "L%d" % number,
                                      "name": "l%d" % number}, status=200)
        self.api("POST", LABELS, {"label": "One more", "name": "more"},
                 status=437)

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

    def test_limit_of_the_other_side(self):
        limit = {"category": "HUBSPOT_DEFINED", "typeId": 280}
        self.api("POST", LIMITS + "companies/contacts/batch/create",
                 {"inputs": [{**limit, "maxToObjectIds": 1}]}, status=201)
        self.put("1", "11", status=200)
        self.put("1", "12", status=200)
        self.put("2", "11", status=400)
        self.api("POST", LIMITS + "companies/contacts/batch/create",
                 {"inputs": [{**limit, "maxToObjectIds": 2}]}, status=400)
        self.assertEqual(set(self.stored()), {("1", "11"), ("1", "12")})

    def test_wrong_types(self):
        path = "/crm/v4/objects/contacts/1/associations/companies/2"
        answer = self.api("PUT", path, [spec(280)], status=400).json()
        self.assertEqual(answer["message"],
                         "One or more associations are invalid")
        self.assertEqual(answer["category"], "VALIDATION_ERROR")
        self.assertEqual(answer["context"]["objectId"], ["1"])
        answer = self.api("PUT", path, [spec(3, "USER_DEFINED")],
                          status=400).json()
        self.assertEqual(answer["context"], {
            "associationSpec": ["USER_DEFINED=3"],
            "INVALID_ASSOCIATION_TYPE_ID": [
                "USER_DEFINED=3 is not a valid association definition id"]})
        answer = self.api("PUT", "/crm/v4/objects/widgets/1/associations/"
                          "default/companies/2", status=400).json()
        self.assertEqual(answer["message"],
                         "Unable to infer object type from: widgets")
        self.assertNotIn("category", answer)
        self.assertEqual(self.stored(), {})

    def test_missing_objects(self):
        self.control("POST", "/objects", {"type": "contacts",
                                          "missing": ["383"]})
        answer = self.put("383", "9001", status=400)
        value = answer.json()
        self.assertEqual(value["context"], {
            "INVALID_OBJECT_IDS": ["CONTACT=383 is not valid"],
            "objectId": ["383"], "objectType": ["CONTACT"]})
        self.assertEqual(answer.headers["x-hubspot-correlation-id"],
                         value["correlationId"])
        self.put("384", "9001", status=200)
        self.control("POST", "/objects", {"type": "companies",
                                          "existing": ["5"]})
        self.put("1", "5", status=200)
        self.put("1", "6", status=400)
        self.control("POST", "/objects", {"type": "companies"})
        self.put("1", "6", status=200)
        for wrong in ("0", "01", "-1", "abc", "1" * 20, "%D9%A1"):
            self.put(wrong, "9001", status=400)
        self.put("9" * 19, "9001", status=200)


def refused_requests():
    """What, method, path, body, and the status that refuses it."""
    pair = [("1", "2")]
    good = inputs(pair, [spec(279)])
    single = "/crm/v4/objects/contacts/1/associations/companies/2"
    read = "/crm/v4/associations/contacts/companies/batch/read"
    archive = "/crm/v4/associations/contacts/companies/batch/archive"
    limits = LIMITS + "contacts/companies/batch/"
    listing = "/crm/v4/objects/contacts/1/associations/companies"
    usage = "/crm/v4/associations/usage/high-usage-report/"

    def changed(**changes):
        return {"inputs": [{**good["inputs"][0], **changes}]}

    return (
        ("unknown path", "GET", "/crm/v4/nothing/at/all", None, 404),
        ("no path", "GET", "/", None, 404),
        ("v3", "GET", "/crm/v3/objects/contacts/1/associations/2",
         None, 404),
        ("old version", "GET", listing.replace(
            "/v4/objects", "/objects/2024-09"), None, 404),
        ("version misplaced", "GET", listing.replace(
            "/v4/", "/2026-03/"), None, 404),
        ("v4 misplaced", "GET", listing.replace(
            "/v4/objects", "/objects/v4"), None, 404),
        ("month 13", "GET", listing.replace(
            "/v4/objects", "/objects/2026-13"), None, 404),
        ("empty segment", "PUT", DEFAULT_PUT % ("", "2"), None, 404),
        ("dot segment", "PUT", DEFAULT_PUT % (".", "2"), None, 404),
        ("encoded dots", "PUT", DEFAULT_PUT % ("%2e%2E", "2"), None,
         404),
        ("trailing slash", "GET", listing + "/", None, 404),
        ("method", "POST", single, [spec(279)], 405),
        ("method of a batch", "PUT", BATCH + "create", good, 405),
        ("query", "PUT", DEFAULT_PUT % ("1", "2?x=1"), None, 400),
        ("query of a list", "GET", listing + "?x=1", None, 400),
        ("repeated query", "GET", listing + "?limit=1&limit=2", None,
         400),
        ("limit 0", "GET", listing + "?limit=0", None, 400),
        ("limit 501", "GET", listing + "?limit=501", None, 400),
        ("limit text", "GET", listing + "?limit=ten", None, 400),
        ("cursor", "GET", listing + "?after=42", None, 400),
        ("body where none belongs", "PUT", DEFAULT_PUT % ("1", "2"),
         {}, 400),
        ("body of a list", "GET", listing, {}, 400),
        ("body of a delete", "DELETE", single, {}, 400),
        ("body of a report", "POST", usage + "1", {}, 400),
        ("user", "POST", usage + "me", None, 400),
        ("no body", "POST", BATCH + "create", None, 400),
        ("no JSON", "POST", BATCH + "create", "{", 400),
        ("not UTF-8", "POST", BATCH + "create", b'{"\xff":1}', 400),
        ("NaN", "POST", BATCH + "create", '{"inputs":[NaN]}', 400),
        ("deep", "POST", BATCH + "create", "[" * 100000, 400),
        ("two values", "POST", BATCH + "create", compact(good) + "{}",
         400),
        ("array", "POST", BATCH + "create", [], 400),
        ("no inputs", "POST", BATCH + "create", {}, 400),
        ("empty inputs", "POST", BATCH + "create", {"inputs": []},
         400),
        ("extra top key", "POST", BATCH + "create",
         {**good, "x": 1}, 400),
        ("extra key", "POST", BATCH + "create", changed(x=1), 400),
        ("no types", "POST", BATCH + "create", inputs(pair), 400),
        ("types null", "POST", BATCH + "create", changed(types=None),
         400),
        ("types object", "POST", BATCH + "create",
         changed(types=spec(279)), 400),
        ("type id text", "POST", BATCH + "create",
         changed(types=[spec("279")]), 400),
        ("type id float", "POST", BATCH + "create",
         changed(types=[spec(279.0)]), 400),
        ("type id true", "POST", BATCH + "create",
         changed(types=[spec(True)]), 400),
        ("type id huge", "POST", BATCH + "create",
         changed(types=[spec(2 ** 31)]), 400),
        ("category", "POST", BATCH + "create",
         changed(types=[spec(279, "hubspot_defined")]), 400),
        ("spec key", "POST", BATCH + "create",
         changed(types=[{**spec(279), "label": None}]), 400),
        ("id number", "POST", BATCH + "create",
         changed(**{"from": {"id": 1}}), 400),
        ("id missing", "POST", BATCH + "create", changed(to={}), 400),
        ("id empty", "POST", BATCH + "create", changed(
            to={"id": ""}), 400),
        ("record key", "POST", BATCH + "create",
         changed(to={"id": "2", "type": "x"}), 400),
        ("record text", "POST", BATCH + "create", changed(to="2"),
         400),
        ("duplicate pair", "POST", BATCH + "create",
         inputs(pair * 2, [spec(279)]), 400),
        ("duplicate pair", "POST", BATCH + "associate/default",
         inputs(pair * 2), 400),
        ("types in a default", "POST", BATCH + "associate/default",
         good, 400),
        ("2,001 inputs", "POST", BATCH + "create", inputs(
            [(str(n + 1), "2") for n in range(2001)], [spec(279)]),
         400),
        ("2,001 inputs", "POST", BATCH + "associate/default", inputs(
            [(str(n + 1), "2") for n in range(2001)]), 400),
        ("1,001 reads", "POST", read, {"inputs": [
            {"id": str(n + 1)} for n in range(1001)]}, 400),
        ("101 sources", "POST", archive, {"inputs": [
            {"from": {"id": str(n + 1)}, "to": [{"id": "1"}]}
            for n in range(101)]}, 400),
        ("101 label removals", "POST", BATCH + "labels/archive",
         inputs([(str(n + 1), "2") for n in range(101)],
                [spec(279)]), 400),
        ("read key", "POST", read, {"inputs": [
            {"id": "1", "before": "x"}]}, 400),
        ("read cursor", "POST", read, {"inputs": [
            {"id": "1", "after": "x"}]}, 400),
        ("cursor of another record", "POST", read, {"inputs": [
            {"id": "1", "after": "YXQ+MjoyMg=="}]}, 400),
        ("cursor of another record", "GET", listing +
         "?after=YXQ%2BMjoyMg%3D%3D", None, 400),
        ("cursor not encoded", "GET", listing.replace("/1/", "/2/") +
         "?after=YXQ+MjoyMg==", None, 400),
        ("archive of one", "POST", archive, inputs(pair), 400),
        ("archive of none", "POST", archive, {"inputs": [
            {"from": {"id": "1"}, "to": []}]}, 400),
        ("delete of text", "DELETE", single + "x", None, 400),
        ("removal of no label", "POST", BATCH + "labels/archive",
         changed(types=[]), 400),
        ("labelled: object", "PUT", single, spec(279), 400),
        ("labelled: batch body", "PUT", single, good, 400),
        ("label without a name", "POST", LABELS, {"label": "x"}, 400),
        ("label key", "POST", LABELS,
         {"label": "x", "name": "x", "y": 1}, 400),
        ("label name", "POST", LABELS,
         {"label": "x", "name": "x-y"}, 400),
        ("label name", "POST", LABELS,
         {"label": "x", "name": "1x"}, 400),
        ("surrogate", "POST", LABELS,
         '{"label":"\\ud800","name":"x"}', 400),
        ("label id", "DELETE", LABELS + "/x", None, 400),
        ("limit of nothing", "POST", limits + "create", {"inputs": [
            {"category": "HUBSPOT_DEFINED", "typeId": 279}]}, 400),
        ("limit 0", "POST", limits + "create", {"inputs": [
            {"category": "HUBSPOT_DEFINED", "typeId": 279,
             "maxToObjectIds": 0}]}, 400),
        ("limit of another direction", "POST", limits + "create",
         {"inputs": [{"category": "HUBSPOT_DEFINED", "typeId": 280,
                      "maxToObjectIds": 1}]}, 400),
        ("update of no limit", "POST", limits + "update",
         {"inputs": [{"category": "HUBSPOT_DEFINED", "typeId": 279,
                      "maxToObjectIds": 1}]}, 400))


class StrictnessTest(SimulatorTest):
    """Each refusal."""

    def test_refused(self):
        for name, method, path, body, status in refused_requests():
            with self.subTest(name=name, path=path):
                answer = self.api(method, path, body)
                self.assertEqual(answer.status, status, answer.raw[:300])
                value = answer.json()
                self.assertEqual(value["status"], "error")
                self.assertEqual(value["correlationId"],
                                 answer.headers["x-hubspot-correlation-id"])
        self.assertEqual(self.stored(), {})
        self.assertEqual(self.api("GET", LABELS).json()["results"][2:], [])

    def test_content_type(self):
        body = compact(inputs([("1", "2")], [spec(279)]))
        for kind, status in (("text/plain", 400), ("", 400),
                             ("application/jsonp", 400),
                             ("application/json; charset=latin-1", 400),
                             ("application/json", 201),
                             ("Application/JSON; charset=UTF-8", 201)):
            with self.subTest(kind=kind):
                self.api("POST", BATCH + "create", body,
                         {"Content-Type": kind}, status=status)

    def test_largest_batch(self):
        pairs = [(str(n + 1), "2") for n in range(2000)]
        self.batch(pairs, status=201)
        self.assertEqual(len(self.stored()), 2000)

    def test_body_cap(self):
        self.settings(max_body_bytes=1000)
        self.batch([(str(n + 1), "2") for n in range(20)], status=413)
        self.batch([("1", "2")], status=201)

    def test_no_operation(self):
        self.batch([("1", "2")], [], status=201)
        self.api("PUT", "/crm/v4/objects/contacts/1/associations/companies/2",
                 [], status=201)
        self.put("1", "3")
        self.assertEqual(set(self.stored()), {("1", "3")})
        self.assertEqual([entry["noop"] for entry in self.log()],
                         [True, True, False])

    def test_authorization(self):
        for headers, status, category in (
                ({}, 401, "INVALID_AUTHENTICATION"),
                ({"Authorization": "Bearer nobody"}, 401,
                 "INVALID_AUTHENTICATION"),
                ({"Authorization": TOKEN}, 530, None),
                ({"Authorization": "Basic " + TOKEN}, 530, None),
                ({"Authorization": "Bearer "}, 530, None),
                ({"Authorization": "Bearer a b"}, 530, None)):
            with self.subTest(headers=headers):
                value = self.put(headers=headers, token=None,
                                 status=status).json()
                self.assertEqual(value.get("category"), category)
        self.assertEqual(self.stored(), {})

    def test_accounts(self):
        self.control("POST", "/accounts", {"token": "other", "scopes": None})
        self.put(token="other", status=200)
        self.assertEqual(self.stored(), {})
        self.assertEqual(len(self.stored(token="other")), 1)
        self.control("DELETE", "/accounts/other")
        self.put(token="other", status=401)

    def test_scopes(self):
        self.control("POST", "/accounts", {
            "token": "narrow", "scopes": ["crm.objects.contacts.write",
                                          "crm.objects.contacts.read",
                                          "crm.objects.companies.read"]})
        value = self.put(token="narrow", status=403).json()
        self.assertEqual(value["category"], "MISSING_SCOPES")
        self.assertEqual(
            value["errors"][0]["context"]["requiredGranularScopes"],
            ["crm.objects.contacts.write", "crm.objects.companies.write"])
        self.api("GET", LABELS, token="narrow", status=200)
        self.control("POST", "/accounts", {
            "token": "narrow", "scopes": ["crm.objects.contacts.write",
                                          "crm.objects.companies.write"]})
        self.put(token="narrow", status=200)

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


class BadBatchTest(SimulatorTest):
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
        for mode, status in (("partial", 207), ("partial200", 200)):
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
        value = self.send(bad_batch="whole")
        self.assertEqual(value.status, 400)
        self.assertEqual(value.json()["context"], {
            "INVALID_OBJECT_IDS": ["CONTACT=383 is not valid"],
            "objectId": ["383"], "objectType": ["CONTACT"]})
        value = self.send(bad_batch="unnamed")
        self.assertEqual(value.status, 400)
        self.assertNotIn("context", value.json())
        self.assertEqual(self.stored(), {})

    def test_canceled(self):
        for mode, named in (("canceled", True), ("canceled-unnamed", False)):
            answer = self.send(bad_batch=mode)
            value = answer.json()
            self.assertEqual((answer.status, value["status"],
                              value["results"], value["numErrors"]),
                             (200, "CANCELED", [], 1))
            error, = value["errors"]
            self.assertEqual("context" in error, named)
            if named:
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
        value = self.api("POST", path, body, status=207).json()
        self.assertEqual(len(value["results"]), 2)
        self.settings(bad_batch="partial200")
        self.api("POST", path, body, status=200)
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

    def test_settings_are_checked(self):
        before = self.settings()
        for wrong in ({"bad_batch": "nonsense"}, {"nonsense": 1},
                      {"page_size": 0}, {"latency_ms": "1"},
                      {"rate_limit": {"max": 1, "x": 2}}):
            self.control("POST", "/settings", wrong, status=400)
        self.assertEqual(self.control("GET", "/settings"), before)


class BadReadTest(SimulatorTest):
    """The ways in which a batch read with bad inputs is answered."""

    def setUp(self):
        super().setUp()
        self.control("POST", "/associations", {
            "from_type": "contacts", "to_type": "companies",
            "pairs": [["1", "11"], ["2", "12"], ["383", "13"]]})
        self.control("POST", "/objects", {"type": "contacts",
                                          "missing": ["383"]})

    def send(self, *ids, **settings):
        self.settings(**settings)
        return self.api("POST", BATCH + "read", {
            "inputs": [{"id": i} for i in ids or ("1", "x", "2")]})

    def froms(self, value):
        return [result["from"]["id"] for result in value["results"]]

    def test_partial(self):
        for mode, status in (("partial", 207), ("partial200", 200)):
            answer = self.send(bad_batch=mode)
            value = answer.json()
            self.assertEqual((answer.status, value["status"],
                              self.froms(value), value["numErrors"]),
                             (status, "COMPLETE", ["1", "2"], 1))
            self.assertEqual(value["errors"], [{
                "status": "error", "category": "VALIDATION_ERROR",
                "subCategory": "crm.associations.INVALID_IDENTIFIER",
                "message": '"x" is not a record id', "context": {
                    "fromObjectId": ["x"], "fromObjectType": ["contact"],
                    "toObjectType": ["company"]}}])

    def test_refused(self):
        value = self.send(bad_batch="whole")
        self.assertEqual(value.status, 400)
        self.assertEqual(value.json()["context"], {
            "INVALID_OBJECT_IDS": ["CONTACT=x is not valid"],
            "objectId": ["x"], "objectType": ["CONTACT"]})
        value = self.send(bad_batch="unnamed")
        self.assertEqual(value.status, 400)
        self.assertNotIn("context", value.json())
        for mode, named in (("canceled", True), ("canceled-unnamed", False)):
            answer = self.send(bad_batch=mode)
            value = answer.json()
            self.assertEqual((answer.status, value["status"],
                              value["results"], value["numErrors"]),
                             (200, "CANCELED", [], 1))
            self.assertEqual("context" in value["errors"][0], named)

    def test_silent(self):
        answer = self.send(bad_batch="silent")
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.froms(answer.json()), ["1", "2"])
        self.assertNotIn("errors", answer.json())

    def test_nothing_is_no_bad_input(self):
        """Neither is a record that is missing: it has no associations."""
        for mode in ("partial", "whole", "unnamed", "canceled", "silent"):
            answer = self.send("1", "383", "515", bad_batch=mode)
            self.assertEqual(answer.status, 207)
            value = answer.json()
            self.assertEqual(self.froms(value), ["1"])
            self.assertEqual(
                [(e["category"], e["subCategory"], e["context"])
                 for e in value["errors"]],
                [("OBJECT_NOT_FOUND",
                  "crm.associations.NO_ASSOCIATIONS_FOUND",
                  {"fromObjectId": [i], "fromObjectType": ["contact"],
                   "toObjectType": ["company"]}) for i in ("383", "515")])

    def test_contexts(self):
        for form, expected in (
                ("pair", {"fromObjectId": ["x"]}),
                ("from", {"fromObjectId": ["x"]}), ("to", {}),
                ("objectId", {"objectId": ["x"], "objectType": ["CONTACT"]}),
                ("ids", {"ids": ["x"]}), ("id", {"id": ["x"]}),
                ("INVALID_OBJECT_IDS",
                 {"INVALID_OBJECT_IDS": ["CONTACT=x is not valid"]}),
                ("string", "{fromObjectId=[x]}"), ("none", None)):
            with self.subTest(form=form):
                error, = self.send(context=form,
                                   bad_batch="partial").json()["errors"]
                self.assertEqual(error.get("context"), expected)
                value = self.send(bad_batch="whole").json()
                self.assertEqual(value.get("context"), expected)


class BadRemovalTest(SimulatorTest):
    """The ways in which a batch removal with bad inputs is answered."""

    PAIRS = [("1", "11"), ("383", "12"), ("2", "x"), ("3", "13")]
    # which of them are there, and can go
    GOOD = [("1", "11"), ("3", "13")]

    def each_removal(self):
        for labels in (False, True):
            self.control("POST", "/reset", {})
            self.control("POST", "/objects", {"type": "contacts",
                                              "missing": ["383"]})
            with self.subTest(labels=labels):
                yield labels

    def send(self, labels, pairs=None, **settings):
        """What is left of the good pairs, and the answer."""
        self.control("DELETE", "/associations")
        self.control("POST", "/associations", {
            "from_type": "contacts", "to_type": "companies",
            "pairs": self.GOOD})
        self.settings(**settings)
        pairs = pairs or self.PAIRS
        if labels:
            body = inputs(pairs, [spec(279)])
        else:
            body = {"inputs": [{"from": {"id": source},
                                "to": [{"id": target}]}
                               for source, target in pairs]}
        answer = self.api("POST", BATCH + (
            "labels/archive" if labels else "archive"), body)
        return sorted(self.stored()), answer

    def test_partial(self):
        for labels in self.each_removal():
            for mode, status in (("partial", 207), ("partial200", 200)):
                left, answer = self.send(labels, bad_batch=mode)
                value = answer.json()
                self.assertEqual((left, answer.status, value["status"],
                                  value["results"], value["numErrors"]),
                                 ([], status, "COMPLETE", [], 2))
                self.assertEqual(
                    [(e["category"], e["context"]) for e in value["errors"]],
                    [("OBJECT_NOT_FOUND", {"fromObjectId": ["383"],
                                           "toObjectId": ["12"]}),
                     ("VALIDATION_ERROR", {"fromObjectId": ["2"],
                                           "toObjectId": ["x"]})])

    def test_refused(self):
        for labels in self.each_removal():
            left, answer = self.send(labels, bad_batch="whole")
            self.assertEqual((left, answer.status), (self.GOOD, 400))
            self.assertEqual(answer.json()["context"], {
                "INVALID_OBJECT_IDS": ["CONTACT=383 is not valid",
                                       "COMPANY=x is not valid"],
                "objectId": ["383", "x"],
                "objectType": ["CONTACT", "COMPANY"]})
            left, answer = self.send(labels, bad_batch="unnamed")
            self.assertEqual((left, answer.status), (self.GOOD, 400))
            self.assertNotIn("context", answer.json())
            for mode in ("canceled", "canceled-unnamed"):
                left, answer = self.send(labels, bad_batch=mode)
                value = answer.json()
                self.assertEqual((left, answer.status, value["status"],
                                  value["numErrors"]),
                                 (self.GOOD, 200, "CANCELED", 1))
                self.assertEqual("context" in value["errors"][0],
                                 mode == "canceled")

    def test_silent(self):
        for labels in self.each_removal():
            left, answer = self.send(labels, bad_batch="silent")
            self.assertEqual((left, answer.status), ([], 200))
            self.assertNotIn("errors", answer.json())
            left, answer = self.send(labels, archive_status=204)
            self.assertEqual((left, answer.status), ([], 204))

    def test_contexts(self):
        for labels in self.each_removal():
            for form, expected in (
                    ("from", {"fromObjectId": ["383"]}),
                    ("to", {"toObjectId": ["12"]}),
                    ("objectId", {"objectId": ["383"],
                                  "objectType": ["CONTACT"]}),
                    ("ids", {"ids": ["383"]}),
                    ("string", "{fromObjectId=[383]}"), ("none", None)):
                _, answer = self.send(labels, context=form)
                self.assertEqual(answer.json()["errors"][0].get("context"),
                                 expected)

    def test_missing_pairs(self):
        pairs = [("1", "11"), ("1", "12"), ("4", "11")]
        for labels in self.each_removal():
            left, answer = self.send(labels, pairs)
            self.assertEqual((left, answer.status), ([("3", "13")], 200))
            for mode, status in (("partial", 207), ("partial200", 200),
                                 ("whole", 207)):
                left, answer = self.send(labels, pairs, bad_batch=mode,
                                         archive_missing="item")
                value = answer.json()
                self.assertEqual((left, answer.status), ([("3", "13")],
                                                         status))
                self.assertEqual(
                    [(e["category"], e["context"]) for e in value["errors"]],
                    [("OBJECT_NOT_FOUND", {"fromObjectId": [source],
                                           "toObjectId": [target]})
                     for source, target in pairs[1:]])
        self.settings(archive_missing="item")
        self.api("DELETE", "/crm/v4/objects/contacts/1/associations/companies"
                 "/12", status=404)

    def test_bad_types(self):
        body = inputs(self.GOOD, [spec(279)])
        body["inputs"][1]["types"] = [spec(280)]
        self.send(False, [("9", "9")])
        value = self.api("POST", BATCH + "labels/archive", body,
                         status=207).json()
        self.assertEqual(value["errors"][0]["category"], "VALIDATION_ERROR")
        self.assertEqual(set(self.stored()), {("3", "13")})
        body["inputs"][1]["types"] = [spec(999)]
        self.settings(bad_batch="whole")
        value = self.api("POST", BATCH + "labels/archive", body,
                         status=400).json()
        self.assertEqual(value["context"]["associationSpec"],
                         ["HUBSPOT_DEFINED=999"])
        self.assertEqual(set(self.stored()), {("3", "13")})


class FastPathTest(SimulatorTest):
    """A compact body is answered as any other."""

    def both(self, path, body, **settings):
        """Sends a body compactly and with a space; both outcomes."""
        found = []
        text = body if isinstance(body, str) else compact(body)
        for sent in (text, text + " "):
            self.control("POST", "/reset", {})
            self.settings(**settings)
            self.api("POST", LABELS, {"label": "Manager", "name": "manager",
                                      "inverseLabel": "Reports \u00e4"})
            answer = self.api("POST", path, sent)
            value = answer.json()
            for key in ("startedAt", "completedAt", "correlationId"):
                value.pop(key, None)
            entry = self.log()[-1]
            count = self.control("GET", "/associations/count?from_type="
                                 "contacts&to_type=companies")["count"]
            stored = self.stored()
            self.assertEqual(count, len(stored))
            found.append((answer.status, value, entry["inputs"], stored,
                          self.stored("companies", "contacts")))
        return found

    def assert_alike(self, path, body, status, **settings):
        fast, slow = self.both(path, body, **settings)
        self.assertEqual(fast, slow)
        self.assertEqual(fast[0], status, fast[1])
        return fast

    def test_good_bodies(self):
        pairs = [("101", "9001"), ("1", "9"), ("1", "10"), ("279", "279"),
                 ("9" * 19, "1"), ("12345678901", "12345678901"),
                 ("1", "9" * 19)]
        for types in ([spec(279)], [spec(1)], [spec(279), spec(1)],
                      [spec(1, "USER_DEFINED")],
                      [spec(279), spec(1, "USER_DEFINED"), spec(279)]):
            found = self.assert_alike(BATCH + "create",
                                      inputs(pairs, types), 201)
            self.assertEqual(len(found[3]), len(pairs))
        self.assert_alike(BATCH + "create", inputs(pairs, [spec(279)]), 200,
                          batch_create_status=200)
        for results in ("both", "forward"):
            self.assert_alike(BATCH + "associate/default", inputs(pairs), 200,
                              default_results=results)
        self.assert_alike(BATCH + "create", inputs(pairs[:1], [spec(279)]),
                          201)

    def test_odd_bodies(self):
        good = compact(inputs([("101", "9001"), ("102", "9002")],
                              [spec(279)]))
        plain = compact(inputs([("101", "9001"), ("102", "9002")]))
        for old, new in (("101", ""), ("101", "0"), ("101", "0101"),
                         ("9002", "09002"), ("102", "1" * 20),
                         ("101", "10 1"), ("101", "1{01"), ("101", "1,01"),
                         ('"to"', '"t1o"'), ('"to"', '"to":{"id":"3"},"to"'),
                         ("102", "101\"},\"to\":{\"id\":\"9001"),
                         ('"101"', '101'), ("9002", "9\\u0030"),
                         ('"102"', '"101"'), (']}', ']},')):
            with self.subTest(old=old, new=new):
                for path, text in ((BATCH + "create", good),
                                   (BATCH + "associate/default", plain)):
                    fast, slow = self.both(path, text.replace(old, new, 1))
                    self.assertEqual(fast, slow)
        for old, new in (("279", "280"), ("279", "0279"), ("279", "27\\u0039"),
                         ("279", "999999999999"), ("279", "279.0"),
                         ("HUBSPOT_DEFINED", "NONE"), ("[{", "[["),
                         ('"types"', '"type"')):
            with self.subTest(old=old, new=new):
                fast, slow = self.both(BATCH + "create",
                                       good.replace(old, new))
                self.assertEqual(fast, slow)
                fast, slow = self.both(BATCH + "create",
                                       good.replace(old, new, 1))
                self.assertEqual(fast, slow)

    def test_reads(self):
        """A scanned body is read as a parsed one."""
        self.control("POST", "/associations", {
            "from_type": "contacts", "to_type": "companies",
            "generate": {"first_from": 1, "count": 4, "per_from": 3,
                         "first_to": 8}})
        self.settings(page_size=2)
        first = self.api("POST", BATCH + "read", {"inputs": [
            {"id": "1"}, {"id": "2"}]}).json()["results"]
        after = [r["paging"]["next"]["after"] for r in first]
        good = compact({"inputs": [{"id": "3"}, {"id": "1", "after": after[0]},
                                   {"id": "4"}, {"id": "515"}]})
        for old, new in (("", ""), ("3", "03"), ("3", ""), ("3", "x"),
                         ("3", "0"), ("3", "4"), ("3", "1" * 20),
                         ('"3"', "3"), ("3", "\u00b3"), ("3", "\u00e4"),
                         ("3", "\\u0033"), ("3", '3\\"'), (after[0], ""),
                         (after[0], after[1]), (after[0], after[0][1:]),
                         (after[0], after[0] + "\n"), ("after", "before"),
                         (after[0], after[0] + '","x":"y'), ("]}", "]},"),
                         ('"}]}', '","after":"x"}]}')):
            with self.subTest(old=old, new=new):
                text = good.replace(old, new, 1)
                found = []
                for sent in (text, text + " "):
                    answer = self.api("POST", BATCH + "read",
                                      sent.encode("utf-8"))
                    value = answer.json()
                    for key in ("startedAt", "completedAt", "correlationId"):
                        value.pop(key, None)
                    found.append((answer.status, value,
                                  self.log()[-1]["inputs"]))
                self.assertEqual(found[0], found[1])
                if old == new:
                    self.assertEqual((found[0][0], found[0][2]), (207, 4))
        body = {"inputs": [{"id": str(n + 1)} for n in range(1001)]}
        self.api("POST", BATCH + "read", body, status=400)
        body["inputs"].pop()
        self.api("POST", BATCH + "read", body, status=207)

    def test_order_is_kept(self):
        """Deferred tables and ordinary requests act in the order sent."""
        label, = {r["typeId"] for r in self.api(
            "POST", "/crm/v4/associations/0-1/0-1/labels",
            {"label": "A", "name": "a"}).json()["results"]}
        path = "/crm/v4/associations/contacts/contacts/batch/"
        self.api("POST", path + "create", inputs(
            [("1", "2")], [spec(label, "USER_DEFINED")]))
        self.api("POST", path + "associate/default", inputs([("2", "1")]))
        self.assertEqual(len(self.stored("0-1", "0-1")[("1", "2")]), 2)
        self.api("POST", path + "create", inputs([("1", "2")], [spec(449)]))
        self.assertEqual(len(self.stored("0-1", "0-1")[("2", "1")]), 1)

    def test_discard(self):
        """Only what goes the fast path is not kept: so it is taken."""
        simulator = Simulator("--discard")
        self.addCleanup(simulator.stop)
        self.use(simulator)
        pairs = [(str(n + 1), str(n % 3 + 1)) for n in range(2000)]
        self.batch(pairs, status=201)
        self.batch(pairs, [spec(279), spec(1)], status=201)
        self.api("POST", BATCH + "associate/default", inputs(pairs),
                 status=200)
        self.assertEqual(self.stored(), {})
        self.assertEqual(self.control("GET", "/stats")["inputs"], 6000)
        self.api("POST", BATCH + "create", compact(
            inputs([("1", "2")], [spec(279)])) + " ", status=201)
        self.assertEqual(set(self.stored()), {("1", "2")})

    def test_answer_again(self):
        """With --discard, what is repeated is not worked out again, unless
        something has changed."""
        simulator = Simulator("--discard")
        self.addCleanup(simulator.stop)
        self.use(simulator)

        def read():
            return self.api("POST", BATCH + "read",
                            {"inputs": [{"id": "1"}]}).raw

        def archive():
            return self.api("POST", BATCH + "archive", {"inputs": [
                {"from": {"id": "1"}, "to": [{"id": "2"}]}]}, status=200).raw

        nothing = read()
        self.assertEqual(read(), nothing)
        self.put("1", "2")
        found = read()
        self.assertIn(b'"2"', found)
        self.assertEqual(read(), found)
        self.control("POST", "/settings", {"latency_ms": 1})
        self.assertEqual(read(), found)
        self.control("POST", "/settings", {"id_form": "number"})
        self.assertNotEqual(read(), found)
        archive()
        self.assertEqual(self.stored(), {})
        self.assertNotIn(b'"toObjectId"', read())
        again = archive()
        self.assertEqual(archive(), again)
        self.put("1", "2")
        archive()
        self.assertEqual(self.stored(), {})
        self.assertEqual(
            self.control("GET", "/stats")["operations"]["batch_archive"],
            {"requests": 4, "inputs": 4})

    def test_digest(self):
        """The same for the same requests in any order, for no others."""
        simulator = Simulator("--discard")
        self.addCleanup(simulator.stop)
        self.use(simulator)

        def digest(*pairs):
            self.control("DELETE", "/stats")
            for pair in pairs:
                self.batch([pair], status=201)
            return self.control("GET", "/stats")["digest"]

        self.assertEqual(digest(), "0" * 16)
        known = digest(("1", "2"), ("3", "4"))
        self.assertEqual(digest(("3", "4"), ("1", "2")), known)
        self.assertEqual(len({known, digest(("1", "2")), digest(
            ("1", "2"), ("3", "5")), digest(("1", "2"), ("1", "2"))}), 4)


class ControlTest(SimulatorTest):
    """What the control port puts in place."""

    def test_labels(self):
        made = self.control("POST", "/labels", {
            "from_type": "contacts", "to_type": "companies",
            "label": "Manager", "inverse_label": "Employer",
            "name": "manager"})["types"]
        self.assertEqual([m["category"] for m in made], ["USER_DEFINED"] * 2)
        labels = self.api("GET", "/crm/v4/associations/contacts/companies"
                          "/labels", status=200).json()["results"]
        self.assertIn({"category": "USER_DEFINED", "label": "Manager",
                       "typeId": made[0]["type_id"]}, labels)
        self.batch([("1", "2")], [spec(made[0]["type_id"], "USER_DEFINED")],
                   status=201)
        self.assertIn(("USER_DEFINED", made[0]["type_id"], "Manager"),
                      self.stored()[("1", "2")])

    def test_limits(self):
        path = "/crm/v4/associations/definitions/configurations/all"
        limit = {"category": "HUBSPOT_DEFINED", "type_id": 279,
                 "max_to_ids": 1}
        self.control("POST", "/limits", limit)
        self.assertEqual(self.api("GET", path).json()["results"], [
            {"category": "HUBSPOT_DEFINED", "typeId": 279,
             "userEnforcedMaxToObjectIds": 1}])
        self.assertEqual(self.put("1", "2").status, 200)
        self.assertEqual(self.put("1", "3").status, 400)
        self.control("POST", "/limits", {**limit, "max_to_ids": None})
        self.assertEqual(self.api("GET", path).json()["results"], [])
        self.control("POST", "/limits", {**limit, "type_id": 9999}, 400)

    def test_batch(self):
        self.put("7", "8")
        pairs = {"from_type": "contacts", "to_type": "companies",
                 "pairs": [["1", "2"]]}
        table = "/associations/table?from_type=contacts&to_type=companies"
        replies = self.control("POST", "/batch", [
            ["DELETE", "/associations"], ["POST", "/associations", pairs],
            ["GET", table], ["GET", "/log/count"]])["replies"]
        self.assertEqual(replies[2:],
                         ["1,2,HUBSPOT_DEFINED=279\n", {"count": 1}])
        self.control("POST", "/batch", [["GET", "/nothing"],
                                        ["DELETE", "/associations"]], 400)
        self.assertEqual(len(self.stored()), 1)


class RuleTest(SimulatorTest):
    """Misbehaviour on demand."""

    def statuses(self, count, path=None):
        return [self.put(str(n + 1), "1").status if path is None else
                self.api("GET", path).status for n in range(count)]

    def test_numbers(self):
        for match, expected in (
                ({"nth": 3}, "..x..."), ({"every": 2}, ".x.x.x"),
                ({"first": 2}, "xx...."), ({"after": 4}, "....xx"),
                ({"after": 1, "every": 2, "first": 4}, ".x.x..")):
            with self.subTest(match=match):
                self.control("DELETE", "/rules")
                self.rule({"status": 503}, **match)
                self.assertEqual("".join(
                    "x" if status == 503 else "."
                    for status in self.statuses(6)), expected)
        rules = self.control("GET", "/rules")["rules"]
        self.assertEqual((rules[0]["seen"], rules[0]["hits"]), (6, 2))

    def test_matches(self):
        other = "/crm/v4/associations/tickets/deals/labels"
        self.control("POST", "/accounts", {"token": "other"})
        for match, hit, miss in (
                ({"method": "PUT"}, self.put,
                 lambda: self.api("GET", other)),
                ({"path": "tickets/.*labels$"},
                 lambda: self.api("GET", other), self.put),
                ({"token": "other"}, lambda: self.put(token="other"),
                 self.put),
                ({"pair": ["101", "9001"]}, self.put,
                 lambda: self.put("9001", "101")),
                ({"pair": ["101", "9001"]},
                 lambda: self.batch([("5", "6"), ("101", "9001")]),
                 lambda: self.batch([("5", "9001"), ("101", "6")])),
                ({"pair": ["1", "2"]},
                 lambda: self.api("POST", BATCH + "archive", {"inputs": [
                     {"from": {"id": "1"}, "to": [{"id": "3"},
                                                  {"id": "2"}]}]}),
                 lambda: self.api("POST", BATCH + "archive", {"inputs": [
                     {"from": {"id": "1"}, "to": [{"id": "3"}]}]})),
                ({"id": "9001"}, self.put, lambda: self.put("5", "6")),
                ({"id": "7"}, lambda: self.api("POST", BATCH + "read", {
                    "inputs": [{"id": "6"}, {"id": "7"}]}),
                 lambda: self.api("POST", BATCH + "read", {
                     "inputs": [{"id": "6"}]})),
                ({"id": "7"}, lambda: self.api(
                    "GET", "/crm/v4/objects/deals/7/associations/contacts"),
                 lambda: self.api(
                     "GET", "/crm/v4/objects/deals/8/associations/contacts"))):
            with self.subTest(match=match):
                self.control("DELETE", "/rules")
                self.rule({"status": 599}, **match)
                self.assertEqual(hit().status, 599)
                self.assertNotEqual(miss().status, 599)

    def test_first_rule_wins_all_count(self):
        first = self.rule({"status": 503}, nth=1)
        second = self.rule({"status": 429}, nth=2)
        self.rule({"status": 502}, path="never")
        self.assertEqual(self.statuses(3), [503, 429, 200])
        self.assertEqual([entry["rule"] for entry in self.log()],
                         [first, second, None])

    def test_act(self):
        for action, acts in (({"status": 503}, False), ({}, True),
                             ({"status": 503, "act": True}, True),
                             ({"act": False}, False),
                             ({"text": "<html>"}, True),
                             ({"status": 200, "text": "<html>"}, False),
                             ({"redirect": "http://127.0.0.1:1/"}, False),
                             ({"delay_ms": 1}, True)):
            with self.subTest(action=action):
                self.control("POST", "/reset", {})
                self.rule(action)
                self.put()
                self.assertEqual(len(self.stored()), 1 if acts else 0)
        self.control("POST", "/reset", {})
        self.rule({"act": False})
        self.assertEqual(len(self.put(status=200).json()["results"]), 2)
        self.api("POST", LABELS, {"label": "x", "name": "x"}, status=200)
        self.assertEqual(len(self.api("GET", LABELS).json()["results"]), 2)

    def test_bodies(self):
        for action, raw, kind in (
                ({"status": 502, "text": "<html>bad</html>",
                  "content_type": "text/html"}, b"<html>bad</html>",
                 "text/html"),
                ({"base64": "AP/+"}, b"\x00\xff\xfe",
                 "application/json;charset=utf-8"),
                ({"body": {"a": ["\u00e4", None]}},
                 '{"a":["\u00e4",null]}'.encode("utf-8"),
                 "application/json;charset=utf-8"),
                ({"body": ["\ud800\u0000"]}, b'["\\ud800\\u0000"]',
                 "application/json;charset=utf-8"),
                ({"body": "\u00e4", "encoding": "latin-1"}, b'"\xe4"',
                 "application/json;charset=utf-8"),
                ({"text": ""}, b"", "application/json;charset=utf-8")):
            with self.subTest(action=action):
                self.control("DELETE", "/rules")
                self.rule(action)
                answer = self.put()
                self.assertEqual(answer.raw, raw)
                self.assertEqual(answer.headers["content-type"], kind)
                self.assertEqual(answer.status, action.get("status", 200))

    def test_canned_errors(self):
        for status, category in ((429, "RATE_LIMITS"), (503, None),
                                 (401, "INVALID_AUTHENTICATION")):
            self.control("DELETE", "/rules")
            self.rule({"status": status})
            value = self.put(status=status).json()
            self.assertEqual(value.get("category"), category)
        self.control("DELETE", "/rules")
        self.rule({"status": 204})
        self.assertEqual(self.put(status=204).raw, b"")

    def test_headers(self):
        self.rule({"status": 503, "headers": {
            "Retry-After": "7", "X-HubSpot-Correlation-Id": None}})
        answer = self.put(status=503)
        self.assertEqual(answer.headers["retry-after"], "7")
        self.assertIsNone(answer.headers["x-hubspot-correlation-id"])
        self.control("DELETE", "/rules")
        self.rule({"redirect": "http://127.0.0.1:1/x"})
        answer = self.put(status=302)
        self.assertEqual(answer.headers["location"], "http://127.0.0.1:1/x")
        self.control("DELETE", "/rules")
        self.rule({"headers": {"content-length": None}})
        answer = self.put(status=200)
        self.assertEqual(len(answer.json()["results"]), 2)
        self.assertEqual(self.put(status=200).headers["content-length"], None)

    def changed(self, action, pairs=None, default=False):
        """The envelope that a rule makes of a batch's reply."""
        pairs = pairs or [(str(n), str(n + 10)) for n in range(1, 7)]
        self.control("DELETE", "/rules")
        self.rule(action)
        if default:
            answer = self.api("POST", BATCH + "associate/default",
                              inputs(pairs))
        else:
            answer = self.batch(pairs)
        self.assertLess(answer.status, 300)
        return answer.json()

    def froms(self, *changes, **options):
        return [str(r.get("fromObjectId") or r["from"]["id"]) for r in
                self.changed({"results": list(changes)}, **options)[
                    "results"]]

    def test_changed_results(self):
        plain = ["1", "2", "3", "4", "5", "6"]
        self.assertEqual(self.froms("reverse"), plain[::-1])
        shuffled = self.froms("shuffle")
        self.assertNotEqual(shuffled, plain)
        self.assertEqual(sorted(shuffled), plain)
        self.assertEqual(self.froms("shuffle"), shuffled)
        self.assertEqual(self.froms("drop:2"), ["1", "3", "5"])
        self.assertEqual(self.froms("drop:3", default=True),
                         ["1", "11", "2", "12", "4", "14", "5", "15"])
        self.assertEqual(self.froms("drop_pair:2:12", default=True),
                         ["1", "11", "3", "13", "4", "14", "5", "15", "6",
                          "16"])
        self.assertEqual(self.froms("double", "drop_pair:1:11")[:3],
                         ["2", "2", "3"])
        self.assertEqual(self.froms("empty"), [])
        foreign = self.froms("foreign")
        self.assertEqual(len(foreign), 8)
        self.assertEqual(len(set(foreign) - set(plain)), 2)
        self.assertEqual(len(self.stored()), 6)
        others = self.froms("others")
        self.assertEqual(len(others), 6)
        self.assertFalse(set(others) & set(plain))

    def test_changed_values(self):
        value = self.changed({"results": ["numbers", "unknown_keys"]})
        self.assertEqual(value["results"][0]["fromObjectId"], 1)
        self.assertIn("unknownKey", value["results"][0])
        self.assertIn("unknownKey", value)
        value = self.changed({"results": ["numbers"]}, default=True)
        self.assertEqual(value["results"][1]["from"]["id"], 11)
        value = self.changed({"envelope": {"status": "PENDING",
                                           "startedAt": None}})
        self.assertEqual(value["status"], "PENDING")
        self.assertNotIn("startedAt", value)
        errors = [{"category": "X"}]
        value = self.changed({"errors": errors, "status": 207,
                              "results": ["drop:2"]})
        self.assertEqual((value["errors"], value["numErrors"]), (errors, 1))
        self.assertEqual(len(value["results"]), 3)

    def test_nest_and_pad(self):
        self.rule({"nest": 10000, "pad": 1000})
        raw = self.batch([("1", "2")]).raw
        self.assertIn(b"[" * 10001 + b"{", raw)
        self.assertIn(b'"' + b"x" * 1000 + b'"', raw)
        self.assertEqual(raw.count(b"["), raw.count(b"]"))
        self.control("DELETE", "/rules")
        self.rule({"pad": 3000000, "encoding": "utf-8"})
        answer = self.put()
        self.assertGreater(len(answer.raw), 3000000)
        self.assertEqual(len(answer.json()["results"]), 2)

    def test_encoding(self):
        self.rule({"envelope": {"x": "\u00e4"}, "encoding": "latin-1"})
        self.assertIn(b'"x":"\xe4"', self.put().raw)

    def test_single_result_is_changed(self):
        self.rule({"results": ["numbers", "unknown_keys"]})
        value = self.api(
            "PUT", "/crm/v4/objects/contacts/1/associations/companies/2",
            [spec(279)]).json()
        self.assertEqual(value["toObjectId"], 2)
        self.assertIn("unknownKey", value)

    def test_delays(self):
        for action, low in (({"delay_ms": 60}, 0.06),
                            ({"delay_body_ms": 60}, 0.06),
                            ({"delay_ms": 30, "delay_body_ms": 30}, 0.06),
                            ({"text": "123456", "drip": {
                                "bytes": 1, "interval_ms": 15}}, 0.07)):
            with self.subTest(action=action):
                self.control("DELETE", "/rules")
                self.rule(action)
                start = time.monotonic()
                self.assertEqual(self.put().status, 200)
                taken = time.monotonic() - start
                self.assertGreaterEqual(taken, low)
                self.assertLess(taken, low + 0.5)

    def test_cut_head(self):
        self.rule({"cut_head": 20})
        request = ("PUT " + DEFAULT_PUT % ("1", "2") + " HTTP/1.1\r\n"
                   "Host: x\r\nAuthorization: Bearer " + TOKEN +
                   "\r\n\r\n").encode()
        self.assertEqual(self.raw(request), b"HTTP/1.1 200 OK\r\nDat")
        self.assertEqual(len(self.stored()), 1)

    def test_informational(self):
        self.rule({"informational": [102, 103]})
        request = ("PUT " + DEFAULT_PUT % ("1", "2") + " HTTP/1.1\r\n"
                   "Host: x\r\nAuthorization: Bearer " + TOKEN + "\r\n"
                   "Connection: close\r\n\r\n").encode()
        lines = self.raw(request).split(b"\r\n")
        self.assertEqual([line.split(b" ")[1] for line in lines
                          if line.startswith(b"HTTP/")],
                         [b"102", b"103", b"200"])
        self.assertEqual(lines[1], b"")
        self.assertEqual(len(self.stored()), 1)

    def test_chunked(self):
        self.rule({"chunked": True})
        answer = self.put(status=200)
        self.assertEqual(answer.headers["transfer-encoding"], "chunked")
        self.assertEqual(len(answer.json()["results"]), 2)
        self.control("DELETE", "/rules")
        self.rule({"chunked": True, "drip": {"bytes": 7, "interval_ms": 0}})
        self.assertEqual(len(self.put().json()["results"]), 2)

    def broken(self, action):
        """How a request ends: the exception, or the answer."""
        self.control("DELETE", "/rules")
        self.rule(action)
        self.connection.close()
        try:
            return self.put()
        except (OSError, http.client.HTTPException) as problem:
            return problem
        finally:
            self.connection.close()

    def test_broken_connections(self):
        self.assertIsInstance(self.broken({"reset": "before"}),
                              ConnectionResetError)
        self.assertIsInstance(self.broken({"reset": "body"}),
                              ConnectionResetError)
        self.assertIsInstance(self.broken({"reset": "headers"}),
                              ConnectionResetError)
        self.assertIsInstance(self.broken({"close": "before"}),
                              http.client.RemoteDisconnected)
        self.assertIsInstance(self.broken({"truncate": 10}),
                              http.client.IncompleteRead)
        self.assertIsInstance(self.broken({"truncate": 10, "chunked": True}),
                              http.client.IncompleteRead)
        self.assertEqual([e["status"] for e in self.log()],
                         [None, 200, 200, None, 200, 200])
        # of all these only the truncated ones act
        self.assertEqual(len(self.stored()), 1)
        self.assertEqual(self.control("GET", "/stats")["in_flight"], 0)

    def test_reset_with_effect(self):
        self.broken({"reset": "before", "act": True})
        self.assertEqual(len(self.stored()), 1)

    def test_hang(self):
        self.rule({"hang": True}, first=1)
        plain = socket.create_connection(("127.0.0.1", self.simulator.port))
        plain.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % LABELS.encode())
        plain.settimeout(0.1)
        with self.assertRaises(socket.timeout):
            plain.recv(1)
        self.assertEqual(self.control("GET", "/stats")["in_flight"], 1)
        self.put(status=200)
        self.assertEqual([e["in_flight"] for e in self.log()], [0, 1])
        plain.close()
        deadline = time.monotonic() + TIMEOUT
        while self.control("GET", "/stats")["in_flight"]:
            self.assertLess(time.monotonic(), deadline)

    def test_stalled_account(self):
        """One account is kept waiting, and no other."""
        self.control("POST", "/accounts", {"token": "slow"})
        other = http.client.HTTPConnection("127.0.0.1", self.simulator.port,
                                           timeout=TIMEOUT)
        self.addCleanup(other.close)
        for action in {"hang": True, "act": True}, {"delay_ms": 300}:
            self.control("DELETE", "/rules")
            self.rule(action, token="slow")
            start = time.monotonic()
            other.request("PUT", DEFAULT_PUT % ("1", "2"),
                          headers={"Authorization": "Bearer slow"})
            deadline = time.monotonic() + TIMEOUT
            while not self.control("GET", "/rules")["rules"][0]["hits"]:
                self.assertLess(time.monotonic(), deadline)
            self.put(status=200)
            if "hang" in action:
                self.assertEqual(
                    self.control("GET", "/stats")["in_flight"], 1)
                other.close()
        self.assertEqual(other.getresponse().status, 200)
        self.assertGreaterEqual(time.monotonic() - start, 0.3)
        self.assertEqual(self.control("GET", "/rules")["rules"][0]["seen"], 1)
        for token, requests in ("slow", 2), (TOKEN, 2):
            self.assertEqual(
                self.control("GET", "/stats?token=" + token)["requests"],
                requests)

    def test_late(self):
        """What takes effect after its connection is gone."""
        count = "/associations/count?from_type=contacts&to_type=companies"

        def held():
            return self.control("GET", count)["count"]

        for action in {"hang": True}, {"status": 503}, {}:
            self.control("POST", "/reset")
            self.rule(dict(action, late_ms=200))
            start = time.monotonic()
            if "hang" in action:
                late = http.client.HTTPConnection(
                    "127.0.0.1", self.simulator.port, timeout=TIMEOUT)
                late.request("PUT", DEFAULT_PUT % ("1", "2"),
                             headers={"Authorization": "Bearer " + TOKEN})
                deadline = start + TIMEOUT
                while not self.control("GET", "/rules")["rules"][0]["hits"]:
                    self.assertLess(time.monotonic(), deadline)
                late.close()
            else:
                self.put(status=action.get("status", 200))
            if time.monotonic() < start + 0.15:
                self.assertEqual(held(), 0)
            while not held():
                self.assertLess(time.monotonic(), start + TIMEOUT)
            self.assertGreaterEqual(time.monotonic(), start + 0.2)
        self.control("POST", "/reset")
        self.rule({"late_ms": 100, "status": 503})
        self.batch([("1", "2"), ("3", "4")], status=503)
        deadline = time.monotonic() + TIMEOUT
        while held() != 2:
            self.assertLess(time.monotonic(), deadline)
        self.control("POST", "/reset")
        self.rule({"late_ms": 100})
        self.put()
        self.control("POST", "/reset")
        time.sleep(0.2)
        self.assertEqual(held(), 0)

    def test_close_after(self):
        for silent in (False, True):
            self.control("DELETE", "/rules")
            self.rule({"close_after": True, "silent_close": silent})
            got = self.raw(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
                           % LABELS.encode())
            self.assertEqual(b"Connection: close" in got, not silent)

    def test_rules_are_checked(self):
        for wrong in ({"x": 1}, {"match": {"x": 1}}, {"action": {"x": 1}},
                      {"match": {"path": "("}},
                      {"action": {"results": ["sort"]}},
                      {"action": {"results": ["drop:0"]}}, 5):
            self.control("POST", "/rules", wrong, status=400)
        self.assertEqual(self.control("GET", "/rules"), {"rules": []})


class RateLimitTest(SimulatorTest):
    """Limits on requests."""

    def test_rolling(self):
        self.settings(rate_limit={"max": 2, "interval_ms": 150,
                                  "retry_after": 1})
        first = self.put(status=200)
        self.assertEqual(first.headers["x-hubspot-ratelimit-max"], "2")
        self.assertEqual(first.headers["x-hubspot-ratelimit-remaining"], "1")
        self.assertEqual(
            first.headers["x-hubspot-ratelimit-interval-milliseconds"], "150")
        self.put(status=200)
        refused = self.put("5", "5", status=429)
        self.assertEqual(refused.json()["policyName"],
                         "TEN_SECONDLY_ROLLING")
        self.assertEqual(refused.headers["retry-after"], "1")
        self.assertEqual(len(self.stored()), 1)
        deadline = time.monotonic() + TIMEOUT
        while self.put("5", "5").status == 429:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        self.settings(rate_limit=None)
        for _ in range(5):
            self.put(status=200)

    def test_policies(self):
        for policy in ("SECONDLY", "DAILY"):
            self.settings(rate_limit={"max": 0, "policy": policy})
            answer = self.put(status=429)
            self.assertEqual(answer.json()["policyName"], policy)
            self.assertIsNone(answer.headers["retry-after"])
        self.assertEqual(
            answer.headers["x-hubspot-ratelimit-daily-remaining"], "0")


class OAuthTest(SimulatorTest):
    """Access tokens that expire."""

    FORM = {"grant_type": "refresh_token", "client_id": "id",
            "client_secret": "secret&=", "refresh_token": "refresh"}

    def declare(self, **options):
        self.control("POST", "/oauth", {
            "client_id": "id", "client_secret": "secret&=",
            "refresh_token": "refresh", **options})

    def fetch(self, path="/oauth/2026-03/token", **changes):
        body = urllib.parse.urlencode({**self.FORM, **changes})
        return self.api("POST", path, body, {
            "Content-Type": "application/x-www-form-urlencoded"}, token=None)

    def test_token(self):
        self.declare()
        for path in ("/oauth/2026-03/token", "/oauth/v3/token",
                     "/oauth/v1/token"):
            answer = self.fetch(path)
            self.assertEqual(answer.status, 200)
            value = answer.json()
            self.assertEqual(value["expires_in"], 1800)
            self.assertEqual(value["refresh_token"], "refresh")
            self.put(token=value["access_token"], status=200)
        self.assertEqual(len(self.stored()), 1)
        self.control("POST", "/oauth/expire")
        answer = self.put(token=value["access_token"], status=401)
        self.assertEqual(answer.json()["category"], "EXPIRED_AUTHENTICATION")
        self.put(token=self.fetch().json()["access_token"], status=200)

    def test_expiry(self):
        self.declare(expires_in=0.05)
        token = self.fetch().json()["access_token"]
        deadline = time.monotonic() + TIMEOUT
        while self.put(token=token).status == 200:
            self.assertLess(time.monotonic(), deadline)
        self.put(token=token, status=401)

    def test_rotation(self):
        self.declare(rotate=True)
        new = self.fetch().json()["refresh_token"]
        self.assertNotEqual(new, "refresh")
        answer = self.fetch()
        self.assertEqual(answer.status, 400)
        value = answer.json()
        self.assertEqual((value["error"], value["status"]),
                         ("invalid_grant", "BAD_REFRESH_TOKEN"))
        self.assertIn("error_description", value)
        self.assertEqual(self.fetch(refresh_token=new).status, 200)

    def test_refusals(self):
        self.declare()
        for changes in ({"client_id": "x"}, {"client_secret": "x"},
                        {"grant_type": "code"}, {"extra": "x"}):
            self.assertEqual(self.fetch(**changes).status, 400)
        self.api("POST", "/oauth/v1/token", self.FORM, token=None, status=400)
        self.api("GET", "/oauth/v1/token", token=None, status=405)

    def test_no_secret_in_the_log(self):
        self.declare()
        token = self.fetch().json()["access_token"]
        self.put(token=token)
        form = urllib.parse.urlencode(self.FORM)
        self.api("POST", "/oauth/v1/token?" + form, token=None, status=400)
        self.api("POST", "/oauth/v1/token", self.FORM, token=None, status=400)
        self.rule({"status": 500}, path="^/oauth/")
        self.fetch(client_secret="secret&= of another")
        text = json.dumps(self.log())
        for secret in (token, "secret&", urllib.parse.quote("secret&="),
                       "=refresh&", '"refresh"'):
            self.assertNotIn(secret, text)
        entries = self.log()
        self.assertEqual(entries[1]["token_hash"], hashlib.sha256(
            token.encode()).hexdigest()[:12])
        shown = "grant_type=refresh_token&client_id=id&client_secret=...&" \
            "refresh_token=..."
        self.assertEqual((entries[0]["body"], entries[2]["query"],
                          entries[4]["body"]), (shown,) * 3)

    def test_scopes(self):
        self.control("POST", "/accounts", {
            "token": "narrow", "scopes": ["crm.objects.contacts.read"]})
        self.declare(token="narrow")
        token = self.fetch().json()["access_token"]
        value = self.put(token=token, status=403).json()
        self.assertEqual(value["category"], "MISSING_SCOPES")

    def test_latency(self):
        """Refreshes can be slow while nothing else is."""
        self.declare(latency_ms=150)
        start = time.monotonic()
        token = self.fetch().json()["access_token"]
        self.assertGreaterEqual(time.monotonic() - start, 0.15)
        start = time.monotonic()
        self.put(token=token, status=200)
        self.assertLess(time.monotonic() - start, 0.15)
        self.control("POST", "/oauth", {"client_id": "x"}, status=400)
        self.control("POST", "/oauth", {
            "client_id": "x", "client_secret": "x", "refresh_token": "x",
            "expires": 5}, status=400)

    def test_rules(self):
        self.declare(rotate=True)
        for action, status, value in (
                ({"status": 503}, 503, None),
                ({"status": 400, "body": {"error": "invalid_grant"}}, 400,
                 {"error": "invalid_grant"}),
                ({"text": "<html>", "status": 200}, 200, None)):
            self.control("DELETE", "/rules")
            self.rule(action, path="^/oauth/", method="POST", nth=1)
            answer = self.fetch()
            self.assertEqual(answer.status, status)
            if value is not None:
                self.assertEqual(answer.json(), value)
            # the refresh token is still good, and no rule is about others
            self.put(status=200)
        self.control("DELETE", "/rules")
        self.rule({"act": False, "envelope": {"expires_in": 7,
                                              "token_type": None}})
        value = self.fetch().json()
        self.assertEqual((value["expires_in"], "token_type" in value),
                         (7, False))
        self.control("DELETE", "/rules")
        self.put(token=value["access_token"], status=401)
        self.rule({"delay_ms": 60}, path="^/oauth/")
        start = time.monotonic()
        new = self.fetch().json()["refresh_token"]
        self.assertGreaterEqual(time.monotonic() - start, 0.06)
        self.control("DELETE", "/rules")
        self.rule({"reset": "before", "act": True}, path="^/oauth/", nth=1)
        with self.assertRaises(ConnectionResetError):
            self.fetch(refresh_token=new)
        self.connection.close()
        self.assertEqual(self.fetch(refresh_token=new).status, 400)

    def test_hang(self):
        self.declare()
        self.rule({"hang": True}, path="^/oauth/")
        form = urllib.parse.urlencode(self.FORM).encode()
        with socket.create_connection(
                ("127.0.0.1", self.simulator.port), 0.1) as plain:
            plain.sendall(
                b"POST /oauth/2026-03/token HTTP/1.1\r\nHost: x\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(form), form))
            with self.assertRaises(socket.timeout):
                plain.recv(1)
        self.assertEqual([e["status"] for e in self.log()], [None])
        self.assertEqual(self.control("GET", "/stats")["operations"], {})


class LogTest(SimulatorTest):
    """What the simulator remembers."""

    def test_entries(self):
        self.put(headers={"X-Test": "1"})
        self.batch([("1", "2"), ("3", "4")])
        self.api("GET", "/crm/v4/objects/deals/7/associations/contacts?"
                 "limit=5")
        put, batch, listing = self.log()
        self.assertEqual(
            [put[key] for key in ("n", "method", "path", "query", "status",
                                  "inputs", "http_version", "content_type",
                                  "body", "rule", "noop", "in_flight")],
            [1, "PUT", DEFAULT_PUT % ("101", "9001"), "", 200, None,
             "HTTP/1.1", None, "", None, False, 0])
        self.assertEqual(put["headers"]["x-test"], "1")
        self.assertNotIn("authorization", put["headers"])
        self.assertEqual(put["connection"], batch["connection"])
        self.assertEqual((batch["inputs"], batch["status"],
                          batch["content_type"]),
                         (2, 201, "application/json"))
        self.assertEqual(json.loads(batch["body"])["inputs"][1]["to"],
                         {"id": "4"})
        self.assertEqual(listing["query"], "limit=5")
        self.assertLess(put["time_ms"], listing["time_ms"])
        self.assertNotIn(TOKEN, json.dumps([put, batch, listing]))

    def test_queries(self):
        for _ in range(3):
            self.put()
        self.api("GET", LABELS)
        self.assertEqual(
            self.control("GET", "/log/paths?path=labels%24"),
            {"requests": [["GET", LABELS, 200]]})
        self.assertEqual(self.control("GET", "/log/count"), {"count": 4})
        self.assertEqual(self.control("GET", "/log/count?path=labels%24"),
                         {"count": 1})
        value = self.control("GET", "/log?path=default&limit=2")
        self.assertEqual((value["count"], value["dropped"],
                          [e["n"] for e in value["requests"]]),
                         (3, 0, [2, 3]))
        self.control("DELETE", "/log")
        self.assertEqual(self.control("GET", "/log"),
                         {"count": 0, "dropped": 0, "requests": []})

    def test_stats(self):
        self.put()
        self.batch([("1", "2"), ("3", "4")])
        stats = self.control("GET", "/stats")
        self.assertEqual((stats["requests"], stats["inputs"],
                          stats["connections_accepted"],
                          stats["max_in_flight"], stats["in_flight"]),
                         (2, 2, 1, 1, 0))
        self.assertGreaterEqual(stats["connections_open"], 1)

    def test_clear_stats(self):
        self.put()
        self.control("DELETE", "/stats")
        for path in "/stats", "/stats?token=" + TOKEN:
            stats = self.control("GET", path)
            self.assertEqual((stats["requests"], stats["operations"]),
                             (0, {}))
        self.assertEqual(self.control("GET", "/stats")["max_in_flight"], 0)
        self.put()
        self.assertEqual(self.control("GET", "/stats")["requests"], 1)

    def test_operations(self):
        self.put()
        for ids in ("1", "2"), ("3",):
            self.api("POST", BATCH + "read", {"inputs": [
                {"id": i} for i in ids]}, status=207)
        self.api("POST", BATCH + "archive", {"inputs": [
            {"from": {"id": "1"}, "to": [{"id": "2"}, {"id": "3"}]}]},
            status=200)
        self.api("GET", "/crm/v4/nothing", status=404)
        stats = self.control("GET", "/stats")
        self.assertEqual((stats["requests"], stats["inputs"]), (5, 4))
        self.assertEqual(stats["operations"], {
            "create_default": {"requests": 1, "inputs": 0},
            "batch_read": {"requests": 2, "inputs": 3},
            "batch_archive": {"requests": 1, "inputs": 1}})

    def test_stats_of_account(self):
        self.control("POST", "/accounts", {"token": "other"})
        self.put()
        for ids in ("1", "2"), ("3",):
            self.api("POST", BATCH + "read", {"inputs": [
                {"id": i} for i in ids]}, status=207, token="other")
        self.api("GET", "/crm/v4/nothing", status=404, token="other")
        self.api("GET", LABELS, status=401, token="nobody")
        self.rule({"status": 500}, token="other", method="POST")
        self.batch([("1", "2"), ("3", "4")], token="other", status=500)
        self.assertEqual(self.control("GET", "/stats?token=other"), {
            "requests": 4, "inputs": 5, "operations": {
                "batch_read": {"requests": 2, "inputs": 3}}})
        self.assertEqual(self.control("GET", "/stats?token=" + TOKEN), {
            "requests": 1, "inputs": 0, "operations": {
                "create_default": {"requests": 1, "inputs": 0}}})
        self.assertEqual(self.control("GET", "/stats")["requests"], 6)
        self.control("GET", "/stats?token=nobody", status=400)
        self.control("POST", "/oauth", {
            "token": "other", "client_id": "id", "client_secret": "secret",
            "refresh_token": "refresh"})
        token = self.api(
            "POST", "/oauth/v3/token", "grant_type=refresh_token&client_id=id"
            "&client_secret=secret&refresh_token=refresh", {
                "Content-Type": "application/x-www-form-urlencoded"},
            token=None, status=200).json()["access_token"]
        self.put(token=token, status=200)
        self.assertEqual(
            self.control("GET", "/stats?token=other")["requests"], 5)
        self.control("POST", "/reset", {})
        self.assertEqual(self.control("GET", "/stats?token=" + TOKEN),
                         {"requests": 0, "inputs": 0, "operations": {}})

    def test_table(self):
        self.assertEqual(self.table(), [])
        self.batch([("10", "2"), ("9", "11"), ("9", "2")], status=201)
        self.batch([("9", "2")], [spec(1)], status=201)
        self.assertEqual(self.table(), [
            "9,2,HUBSPOT_DEFINED=1 HUBSPOT_DEFINED=279",
            "9,11,HUBSPOT_DEFINED=279", "10,2,HUBSPOT_DEFINED=279"])
        self.assertEqual(self.table("companies", "contacts", token=TOKEN), [
            "2,9,HUBSPOT_DEFINED=2 HUBSPOT_DEFINED=280",
            "2,10,HUBSPOT_DEFINED=280", "11,9,HUBSPOT_DEFINED=280"])
        self.control("GET", "/associations/table", status=400)

    def test_many(self):
        """100,000 associations can be looked at."""
        self.control("POST", "/associations", {
            "from_type": "contacts", "to_type": "companies",
            "generate": {"count": 50000, "per_from": 2, "to_count": 100}})
        lines = self.table()
        self.assertEqual((len(lines), lines[0], lines[-1]), (
            100000, "1,1,HUBSPOT_DEFINED=279",
            "50000,100,HUBSPOT_DEFINED=279"))
        self.assertEqual(set(self.stored()),
                         {tuple(line.split(",")[:2]) for line in lines})

    def test_in_flight(self):
        self.settings(latency_ms=200)
        others = [http.client.HTTPConnection("127.0.0.1", self.simulator.port,
                                             timeout=TIMEOUT)
                  for _ in range(4)]
        start = time.monotonic()
        for other in others:
            other.request("GET", LABELS, headers={
                "Authorization": "Bearer " + TOKEN})
        for other in others:
            self.assertEqual(other.getresponse().status, 200)
            other.close()
        taken = time.monotonic() - start
        self.assertGreaterEqual(taken, 0.2)
        self.assertLess(taken, 0.6)
        self.assertEqual(self.control("GET", "/stats")["max_in_flight"], 4)
        self.assertEqual(sorted(e["in_flight"] for e in self.log()),
                         [0, 1, 2, 3])

    def test_control(self):
        self.assertEqual(self.control("GET", "/health"), {"ok": True})
        self.control("GET", "/nothing", status=400)
        self.control("POST", "/objects", {"type": "widgets"}, status=400)
        self.control("POST", "/settings", {"token": "nobody"}, status=400)
        self.put()
        self.control("DELETE", "/associations")
        self.assertEqual(self.stored(), {})
        self.assertEqual(self.stored("companies", "contacts"), {})
        self.control("POST", "/associations", {
            "from_type": "contacts", "to_type": "companies",
            "pairs": [["1", "2"]], "types": [
                {"category": "HUBSPOT_DEFINED", "type_id": 1}]})
        self.assertEqual(self.stored(from_id="1"), {
            ("1", "2"): [("HUBSPOT_DEFINED", 1, "Primary")]})
        self.control("POST", "/associations", {
            "from_type": "deals", "to_type": "tickets", "generate": {
                "first_from": 5, "count": 2, "per_from": 2, "first_to": 8,
                "to_count": 3}})
        self.assertEqual(set(self.stored("deals", "tickets")), {
            ("5", "8"), ("5", "9"), ("6", "10"), ("6", "8")})
        self.settings(bad_batch="whole")
        self.control("POST", "/reset", {})
        self.assertEqual(self.settings()["bad_batch"], "partial")
        self.assertEqual(self.stored(), {})


class HttpTest(SimulatorTest):
    """The protocol."""

    def head(self, extra=b"", version=b"1.1"):
        return b"GET " + LABELS.encode() + b" HTTP/" + version + \
            b"\r\nHost: x\r\nAuthorization: Bearer " + TOKEN.encode() + \
            b"\r\n" + extra + b"\r\n"

    def test_keep_alive(self):
        for number in range(50):
            self.put(str(number + 1), "1", status=200)
        stats = self.control("GET", "/stats")
        self.assertEqual((stats["requests"], stats["connections_accepted"]),
                         (50, 1))
        self.assertEqual(len({e["connection"] for e in self.log()}), 1)

    def test_close(self):
        for data in (self.head(b"Connection: close\r\n"),
                     self.head(version=b"1.0"),
                     self.head(b"Connection: x, Close\r\n")):
            got = self.raw(data)
            self.assertTrue(got.startswith(b"HTTP/1.1 200 OK\r\n"), got)
            self.assertIn(b"\r\nConnection: close\r\n", got)

    def test_pipelining(self):
        self.rule({"delay_ms": 20}, nth=1)
        got = self.raw(self.head() * 5 + self.head(b"Connection: close\r\n"))
        self.assertEqual(got.count(b"HTTP/1.1 200 OK"), 6)

    def test_pieces(self):
        body = compact(inputs([("1", "2"), ("3", "4")], [spec(279)])).encode()
        data = b"POST " + BATCH.encode() + b"create HTTP/1.1\r\nHost: x\r\n" \
            b"Authorization: Bearer " + TOKEN.encode() + b"\r\nConnection: " \
            b"close\r\nContent-Type: application/json\r\nContent-Length: " + \
            str(len(body)).encode() + b"\r\n\r\n" + body
        with socket.create_connection(
                ("127.0.0.1", self.simulator.port), TIMEOUT) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, len(data), 7):
                plain.sendall(data[start:start + 7])
            got = b"".join(iter(lambda: plain.recv(65536), b""))
        self.assertTrue(got.startswith(b"HTTP/1.1 201"), got)
        self.assertEqual(len(self.stored()), 2)

    def test_chunked_request(self):
        body = compact(inputs([("1", "2"), ("3", "4")], [spec(279)])).encode()
        chunks = (body[i:i + 11] for i in range(0, len(body), 11))
        self.connection.request(
            "POST", BATCH + "create", chunks, {
                "Authorization": "Bearer " + TOKEN,
                "Content-Type": "application/json"}, encode_chunked=True)
        self.assertEqual(self.connection.getresponse().status, 201)
        self.assertEqual(len(self.stored()), 2)

    def test_expect(self):
        with socket.create_connection(
                ("127.0.0.1", self.simulator.port), TIMEOUT) as plain:
            plain.sendall(b"POST " + BATCH.encode() + b"create HTTP/1.1\r\n"
                          b"Host: x\r\nContent-Length: 2\r\nExpect: "
                          b"100-continue\r\nConnection: close\r\n\r\n")
            self.assertEqual(plain.recv(100),
                             b"HTTP/1.1 100 Continue\r\n\r\n")
            plain.sendall(b"{}")
            self.assertIn(b"401", plain.recv(100))

    def test_proxy_form(self):
        got = self.raw(self.head(b"Connection: close\r\n").replace(
            b"GET /", b"GET http://api.example.com/", 1))
        self.assertTrue(got.startswith(b"HTTP/1.1 200 OK\r\n"), got)

    def test_malformed(self):
        for data in (b"nonsense\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n",
                     b"GET / HTTP/1.1\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: x\r\nbroken\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1"
                     b"\r\n\r\n",
                     b"GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                     b"Content-Length: 1\r\n\r\nx",
                     b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
                     b"chunked\r\n\r\nzz\r\n"):
            with self.subTest(data=data):
                self.assertTrue(self.raw(data).startswith(b"HTTP/1.1 400"))
        self.assertTrue(self.raw(b"GET / HTTP/1.1\r\nX: " + b"x" * 70000)
                        .startswith(b"HTTP/1.1 431"))

    def test_latency_option(self):
        simulator = Simulator("--latency", "200", "--token", "mine")
        self.addCleanup(simulator.stop)
        self.assertRegex(simulator.line, r"^port=\d+ control=\d+\n$")
        self.use(simulator)
        start = time.monotonic()
        self.put(token="mine", status=200)
        self.assertGreaterEqual(time.monotonic() - start, 0.2)
        start = time.monotonic()
        self.put(status=401)
        self.assertGreaterEqual(time.monotonic() - start, 0.2)
        self.settings(latency_ms=0)
        start = time.monotonic()
        self.put(token="mine", status=200)
        self.assertLess(time.monotonic() - start, 0.2)


class TlsTest(SimulatorTest):
    """The API over TLS."""

    @classmethod
    def setUpClass(cls):
        if shutil.which("openssl") is None:
            raise unittest.SkipTest("the openssl command is missing")
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.key = os.path.join(cls.directory.name, "key.pem")
        cls.certificate = os.path.join(cls.directory.name, "cert.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
             "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", cls.key,
             "-out", cls.certificate], check=True, capture_output=True)
        cls.secure = Simulator("--tls-cert", cls.certificate, "--tls-key",
                               cls.key)
        cls.addClassCleanup(cls.secure.stop)

    def setUp(self):
        context = ssl.create_default_context(cafile=self.certificate)
        self.use(self.secure, context)
        self.control("POST", "/reset", {})

    def test_requests(self):
        for number in range(3):
            self.put(str(number + 1), "1", status=200)
        self.batch([(str(n + 1), "2") for n in range(2000)], status=201)
        self.assertEqual(len(self.stored()), 2003)
        self.assertEqual(
            self.control("GET", "/stats")["connections_accepted"], 1)

    def test_faults(self):
        self.rule({"truncate": 10}, nth=1)
        self.rule({"reset": "before"}, nth=2)
        self.rule({"delay_body_ms": 10}, nth=3)
        with self.assertRaises((http.client.IncompleteRead, ssl.SSLError)):
            self.put()
        self.connection.close()
        with self.assertRaises((OSError, http.client.RemoteDisconnected)):
            self.put()
        self.connection.close()
        self.put(status=200)

    def test_untrusted(self):
        self.use(self.secure, ssl.create_default_context())
        with self.assertRaises(ssl.SSLError):
            self.put()


TYPES = ("contacts", "companies", "deals", "2-7")


class JournalTest(SimulatorTest):
    """What is left after a kill -9."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.journal = os.path.join(directory.name, "journal")
        self.start()

    def start(self, *arguments):
        simulator = Simulator("--journal", self.journal, *arguments)
        self.addCleanup(simulator.stop)
        self.use(simulator)

    def restart(self):
        """On the same ports."""
        self.simulator.stop()
        self.start("--port", str(self.simulator.port),
                   "--control-port", str(self.simulator.control_port))

    def everything(self, *tokens):
        """All associations and definitions of accounts."""
        seen = {}
        for token in tokens:
            for from_type in TYPES:
                for to_type in TYPES:
                    direction = (token, from_type, to_type)
                    seen[direction] = (
                        self.stored(from_type, to_type, token=token),
                        self.api("GET", "/crm/v4/associations/%s/%s/labels"
                                 % (from_type, to_type), token=token).json())
        return seen

    def lines(self):
        with open(self.journal, "rb") as file:
            return file.read().splitlines()

    def survives(self, *tokens):
        """Kills, and checks that nothing else has changed."""
        before = self.everything(TOKEN, *tokens)
        self.restart()
        self.assertEqual(self.everything(TOKEN, *tokens), before)

    def test_api(self):
        pairs = [(str(n), str(n + 1)) for n in range(1, 9)]
        self.put()
        self.put("103", "9003")
        self.api("PUT", "/crm/v4/objects/deals/7/associations/companies/8",
                 [spec(341), spec(5)], status=201)
        self.batch(pairs, status=201)
        self.batch(pairs[:3], [spec(1)], status=201)
        self.api("POST", BATCH + "associate/default",
                 inputs([("21", "1"), ("22", "1"), ("23", "1")]), status=200)
        self.api("POST", BATCH + "associate/default", json.dumps(
            inputs([("31", "1"), ("32", "1")])), status=200)
        self.api("DELETE", "/crm/v4/objects/contacts/101/associations/"
                 "companies/9001", status=204)
        self.api("POST", BATCH + "archive", {"inputs": [
            {"from": {"id": "21"}, "to": [{"id": "1"}]},
            {"from": {"id": "4"}, "to": [{"id": "5"}]}]}, status=200)
        self.api("POST", BATCH + "labels/archive",
                 inputs(pairs[1:2], [spec(1)]), status=200)
        self.assertEqual(set(self.stored()), {
            *pairs[:3], *pairs[4:], ("103", "9003"), ("22", "1"),
            ("23", "1"), ("31", "1"), ("32", "1")})
        self.survives()
        # It goes on with what came back: the primary company is another one.
        self.batch([("1", "77")], [spec(1)], status=201)
        self.assertEqual(self.stored(from_id="1"), {
            ("1", "2"): [PLAIN],
            ("1", "77"): [("HUBSPOT_DEFINED", 1, "Primary")]})
        self.survives()

    def test_labels(self):
        made = []
        for name in "abc":
            made.append(self.api("POST", LABELS, {
                "label": "Label " + name, "name": name,
                "inverseLabel": "Inverse " + name}, status=200).json()[
                    "results"][0]["typeId"])
        for type_id in made:
            self.batch([("1", "2"), ("3", str(type_id))],
                       [spec(279), spec(type_id, "USER_DEFINED")], status=201)
            self.batch([("5", str(type_id))],
                       [spec(type_id, "USER_DEFINED")], status=201)
        self.api("PUT", LABELS, {"associationTypeId": made[0],
                                 "label": "Other"}, status=204)
        self.api("DELETE", LABELS + "/%d" % made[1], status=204)
        self.assertEqual(self.stored(from_id="5"), {
            ("5", str(made[0])): [("USER_DEFINED", made[0], "Other")],
            ("5", str(made[2])): [("USER_DEFINED", made[2], "Label c")]})
        self.survives()
        again = self.api("POST", LABELS, {"label": "New", "name": "d"},
                         status=200).json()["results"][0]["typeId"]
        self.assertGreater(again, made[2])

    def test_custom_objects(self):
        """Their association types are numbered as they are first needed."""
        path = "/crm/v4/objects/%s/1/associations/default/%s/2"
        for kinds in ("2-7", "deals"), ("contacts", "2-7"), ("2-7", "2-7"):
            self.api("PUT", path % kinds, status=200)
        self.survives()

    def test_control(self):
        self.control("POST", "/accounts", {"token": "other"})
        self.control("POST", "/accounts", {
            "token": "narrow", "scopes": ["crm.objects.contacts.write"]})
        for token in "gone", "again":
            self.control("POST", "/accounts", {"token": token})
            self.put(token=token, status=200)
            self.control("DELETE", "/accounts/" + token)
        self.control("POST", "/accounts", {"token": "again"})
        self.put("5", "6", token="again", status=200)
        direction = {"from_type": "contacts", "to_type": "companies"}
        self.control("POST", "/associations", {
            **direction, "pairs": [["1", "2"], ["3", "4"]], "types": [
                {"category": "HUBSPOT_DEFINED", "type_id": 1}]})
        self.control("DELETE", "/associations")
        self.control("POST", "/associations", {
            **direction, "token": "other", "generate": {
                "count": 10, "per_from": 3, "to_count": 7}})
        self.control("POST", "/associations", {
            **direction, "pairs": [["5", "2"], ["7", "4"]]})
        self.survives("other", "again")
        self.assertEqual(len(self.stored(token="other")), 30)
        self.assertEqual(set(self.stored(token="again")), {("5", "6")})
        self.assertEqual(set(self.stored()), {("5", "2"), ("7", "4")})
        self.put(token="narrow", status=403)
        self.put(token="gone", status=401)

    def test_reset(self):
        self.put()
        self.control("POST", "/accounts", {"token": "other"})
        self.assertEqual(len(self.lines()), 2)
        self.control("POST", "/reset", {})
        self.assertEqual(self.lines(), [])
        self.put("1", "2")
        self.restart()
        self.assertEqual(set(self.stored()), {("1", "2")})
        self.put(token="other", status=401)

    def test_lines(self):
        """A request is one line, which is there before its reply."""
        pairs = [(str(n), "1") for n in range(1, 2001)]
        self.api("POST", BATCH + "associate/default", inputs(pairs),
                 status=200)
        self.assertEqual(len(self.lines()), 1)
        self.batch(pairs, status=201)
        self.assertEqual(len(self.lines()), 2)
        self.rule({}, nth=1)            # the fast path rests
        self.batch(pairs, status=201)
        self.assertEqual(len(self.lines()), 3)
        self.api("GET", LABELS, status=200)
        self.batch([("x", "1")], status=207)
        self.api("DELETE", "/crm/v4/objects/contacts/9999/associations/"
                 "companies/9001", status=204)
        self.assertEqual(len(self.lines()), 3)

    def test_unanswered(self):
        """What took effect stays, though nobody was told."""
        self.rule({"hang": True, "act": True}, path="default")
        self.rule({"hang": True})
        for path in DEFAULT_PUT % ("1", "2"), \
                "/crm/v4/objects/contacts/3/associations/companies/4":
            plain = socket.create_connection(
                ("127.0.0.1", self.simulator.port), TIMEOUT)
            self.addCleanup(plain.close)
            plain.sendall(b"PUT %s HTTP/1.1\r\nHost: x\r\nAuthorization: "
                          b"Bearer %s\r\n\r\n" % (path.encode(),
                                                 TOKEN.encode()))
        deadline = time.monotonic() + TIMEOUT
        while self.control("GET", "/stats")["in_flight"] < 2:
            self.assertLess(time.monotonic(), deadline)
        self.restart()
        self.assertEqual(set(self.stored()), {("1", "2")})

    def test_torn_line(self):
        self.put("1", "2")
        self.put("3", "4")
        self.simulator.stop()
        with open(self.journal, "rb") as file:
            whole = file.read()
        second = whole.index(b"\n") + 1
        for end in second, second + 1, len(whole) - 1:
            with open(self.journal, "wb") as file:
                file.write(whole[:end])
            self.start()
            self.assertEqual(set(self.stored()), {("1", "2")})
            with open(self.journal, "rb") as file:
                self.assertEqual(file.read(), whole[:second])
            self.put("5", "6")
            self.restart()
            self.assertEqual(set(self.stored()), {("1", "2"), ("5", "6")})
            self.simulator.stop()

    def test_bad_line(self):
        self.put("1", "2")
        self.simulator.stop()
        for line in ("nonsense", "[3]", '[["shout","test-token"]]',
                     '[["clear","nobody"]]'):
            with open(self.journal, "w") as file:
                file.write('[["clear","test-token"]]\n' + line + "\n")
            done = subprocess.run(
                [sys.executable, SIMULATOR, "--journal", self.journal],
                capture_output=True, text=True, timeout=TIMEOUT)
            self.assertEqual((done.returncode, done.stdout), (1, ""), line)
            self.assertIn("journal, line 2: ", done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_kill_in_traffic(self):
        """
        Whatever was answered is there after a kill at any moment, and of
        what was not, a request's changes are there all or not at all.
        """
        clients = [TrafficClient(number) for number in range(4)]
        for answers in (5, 23, 60):
            told = threading.Semaphore(0)
            threads = [threading.Thread(target=client.run, args=(
                self.simulator.port, told)) for client in clients]
            for thread in threads:
                thread.start()
            for _ in range(answers):
                self.assertTrue(told.acquire(timeout=TIMEOUT))
            self.simulator.process.kill()
            for thread in threads:
                thread.join(TIMEOUT)
                self.assertFalse(thread.is_alive())
            self.restart()
            stored = set(self.stored())
            self.assertEqual({(b, a) for a, b in
                              self.stored("companies", "contacts")}, stored)
            for client in clients:
                client.settle(self, stored)
                stored -= client.present
            self.assertEqual(stored, set())


class TrafficClient:
    """Creates and removes until its connection breaks; knows what it did."""

    def __init__(self, number):
        self.ids = iter(range(number * 1000000 + 1, (number + 1) * 1000000))
        self.turns = iter(range(1000000))
        self.present = set()    # pairs that must be there
        self.asked = set()      # those of the request without an answer
        self.created = False    # whether that is to create them

    def run(self, port, told):
        connection = http.client.HTTPConnection("127.0.0.1", port,
                                                timeout=TIMEOUT)
        try:
            while True:
                connection.request(*self.next_request(), {
                    "Authorization": "Bearer " + TOKEN,
                    "Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                if response.status != 200:
                    return
                self.done()
                told.release()
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    def next_request(self):
        turn = next(self.turns) % 3
        self.created = turn < 2
        if turn == 2:
            self.asked = set(sorted(self.present)[:20])
            return "POST", BATCH + "archive", compact({"inputs": [
                {"from": {"id": source}, "to": [{"id": target}]}
                for source, target in self.asked]})
        made = [(str(next(self.ids)), "1") for _ in range(turn * 500 or 1)]
        self.asked = set(made)
        if turn == 0:
            return "PUT", DEFAULT_PUT % made[0], None
        return "POST", BATCH + "associate/default", compact(inputs(made))

    def done(self):
        """The request was answered."""
        if self.created:
            self.present |= self.asked
        else:
            self.present -= self.asked
        self.asked = set()

    def settle(self, test, stored):
        """Compares; the open request counts as done if it has an effect."""
        test.assertLessEqual(self.present - self.asked, stored)
        there = self.asked & stored
        test.assertIn(there, (set(), self.asked))
        if bool(there) == self.created:
            self.done()
        self.asked = set()


class ProcessTest(SimulatorTest):
    """How the process ends."""

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            simulator = Simulator()
            simulator.process.send_signal(number)
            simulator.process.wait(TIMEOUT)
            simulator.process.stdout.close()

    def test_parent_death(self):
        script = ("import subprocess, sys, time\n"
                  "child = subprocess.Popen([sys.executable, sys.argv[1]], "
                  "stdout=subprocess.PIPE, text=True)\n"
                  "print(child.pid, child.stdout.readline(), flush=True)\n"
                  "time.sleep(60)\n")
        parent = subprocess.Popen([sys.executable, "-c", script, SIMULATOR],
                                  stdout=subprocess.PIPE, text=True)
        port = int(re.search("port=([0-9]+)",
                             parent.stdout.readline()).group(1))
        socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
        parent.kill()
        parent.wait()
        parent.stdout.close()
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
            except OSError:
                break
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_thread_death(self):
        """The end of the thread that started it is not the parent's."""
        made = []
        thread = threading.Thread(target=lambda: made.append(Simulator()))
        thread.start()
        thread.join()
        self.addCleanup(made[0].stop)
        self.use(made[0])
        for number in range(20):
            self.put(str(number + 1), "1", status=200)
            time.sleep(0.005)

    def test_arguments(self):
        for arguments in (["--tls-cert", "x"],
                          ["--discard", "--journal", "x"]):
            done = subprocess.run([sys.executable, SIMULATOR, *arguments],
                                  capture_output=True)
            self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main()
