"""
test_journal: tests of what is left after a kill -9
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

from .harness import (BATCH, DEFAULT_PUT, LABELS, PLAIN, SIMULATOR, TIMEOUT,
                      TOKEN, Simulator, SimulatorTest, compact, inputs, spec)

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
                                 "label": "Other", "inverseLabel": "Back"},
                 status=204)
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
