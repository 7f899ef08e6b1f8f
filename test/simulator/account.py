"""
account: everything that one token leads to
"""

import bisect
import collections

from .associations import Store
from .catalog import is_record_id
from .definitions import Definitions
from .errors import ApiError, rate_limited
from .journal import Journal
from .records import Records
from .settings import checked_setting, initial_settings


class Counts:
    """Requests, the inputs of their batches, and both for each operation."""

    __slots__ = ("requests", "inputs", "operations")

    def __init__(self):
        self.requests = 0
        self.inputs = 0
        self.operations = {}

    def add(self, operation, inputs):
        """Counts a request; "operation" can be None."""
        self.requests += 1
        self.inputs += inputs
        if operation is not None:
            counts = self.operations.setdefault(
                operation, {"requests": 0, "inputs": 0})
            counts["requests"] += 1
            counts["inputs"] += inputs

    def show(self):
        return {"requests": self.requests, "inputs": self.inputs,
                "operations": self.operations}


class Account:
    """
    Everything that one token leads to.  Associations and labels are changed
    by its methods alone, so that the journal knows of it.
    """

    def __init__(self, token, scopes=None, latency_ms=0, journal=None):
        self.token = token
        self.scopes = scopes
        self.journal = journal or Journal()
        self.counts = Counts()
        self.definitions = Definitions(self.note)
        self.store = Store(self.definitions)
        self.missing = {}
        self.existing = {}
        self.limits = {}
        self.fast_types = {}
        self.replies = {}       # see fast_path.answer_again()
        self.recent = collections.deque()   # times of requests, for the limit
        self.searches = collections.deque()     # the same of searches
        self.records = {}       # object type id -> Records
        self.order = {}         # object type id -> what listed_ids() keeps
        self.schemas = {}       # custom object type id -> Schema
        self.settings = initial_settings(latency_ms)

    def exists(self, kind, record):
        """Whether there is such a record."""
        if not is_record_id(record):
            return False
        existing = self.existing.get(kind.id)
        if existing is not None and record not in existing:
            return False
        if self.settings["check_records"] and self.checks_records(kind) and \
                record not in self.records[kind.id].by_id:
            return False
        return record not in self.missing.get(kind.id, ())

    def checks_records(self, kind):
        """With check_records: whether only records exist that were put."""
        return kind.id in self.records and self.records[kind.id].kept

    def restricts(self, kind):
        """Whether some record of this type might not exist."""
        return kind.id in self.missing or kind.id in self.existing or \
            self.settings["check_records"] and self.checks_records(kind)

    def set_objects(self, kind, missing, existing):
        self.replies.clear()
        self.missing.pop(kind.id, None)
        self.existing.pop(kind.id, None)
        if missing:
            self.missing[kind.id] = frozenset(missing)
        if existing is not None:
            self.existing[kind.id] = frozenset(existing)

    def records_of(self, kind):
        """The records of a type, its properties with them."""
        records = self.records.get(kind.id)
        if records is None:
            records = self.records[kind.id] = Records(kind)
        return records

    def listed(self, kind, after, size):
        """
        The ids of the records past "after" that were put, or are associated,
        as far as they exist, and whether there are more.
        """
        known = self.listed_ids(kind)
        place = 0 if after is None else bisect.bisect_right(known, after)
        found = []
        while place < len(known) and len(found) <= size:
            record = str(known[place])
            if self.exists(kind, record):
                found.append(record)
            place += 1
        return found[:size], len(found) > size

    def listed_ids(self, kind):
        """All that may be listed, in their order; made anew if any changed."""
        sources = self.store.sources(kind.id)
        records = self.records_of(kind)
        kept = self.order.get(kind.id)
        if kept is None or kept[0] is not sources or \
                kept[1] != records.changes:
            kept = (sources, records.changes,
                    sorted({*sources, *map(int, records.by_id)}))
            self.order[kind.id] = kept
        return kept[2]

    def current_id(self, kind, record):
        """With check_records: the id that is associated in place of this."""
        if self.checks_records(kind):
            return self.records[kind.id].current_id(record)
        return record

    def delete_record(self, kind, record, now):
        """A record is gone, and its associations."""
        self.records_of(kind).delete(record, now, self.search_lag())
        for to_id, target, _ in self.store.of_record(kind.id, record):
            self.unlink(kind.id, record, to_id, target, None)

    def merge_records(self, kind, old_id, into_id, variant, new_id, now):
        """Two records become one, which has the associations of both."""
        kept, gone = self.records_of(kind).merge(
            old_id, into_id, variant, new_id, now, self.search_lag())
        for record in gone:
            for to_id, target, types in self.store.of_record(kind.id, record):
                self.unlink(kind.id, record, to_id, target, None)
                if to_id != kind.id or target not in (kept, *gone):
                    self.link(kind.id, kept, to_id, target, types, False)
        return kept

    def search_lag(self):
        """For how long, in seconds, a search does not see a change."""
        return self.settings["search_lag_ms"] / 1000

    def definitions_changed(self):
        self.fast_types.clear()
        self.replies.clear()

    def note(self, what, *arguments):
        """Tells the journal of a change."""
        self.journal.note(what, self.token, *arguments)

    def link(self, from_id, source, to_id, target, types, replace):
        """Associates two records, as Store.link()."""
        self.note("link", from_id, source, to_id, target, types, replace)
        self.replies.clear()
        self.store.link(from_id, source, to_id, target, types, replace)

    def link_many(self, from_id, to_id, types, replace, pairs):
        """The same for many pairs."""
        if self.journal.is_open():
            pairs = list(pairs)
            self.note("link_many", from_id, to_id, types, replace, pairs)
        self.replies.clear()
        self.store.link_many(from_id, to_id, types, replace, pairs)

    def link_table(self, from_id, to_id, types, replace, table):
        """The same for a table of the fast path."""
        self.note("link_table", from_id, to_id, types, replace, table)
        self.replies.clear()
        self.store.defer(from_id, to_id, types, replace, table)

    def unlink(self, from_id, source, to_id, target, types):
        """Takes two records apart, as Store.unlink()."""
        found = self.store.unlink(from_id, source, to_id, target, types)
        if found:
            self.replies.clear()
            self.note("unlink", from_id, source, to_id, target, types)
        return found

    def clear(self):
        """Takes everything apart."""
        self.note("clear")
        self.replies.clear()
        self.store.clear()

    def define(self, from_id, to_id, label, inverse_label, name):
        """A new label, as Definitions.add_user_defined(), which notes it."""
        made = self.definitions.add_user_defined(from_id, to_id, label,
                                                 inverse_label, name)
        self.definitions_changed()
        return made

    def relabel(self, type_id, label, inverse_label):
        """Other words for a label."""
        self.note("relabel", type_id, label, inverse_label)
        definition = self.definitions.by_key[("USER_DEFINED", type_id)]
        other = self.definitions.by_key[("USER_DEFINED", definition.inverse)]
        definition.label = label
        if inverse_label is not None:
            other.label = inverse_label
        elif not definition.paired:
            other.label = label
        self.definitions_changed()

    def drop_label(self, type_id):
        """A label is gone, and with it what it says of any pair."""
        self.note("drop_label", type_id)
        definition = self.definitions.by_key[("USER_DEFINED", type_id)]
        self.store.drop_type(definition)
        self.definitions.remove(definition)
        self.definitions_changed()
        for gone in (definition.type_id, definition.inverse):
            self.limits.pop(("USER_DEFINED", gone), None)

    def change_settings(self, changes):
        """Takes over settings; ValueError, and none of them, if one is bad."""
        new = dict(self.settings)
        for name, value in changes.items():
            new[name] = checked_setting(name, value)
        if "rate_limit" in changes:
            self.recent.clear()
        if "search_rate_limit" in changes:
            self.searches.clear()
        if changes.keys() - {"latency_ms", "rate_limit"}:
            self.replies.clear()
        self.settings = new

    def spend_request(self, now):
        """
        Counts a request against the rate limit.  Headers that tell where the
        account stands; ApiError if the request is one too many.
        """
        return spend(self.settings["rate_limit"], self.recent, now)

    def spend_search(self, now):
        """The same for the limit of searches, if any; no headers tell of
        that."""
        if self.settings["search_rate_limit"] is None:
            return
        try:
            spend(self.settings["search_rate_limit"], self.searches, now)
        except ApiError as refusal:
            refusal.headers = tuple(header for header in refusal.headers
                                    if header[0] == "Retry-After")
            raise


def spend(limit, recent, now):
    """
    Counts a request against a limit, by the times of those before.  What
    account.spend_request() gives.
    """
    interval = limit["interval_ms"]
    while recent and now - recent[0] >= interval / 1000:
        recent.popleft()
    refused = len(recent) >= limit["max"]
    if not refused:
        recent.append(now)
    left = str(limit["max"] - len(recent))
    if limit["policy"] == "DAILY":
        headers = [("X-HubSpot-RateLimit-Daily", str(limit["max"])),
                   ("X-HubSpot-RateLimit-Daily-Remaining", left)]
    else:
        headers = [("X-HubSpot-RateLimit-Max", str(limit["max"])),
                   ("X-HubSpot-RateLimit-Remaining", left),
                   ("X-HubSpot-RateLimit-Interval-Milliseconds",
                    str(interval))]
    if refused:
        if limit["retry_after"] is not None:
            headers.append(("Retry-After", str(limit["retry_after"])))
        raise rate_limited(limit["policy"], headers)
    return headers
