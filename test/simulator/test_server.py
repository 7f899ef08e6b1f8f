"""
test_server: tests of effects under rules, of counts and of latency
"""

import http.client
import time

from .harness import BATCH, DEFAULT_PUT, LABELS, TIMEOUT, TOKEN, SimulatorTest


class EffectTest(SimulatorTest):
    """Whether and when an operation takes effect under a rule."""

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

    def test_hold(self):
        """What has taken effect is answered when the test says so."""
        self.rule({"hold": True}, first=3)
        others = [http.client.HTTPConnection("127.0.0.1", self.simulator.port,
                                             timeout=TIMEOUT)
                  for _ in range(3)]
        for number, other in enumerate(others):
            self.addCleanup(other.close)
            other.request("PUT", DEFAULT_PUT % (str(number + 1), "1"),
                          headers={"Authorization": "Bearer " + TOKEN})
        deadline = time.monotonic() + TIMEOUT
        while self.control("GET", "/rules")["rules"][0]["hits"] < 3:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(len(self.stored()), 3)
        self.put("4", "1", status=200)
        others[1].close()
        while self.control("GET", "/stats")["in_flight"] != 2:
            self.assertLess(time.monotonic(), deadline)
        self.control("POST", "/release")
        for other in others[0], others[2]:
            self.assertEqual(other.getresponse().status, 200)
        self.assertEqual(self.control("GET", "/stats")["in_flight"], 0)
        # What is held when all is forgotten is never answered.
        self.rule({"hold": True})
        others[0].request("GET", LABELS)
        while self.control("GET", "/stats")["in_flight"] != 1:
            self.assertLess(time.monotonic(), deadline)
        self.control("POST", "/reset")
        self.control("POST", "/release")
        self.assertEqual(self.control("GET", "/stats")["in_flight"], 1)

    def test_meanwhile(self):
        """What somebody else does, after the operation and before the next."""
        place = "/associations?from_type=contacts&to_type=companies"
        plain = [["HUBSPOT_DEFINED", 279]]
        self.rule({"meanwhile": [["contacts", "1", "companies", "2", []],
                                 ["contacts", "3", "companies", "4", plain]]},
                  first=1)
        self.put("1", "2")
        self.put("5", "6")
        self.assertEqual(
            [(a["from_id"], a["to_id"], a["types"][0]["type_id"])
             for a in self.control("GET", place)["associations"]],
            [("3", "4", 279), ("5", "6", 279)])

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
            seen = held()
            if time.monotonic() < start + 0.2:
                self.assertEqual(seen, 0)
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


class CountTest(SimulatorTest):
    """What is counted, and what is at work."""

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

    def test_in_flight(self):
        self.rule({"hold": True})
        others = [http.client.HTTPConnection("127.0.0.1", self.simulator.port,
                                             timeout=TIMEOUT)
                  for _ in range(4)]
        for other in others:
            other.request("GET", LABELS, headers={
                "Authorization": "Bearer " + TOKEN})
        deadline = time.monotonic() + TIMEOUT
        while self.control("GET", "/stats")["in_flight"] < 4:
            self.assertLess(time.monotonic(), deadline)
        self.control("POST", "/release")
        for other in others:
            self.assertEqual(other.getresponse().status, 200)
            other.close()
        self.assertEqual(self.control("GET", "/stats")["max_in_flight"], 4)
        self.assertEqual(sorted(e["in_flight"] for e in self.log()),
                         [0, 1, 2, 3])
