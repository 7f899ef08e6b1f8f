"""
properties: what the records of an object type can say, and in which words
"""

import re

from .errors import invalid

MAX_UNIQUE = 10                 # properties of a type that an account made so
NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")

# The types that properties of an account's own can have, and their fields.
FIELD_TYPES = {"string": "text", "number": "number",
               "enumeration": "checkbox"}

# What every type has; the dates have other names in some.
TIMES = {
    "0-1": ("createdate", "lastmodifieddate"),
    "0-2": ("createdate", "hs_lastmodifieddate"),
    "0-3": ("createdate", "hs_lastmodifieddate"),
    "0-5": ("createdate", "hs_lastmodifieddate"),
    "0-7": ("createdate", "hs_lastmodifieddate"),
    "0-8": ("createdate", "hs_lastmodifieddate"),
}
OTHER_TIMES = ("hs_createdate", "hs_lastmodifieddate")

# By object type: name, label, type, type of the field; "unique" after that.
STANDARD = {
    "0-1": (
        ("email", "Email", "string", "text", "unique"),
        ("hs_additional_emails", "Additional email addresses", "enumeration",
         "checkbox"),
        ("firstname", "First Name", "string", "text"),
        ("lastname", "Last Name", "string", "text"),
        ("phone", "Phone Number", "string", "phonenumber"),
        ("company", "Company Name", "string", "text")),
    "0-2": (
        ("domain", "Company Domain Name", "string", "text"),
        ("hs_additional_domains", "Additional Domains", "enumeration",
         "checkbox"),
        ("name", "Company name", "string", "text"),
        ("website", "Website URL", "string", "text"),
        ("phone", "Phone Number", "string", "phonenumber")),
    "0-3": (
        ("dealname", "Deal Name", "string", "text"),
        ("amount", "Amount", "number", "number"),
        ("closedate", "Close Date", "datetime", "date"),
        ("pipeline", "Pipeline", "string", "text"),
        ("dealstage", "Deal Stage", "string", "text")),
    "0-5": (
        ("subject", "Ticket name", "string", "text"),
        ("content", "Ticket description", "string", "textarea"),
        ("hs_pipeline", "Pipeline", "string", "text"),
        ("hs_pipeline_stage", "Ticket status", "string", "text"),
        ("hs_external_object_ids", "External object ids", "string", "text",
         "unique")),
    "0-7": (
        ("name", "Name", "string", "text"),
        ("description", "Product description", "string", "textarea"),
        ("price", "Unit price", "number", "number"),
        ("hs_sku", "SKU", "string", "text", "unique")),
    "0-8": (
        ("name", "Name", "string", "text"),
        ("price", "Unit price", "number", "number"),
        ("quantity", "Quantity", "number", "number"),
        ("hs_external_id", "External ID", "string", "text", "unique")),
}

# What stands in a result where no properties are asked for.
SHOWN = {
    "0-1": ("email", "firstname", "lastname"),
    "0-2": ("domain", "name"),
    "0-3": ("amount", "closedate", "dealname", "dealstage", "pipeline"),
    "0-5": ("content", "hs_pipeline", "hs_pipeline_stage", "subject"),
    "0-7": ("description", "name", "price"),
}

# HubSpot keeps the values of these in lower case.
FOLDED = frozenset(["email", "domain", "hs_additional_emails",
                    "hs_additional_domains"])

# Where the values go that a record has beside the one of a property.
ADDITIONAL = {"email": "hs_additional_emails",
              "domain": "hs_additional_domains"}
MERGED = "hs_merged_object_ids"


class Property:
    """
    A property's definition.  "unique" is how it is; "shown_unique" how its
    definition has it, which may be wrong.
    """

    __slots__ = ("name", "label", "type", "field_type", "unique",
                 "shown_unique", "standard")

    def __init__(self, name, label, kind, field_type, unique=False,
                 shown_unique=None, standard=False):
        self.name = name
        self.label = label
        self.type = kind
        self.field_type = field_type
        self.unique = unique
        self.shown_unique = unique if shown_unique is None else shown_unique
        self.standard = standard

    def entry(self):
        """As the properties endpoint shows it."""
        return {
            "name": self.name, "label": self.label, "type": self.type,
            "fieldType": self.field_type, "description": "",
            "groupName": "information", "options": [], "displayOrder": -1,
            "calculated": False, "externalOptions": False, "archived": False,
            "hasUniqueValue": self.shown_unique, "hidden": False,
            "hubspotDefined": self.standard, "formField": False,
            "modificationMetadata": {
                "archivable": not self.standard,
                "readOnlyDefinition": self.standard,
                "readOnlyValue": self.type == "datetime"}}

    def texts(self, value):
        """The values that one holds, as a search compares them."""
        value = value.lower()
        if self.type != "enumeration":
            return (value,)
        return tuple(filter(None, map(str.strip, value.split(";"))))


class Properties:
    """The properties of one object type of an account."""

    def __init__(self, kind):
        self.kind = kind
        self.times = TIMES.get(kind.id, OTHER_TIMES)
        self.by_name = {}
        self.unique_names = ()
        for name, label, *rest in STANDARD.get(kind.id, ()):
            self.keep(Property(name, label, rest[0], rest[1],
                               rest[2:] == ["unique"], standard=True))
        self.keep(Property("hs_object_id", "Record ID", "number", "number",
                           standard=True))
        self.keep(Property(MERGED, "Merged Record IDs", "enumeration",
                           "checkbox", standard=True))
        for name, label in zip(self.times, ("Create Date",
                                            "Last Modified Date")):
            self.keep(Property(name, label, "datetime", "date",
                               standard=True))

    def keep(self, definition):
        self.by_name[definition.name] = definition
        self.note_unique()

    def note_unique(self):
        self.unique_names = tuple(d.name for d in self.by_name.values()
                                  if d.unique)

    def define(self, name, label=None, unique=False, has_unique_value=None,
               kind="string"):
        """A property of the account's own; ValueError if it cannot be."""
        if not NAME.fullmatch(name) or kind not in FIELD_TYPES:
            raise ValueError("there cannot be a property %r that is a %r"
                             % (name, kind))
        if name in self.by_name:
            raise ValueError("there is a property %s already" % name)
        if unique and sum(d.unique and not d.standard
                          for d in self.by_name.values()) >= MAX_UNIQUE:
            raise ValueError("%d properties are unique" % MAX_UNIQUE)
        self.keep(Property(name, label or name, kind, FIELD_TYPES[kind],
                           unique, has_unique_value))

    def remove(self, name):
        if self.by_name[name].standard:
            raise ValueError("%s is HubSpot's own" % name)
        del self.by_name[name]
        self.note_unique()

    def find(self, name):
        """The definition of that name; ApiError if there is none."""
        definition = self.by_name.get(name)
        if definition is None:
            raise unknown_property(name)
        return definition

    def shown(self, names):
        """The names that stand in results if these are asked for."""
        return (*(names or SHOWN.get(self.kind.id, ())), "hs_object_id",
                *self.times)


def unknown_property(name):
    """The refusal of a property that is not there, as of a write."""
    words = "Property \"%s\" does not exist" % name
    return invalid("Property values were not valid: %s" % words, errors=[
        {"message": words, "code": "PROPERTY_DOESNT_EXIST",
         "context": {"propertyName": [name]}}])


# The words by which a property is refused that is not unique: those that
# were seen of a write, others, what a context says, and nothing at all.
def not_unique(kind, name, words):
    """The refusal of a property whose values do not tell records apart."""
    if words == "write":
        return invalid("Unable to perform update/upsert by non-unique %s "
                       "property %s" % (kind.id, name))
    if words == "read":
        return invalid("Unable to read objects by non-unique %s property %s"
                       % (kind.id, name))
    if words == "context":
        return invalid("idProperty is invalid", context={
            "idProperty": [name], "objectType": [kind.upper]})
    return invalid("There was a problem with the request.")
