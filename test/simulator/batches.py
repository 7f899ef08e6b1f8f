"""
batches: the envelope of a batch's reply, and what becomes of bad inputs
"""

from .contexts import error_item, error_items, refusal
from .errors import ApiError, invalid
from .problems import INVALID_ASSOCIATIONS
from .replies import CLOCK, Reply, to_json


def envelope(results, status="COMPLETE", errors=None):
    now = CLOCK.timestamp()
    data = {"status": status, "results": results, "startedAt": now,
            "completedAt": now}
    if errors:
        data["numErrors"] = len(errors)
        data["errors"] = errors
    return data


def envelope_of(results, errors=None):
    """The same from results that are JSON already, without the brackets."""
    if errors:
        return to_json(envelope([], errors=errors)).replace(
            b'"results":[]', b'"results":[' + results + b"]", 1)
    now = CLOCK.timestamp().encode("ascii")
    return b'{"status":"COMPLETE","results":[%b],"startedAt":"%b",' \
        b'"completedAt":"%b"}' % (results, now, now)


class Canceled(ApiError):
    """The refusal of a batch in the form of a success."""

    def __init__(self, item):
        super().__init__(200, item["message"])
        self.item = item

    def reply(self, _correlation_id):
        return Reply(200, envelope([], "CANCELED", [self.item]))


def judge(call, problems):
    """
    What the setting bad_batch makes of a batch's bad inputs: the errors that
    go beside the results, or ApiError if nothing of the batch is done.
    """
    mode = call.account.settings["bad_batch"]
    form = call.account.settings["context"]
    if not problems or mode == "silent":
        return []
    if mode == "whole":
        raise refusal(call, problems)
    if mode == "unnamed":
        raise invalid(INVALID_ASSOCIATIONS)
    if mode in ("canceled", "canceled-unnamed"):
        form = "none" if mode == "canceled-unnamed" else form or "live"
        raise Canceled(error_item(problems, form, "VALIDATION_ERROR",
                                  INVALID_ASSOCIATIONS))
    return error_items(call, problems)


def partial_status(call):
    """How a batch with errors is answered: 200 where nothing else is said."""
    return {"partial200": 200, "partial207": 207}.get(
        call.account.settings["bad_batch"], call.operation.partial)
