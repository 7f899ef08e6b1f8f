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
                      {"rate_limit": {"max": 1, "x": 2}}):
            self.control("POST", "/settings", wrong, status=400)
        self.assertEqual(self.control("GET", "/settings"), before)
