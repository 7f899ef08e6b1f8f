"""
searches: the operation that finds records by any of their properties

It sees records late, and compares in lower case; but not the values that it
is given: those with an upper-case letter in them match nothing.
"""

import re
import time

from .errors import invalid
from .record_reads import show_records, shown_names
from .replies import Reply


def search_records(call):
    search = call.body
    call.request.inputs = search.values()
    if call.limit_headers:          # those of the other limit don't go along
        call.limit_headers.clear()
    call.account.spend_search(call.request.received)
    records = call.account.records_of(call.from_type)
    shown = shown_names(call, search.properties)
    index = records.index
    index.catch_up(time.time())
    found = matches(call, index, search.groups)
    found = [index.seen[record_id] for record_id in found]
    for name in search.sorts:
        sort(records.definitions, found, name)
    end = search.after + search.limit
    data = {"total": len(found), "results": show_records(
        call, found[search.after:end], shown)}
    if end < len(found):
        data["paging"] = {"next": {"after": str(end), "link": "%s?after=%d" % (
            call.request.path, end)}}
    return Reply(200, data)


def matches(call, index, groups):
    """The ids of the records that all filters of one of the groups fit."""
    if not groups:
        return list(index.seen)
    found = {}
    for group in groups:
        fitting = [filter_ids(call, index, *item) for item in group]
        found.update((record_id, None) for record_id in fitting[0]
                     if all(record_id in other for other in fitting[1:]))
    return found


def filter_ids(call, index, name, operator, values):
    """The ids of the records that one filter fits."""
    definition = index.definitions.find(name)
    if definition.type == "datetime":
        raise invalid("Searches by %s are not simulated" % name)
    token = operator == "CONTAINS_TOKEN"
    parts = token or call.account.settings["search_parts"] == "each"
    if token and "*" in values[0]:
        pattern = re.compile(".*".join(map(re.escape, values[0].split("*"))))
        values = list(filter(pattern.fullmatch, index.table(name, parts)))
    return index.find(name, values, parts)


def sort(definitions, found, name):
    """By one property, downward if its name begins with a hyphen."""
    definition = definitions.find(name.removeprefix("-"))
    if definition.type == "datetime":
        raise invalid("Sorting by %s is not simulated" % name)
    as_key = number if definition.type == "number" else str.lower

    def key(record):
        value = record.value(definition.name)
        return (value is None, value is not None and as_key(value))
    found.sort(key=key, reverse=name.startswith("-"))


def number(text):
    """Exactly, if it is an id."""
    return int(text) if text.isdigit() else float(text)
