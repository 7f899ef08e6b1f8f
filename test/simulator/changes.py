"""
changes: what a rule makes of a reply before it is sent
"""

import base64
import json
import random
import re

from .errors import ApiError, rate_limited
from .replies import Reply, reason, to_json
from .rules import BODY_KEYS, CHANGING_KEYS

UNKNOWN_VALUE = {"nested": [1, 2.5e3, {"deeper": None}, "\u00e4"], "on": True}


def apply_action(rule, request, reply):
    """Changes a reply as a rule says; "reply" can be None."""
    action = rule.action
    status = action.get("status")
    if "redirect" in action:
        reply = Reply(status or 302, b"", [("Location", action["redirect"])])
    elif reply is None or rule.is_error():
        status = status or 200
        reply = canned_error(status, request.correlation) \
            if status >= 400 else Reply(status, {})
    if status is not None:
        reply.status = status
    replace_body(action, reply)
    change_reply(action, reply)
    if reply.status in (204, 304):
        reply.data = None
    if "encoding" in action and reply.data is not None and \
            not action.keys() & BODY_KEYS:
        reply.data = to_json(reply.value(), action["encoding"])
    if "content_type" in action:
        reply.content_type = action["content_type"]
    reply.fault = action
    return reply


def canned_error(status, correlation_id):
    """An error body as goes with a status."""
    if status == 429:
        return rate_limited("TEN_SECONDLY_ROLLING").reply(correlation_id)
    category = {400: "VALIDATION_ERROR", 401: "INVALID_AUTHENTICATION",
                403: "MISSING_SCOPES"}.get(status)
    return ApiError(status, "This is a simulated error: " + reason(status),
                    category).reply(correlation_id)


def replace_body(action, reply):
    if "body" in action:
        reply.data = to_json(action["body"], action.get("encoding", "utf-8"))
    elif "text" in action:
        reply.data = action["text"].encode(action.get("encoding", "utf-8"))
    elif "base64" in action:
        reply.data = base64.b64decode(action["base64"])


def change_reply(action, reply):
    """Changes the reply's JSON, if it is an object."""
    if not action.keys() & CHANGING_KEYS or reply.data is None:
        return
    try:
        data = reply.value()
    except ValueError:
        return
    if not isinstance(data, dict):
        return
    for change in action.get("results", ()):
        change_results(data, change)
    if action.get("errors"):
        data["errors"] = data.get("errors", []) + action["errors"]
        data["numErrors"] = len(data["errors"])
    for key, value in action.get("envelope", {}).items():
        if value is None:
            data.pop(key, None)
        else:
            data[key] = value
    surround(action, reply, data)


def surround(action, reply, data):
    """Puts a deeply nested or a long value before all others."""
    front = b""
    if "nest" in action:
        depth = action["nest"]
        front += b'"unknownNested":%b%b%b,' % (
            b"[" * depth, to_json(data.get("results")), b"]" * depth)
    if "pad" in action:
        front += b'"unknownPadding":"%b",' % (b"x" * action["pad"])
    if front:
        body = to_json(data)
        if body == b"{}":
            front = front[:-1]
        reply.data = b"{" + front + body[1:]


def change_results(data, change):
    """One change to a reply's results."""
    name, _, argument = change.partition(":")
    if name == "numbers":
        data.update(with_number_ids(data))
    if name == "unknown_keys":
        data["unknownKey"] = UNKNOWN_VALUE
    results = data.get("results")
    if isinstance(results, list) and name in RESULT_CHANGES:
        results[:] = RESULT_CHANGES[name](results, argument)


def result_pair(result):
    """What a result is about, the same for both directions of a pair."""
    if "fromObjectId" in result:
        ends = (result["fromObjectId"], result["toObjectId"])
    elif isinstance(result.get("to"), dict):
        ends = (result["from"]["id"], result["to"]["id"])
    elif "from" in result:
        ends = (result["from"]["id"],)
    else:
        ends = (next((result[key] for key in ("toObjectId", "typeId", "id",
                                              "name") if key in result),
                     None),)
    return tuple(sorted(map(str, ends)))


def shuffled(results, _argument):
    """In another order, which is always the same one."""
    results = list(results)
    random.Random(1).shuffle(results)
    return results


def without_each_nth(results, argument):
    """Without every so many-th pair."""
    pairs = list(dict.fromkeys(map(result_pair, results)))
    step = int(argument)
    return without_pairs(results, pairs[step - 1::step])


def without_pairs(results, pairs):
    """Without what is about these pairs."""
    gone = set(pairs)
    return [r for r in results if result_pair(r) not in gone]


def foreign_results(results):
    """Copies of results, with ids that nobody sent; of records also with
    other values."""
    text = json.dumps(results)
    copies = json.loads(re.sub(r'("(?:id|fromObjectId|toObjectId)": ?"?)',
                               r"\g<1>77700", text))
    for copy in copies:
        properties = copy.get("properties", {})
        for name, value in properties.items():
            properties[name] = value and "77700" + value
    return copies


def twins(results):
    """Each result, and a copy with an id that nobody has: of records, with
    the same values."""
    return [twin for result in results
            for twin in (result, {**result, "id": "77701%s" % result["id"]})]


def with_number_ids(value):
    """The same JSON, with record ids as numbers."""
    if isinstance(value, list):
        return [with_number_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: int(item) if key in ("id", "fromObjectId", "toObjectId") and
            isinstance(item, str) and item.isdigit()
            else with_number_ids(item) for key, item in value.items()}


# What becomes of a list of results, by the name of the change; the second
# argument is what stands behind the name.
RESULT_CHANGES = {
    "shuffle": shuffled,
    "reverse": lambda results, _: results[::-1],
    "empty": lambda results, _: [],
    "double": lambda results, _: [r for result in results
                                  for r in (result, result)],
    "foreign": lambda results, _: foreign_results(results[:2]) + results,
    "others": lambda results, _: foreign_results(results),
    "twins": lambda results, _: twins(results),
    "unknown_keys": lambda results, _: [
        {"unknownKey": UNKNOWN_VALUE, **r} for r in results],
    "drop": without_each_nth,
    "drop_pair": lambda results, pair: without_pairs(
        results, [tuple(sorted(pair.split(":")))]),
}
