"""
fast_path: short ways to the replies of the batches that come most often

The fast path serves a batch in the compact form that well-made clients send
without parsing it.  Deleting all but digits and braces from the body leaves
little more than a table of "from,to" lines.  The body is then written anew
from that table: if this gives the same bytes, the body was what it should be.
The reply is the table written in another way.  The table is kept as it is,
and only becomes associations when somebody looks.  Whatever is odd about a
body, the fast path leaves to the ordinary one, which answers alike but knows
what to say.  Of a batch read only the parsing has such a short way, which is
validators.scan_read().

With --discard there is one more: what was answered before is answered again.
"""

import json

from .batches import envelope_of
from .catalog import MAX_ID_DIGITS
from .creates import DEFAULT_RESULT
from .errors import ApiError
from .replies import Reply, to_json
from .validators import check_types

FAST_START = b'{"inputs":[{"from":{"id":"'
FAST_MIDDLE = b'"},"to":{"id":"'
FAST_NEXT = b',{"from":{"id":"'
FAST_TYPES = b'"},"types":['
FAST_PLAIN = b'"}}'
DIGITS = b"0123456789"
NEITHER_DIGIT_NOR_BRACE = bytes(set(range(256)) - set(b"0123456789{"))
ALTERNATING = b",\n" * 2000

# With --discard, these operations are answered again as they were before.
REPEATED = frozenset(["batch_read", "batch_archive"])
MAX_REPLIES = 10000             # more than these are forgotten, all of them


def fast_table(body, ending, limit):
    """
    The inputs as lines of "from,to" and their number, if the body consists
    of nothing but inputs that end in "ending"; else None.
    """
    if not body.startswith(FAST_START) or not body.endswith(ending + b"]}"):
        return None
    inner = body[len(FAST_START):-len(ending) - 2]
    border = ending + FAST_NEXT
    table = inner.translate(None, NEITHER_DIGIT_NOR_BRACE).replace(
        border.translate(None, NEITHER_DIGIT_NOR_BRACE), b"\n").replace(
            b"{", b",")
    rows = table.split(b"\n")
    count = len(rows)
    if count > limit or \
            table.translate(None, DIGITS) != ALTERNATING[:2 * count - 1] or \
            table.replace(b",", FAST_MIDDLE).replace(b"\n", border) != inner:
        return None
    if len(set(rows)) != count or \
            not fast_ids_good(table, max(map(len, rows))):
        return None
    return table, count


def fast_ids_good(table, longest_row):
    """Whether no id is empty, too long, or begins with a zero."""
    if table[:1] in b"0," or table[-1:] == b"," or b",\n" in table or \
            b"\n," in table or b"\n0" in table or b",0" in table:
        return False
    return longest_row <= MAX_ID_DIGITS + 1 or max(map(
        len, table.replace(b"\n", b",").split(b","))) <= MAX_ID_DIGITS


def fast_types(call, ending):
    """
    The types and, as JSON, the labels of the text that ends each input; None
    if there is anything wrong with them.
    """
    place = (call.from_type.id, call.to_type.id, ending)
    cache = call.account.fast_types
    if place not in cache:
        if len(cache) > 100:
            cache.clear()
        cache[place] = None
        try:
            types = check_types(json.loads(ending[len(FAST_TYPES) - 1:-1]))
        except (ApiError, ValueError, RecursionError):
            types = ()
        if types and all(map(call.fits, types)):
            label = call.account.definitions.label
            cache[place] = (types, to_json([
                label(key) for key in types if label(key) is not None]))
    return cache[place]


def fast_labelled(call, body):
    start = body.find(FAST_TYPES)
    ending = body[start:body.find(b"]}", start) + 2]
    if start < 0:
        return None
    known = fast_types(call, ending)
    found = known and fast_table(body, ending, call.operation.limit)
    if not found:
        return None
    table, call.request.inputs = found
    fast_keep(call, known[0], True, table)
    first = b'{"fromObjectTypeId":"%s","fromObjectId":"' \
        % call.from_type.id.encode()
    middle = b'","toObjectTypeId":"%s","toObjectId":"' \
        % call.to_type.id.encode()
    last = b'","labels":%s}' % known[1]
    results = b"".join((first, table.replace(b",", middle).replace(
        b"\n", last + b"," + first), last))
    return Reply(call.account.settings["batch_create_status"],
                 envelope_of(results))


def fast_default(call, body):
    plain = call.plain_type()
    found = fast_table(body, FAST_PLAIN, call.operation.limit)
    if not found:
        return None
    table, call.request.inputs = found
    fast_keep(call, (plain.key(),), False, table)
    ids = table.replace(b"\n", b",").split(b",")
    pattern = DEFAULT_RESULT % ('"%b"', '"%b"', plain.category, plain.type_id)
    if call.account.settings["default_results"] == "forward":
        rows = zip(ids[::2], ids[1::2])
    else:
        rows = zip(ids[::2], ids[1::2], ids[1::2], ids[::2])
        pattern += "," + DEFAULT_RESULT % ('"%b"', '"%b"', plain.category,
                                           plain.inverse)
    pattern = pattern.encode("ascii")
    return Reply(200, envelope_of(b",".join(map(pattern.__mod__, rows))))


def fast_keep(call, types, replace, table):
    if not call.state.discard:
        call.account.link_table(call.from_type.id, call.to_type.id, types,
                                replace, table)


FAST_PATHS = {"labelled": fast_labelled, "default": fast_default}


def answer_fast(call):
    """
    The reply to a batch create in compact form, or None; only for accounts
    of which nothing unusual is known.
    """
    account = call.account
    settings = account.settings
    if account.limits or settings["id_form"] != "string" or \
            settings["rate_limit"] is not None or \
            account.restricts(call.from_type) or \
            account.restricts(call.to_type):
        return None
    return FAST_PATHS[call.operation.fast](call, call.request.body)


def answer_again(call):
    """The reply to a repeated request, or None."""
    known = call.account.replies.get((call.request.path, call.request.body))
    if known is None:
        return None
    call.request.inputs, status, data = known
    return Reply(status, data)


def remember_reply(call, reply):
    """Has a plain reply given again, until something changes."""
    if reply.data is None or reply.headers or reply.fault:
        return
    replies = call.account.replies
    if len(replies) >= MAX_REPLIES:
        replies.clear()
    replies[call.request.path, call.request.body] = (
        call.request.inputs, reply.status, reply.data)
