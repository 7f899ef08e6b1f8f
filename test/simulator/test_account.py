"""
test_account: tests of the limit on an account's requests
"""

import time

from .harness import TIMEOUT, SimulatorTest


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
        self.assertTrue(refused.json()["requestId"])
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
