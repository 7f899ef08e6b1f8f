"""
definitions: the association types of an account, its labels among them
"""

from .catalog import ASSOCIATION_TYPES, KNOWN_TYPES
from .errors import invalid


class Definition:
    """
    An association type: a category and a number, good for one direction.
    "inverse" is the number for the other direction; "paired" says that the
    two directions have labels of their own.
    """

    __slots__ = ("category", "type_id", "from_id", "to_id", "label",
                 "inverse", "name", "paired")

    def __init__(self, category, type_id, from_id, to_id, label, inverse,
                 name=None, paired=False):
        self.category = category
        self.type_id = type_id
        self.from_id = from_id
        self.to_id = to_id
        self.label = label
        self.inverse = inverse
        self.name = name
        self.paired = paired

    def key(self):
        return (self.category, self.type_id)

    def entry(self):
        """As the labels endpoint shows it."""
        return {"category": self.category, "typeId": self.type_id,
                "label": self.label}


class Definitions:
    """
    The association types of one account.  "note" is told of new ones, which
    may come of a mere look at a custom object type.
    """

    def __init__(self, note):
        self.note = note
        self.by_key = {}
        self.by_direction = {}
        self.next_id = 1
        for row in ASSOCIATION_TYPES:
            self.add_standard(*row)

    def add_standard(self, from_name, to_name, type_id, inverse, label,
                     inverse_label):
        from_id = KNOWN_TYPES[from_name].id
        to_id = KNOWN_TYPES[to_name].id
        self.add(Definition("HUBSPOT_DEFINED", type_id, from_id, to_id,
                            label, inverse))
        if inverse != type_id:
            self.add(Definition("HUBSPOT_DEFINED", inverse, to_id, from_id,
                                inverse_label, type_id))

    def add(self, definition):
        self.by_key[definition.key()] = definition
        direction = (definition.from_id, definition.to_id)
        self.by_direction.setdefault(direction, []).append(definition)
        return definition

    def add_user_defined(self, from_id, to_id, label, inverse_label, name):
        """
        A new type in both directions; a list of one definition where record
        types are equal and the label says the same both ways, else of two.
        """
        self.note("define", from_id, to_id, label, inverse_label, name)
        type_id = self.next_id
        paired = inverse_label is not None
        alone = from_id == to_id and not paired
        inverse = type_id if alone else type_id + 1
        self.next_id = inverse + 1
        made = [self.add(Definition("USER_DEFINED", type_id, from_id, to_id,
                                    label, inverse, name, paired))]
        if not alone:
            made.append(self.add(Definition(
                "USER_DEFINED", inverse, to_id, from_id,
                inverse_label if paired else label, type_id, name, paired)))
        return made

    def remove(self, definition):
        """Takes out a definition and that of the other direction."""
        for type_id in {definition.type_id, definition.inverse}:
            gone = self.by_key.pop((definition.category, type_id))
            self.by_direction[(gone.from_id, gone.to_id)].remove(gone)

    def of(self, from_type, to_type):
        """All definitions of a direction, the plain one first."""
        direction = (from_type.id, to_type.id)
        if from_type.custom or to_type.custom:
            if not any(d.label is None
                       for d in self.by_direction.get(direction, ())):
                self.add_user_defined(from_type.id, to_type.id, None, None,
                                      None)
        return sorted(self.by_direction.get(direction, ()),
                      key=lambda d: d.label is not None)

    def plain(self, from_type, to_type):
        """The definition that a default create uses."""
        for definition in self.by_direction.get(
                (from_type.id, to_type.id), ()):
            if definition.label is None:
                return definition
        known = self.of(from_type, to_type)
        if not known or known[0].label is not None:
            raise invalid("There is no default association type from %s to %s"
                          % (from_type.upper, to_type.upper))
        return known[0]

    def inverse_key(self, key):
        return (key[0], self.by_key[key].inverse)

    def label(self, key):
        return self.by_key[key].label
