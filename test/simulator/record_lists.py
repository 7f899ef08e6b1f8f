"""
record_lists: the operation that goes through the records of an object type

An account does not know all records that exist: those are listed that were
put, and those that are associated with others, in the order of their ids.
"""

import urllib.parse

from .cursors import make_cursor
from .record_reads import show_records
from .replies import Reply
from .records import Record

# How many associations a record is shown with, of each object type.
MAX_SHOWN = 100


def list_records(call):
    """A page of the records past the cursor, with what is asked for."""
    size = min(call.query["limit"], call.account.settings["page_size"])
    ids, more = ([], False) if call.query["archived"] else \
        call.account.listed(call.from_type, call.query["after"], size)
    results = show_records(call, [record_of(call, i) for i in ids],
                           shown_names(call))
    for kind in call.query["associations"]:
        for result, source in zip(results, ids):
            add_associations(call, result, source, kind)
    data = {"results": results}
    if more:
        after = make_cursor(call.from_type.id, int(ids[-1]))
        data["paging"] = {"next": {
            "after": after, "link": "%s?limit=%d&after=%s" % (
                call.request.path, size,
                urllib.parse.quote(after, safe=""))}}
    return Reply(200, data)


def record_of(call, record_id):
    """The record that was put, or one that says nothing."""
    return call.account.records_of(call.from_type).by_id.get(record_id) or \
        Record(record_id, {}, 0, 0)


def shown_names(call):
    """The properties to show; those that do not exist are ignored."""
    definitions = call.account.records_of(call.from_type).definitions
    names = [name for name in call.query["properties"]
             if name in definitions.by_name]
    return dict.fromkeys(definitions.shown(names))


def add_associations(call, result, source, kind):
    """
    The first associations to an object type, by names of their types, never
    numbers; and where there are more, that this is so.
    """
    ids, _, more = call.account.store.page(
        call.from_type.id, source, kind.id, None, MAX_SHOWN)
    if not ids:
        return
    name = "%s_to_%s" % (call.from_type.upper.lower(), kind.upper.lower())
    shown = {"results": [{"id": target, "type": name} for target in ids]}
    if more:
        after = make_cursor(source, int(ids[-1]))
        shown["paging"] = {"next": {"after": after, "link": "%s/%s" % (
            call.request.path, source)}}
    result.setdefault("associations", {})[
        kind.id if kind.custom else kind.scope] = shown
