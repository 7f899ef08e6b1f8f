"""
contexts: the ways in which the API's errors name the inputs they are about
"""

from .errors import invalid
from .problems import INVALID_ASSOCIATIONS


def unique(values):
    return list(dict.fromkeys(values))


def object_context(problems):
    offenders = unique(o for p in problems for o in p.offenders)
    return {"INVALID_OBJECT_IDS": ["%s=%s is not valid" % o
                                   for o in offenders],
            "objectId": [o[1] for o in offenders],
            "objectType": [o[0] for o in offenders]}


def type_context(problems):
    specs = unique("%s=%d" % key for p in problems for key in p.specs)
    return {"associationSpec": specs,
            "INVALID_ASSOCIATION_TYPE_ID": [
                spec + " is not a valid association definition id"
                for spec in specs]}


def live_context(problems):
    """As the real API has been seen to answer."""
    context = {}
    types = [p for p in problems if p.unknown_type]
    objects = [p for p in problems if not p.unknown_type]
    if objects:
        context.update(object_context(objects))
    if types:
        context.update(type_context(types))
    return context


def string_context(problems):
    sides = []
    for side, key, attribute in (("from", "fromObjectId", "source"),
                                 ("to", "toObjectId", "target")):
        ids = unique(getattr(p, attribute) for p in problems
                     if p.side in (side, "both"))
        if ids:
            sides.append("%s=[%s]" % (key, ", ".join(ids)))
    return "{%s}" % ", ".join(sides)


def from_context(problems):
    return {"fromObjectId": unique(p.source for p in problems)}


def to_context(problems):
    """Nothing, where there is no other side."""
    targets = unique(p.target for p in problems if p.target is not None)
    return {"toObjectId": targets} if targets else {}


def read_context(problems):
    """As the real API has been seen to speak of records it read."""
    return {**from_context(problems),
            "fromObjectType": unique(p.kinds[0] for p in problems),
            "toObjectType": unique(p.kinds[1] for p in problems)}


CONTEXTS = {
    "live": live_context,
    "read": read_context,
    "pair": lambda problems: {**from_context(problems),
                              **to_context(problems)},
    "from": from_context,
    "to": to_context,
    "objectId": lambda problems: {
        key: value for key, value in object_context(problems).items()
        if key != "INVALID_OBJECT_IDS"},
    "ids": lambda problems: {
        "ids": object_context(problems)["objectId"]},
    "id": lambda problems: {
        "id": object_context(problems)["objectId"]},
    "INVALID_OBJECT_IDS": lambda problems: {
        "INVALID_OBJECT_IDS":
            object_context(problems)["INVALID_OBJECT_IDS"]},
    "associationSpec": type_context,
    "string": string_context,
}


def context_members(form, problems):
    """{"context": ...}, or nothing for the form "none"."""
    if form == "none":
        return {}
    return {"context": CONTEXTS[form](problems)}


def refusal(call, problems):
    """A request refused whole, the offenders named."""
    message = INVALID_ASSOCIATIONS
    if problems[0].category != "OBJECT_NOT_FOUND" and \
            len({p.message for p in problems}) == 1:
        message = problems[0].message
    form = call.account.settings["context"] or "live"
    return invalid(message, **context_members(form, problems))


def error_item(problems, form, category=None, message=None):
    """One item of a batch's errors."""
    first = problems[0]
    category = category or first.category
    if category == "LIMIT":
        category = "VALIDATION_ERROR"
    item = {"status": "error", "category": category}
    if first.sub_category is not None:
        item["subCategory"] = first.sub_category
    return {**item, "message": message or first.message,
            **context_members(form, problems), "errors": [], "links": {}}


def error_items(call, problems):
    """An item of a batch's errors for each problem."""
    form = call.account.settings["context"] or (
        "read" if call.operation.access == "read" else "pair")
    return [error_item([problem], form) for problem in problems]
