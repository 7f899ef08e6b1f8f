"""
test_state: tests of accounts and their tokens
"""

from .harness import TOKEN, SimulatorTest


class AccountsTest(SimulatorTest):
    """Which account a token leads to."""

    def test_authorization(self):
        for headers, status, category in (
                ({}, 401, "INVALID_AUTHENTICATION"),
                ({"Authorization": "Bearer nobody"}, 401,
                 "INVALID_AUTHENTICATION"),
                ({"Authorization": TOKEN}, 530, None),
                ({"Authorization": "Basic " + TOKEN}, 530, None),
                ({"Authorization": "Bearer "}, 530, None),
                ({"Authorization": "Bearer a b"}, 530, None)):
            with self.subTest(headers=headers):
                value = self.put(headers=headers, token=None,
                                 status=status).json()
                self.assertEqual(value.get("category"), category)
        self.assertEqual(self.stored(), {})

    def test_accounts(self):
        self.control("POST", "/accounts", {"token": "other", "scopes": None})
        self.put(token="other", status=200)
        self.assertEqual(self.stored(), {})
        self.assertEqual(len(self.stored(token="other")), 1)
        self.control("DELETE", "/accounts/other")
        self.put(token="other", status=401)
