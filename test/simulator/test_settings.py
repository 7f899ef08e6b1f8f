"""
test_settings: tests of the checks of settings
"""

from .harness import SimulatorTest


class SettingsTest(SimulatorTest):
    """What cannot be set."""

    def test_settings_are_checked(self):
        before = self.settings()
        for wrong in ({"bad_batch": "nonsense"}, {"nonsense": 1},
                      {"page_size": 0}, {"latency_ms": "1"},
                      {"rate_limit": {"max": 1, "x": 2}},
                      {"search_rate_limit": {"max": "1"}},
                      {"search_lag_ms": -1}, {"check_records": "yes"},
                      {"missing_keys": None}):
            self.control("POST", "/settings", wrong, status=400)
        self.assertEqual(self.control("GET", "/settings"), before)

    def test_limits(self):
        """What is not said of a limit is HubSpot's."""
        known = self.settings(rate_limit={}, search_rate_limit={})
        self.assertEqual(known["rate_limit"], {
            "max": 100, "interval_ms": 10000, "retry_after": None,
            "policy": "TEN_SECONDLY_ROLLING"})
        self.assertEqual(known["search_rate_limit"], {
            "max": 5, "interval_ms": 1000, "retry_after": None,
            "policy": "SECONDLY"})
