"""
search_index: what a search sees of the records of an object type

It comes late: what has changed is there for a search only when its time has
come.  Changes come in the order in which they were made.
"""

import collections


class SearchIndex:
    """
    The records as a search sees them, and where their values are.  For each
    property that was ever searched for there is a table, from a value to the
    ids of records that have it.
    """

    def __init__(self, definitions):
        self.definitions = definitions
        self.seen = {}
        self.tables = {}        # (property, of parts) -> value -> {id: None}
        self.waiting = collections.deque()

    def note(self, record_id, record, due, now):
        """A record has changed; None: it is gone."""
        if self.waiting:
            due = max(due, self.waiting[-1][0])
        elif due <= now:
            self.take_over(record_id, record)
            return
        self.waiting.append((due, record_id, record))

    def catch_up(self, now):
        """Sees what has become due."""
        while self.waiting and self.waiting[0][0] <= now:
            _, record_id, record = self.waiting.popleft()
            self.take_over(record_id, record)

    def take_over(self, record_id, record):
        before = self.seen.pop(record_id, None)
        if record is not None:
            self.seen[record_id] = record
        for (name, parts), table in self.tables.items():
            if before is not None:
                for text in self.texts(before, name, parts):
                    table[text].pop(record_id, None)
            if record is not None:
                self.enter(table, record, name, parts)

    def texts(self, record, name, parts):
        """A record's values of a property, whole or in parts."""
        value = record.value(name)
        if value is None:
            return ()
        if parts:
            return self.definitions.by_name[name].texts(value)
        return (value.lower(),)

    def enter(self, table, record, name, parts):
        for text in self.texts(record, name, parts):
            table.setdefault(text, {})[record.id] = None

    def table(self, name, parts):
        """The table of a property, by whole values or by their parts."""
        table = self.tables.get((name, parts))
        if table is None:
            table = self.tables[name, parts] = {}
            for record in self.seen.values():
                self.enter(table, record, name, parts)
        return table

    def forget_table(self, name):
        """The property is no more, or no longer the same."""
        for parts in (False, True):
            self.tables.pop((name, parts), None)

    def find(self, name, values, parts):
        """The ids of the records that have one of the values, in order."""
        table = self.table(name, parts)
        found = {}
        for value in values:
            found.update(table.get(value, {}))
        return found
