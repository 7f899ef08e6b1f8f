"""
log: what is remembered of requests
"""

from .oauth import OAUTH_PATHS, without_secrets

LOGGED_BODY = 4000


class LogEntry:
    """What is remembered of a request."""

    __slots__ = ("n", "time", "request", "body", "status", "connection",
                 "rule", "in_flight")

    def __init__(self, n, moment, request, connection, in_flight):
        self.n = n
        self.time = moment
        self.request = request
        self.connection = connection
        self.in_flight = in_flight
        self.status = None
        self.rule = None
        self.body = None

    def close(self):
        """The request has been worked on: keeps only what will be shown."""
        self.body = self.request.body[:LOGGED_BODY]
        self.request.body = self.request.pairs = self.request.account = None

    def show(self):
        request = self.request
        query = request.query
        body = (self.body or b"").decode("utf-8", "replace")
        if request.path in OAUTH_PATHS:
            query, body = without_secrets(query), without_secrets(body)
        return {"n": self.n, "time_ms": round(self.time * 1000, 3),
                "method": request.method, "path": request.path,
                "query": query, "operation": request.operation,
                "status": self.status,
                "inputs": request.inputs,
                "token_hash": request.headers.token_hash(),
                "connection": self.connection,
                "http_version": request.version,
                "content_type": request.headers.content_type,
                "headers": request.headers.public(), "body": body,
                "rule": self.rule, "noop": request.noop,
                "in_flight": self.in_flight}
