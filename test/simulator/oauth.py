"""
oauth: apps, the access tokens that they get, and the endpoint that gives them
"""

import time
import urllib.parse
import uuid

from .catalog import DATED_VERSIONS
from .errors import ApiError, invalid
from .replies import Reply

# Where the endpoint is; it has a version of its own since 2026-03.
OAUTH_PATHS = frozenset(
    ["/oauth/v3/token", "/oauth/v1/token"] +
    ["/oauth/%s%s/token" % (version, beta) for version in DATED_VERSIONS[1:]
     for beta in ("", "-beta")])

# Of the endpoint's form only the first are logged; of the second, the names.
PUBLIC_FIELDS = frozenset(["grant_type", "client_id"])
SECRET_FIELDS = frozenset(["client_secret", "refresh_token"])


class OAuthError(ApiError):
    """A refusal in the words of the OAuth endpoint."""

    def reply(self, correlation_id):
        reply = super().reply(correlation_id)
        reply.data["status"] = self.category
        reply.data.pop("category")
        return reply


def oauth_error(error, status, message):
    """The refusal of a token; "error" is OAuth's word, "status" HubSpot's."""
    return OAuthError(400, message, status, error=error,
                      error_description=message)


class OAuthClient:
    """An app that gets access tokens for one account."""

    def __init__(self, account, client_id, client_secret, refresh_token,
                 expires_in=1800, rotate=False, latency_ms=None):
        self.account = account
        self.client_id = client_id
        self.client_secret = client_secret
        self.refresh_token = refresh_token
        self.expires_in = expires_in
        self.rotate = rotate
        self.latency_ms = latency_ms


class OAuth:
    """All apps, and the access tokens that they got."""

    def __init__(self):
        self.clients = {}
        self.access_tokens = {}     # token -> account, when it expires

    def account_of(self, token):
        """The account that an access token leads to; ApiError if none."""
        account, expires = self.access_tokens.get(token, (None, 0))
        if account is None:
            raise ApiError(401, "Authentication credentials are not valid.",
                           "INVALID_AUTHENTICATION")
        if time.monotonic() >= expires:
            raise ApiError(401, "The OAuth token expired.",
                           "EXPIRED_AUTHENTICATION")
        return account

    def client_of(self, form):
        """The client that wants a token; ApiError if it may not have one."""
        client = self.clients.get(form["client_id"])
        if client is None:
            raise oauth_error("invalid_client", "BAD_CLIENT_ID",
                              "missing or unknown client id")
        if client.client_secret != form["client_secret"]:
            raise oauth_error("invalid_client", "BAD_CLIENT_SECRET",
                              "missing or invalid client secret")
        if client.refresh_token != form["refresh_token"]:
            raise oauth_error("invalid_grant", "BAD_REFRESH_TOKEN",
                              "missing or invalid refresh token")
        return client

    def give_token(self, client, dry):
        """What a client gets; with "dry", none of it is valid."""
        token = "access-" + uuid.uuid4().hex
        refresh_token = client.refresh_token
        if client.rotate:
            refresh_token = "refresh-" + uuid.uuid4().hex
        if not dry:
            self.access_tokens[token] = (
                client.account, time.monotonic() + client.expires_in)
            client.refresh_token = refresh_token
        return {"access_token": token, "refresh_token": refresh_token,
                "expires_in": client.expires_in, "token_type": "bearer"}

    def expire_access_tokens(self):
        """None of those given out so far is good any more."""
        for token, (account, _) in self.access_tokens.items():
            self.access_tokens[token] = (account, 0)


def answer(oauth, request, dry):
    """The reply of the token endpoint, or ApiError."""
    request.operation = None if dry else "give_token"
    if request.method != "POST":
        raise ApiError(405, "Method not allowed",
                       headers=[("Allow", "POST")])
    client = oauth.client_of(token_form(request))
    if client.latency_ms is not None:
        request.latency_ms = client.latency_ms
    return Reply(200, oauth.give_token(client, dry))


def token_form(request):
    """What a request for a token says, if it is one for a refresh."""
    kind = (request.headers.content_type or "").partition(";")[0]
    if kind.strip().lower() != "application/x-www-form-urlencoded":
        raise invalid("The content type must be "
                      "application/x-www-form-urlencoded")
    try:
        pairs = urllib.parse.parse_qsl(
            request.body.decode("ascii"), keep_blank_values=True,
            strict_parsing=True, errors="strict")
    except ValueError:
        raise invalid("Invalid form")
    form = dict(pairs)
    if len(pairs) != 4 or form.keys() != {
            "grant_type", "client_id", "client_secret", "refresh_token"}:
        raise invalid("The form must have grant_type, client_id, "
                      "client_secret and refresh_token")
    if form["grant_type"] != "refresh_token":
        raise oauth_error("unsupported_grant_type", "BAD_GRANT_TYPE",
                          "the grant type must be refresh_token")
    return form


def without_secrets(form):
    """A form with "..." for what must not be seen."""
    shown = []
    for field in form.split("&") if form else ():
        name = field.partition("=")[0]
        if name in SECRET_FIELDS:
            field = name + "=..."
        elif name not in PUBLIC_FIELDS:
            field = "..."
        shown.append(field)
    return "&".join(shown)
