"""
test_fast_path: tests of the short ways, which nobody is to notice
"""

from .harness import (BATCH, LABELS, Simulator, SimulatorTest, compact, inputs,
                      spec)


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
