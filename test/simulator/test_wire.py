"""
test_wire: tests of faults on the wire
"""

import gzip
import http.client
import json
import socket
import time
import unittest
import zlib

from .harness import DEFAULT_PUT, LABELS, TIMEOUT, TOKEN, SimulatorTest
from .wire import cut, schedule


class FaultTest(SimulatorTest):
    """Replies that are late, or in pieces, or cut short."""

    def test_delays(self):
        for action, low in (({"delay_ms": 60}, 0.06),
                            ({"delay_body_ms": 60}, 0.06),
                            ({"delay_ms": 30, "delay_body_ms": 30}, 0.06),
                            ({"text": "123456", "drip": {
                                "bytes": 1, "interval_ms": 15}}, 0.07)):
            with self.subTest(action=action):
                self.control("DELETE", "/rules")
                self.rule(action)
                taken = []
                for _ in range(3):
                    start = time.monotonic()
                    self.assertEqual(self.put().status, 200)
                    taken.append(time.monotonic() - start)
                self.assertGreaterEqual(min(taken), low)
                self.assertLess(min(taken), low + 0.5)

    def test_cut_head(self):
        self.rule({"cut_head": 20})
        request = ("PUT " + DEFAULT_PUT % ("1", "2") + " HTTP/1.1\r\n"
                   "Host: x\r\nAuthorization: Bearer " + TOKEN +
                   "\r\n\r\n").encode()
        self.assertEqual(self.raw(request), b"HTTP/1.1 200 OK\r\nDat")
        self.assertEqual(len(self.stored()), 1)

    def test_no_body(self):
        """Nobody waits for the body of what has none."""
        path = "/crm/v4/objects/contacts/1/associations/companies/2"
        for status, length in ((204, None), (200, "0"), (302, "0")):
            self.control("DELETE", "/rules")
            self.rule({"status": status})
            answer = self.api("DELETE", path, status=status)
            self.assertEqual((answer.raw, answer.headers["Content-Length"]),
                             (b"", length))

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

    def test_compress(self):
        for encoding, decode in (("gzip", gzip.decompress),
                                 ("deflate", zlib.decompress)):
            with self.subTest(encoding=encoding):
                self.control("DELETE", "/rules")
                self.rule({"compress": encoding})
                answer = self.put(headers={"Accept-Encoding": "br, %s;q=1" % encoding})
                self.assertEqual(answer.headers["content-encoding"], encoding)
                results = json.loads(decode(answer.raw))["results"]
                self.assertEqual(len(results), 2)
                answer = self.put()
                self.assertNotIn("content-encoding", answer.headers)
                self.assertEqual(len(answer.json()["results"]), 2)

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

    def test_close_after(self):
        for silent in (False, True):
            self.control("DELETE", "/rules")
            self.rule({"close_after": True, "silent_close": silent})
            got = self.raw(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
                           % LABELS.encode())
            self.assertEqual(b"Connection: close" in got, not silent)


class ScheduleTest(unittest.TestCase):
    """What is sent when: (delay, bytes)."""

    def test_schedule(self):
        for fault, expected in (
                ({}, [(0, b"HEADbody")]), ({"reset": "before"}, []),
                ({"close": "before"}, []), ({"cut_head": 2}, [(0, b"HE")]),
                ({"delay_body_ms": 500}, [(0, b"HEAD"), (0.5, b"body")]),
                ({"drip": {"bytes": 3, "interval_ms": 100}},
                 [(0, b"HEAD"), (0, b"bod"), (0.1, b"y")]),
                ({"truncate": 1}, [(0, b"HEADb")]),
                ({"reset": "headers"}, [(0, b"HEAD"), (0.01, b"")]),
                ({"reset": "body"}, [(0, b"HEADbo"), (0.01, b"")])):
            self.assertEqual(list(schedule(b"HEAD", b"body", fault)),
                             expected, fault)

    def test_chunks(self):
        """Chunks of a body that is cut short have no end."""
        chunked = {"chunked": True, "drip": {"bytes": 3}}
        self.assertEqual(cut(b"body", chunked, True), [
            b"3\r\nbod\r\n", b"1\r\ny\r\n", b"0\r\n\r\n"])
        self.assertEqual(cut(b"bod", chunked, False), [b"3\r\nbod\r\n"])
        self.assertEqual(cut(b"", {}, True), [])
