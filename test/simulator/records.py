"""
records: the records of an account, by object type: what they say, which have
become others by a merge, and by which values they are found

A record is never changed: another one takes its place, so that a search can
go on to see the old one.
"""

from .catalog import is_record_id
from .properties import ADDITIONAL, FOLDED, MERGED, Properties
from .search_index import SearchIndex

# How a merge leaves its old ids: the record that stays answers for them; a
# new one does, for both; or nothing does.
VARIANTS = ("survivor", "new", "vanished")


class Record:
    """A record as it is, or was."""

    __slots__ = ("id", "properties", "created", "changed")

    def __init__(self, record_id, properties, created, changed):
        self.id = record_id
        self.properties = properties
        self.created = created
        self.changed = changed

    def value(self, name):
        """Of a property; None if it has none."""
        return self.id if name == "hs_object_id" else self.properties.get(
            name)


def split_values(text):
    """The parts of a value that holds several."""
    return [part for part in (text or "").split(";") if part]


def fold(name, value):
    return value.lower() if name in FOLDED else value


class Records:
    """The records of one object type."""

    def __init__(self, kind):
        self.kind = kind
        self.definitions = Properties(kind)
        self.by_id = {}
        self.kept = False       # whether there ever was one
        self.changes = 0        # that were made to any
        self.merged = {}        # old id -> the id that answers, or None
        self.unique = {}        # property -> value, or additional one -> id
        self.index = SearchIndex(self.definitions)

    # What records say

    def put(self, record_id, changes, now, lag=0):
        """
        A new record, or other values of one that is there; None takes a
        value away.  ValueError, and nothing done, if that cannot be.
        """
        before = self.by_id.get(record_id)
        if before is None:
            if not is_record_id(record_id) or record_id in self.merged:
                raise ValueError("%r cannot be a new record" % record_id)
            values = {}
        else:
            values = dict(before.properties)
        known = self.definitions.by_name
        for name, value in changes.items():
            if name not in known or name == "hs_object_id":
                raise ValueError("there is no property %s to set" % name)
            if value is None or value == "":
                values.pop(name, None)
            elif not isinstance(value, str):
                raise ValueError("a value is a string")
            else:
                if known[name].type == "number":
                    float(value)
                values[name] = fold(name, value)
        self.replace(before, Record(
            record_id, values, now if before is None else before.created,
            now), now, lag)

    def replace(self, before, after, now, lag):
        """Puts a record in the place of another, or of none."""
        keys = list(self.keys_of(after))
        for table, value in keys:
            holder = table.get(value, after.id)
            if holder != after.id:
                raise ValueError("%s and %s would both have %s" % (
                    holder, after.id, value))
        if before is not None:
            self.forget_keys(before)
        for table, value in keys:
            table[value] = after.id
        self.by_id[after.id] = after
        self.kept = True
        self.changes += 1
        self.index.note(after.id, after, now + lag, now)

    def keys_of(self, record):
        """Where a record is the only one: tables, and its values there."""
        for name in self.definitions.unique_names:
            table = self.unique.setdefault(name, {})
            value = record.properties.get(name)
            if value is not None:
                yield table, value
            for other in split_values(record.properties.get(
                    ADDITIONAL.get(name))):
                yield table, other

    def forget_keys(self, record):
        for table, value in self.keys_of(record):
            table.pop(value, None)

    def delete(self, record_id, now, lag=0):
        """The record is gone; KeyError if there was none."""
        self.forget_keys(self.by_id.pop(record_id))
        self.changes += 1
        self.index.note(record_id, None, now + lag, now)

    # Which records have become others

    def merge(self, old_id, into_id, variant, new_id, now, lag=0):
        """
        Makes one record of two, as the variant has it.  The id that it has,
        and those that it had.
        """
        if variant not in VARIANTS or old_id == into_id:
            raise ValueError("a merge is of two records, and one of " +
                             ", ".join(VARIANTS))
        old, into = self.by_id[old_id], self.by_id[into_id]
        gone = [old, into] if variant == "new" else [old]
        kept_id = into_id
        if variant == "new":
            kept_id = new_id or str(max(map(int, self.by_id)) + 1)
            if not is_record_id(kept_id) or kept_id in self.by_id or \
                    kept_id in self.merged:
                raise ValueError("%r cannot be a new record" % kept_id)
        values = self.merged_values(old, into, gone)
        for record in gone:
            self.delete(record.id, now, lag)
            self.merged[record.id] = None if variant == "vanished" \
                else kept_id
        for earlier, answers in self.merged.items():
            if any(answers == record.id for record in gone):
                self.merged[earlier] = self.merged[answers]
        self.replace(self.by_id.get(kept_id), Record(
            kept_id, values, into.created, now), now, lag)
        return kept_id, [record.id for record in gone]

    @staticmethod
    def merged_values(old, into, gone):
        """What the one record says that two become."""
        values = {**old.properties, **into.properties}
        for name, additional in ADDITIONAL.items():
            others = [part for record in (into, old) for part in (
                *split_values(record.properties.get(additional)),
                record.properties.get(name))
                if part and part != values.get(name)]
            if others:
                values[additional] = ";".join(dict.fromkeys(others))
        values[MERGED] = ";".join(dict.fromkeys(
            part for record in (into, old)
            for part in (*split_values(record.properties.get(MERGED)),
                         *(r.id for r in gone if r is record))))
        return values

    def current_id(self, record_id):
        """The id that answers for this one: itself, if no other does."""
        other = self.merged.get(record_id)
        return other if other in self.by_id else record_id

    # How they are found

    def find(self, record_id):
        """The record that answers for an id, or None."""
        return self.by_id.get(self.current_id(record_id))

    def find_by(self, name, value, secondary, any_case):
        """The record that has the value of a unique property, or None."""
        if name in FOLDED:
            value = value.lower()
        table = self.unique.get(name, {})
        found = table.get(value)
        if found is None and any_case:
            value = next((other for other in table
                          if other.lower() == value.lower()), None)
            found = table.get(value)
        record = self.by_id.get(found)
        if record and not secondary and record.properties.get(name) != value:
            return None
        return record

    def define(self, name, **options):
        """A property of the account's own."""
        self.definitions.define(name, **options)

    def remove_property(self, name, now):
        """A property is no more, nor what records said of it."""
        for record in list(self.by_id.values()):
            if name in record.properties:
                self.put(record.id, {name: None}, now)
        self.definitions.remove(name)
        self.unique.pop(name, None)
        self.index.forget_table(name)
