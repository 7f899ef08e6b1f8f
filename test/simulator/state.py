"""
state: all accounts, and which one a request is about
"""

import re

from .account import Account
from .errors import ApiError
from .journal import Journal
from .oauth import OAuth


class State:
    """All that the simulator holds: accounts, apps and their tokens."""

    def __init__(self, default_token, latency_ms, discard, journal):
        self.default_token = default_token
        self.latency_ms = latency_ms
        self.discard = discard
        self.journal = journal
        self.reset()

    def reset(self):
        """Back to the start, the journal as well."""
        self.journal.clear()
        self.accounts = {}
        self.oauth = OAuth()
        self.default = self.new_account(self.default_token)

    def new_account(self, token):
        """An account that the journal does not know of."""
        account = Account(token, None, self.latency_ms, self.journal)
        self.accounts[token] = account
        return account

    def add_account(self, token, scopes):
        """Adds an account, or changes its scopes."""
        scopes = None if scopes is None else frozenset(scopes)
        self.journal.note("add_account", token, scopes)
        account = self.accounts.get(token) or self.new_account(token)
        account.scopes = scopes
        if token == self.default_token:
            self.default = account

    def delete_account(self, token):
        """What still leads to the account is of no interest any more."""
        account = self.accounts.pop(token)
        self.journal.note("delete_account", token)
        account.journal = Journal()

    def account_of(self, authorization):
        """The account behind an Authorization header; ApiError if none."""
        if authorization is None:
            raise ApiError(401, "Authentication credentials not found.",
                           "INVALID_AUTHENTICATION")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not re.fullmatch(
                r"[A-Za-z0-9._~+/=-]+", token):
            raise ApiError(530, "The access token is malformed.")
        account = self.accounts.get(token)
        if account is not None:
            return account
        return self.oauth.account_of(token)
