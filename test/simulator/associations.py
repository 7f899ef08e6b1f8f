"""
associations: which records of an account are associated, and by which types
"""

import bisect

from .catalog import PRIMARY_OF_FROM, PRIMARY_OF_TO


class Store:
    """
    The associations of one account: for each direction, from id -> to id ->
    sorted tuple of (category, type id).  Both directions are always there.

    Tables that the fast path left behind wait in "pending" until somebody
    asks for anything.
    """

    def __init__(self, definitions):
        self.definitions = definitions
        self.clear()

    def clear(self):
        self.directions = {}
        self.primaries = {}
        self.pending = []
        self.sorted_ids = {}
        self.sorted_sources = {}

    def forget_order(self):
        """A pair is new, or gone."""
        self.sorted_ids.clear()
        self.sorted_sources.clear()

    def defer(self, from_id, to_id, types, replace, table):
        """Remembers a fast-path table: link() for each line, later."""
        self.pending.append((from_id, to_id, types, replace, table))

    def table(self, from_id, to_id):
        """The associations of one direction."""
        if self.pending:
            self.materialise()
        return self.directions.setdefault((from_id, to_id), {})

    def materialise(self):
        pending, self.pending = self.pending, []
        for from_id, to_id, types, replace, table in pending:
            pairs = (line.split(",")
                     for line in table.decode("ascii").split("\n"))
            self.link_many(from_id, to_id, types, replace, pairs)

    def link_many(self, from_id, to_id, types, replace, pairs):
        """link() for many pairs, with a short way for new ones."""
        forward = self.table(from_id, to_id)
        backward = self.table(to_id, from_id)
        types = tuple(sorted(set(types)))
        inverse = tuple(sorted(map(self.definitions.inverse_key, types)))
        primary = not PRIMARY_OF_FROM.union(PRIMARY_OF_TO).isdisjoint(types)
        self.forget_order()
        for source, target in pairs:
            row = forward.get(source)
            if primary or row is not None and target in row:
                self.link(from_id, source, to_id, target, types, replace)
                continue
            if row is None:
                row = forward[source] = {}
            row[target] = types
            row = backward.get(target)
            if row is None:
                row = backward[target] = {}
            row[source] = inverse

    def get(self, from_id, source, to_id, target):
        return self.table(from_id, to_id).get(source, {}).get(target, ())

    def link(self, from_id, source, to_id, target, types, replace):
        """
        Associates two records.  With "replace" the pair's labels give way to
        those of "types"; types that HubSpot defines stay in any case.
        """
        forward = self.table(from_id, to_id).setdefault(source, {})
        current = forward.get(target, ())
        kept = current
        if replace and current:
            kept = [key for key in current if not self.is_label(key)]
        if target not in forward:
            self.forget_order()
        for key in types:
            if key in PRIMARY_OF_FROM:
                self.take_primary(from_id, source, to_id, target, key)
            elif key in PRIMARY_OF_TO:
                self.take_primary(to_id, target, from_id, source,
                                  self.definitions.inverse_key(key))
        self.put(from_id, source, to_id, target,
                 tuple(sorted({*kept, *types})))

    def is_label(self, key):
        return key[0] == "USER_DEFINED" and \
            self.definitions.label(key) is not None

    def take_primary(self, from_id, source, to_id, target, key):
        """
        The record's primary association moves to "target"; the record that
        had it stays associated.
        """
        place = (from_id, source, to_id)
        before = self.primaries.get(place)
        self.primaries[place] = target
        if before is not None and before != target:
            types = self.get(from_id, source, to_id, before)
            left = tuple(k for k in types if k != key)
            plain = self.definitions.by_direction[(from_id, to_id)][0]
            self.put(from_id, source, to_id, before, left or (plain.key(),))

    def put(self, from_id, source, to_id, target, types):
        """Stores a pair's types in both directions; none: it is gone."""
        inverse_key = self.definitions.inverse_key
        inverse = [inverse_key(key) for key in types]
        if len(inverse) > 1:
            inverse.sort()
        self.put_one(from_id, source, to_id, target, types)
        self.put_one(to_id, target, from_id, source, tuple(inverse))

    def put_one(self, from_id, source, to_id, target, types):
        targets = self.directions.setdefault((from_id, to_id), {})
        row = targets.setdefault(source, {})
        if types:
            row[target] = types
        else:
            row.pop(target, None)
            if not row:
                del targets[source]
            self.forget_order()

    def unlink(self, from_id, source, to_id, target, types=None):
        """
        Takes types (default: all) off a pair, and whether there were any.
        """
        current = self.get(from_id, source, to_id, target)
        left = () if types is None else tuple(
            key for key in current if key not in types)
        if left == current:
            return False
        for key in current:
            if key not in left:
                self.forget_primary(from_id, source, to_id, target, key)
        self.put(from_id, source, to_id, target, left)
        return True

    def forget_primary(self, from_id, source, to_id, target, key):
        if key in PRIMARY_OF_FROM:
            place, holder = (from_id, source, to_id), target
        elif key in PRIMARY_OF_TO:
            place, holder = (to_id, target, from_id), source
        else:
            return
        if self.primaries.get(place) == holder:
            del self.primaries[place]

    def of_record(self, from_id, source):
        """[(to type, to id, types)] of all that a record has."""
        self.materialise()
        return [(to_id, target, types)
                for (type_id, to_id), table in list(self.directions.items())
                if type_id == from_id
                for target, types in table.get(source, {}).items()]

    def drop_type(self, definition):
        """Takes one association type off every pair that has it."""
        key = definition.key()
        table = self.table(definition.from_id, definition.to_id)
        for source, row in list(table.items()):
            for target, types in list(row.items()):
                if key in types:
                    self.unlink(definition.from_id, source, definition.to_id,
                                target, [key])

    def sources(self, from_id):
        """The ids of all records of a type that have any, in their order;
        the same list as long as they are the same."""
        self.materialise()
        ids = self.sorted_sources.get(from_id)
        if ids is None:
            ids = sorted({int(source) for (type_id, _), table
                          in self.directions.items() if type_id == from_id
                          for source in table})
            self.sorted_sources[from_id] = ids
        return ids

    def count(self, from_id, to_id):
        """Pairs of a direction, without unfolding fast-path tables if those
        are all there is."""
        waiting = [p for p in self.pending if p[0] == from_id and
                   p[1] == to_id]
        if len(waiting) == len(self.pending) and from_id != to_id and \
                not self.directions.get((from_id, to_id)):
            lines = set()
            for entry in waiting:
                lines.update(entry[-1].split(b"\n"))
            return len(lines)
        return sum(map(len, self.table(from_id, to_id).values()))

    def count_of_type(self, from_id, source, to_id, key):
        """Records that this one is associated to by one type."""
        row = self.table(from_id, to_id).get(source, {})
        return sum(key in types for types in row.values())

    def page(self, from_id, source, to_id, after, size):
        """
        Associations of one record in the order of their ids, from those past
        "after" on: these ids, the row that has their types, and whether
        there are more.
        """
        row = self.table(from_id, to_id).get(source)
        if not row:
            return (), row, False
        if after is None and len(row) <= size:
            return sorted(row, key=int), row, False
        place = (from_id, source, to_id)
        ids = self.sorted_ids.get(place)
        if ids is None:
            ids = sorted(map(int, row))
            self.sorted_ids[place] = ids
        start = 0 if after is None else bisect.bisect_right(ids, after)
        return (list(map(str, ids[start:start + size])), row,
                start + size < len(ids))
