"""
record_reads: the operations that read records by id or a unique property,
and those that read the definitions of properties
"""

import random

from .batches import envelope
from .catalog import require_record_ids
from .errors import ApiError, invalid
from .properties import FOLDED, not_unique
from .replies import Reply, iso_time

SHUFFLE = random.Random(1)


def read_records(call):
    """Results in any order, and one error for all keys that are missing."""
    by, names, keys = call.body
    find = finder(call, by, keys)
    shown = shown_names(call, names)
    found, missing = {}, []
    for key in keys:
        record = None if call.query["archived"] else find(key)
        if record is None:
            missing.append(key)
        else:
            found[record.id] = record
    mode = call.account.settings["missing_keys"]
    results = show_records(call, list(found.values()), shown)
    SHUFFLE.shuffle(results)
    if not missing or mode == "silent":
        return Reply(200, envelope(results))
    if mode == "empties":
        results = []
    return Reply(207, envelope(results, errors=[{
        "status": "error", "category": "OBJECT_NOT_FOUND",
        "message": "Could not get some %s objects, they may be deleted or "
        "not exist. Check that ids are valid." % call.from_type.upper,
        "context": {"ids": missing}}]))


def finder(call, by, keys):
    """
    A function from a key to its record, or None; ApiError if these keys
    cannot be asked for.
    """
    records = call.account.records_of(call.from_type)
    settings = call.account.settings
    if by is None:
        require_record_ids(*keys)
        refuse_repeated(keys)
        return records.find
    if not records.definitions.find(by).unique:
        raise not_unique(call.from_type, by, settings["not_unique"])
    refuse_repeated([key.lower() for key in keys] if by in FOLDED else keys)
    secondary = settings["secondary_emails"] == "found"
    any_case = settings["key_case"] == "any"
    return lambda key: records.find_by(by, key, secondary, any_case)


def refuse_repeated(keys):
    """What comes of a key that stands twice in a request is not known."""
    if len(set(keys)) < len(keys):
        raise invalid("A key stands twice in this batch")


def shown_names(call, names):
    """The properties to show; ApiError if there is none of such a name."""
    definitions = call.account.records_of(call.from_type).definitions
    if call.account.settings["unknown_properties"] == "ignored":
        names = [name for name in names if name in definitions.by_name]
    else:
        for name in names:
            definitions.find(name)
    return definitions.shown(names)


def show_records(call, records, names):
    """Records as results."""
    times = call.account.records_of(call.from_type).definitions.times
    form = call.account.settings["id_form"]
    results = []
    for place, record in enumerate(records):
        created, changed = map(iso_time, (record.created, record.changed))
        properties = {name: record.value(name) for name in names}
        properties.update(zip(times, (created, changed)))
        as_number = form == "number" or form == "mixed" and place % 2
        results.append({
            "id": int(record.id) if as_number else record.id,
            "properties": properties, "createdAt": created,
            "updatedAt": changed, "archived": False})
    return results


def list_properties(call):
    known = call.account.records_of(call.from_type).definitions.by_name
    return Reply(200, {"results": [] if call.query["archived"] else [
        known[name].entry() for name in sorted(known)]})


def read_property(call):
    name = call.parts["name"]
    known = call.account.records_of(call.from_type).definitions.by_name
    if call.query["archived"] or name not in known:
        raise ApiError(404, "Property \"%s\" does not exist" % name,
                       "OBJECT_NOT_FOUND")
    return Reply(200, known[name].entry())
