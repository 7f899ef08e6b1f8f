"""
test_connection: tests of HTTP, plain and over TLS
"""

import http.client
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import unittest

from .harness import (BATCH, LABELS, TIMEOUT, TOKEN, Simulator, SimulatorTest,
                      compact, inputs, spec)


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
