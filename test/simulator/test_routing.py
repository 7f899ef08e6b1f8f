"""
test_routing: tests of the way from a request to its operation
"""

from .harness import (BATCH, DEFAULT_PUT, LABELS, SimulatorTest, compact,
                      inputs, spec)

SINGLE = "/crm/v4/objects/contacts/1/associations/companies/2"
LIST = "/crm/v4/objects/contacts/1/associations/companies"
USAGE = "/crm/v4/associations/usage/high-usage-report/"
GOOD = inputs([("1", "2")], [spec(279)])


class RoutingTest(SimulatorTest):
    """Which requests lead to no operation, or not to this one."""

    def test_paths(self):
        self.assert_refused((
            ("unknown path", "GET", "/crm/v4/nothing/at/all", None, 404),
            ("no path", "GET", "/", None, 404),
            ("v3", "GET", "/crm/v3/objects/contacts/1/associations/2", None,
             404),
            ("old version", "GET", LIST.replace(
                "/v4/objects", "/objects/2024-09"), None, 404),
            ("version misplaced", "GET", LIST.replace(
                "/v4/", "/2026-03/"), None, 404),
            ("v4 misplaced", "GET", LIST.replace(
                "/v4/objects", "/objects/v4"), None, 404),
            ("month 13", "GET", LIST.replace(
                "/v4/objects", "/objects/2026-13"), None, 404),
            ("month 4", "GET", LIST.replace(
                "/v4/objects", "/objects/2026-04"), None, 404),
            ("version to come", "GET", LIST.replace(
                "/v4/objects", "/objects/2031-03"), None, 404),
            ("alpha", "GET", LIST.replace(
                "/v4/objects", "/objects/2026-09-alpha"), None, 404),
            ("empty segment", "PUT", DEFAULT_PUT % ("", "2"), None, 404),
            ("dot segment", "PUT", DEFAULT_PUT % (".", "2"), None, 404),
            ("encoded dots", "PUT", DEFAULT_PUT % ("%2e%2E", "2"), None, 404),
            ("trailing slash", "GET", LIST + "/", None, 404)))

    def test_unknown_version(self):
        """The words of such a refusal are those of any unknown path."""
        value = self.api("GET", LIST.replace("/v4/objects", "/objects/2031-03"),
                         status=404).json()
        self.assertEqual(value["message"], "resource not found")
        self.assertNotIn("category", value)

    def test_beta(self):
        for version in ("2025-09", "2026-09", "2027-03"):
            self.api("GET", LIST.replace(
                "/v4/objects", "/objects/%s-beta" % version), status=200)

    def test_numbers(self):
        """Ids of types have 32 bits, those of users any."""
        for number, status in (("2147483647", 404), ("2147483648", 400),
                               ("0", 400), ("01", 400)):
            self.api("DELETE", LABELS + "/" + number, status=status)
        for number, status in (("9" * 19, 200), ("9" * 20, 400)):
            self.api("POST", USAGE + number, status=status)

    def test_methods(self):
        self.assert_refused((
            ("method", "POST", SINGLE, [spec(279)], 405),
            ("method of a batch", "PUT", BATCH + "create", GOOD, 405)))

    def test_queries(self):
        self.assert_refused((
            ("query", "PUT", DEFAULT_PUT % ("1", "2?x=1"), None, 400),
            ("query of a list", "GET", LIST + "?x=1", None, 400),
            ("repeated query", "GET", LIST + "?limit=1&limit=2", None, 400),
            ("limit 0", "GET", LIST + "?limit=0", None, 400),
            ("limit 501", "GET", LIST + "?limit=501", None, 400),
            ("limit text", "GET", LIST + "?limit=ten", None, 400),
            ("cursor", "GET", LIST + "?after=42", None, 400)))

    def test_bodies(self):
        self.assert_refused((
            ("body of a create", "PUT", DEFAULT_PUT % ("1", "2"), {}, 400),
            ("body of a list", "GET", LIST, {}, 400),
            ("body of a delete", "DELETE", SINGLE, {}, 400),
            ("body of a report", "POST", USAGE + "1", {}, 400),
            ("user", "POST", USAGE + "me", None, 400),
            ("no body", "POST", BATCH + "create", None, 400)))

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

    def test_body_cap(self):
        self.settings(max_body_bytes=1000)
        self.batch([(str(n + 1), "2") for n in range(20)], status=413)
        self.batch([("1", "2")], status=201)

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
