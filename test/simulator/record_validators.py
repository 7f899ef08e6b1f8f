"""
record_validators: validators as in validators.py, of what asks for records
"""

from .errors import invalid
from .validators import (ID_KEYS, check_list, check_object, check_text,
                         refuse_empty_or_long)

READ_KEYS = frozenset(["inputs", "properties", "propertiesWithHistory"])
SEARCH_KEYS = frozenset(["filterGroups", "properties", "sorts", "limit",
                         "after"])
FILTER_KEYS = frozenset(["propertyName", "operator"])

MAX_GROUPS = 5                  # of filters in a search
MAX_GROUP = 6                   # filters of a group
MAX_FILTERS = 18                # of all groups
MAX_VALUES = 100                # of a filter
MAX_PAGE = 200
MAX_RESULTS = 10000             # that can be paged through

# What the filters have in them that are simulated, by operator.
OPERATORS = {"EQ": "value", "CONTAINS_TOKEN": "value", "IN": "values"}
OTHER_OPERATORS = frozenset([
    "BETWEEN", "GT", "GTE", "HAS_PROPERTY", "LT", "LTE", "NEQ",
    "NOT_CONTAINS_TOKEN", "NOT_HAS_PROPERTY", "NOT_IN"])


def check_names(value, where):
    """Names of properties, each once."""
    names = [check_text(name, where) for name in check_list(value, where)]
    if len(set(names)) != len(names):
        raise invalid("%s names a property twice" % where)
    return names


def check_read_records(value, limit):
    """(property of the keys or None, properties to show, keys)"""
    check_object(value, READ_KEYS, "the body", {"idProperty"})
    if check_list(value["propertiesWithHistory"], "propertiesWithHistory"):
        raise invalid("The history of properties is not simulated")
    by = value.get("idProperty")
    if "idProperty" in value:
        check_text(by, "idProperty")
    inputs = check_list(value["inputs"], "inputs")
    refuse_empty_or_long(inputs, limit)
    keys = []
    for item in inputs:
        if type(item) is not dict or item.keys() != ID_KEYS:
            check_object(item, ID_KEYS, "an input")
        keys.append(check_text(item["id"], "id"))
    return by, check_names(value["properties"], "properties"), keys


class Search:
    """What a search asks for."""

    __slots__ = ("groups", "properties", "sorts", "limit", "after")

    def values(self):
        """How many values there are to look for."""
        return sum(len(values) for group in self.groups
                   for _, _, values in group)


def check_search(value, _limit):
    """The Search; its groups are lists of (property, operator, values)."""
    check_object(value, SEARCH_KEYS, "the body", {"query"})
    if "query" in value:
        raise invalid("The query of a search is not simulated")
    search = Search()
    search.groups = [check_group(group) for group in check_list(
        value["filterGroups"], "filterGroups")]
    filters = sum(map(len, search.groups))
    if len(search.groups) > MAX_GROUPS or filters > MAX_FILTERS or \
            any(len(group) > MAX_GROUP for group in search.groups):
        raise invalid("A search has at most %d filterGroups of at most %d "
                      "filters, in all %d" % (MAX_GROUPS, MAX_GROUP,
                                              MAX_FILTERS))
    search.properties = check_names(value["properties"], "properties")
    search.sorts = check_names(value["sorts"], "sorts")
    if len(search.sorts) > 1:
        raise invalid("A search has at most one sort")
    search.limit = value["limit"]
    if type(search.limit) is not int or not 1 <= search.limit <= MAX_PAGE:
        raise invalid("limit must be from 1 to %d" % MAX_PAGE)
    after = check_text(value["after"], "after")
    if not (after.isdigit() and after.isascii() and len(after) < 10):
        raise invalid("Invalid paging cursor: " + after)
    search.after = int(after)
    if search.after + search.limit > MAX_RESULTS:
        raise invalid("A search cannot be paged beyond %d results"
                      % MAX_RESULTS)
    return search


def check_group(value):
    """[(property, operator, values)], which must hold together."""
    check_object(value, {"filters"}, "a filter group")
    filters = check_list(value["filters"], "filters")
    if not filters:
        raise invalid("filters must not be empty")
    return [check_filter(item) for item in filters]


def check_filter(value):
    check_object(value, FILTER_KEYS, "a filter",
                 {"value", "values", "highValue"})
    name = check_text(value["propertyName"], "propertyName")
    operator = value["operator"]
    if operator not in OPERATORS:
        raise invalid("The operator %s is not %s" % (
            operator, "simulated" if operator in OTHER_OPERATORS else "known"))
    operand = OPERATORS[operator]
    check_object(value, FILTER_KEYS | {operand}, "a filter of " + operator)
    values = value[operand] if operand == "values" else [value[operand]]
    for item in check_list(values, "values"):
        check_text(item, operand)
    if not 1 <= len(values) <= MAX_VALUES:
        raise invalid("A filter has from 1 to %d values, but there are %d"
                      % (MAX_VALUES, len(values)))
    return name, operator, values
