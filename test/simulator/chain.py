"""
chain: authorize, route, validate, operate

A request is answered by this one pure chain.  Any link refuses by raising
ApiError.
"""

import traceback

from . import oauth
from .call import Call
from .errors import ApiError
from .fast_path import REPEATED, answer_again, answer_fast, remember_reply
from .routing import (authorize_scopes, route, validate_body,
                      validate_envelope, validate_query)


def answer(state, request, dry=False, shortcuts=False):
    """
    The API's reply.  "dry" keeps the operation from having effects;
    "shortcuts" allows the fast path, and replies from memory.
    """
    headers = []
    try:
        if request.path in oauth.OAUTH_PATHS:
            return oauth.answer(state.oauth, request, dry)
        account = state.account_of(request.headers.authorization)
        request.account = account
        request.latency_ms = account.settings["latency_ms"]
        call = Call(request, account, state, dry)
        if account.settings["rate_limit"] is not None:
            headers = account.spend_request(request.received)
            call.limit_headers = headers
        reply = operate(call, shortcuts)
    except ApiError as problem:
        reply = problem.reply(request.correlation)
    except Exception:       # a fault of the simulator itself
        traceback.print_exc()
        reply = ApiError(500, "The simulator failed").reply(
            request.correlation)
    reply.headers += headers
    return reply


def operate(call, shortcuts):
    """The reply of the operation that the request names, or ApiError."""
    route(call)
    authorize_scopes(call)
    validate_query(call)
    validate_envelope(call)
    if shortcuts and call.operation.fast:
        reply = answer_fast(call)
        if reply is not None:
            return reply
    repeats = shortcuts and call.state.discard and \
        call.operation.name in REPEATED
    if repeats:
        reply = answer_again(call)
        if reply is not None:
            return reply
    if call.operation.check is not None:
        validate_body(call)
    reply = call.operation.handler(call)
    if repeats:
        remember_reply(call, reply)
    return reply
