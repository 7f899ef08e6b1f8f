"""
harness: what the tests of the simulator share

They start simulators on ephemeral ports of the loopback interface and talk
HTTP to them.  What is checked is what a request did: the reply, and what the
simulator holds afterwards.
"""

import atexit
import functools
import http.client
import json
import os
import socket
import subprocess
import sys
import unittest
import urllib.parse

SIMULATOR = os.path.dirname(os.path.abspath(__file__))
TOKEN = "test-token"
VERSIONS = ("v4", "2025-09", "2026-03", "2026-09", "2027-03")
TIMEOUT = 10

# Paths of one version, and the plain association of its types.
C2C = "contacts/companies"
DEFAULT_PUT = "/crm/objects/2026-03/contacts/%s/associations/default/" \
    "companies/%s"
BATCH = "/crm/associations/2026-03/contacts/companies/batch/"
LABELS = "/crm/associations/2026-03/contacts/companies/labels"
LIMITS = "/crm/associations/2026-03/definitions/configurations/"
PLAIN = ("HUBSPOT_DEFINED", 279, None)
REVERSE = ("HUBSPOT_DEFINED", 280, None)


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


@functools.lru_cache(maxsize=None)
def shared_simulator():
    """The simulator of all tests that need none of their own."""
    simulator = Simulator()
    atexit.register(simulator.stop)
    return simulator


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
    """An association type, as requests name it."""
    return {"associationCategory": category, "associationTypeId": type_id}


def compact(value):
    """JSON without blanks, as well-made clients send it."""
    return json.dumps(value, separators=(",", ":"))


def area(version, which):
    """Where a version's "objects" or "associations" paths begin."""
    if version == "v4":
        return "/crm/v4/" + which
    return "/crm/%s/%s" % (which, version)


class SimulatorTest(unittest.TestCase):
    """A test with the shared simulator in its initial state."""

    maxDiff = 4000

    def setUp(self):
        self.use(shared_simulator())
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

    def raw(self, data):
        """All bytes that come back on a connection of its own."""
        with socket.create_connection(
                ("127.0.0.1", self.simulator.port), TIMEOUT) as plain:
            plain.sendall(data)
            got = b""
            while True:
                part = plain.recv(65536)
                if not part:
                    return got
                got += part

    def assert_refused(self, requests):
        """
        Each of (what, method, path, body, status) is refused with this
        status, and has no effect.
        """
        for what, method, path, body, status in requests:
            with self.subTest(what=what, path=path):
                answer = self.api(method, path, body)
                self.assertEqual(answer.status, status, answer.raw[:300])
                value = answer.json()
                self.assertEqual(value["status"], "error")
                self.assertEqual(value["correlationId"],
                                 answer.headers["x-hubspot-correlation-id"])
        self.assertEqual(self.stored(), {})
        self.assertEqual(self.api("GET", LABELS).json()["results"][2:], [])


class BadBatchTest(SimulatorTest):
    """
    How a batch with a bad input is refused as a whole; send() sends one with
    these settings.
    """

    def send(self, **settings):
        raise NotImplementedError

    def assert_whole(self, record_id):
        """As an error that names the contact, or nobody."""
        answer = self.send(bad_batch="whole")
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.json()["context"], {
            "INVALID_OBJECT_IDS": [f"CONTACT={record_id} is not valid"],
            "objectId": [record_id], "objectType": ["CONTACT"]})
        answer = self.send(bad_batch="unnamed")
        self.assertEqual(answer.status, 400)
        self.assertNotIn("context", answer.json())

    def assert_canceled(self):
        """As a batch that was canceled; the error that names the contact."""
        errors = []
        for mode in ("canceled", "canceled-unnamed"):
            answer = self.send(bad_batch=mode)
            value = answer.json()
            self.assertEqual((answer.status, value["status"],
                              value["results"], value["numErrors"]),
                             (200, "CANCELED", [], 1))
            errors += value["errors"]
        named, unnamed = errors
        self.assertIn("context", named)
        self.assertNotIn("context", unnamed)
        return named


class VersionsTest(SimulatorTest):
    """A test of what is the same in each version of the API."""

    def each_version(self):
        """The versions, each with a simulator in its initial state."""
        for version in VERSIONS:
            self.control("POST", "/reset", {})
            with self.subTest(version=version):
                yield version

    def objects(self, version, rest):
        return area(version, "objects") + "/" + rest

    def associations(self, version, rest):
        return area(version, "associations") + "/" + rest

    def records(self, version, rest, which="objects"):
        """Records and properties have v3 beside the dated versions."""
        return area(version, which).replace("v4", "v3") + "/" + rest
