"""
problems: why nothing can be done with an input, and the search for reasons
"""

from .catalog import is_record_id

INVALID_ASSOCIATIONS = "One or more associations are invalid"


class Problem:
    """
    Why nothing can be done with one pair, or with one record, whose target
    is None.
    """

    __slots__ = ("source", "target", "category", "sub_category", "message",
                 "kinds", "offenders", "side", "specs", "unknown_type")

    def __init__(self, call, source, target, category, message, side,
                 specs=(), unknown_type=False, sub_category=None):
        self.source = source
        self.target = target
        self.category = category
        self.sub_category = sub_category
        self.message = message
        self.kinds = (call.from_type.upper.lower(),
                      call.to_type.upper.lower())
        self.side = side
        self.specs = specs
        self.unknown_type = unknown_type
        self.offenders = []
        if side in ("from", "both"):
            self.offenders.append((call.from_type.upper, source))
        if side in ("to", "both"):
            self.offenders.append((call.to_type.upper, target))


def side_of(good_source, good_target):
    """Which side of a pair is bad; None if both are good."""
    if good_source:
        return None if good_target else "to"
    return "from" if good_target else "both"


def find_missing(call, source, target, types):
    """The Problem if one of the two records is not there, or None."""
    side = side_of(call.account.exists(call.from_type, source),
                   call.account.exists(call.to_type, target))
    return side and Problem(call, source, target, "OBJECT_NOT_FOUND",
                            "One or more records were not found", side, types)


def find_misfit(call, source, target, types):
    """The Problem if a type is unknown or of another direction, or None."""
    unknown = [key for key in types
               if key not in call.account.definitions.by_key]
    wrong = unknown or [key for key in types if not call.fits(key)]
    if not wrong:
        return None
    return Problem(call, source, target, "VALIDATION_ERROR",
                   INVALID_ASSOCIATIONS, "from", wrong, bool(unknown))


def find_problem(call, source, target, types, added):
    """The Problem with associating these two, or None."""
    if types is None:
        types = (call.plain_type().key(),)
    return find_missing(call, source, target, types) or \
        find_misfit(call, source, target, types) or \
        find_exceeded(call, source, target, types, added)


def find_removal_problem(call, source, target, types):
    """The Problem with taking these two apart, or None."""
    side = side_of(is_record_id(source), is_record_id(target))
    if side:
        return Problem(call, source, target, "VALIDATION_ERROR",
                       "\"%s\" is not a record id" % (
                           target if side == "to" else source), side,
                       types or ())
    return find_missing(call, source, target, types or ()) or \
        types and find_misfit(call, source, target, types)


def find_exceeded(call, source, target, types, added):
    """
    The Problem if a limit forbids this pair.  "added" counts what earlier
    inputs of the same batch take up.
    """
    account = call.account
    if not account.limits:
        return None
    store = account.store
    present = store.get(call.from_type.id, source, call.to_type.id, target)
    ends = []
    for key in types:
        if key not in present:
            inverse = account.definitions.inverse_key(key)
            ends.append((call.from_type.id, source, call.to_type.id, key))
            ends.append((call.to_type.id, target, call.from_type.id, inverse))
    for end in ends:
        most = account.limits.get(end[3])
        if most is not None and \
                store.count_of_type(*end) + added.get(end, 0) >= most:
            side = "from" if end[1] == source else "to"
            return Problem(call, source, target, "LIMIT",
                           "A record has as many associations of the type "
                           "%s=%d as its limit allows" % end[3], side, types)
    for end in ends:
        added[end] = added.get(end, 0) + 1
    return None
