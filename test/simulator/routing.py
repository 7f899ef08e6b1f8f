"""
routing: from a request's path, query and body to what an operation wants
"""

import re
import urllib.parse

from .catalog import (DATED_VERSIONS, MAX_ID_DIGITS, MAX_INT32, is_type_id,
                      object_type)
from .cursors import read_cursor
from .errors import ApiError, invalid, not_found
from .operations import OPERATIONS_BY_PLACE
from .validators import parse_json

JSON_TYPE = re.compile(r"application/json\s*(;\s*charset=\"?utf-8\"?\s*)?",
                       re.IGNORECASE)


def route(call):
    """Finds the operation and what the path names."""
    segments = split_path(call.request.path)
    newer = call.account.settings["v4_limits"] == "associations/v4"
    if newer and segments[:3] in (["crm", "associations", "v4"],
                                  ["crm", "v4", "associations"]) and \
            segments[3:4] == ["definitions"]:
        segments[1:3] = reversed(segments[1:3])
    area, call.version, rest = area_of(segments)
    fitting = [operation for operation
               in OPERATIONS_BY_PLACE.get((area, call.version, len(rest)), ())
               if operation.fits(rest)]
    if not fitting:
        raise not_found()
    method = call.request.method
    for operation in fitting:
        if operation.method == method:
            break
    else:
        allowed = ", ".join(dict.fromkeys(o.method for o in fitting))
        raise ApiError(405, "Method not allowed",
                       headers=[("Allow", allowed)])
    call.operation = operation
    call.request.operation = None if call.dry else operation.name
    call.parts = parts = {name: rest[i] for i, name in operation.places}
    if "from_type" in parts:
        call.from_type = object_type(parts["from_type"])
        call.to_type = object_type(parts["to_type"])
    elif "from_type_id" in parts:
        call.from_type = type_of_id(parts["from_type_id"])
        call.to_type = type_of_id(parts["to_type_id"])
    elif "type" in parts:
        call.from_type = object_type(parts["type"])
    for name, most in (("type_id", MAX_INT32),
                       ("user_id", 10 ** MAX_ID_DIGITS - 1)):
        if name in parts:
            if not re.fullmatch("[1-9][0-9]{0,18}", parts[name]) or \
                    int(parts[name]) > most:
                raise invalid("%s is not a number" % parts[name])
            parts[name] = int(parts[name])


def type_of_id(text):
    """The object type of an id, where no name will do."""
    if not is_type_id(text):
        raise invalid("%s is not an object type id" % text)
    return object_type(text)


# Parts of the API that are not below /crm.
OTHER_AREAS = frozenset(["account-info", "crm-object-schemas"])


def area_of(segments):
    """The part of the API, its version, and the rest of the path."""
    if len(segments) >= 3 and segments[0] in OTHER_AREAS:
        version = segments[1]
        if version != "v3":
            version = without_beta(version)
            if version not in DATED_VERSIONS:
                raise not_found()
        return segments[0], version, segments[2:]
    if len(segments) < 4 or segments[0] != "crm":
        raise not_found()
    if segments[1] == "v4":
        return segments[2], "v4", segments[3:]
    if segments[1] == "v3":
        return segments[2], "v3", segments[3:]
    version = without_beta(segments[2])
    if version not in DATED_VERSIONS:
        raise not_found()
    return segments[1], version, segments[3:]


def without_beta(version):
    """The version that a beta is of."""
    return version[:-5] if version.endswith("-beta") else version


def split_path(path):
    """The path's segments, decoded one by one."""
    segments = path.split("/")[1:]
    if "%" in path:
        try:
            segments = [urllib.parse.unquote(s, errors="strict")
                        for s in segments]
        except UnicodeDecodeError:
            raise invalid("The path is not UTF-8")
    if "" in segments or "." in segments or ".." in segments:
        raise not_found()
    return segments


def authorize_scopes(call):
    scopes = call.account.scopes
    if scopes is None:
        return
    if call.operation.scopes and scopes.isdisjoint(call.operation.scopes):
        raise missing_scopes(call.operation.scopes)
    if call.from_type is None:
        return
    wanted = list(dict.fromkeys(
        "crm.objects.%s.%s" % (kind.scope, call.operation.access)
        for kind in (call.from_type, call.to_type) if kind is not None))
    if not scopes.issuperset(wanted):
        raise missing_scopes(wanted)


def missing_scopes(wanted):
    """The refusal of an account that is restricted to other scopes."""
    return ApiError(
        403, "The app has not been granted all scopes that this call "
        "requires.", "MISSING_SCOPES",
        errors=[{"message": "These scopes are required.",
                 "context": {"requiredGranularScopes": list(wanted)}}])


# Parameters of queries that are true or false, or ids of object types.
FLAGS = frozenset(["archived", "includeAssociationDefinitions",
                   "includeAuditMetadata", "includePropertyDefinitions"])
TYPE_IDS = frozenset(["fromObjectTypeId", "toObjectTypeId"])

# By the most that a page may have: what it has if nobody says.
DEFAULT_LIMITS = {100: 10}


def validate_query(call):
    """What the operation takes: limit and after, flags, types, lists."""
    text = call.request.query
    call.query = {"limit": DEFAULT_LIMITS.get(call.operation.most, 500),
                  "after": None, "archived": False, "properties": (),
                  "associations": ()}
    if not text:
        return
    if not call.operation.query:
        raise invalid("This operation takes no query parameters")
    try:
        pairs = urllib.parse.parse_qsl(text, keep_blank_values=True,
                                       strict_parsing=True, errors="strict")
    except ValueError:
        raise invalid("Invalid query")
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names) or \
            not set(names) <= call.operation.query:
        raise invalid("Unknown or repeated query parameter")
    given = dict(pairs)
    if "after" in given:
        call.query["after"] = read_cursor(
            given["after"], call.parts.get("from_id", call.from_type.id))
    if "limit" in given:
        limit = given["limit"]
        if not re.fullmatch("[0-9]{1,4}", limit) or \
                not 1 <= int(limit) <= call.operation.most:
            raise invalid("limit must be from 1 to %d" % call.operation.most)
        call.query["limit"] = int(limit)
    for name in FLAGS & given.keys():
        if given[name] not in ("true", "false"):
            raise invalid("%s must be true or false" % name)
        call.query[name] = given[name] == "true"
    for name in TYPE_IDS & given.keys():
        call.query[name] = type_of_id(given[name])
    if "properties" in given:
        call.query["properties"] = tuple(given["properties"].split(","))
    if "associations" in given:
        call.query["associations"] = tuple(map(
            object_type, given["associations"].split(",")))


def validate_envelope(call):
    """The presence, size and content type of the body."""
    request = call.request
    if call.operation.check is None:
        if request.body:
            raise invalid("This operation takes no body")
        return
    if not request.body:
        raise invalid("This operation wants a body")
    most = call.account.settings["max_body_bytes"]
    if most is not None and len(request.body) > most:
        raise ApiError(413, "Request Entity Too Large")
    if not JSON_TYPE.fullmatch(request.headers.content_type or ""):
        raise invalid("The content type must be application/json")


def validate_body(call):
    if call.operation.scan is not None:
        call.body = call.operation.scan(call.request.body,
                                        call.operation.limit)
        if call.body is not None:
            call.request.inputs = len(call.body)
            return
    value = parse_json(call.request.body)
    if type(value) is dict and type(value.get("inputs")) is list:
        call.request.inputs = len(value["inputs"])
    call.body = call.operation.check(value, call.operation.limit)
