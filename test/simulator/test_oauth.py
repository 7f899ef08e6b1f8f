"""
test_oauth: tests of access tokens and of the endpoint that gives them
"""

import hashlib
import json
import socket
import time
import urllib.parse

from .harness import TIMEOUT, SimulatorTest


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
        for path in ("/oauth/2025-09/token", "/oauth/2026-04/token",
                     "/oauth/2031-03/token"):
            self.assertNotEqual(self.fetch(path).status, 200)
        for path in ("/oauth/2026-03/token", "/oauth/2026-09/token",
                     "/oauth/2027-03-beta/token", "/oauth/v3/token",
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

    def taken(self, token):
        start = time.monotonic()
        self.put(token=token, status=200)
        return time.monotonic() - start

    def test_latency(self):
        """Refreshes can be slow while nothing else is."""
        self.declare(latency_ms=150)
        start = time.monotonic()
        token = self.fetch().json()["access_token"]
        self.assertGreaterEqual(time.monotonic() - start, 0.15)
        self.assertLess(min(self.taken(token) for _ in range(5)), 0.15)
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
            deadline = time.monotonic() + TIMEOUT
            while not self.control("GET", "/stats")["in_flight"]:
                self.assertLess(time.monotonic(), deadline)
            with self.assertRaises(socket.timeout):
                plain.recv(1)
        self.assertEqual([e["status"] for e in self.log()], [None])
        self.assertEqual(self.control("GET", "/stats")["operations"], {})
