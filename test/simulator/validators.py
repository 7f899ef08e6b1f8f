"""
validators: from the JSON of a request to plain tuples, or ApiError

A validator gets the value and the most inputs that there may be; what comes
of it is what an operation finds in Call.body.
"""

import json

from .catalog import CATEGORIES, MAX_INT32
from .cursors import read_cursor
from .errors import ApiError, invalid

INPUT_KEYS = frozenset(["inputs"])
ID_KEYS = frozenset(["id"])
PAIR_KEYS = frozenset(["from", "to"])
CREATE_KEYS = frozenset(["from", "to", "types"])
SPEC_KEYS = frozenset(["associationCategory", "associationTypeId"])
LIMIT_KEYS = frozenset(["category", "typeId", "maxToObjectIds"])
PURGE_KEYS = frozenset(["category", "typeId"])


def parse_json(body):
    """Strict JSON in UTF-8, or ApiError."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=not_json)
    except (ValueError, RecursionError) as problem:
        raise invalid("Invalid input JSON: %s" % problem)


def not_json(name):
    raise ValueError("%s is no JSON" % name)


def check_object(value, keys, where, optional=frozenset()):
    """An object with these keys and no others."""
    if type(value) is not dict:
        raise invalid("Invalid input JSON: %s must be an object" % where)
    if value.keys() == keys:
        return
    for key in keys:
        if key not in value:
            raise invalid("Invalid input JSON: %s lacks \"%s\""
                          % (where, key))
    for key in value:
        if key not in keys and key not in optional:
            raise invalid("Invalid input JSON: %s has the unknown key \"%s\""
                          % (where, key))


def check_list(value, where):
    if type(value) is not list:
        raise invalid("Invalid input JSON: %s must be an array" % where)
    return value


def check_text(value, where):
    if type(value) is not str or not value.strip():
        raise invalid("Invalid input JSON: %s must be a non-empty string"
                      % where)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise invalid("Invalid input JSON: %s is not Unicode text" % where)
    return value


def check_record(value, where):
    """{"id": "101"}; what it gives is the id."""
    if type(value) is not dict or value.keys() != ID_KEYS:
        check_object(value, ID_KEYS, where)
    return check_text(value["id"], where + ".id")


def check_type_key(category, type_id, where):
    if type(category) is not str or category not in CATEGORIES:
        raise invalid("Invalid input JSON: %s has no known category" % where)
    if type(type_id) is not int or not 1 <= type_id <= MAX_INT32:
        raise invalid("Invalid input JSON: %s has no integer type id" % where)
    return (category, type_id)


def check_types(value, where="types"):
    """A list of association types; what it gives are (category, id)s."""
    types = []
    for spec in check_list(value, where):
        check_object(spec, SPEC_KEYS, where)
        types.append(check_type_key(spec["associationCategory"],
                                    spec["associationTypeId"], where))
    return tuple(types)


def check_inputs(value, limit):
    """The list in {"inputs": [...]}, which may neither be empty nor long."""
    check_object(value, INPUT_KEYS, "the body")
    inputs = check_list(value["inputs"], "inputs")
    refuse_empty_or_long(inputs, limit)
    return inputs


def refuse_empty_or_long(inputs, limit):
    if not inputs:
        raise invalid("inputs must not be empty")
    if limit is not None and len(inputs) > limit:
        raise invalid("The maximum number of inputs is %d, but there are %d"
                      % (limit, len(inputs)))


def refuse_duplicates(pairs):
    seen = set()
    for source, target in pairs:
        if (source, target) in seen:
            raise invalid("The pair %s, %s stands twice in this batch"
                          % (source, target))
        seen.add((source, target))


def check_create(value, limit):
    """[(from id, to id, types)]"""
    made = []
    for item in check_inputs(value, limit):
        if type(item) is not dict or item.keys() != CREATE_KEYS:
            check_object(item, CREATE_KEYS, "an input")
        made.append((check_record(item["from"], "from"),
                     check_record(item["to"], "to"),
                     check_types(item["types"])))
    refuse_duplicates(item[:2] for item in made)
    return made


def check_default(value, limit):
    """[(from id, to id, None)]"""
    made = []
    for item in check_inputs(value, limit):
        if type(item) is not dict or item.keys() != PAIR_KEYS:
            check_object(item, PAIR_KEYS, "an input")
        made.append((check_record(item["from"], "from"),
                     check_record(item["to"], "to"), None))
    refuse_duplicates(item[:2] for item in made)
    return made


def check_read(value, limit):
    """[(id, cursor or None)]"""
    made = []
    for item in check_inputs(value, limit):
        check_object(item, ID_KEYS, "an input", {"after"})
        source = check_text(item["id"], "id")
        after = item.get("after")
        if after is not None:
            after = read_cursor(check_text(after, "after"), source)
        made.append((source, after))
    return made


READ_START = b'{"inputs":[{"id":"'
READ_NEXT = '"},{"id":"'
READ_AFTER = '","after":"'
READ_END = b'"}]}'


def scan_read(body, limit):
    """What check_read() makes of a compact body; None if it is not one,
    or if there is anything to be said against it."""
    if not body.startswith(READ_START) or not body.endswith(READ_END) or \
            not body.isascii():
        return None
    made = []
    for item in body[len(READ_START):-len(READ_END)].decode("ascii").split(
            READ_NEXT):
        after = None
        if not item.isdigit():
            item, _, cursor = item.partition(READ_AFTER)
            try:
                after = read_cursor(cursor, item)
            except ApiError:
                return None
        made.append((item, after))
    return made if len(made) <= limit else None


def check_archive(value, limit):
    """[(from id, to id)]; the limit is on distinct from ids."""
    made = []
    for item in check_inputs(value, None):
        check_object(item, PAIR_KEYS, "an input")
        source = check_record(item["from"], "from")
        targets = check_list(item["to"], "to")
        if not targets:
            raise invalid("to must not be empty")
        made.extend((source, check_record(target, "to"))
                    for target in targets)
    distinct = len({source for source, _ in made})
    if distinct > limit:
        raise invalid("The maximum number of from records is %d, but there "
                      "are %d" % (limit, distinct))
    refuse_duplicates(made)
    return made


def check_label_create(value, _limit):
    """(label, name, inverse label); a label of None is none."""
    check_object(value, {"label", "name"}, "the body", {"inverseLabel"})
    name = check_text(value["name"], "name")
    if name[0].isdigit() or "-" in name:
        raise invalid("name must neither begin with a digit nor have a "
                      "hyphen in it")
    inverse = value.get("inverseLabel")
    if inverse is not None:
        check_text(inverse, "inverseLabel")
    if value["label"] == "" and inverse is None:
        return None, name, None
    return check_text(value["label"], "label"), name, inverse


def check_label_update(value, _limit):
    check_object(value, {"associationTypeId", "label"}, "the body",
                 {"inverseLabel"})
    type_id = value["associationTypeId"]
    check_type_key("USER_DEFINED", type_id, "the body")
    inverse = value.get("inverseLabel")
    if inverse is not None:
        check_text(inverse, "inverseLabel")
    return type_id, check_text(value["label"], "label"), inverse


def check_limits(value, limit):
    """[((category, type id), maximum)]"""
    made = []
    for item in check_inputs(value, limit):
        check_object(item, LIMIT_KEYS, "an input")
        most = item["maxToObjectIds"]
        if type(most) is not int or not 1 <= most <= MAX_INT32:
            raise invalid("maxToObjectIds must be a positive integer")
        made.append((check_type_key(item["category"], item["typeId"],
                                    "an input"), most))
    return made


def check_purge(value, limit):
    """[((category, type id), None)]"""
    made = []
    for item in check_inputs(value, limit):
        check_object(item, PURGE_KEYS, "an input")
        made.append((check_type_key(item["category"], item["typeId"],
                                    "an input"), None))
    return made


def check_specs(value, _limit):
    """The labelled create's bare array."""
    return check_types(value, "the body")
