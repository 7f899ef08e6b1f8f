"""
errors: the refusals of the API, as exceptions that know their reply
"""

import uuid

from .replies import Reply


class ApiError(Exception):
    """A refusal: an HTTP status and the members of its error body."""

    def __init__(self, status, message, category=None, headers=(), **members):
        super().__init__(message)
        self.status = status
        self.message = message
        self.category = category
        self.headers = tuple(headers)
        self.members = members

    def reply(self, correlation_id):
        data = {"status": "error", "message": self.message,
                "correlationId": correlation_id}
        if self.category is not None:
            data["category"] = self.category
        data.update(self.members)
        return Reply(self.status, data, headers=self.headers)


def invalid(message, **members):
    """The refusal of a request that is wrong in itself."""
    return ApiError(400, message, "VALIDATION_ERROR", **members)


def not_found():
    """The refusal of a path that leads nowhere."""
    return ApiError(404, "resource not found")


def rate_limited(policy, headers=()):
    """The refusal of one request too many."""
    return ApiError(429, "You have reached your %s limit." % policy.lower(),
                    "RATE_LIMITS", headers, errorType="RATE_LIMIT",
                    policyName=policy, requestId=str(uuid.uuid4()))
