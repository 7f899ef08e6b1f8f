"""
reads: the operations that list associations, of one record or of a batch
"""

import urllib.parse

from .batches import envelope_of, judge, partial_status
from .catalog import is_record_id, require_record_ids
from .contexts import error_items
from .cursors import make_cursor
from .errors import not_found
from .problems import Problem
from .replies import Reply, to_json


def list_associations(call):
    source = call.parts["from_id"]
    if not call.account.exists(call.from_type, source):
        require_record_ids(source)
        raise not_found()
    size = min(call.query["limit"], call.account.settings["page_size"])
    ids, row, more = call.account.store.page(
        call.from_type.id, source, call.to_type.id, call.query["after"], size)
    shown = AssociationWriter(call).write(ids, row) if ids else "[]"
    text = '{"results":' + shown
    if more:
        after = make_cursor(source, int(ids[-1]))
        link = "%s?limit=%d&after=%s" % (call.request.path, size,
                                         urllib.parse.quote(after, safe=""))
        text += ',"paging":' + to_json(
            {"next": {"after": after, "link": link}}).decode()
    return Reply(200, (text + "}").encode("utf-8"))


def batch_read(call):
    """One result for each record with associations, an error for others."""
    from_form, _ = call.id_formats()
    pattern = '{"from":{"id":%s},"to":' if from_form is int \
        else '{"from":{"id":"%s"},"to":'
    write = AssociationWriter(call).write
    size = call.account.settings["page_size"]
    page = call.account.store.page
    from_id, to_id = call.from_type.id, call.to_type.id
    restricted = call.account.restricts(call.from_type)
    results, bad, empty = [], [], []
    for source, after in dict.fromkeys(call.body):
        ids, row, more = page(from_id, source, to_id, after, size)
        if not ids or restricted and \
                not call.account.exists(call.from_type, source):
            (empty if is_record_id(source) else bad).append(source)
            continue
        text = pattern % source + write(ids, row)
        if more:
            text += ',"paging":{"next":{"after":"%s","link":"%s"}}' % (
                make_cursor(source, int(ids[-1])), call.request.path)
        results.append(text + "}")
    errors = judge(call, [
        unread(call, source, "VALIDATION_ERROR", "INVALID_IDENTIFIER",
               "\"%s\" is not a record id" % source) for source in bad])
    errors += error_items(call, [
        unread(call, source, "OBJECT_NOT_FOUND", "NO_ASSOCIATIONS_FOUND",
               "Nothing is associated with the record " + source)
        for source in empty])
    return Reply(partial_status(call) if errors else 200,
                 envelope_of(",".join(results).encode("utf-8"), errors))


def unread(call, source, category, sub_category, message):
    """The Problem with a record that has nothing to be read."""
    return Problem(call, source, None, category, message, "from",
                   sub_category="crm.associations." + sub_category)


class AssociationWriter:
    """Writes associations as JSON text, each set of types only once."""

    def __init__(self, call):
        self.label = call.account.definitions.label
        self.quote = '"' if call.account.settings["id_form"] == "string" \
            else ""
        self.start = '{"toObjectId":' + self.quote
        self.tails = {}

    def tail(self, types):
        text = self.tails.get(types)
        if text is None:
            text = self.quote + ',"associationTypes":%s}' % to_json([
                {"category": key[0], "typeId": key[1],
                 "label": self.label(key)} for key in types]).decode("utf-8")
            self.tails[types] = text
        return text

    def write(self, ids, row):
        """The associations to these ids, of a store's row that has them."""
        start = self.start
        types = [row[target] for target in ids]
        if types.count(types[0]) < len(types):
            return "[%s]" % ",".join([
                start + target + self.tail(row[target]) for target in ids])
        tail = self.tail(types[0])
        return "[" + start + (tail + "," + start).join(ids) + tail + "]"
