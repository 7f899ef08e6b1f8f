"""
test_rules: tests of when a rule applies
"""

from .harness import BATCH, SimulatorTest


class RuleTest(SimulatorTest):
    """Which requests a rule is about."""

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

    def test_rules_are_checked(self):
        for wrong in ({"x": 1}, {"match": {"x": 1}}, {"action": {"x": 1}},
                      {"match": {"path": "("}},
                      {"action": {"results": ["sort"]}},
                      {"action": {"results": ["drop:0"]}}, 5):
            self.control("POST", "/rules", wrong, status=400)
        self.assertEqual(self.control("GET", "/rules"), {"rules": []})
