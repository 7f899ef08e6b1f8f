"""
usage: the operations that tell which account it is, which object types it
has, and how much of what it may have is used
"""

import time

from .catalog import MAX_LABELS, OBJECT_TYPES
from .replies import CLOCK, Reply, iso_time

DAY = 86400                     # in seconds
MAX_ASSOCIATED = 50000          # records to one, unless the account says less
NEAR = 80                       # percent of a limit that are near to it
MAX_SAMPLES = 10                # records of a reply that are at a limit

WORDS = {type_id: (singular, plural)
         for singular, plural, type_id in OBJECT_TYPES}


def account_details(call):
    settings = call.account.settings
    return Reply(200, {
        "portalId": settings["portal_id"],
        "accountType": settings["account_type"],
        "timeZone": settings["time_zone"], "companyCurrency": "EUR",
        "additionalCurrencies": [], "utcOffset": "+00:00",
        "utcOffsetMilliseconds": 0, "uiDomain": "app.hubspot.com",
        "dataHostingLocation": "na1"})


def daily_usage(call):
    """The day ends at midnight UTC, whatever the time zone is."""
    settings = call.account.settings
    usage = settings["daily_usage"]
    if usage is None:
        usage = call.account.counts.requests
    now = time.time()
    return Reply(200, {"results": [{
        "name": "private-apps-api-calls-daily",
        "usageLimit": settings["daily_limit"], "currentUsage": usage,
        "collectedAt": CLOCK.timestamp(),
        "resetsAt": iso_time(int(now - now % DAY + DAY)),
        "fetchStatus": settings["fetch_status"]}]})


def list_schemas(call):
    """The custom object types; none of them is archived."""
    account = call.account
    shown = [] if call.query["archived"] else sorted(
        account.schemas.values(), key=lambda schema: schema.id)
    return Reply(200, {"results": [show_schema(call, schema)
                                   for schema in shown]})


def show_schema(call, schema):
    """Its definitions, unless they are not wanted."""
    shown = {"id": schema.id.partition("-")[2], "objectTypeId": schema.id,
             "name": schema.name, "fullyQualifiedName": "p%d_%s" % (
                 call.account.settings["portal_id"], schema.name),
             "labels": {"singular": schema.singular,
                        "plural": schema.plural},
             "requiredProperties": ["name"], "archived": False}
    if call.query.get("includePropertyDefinitions", True):
        shown["properties"] = [{"name": "name", "label": "Name",
                                "type": "string", "fieldType": "text"}]
    if call.query.get("includeAssociationDefinitions", True):
        shown["associations"] = [
            {"id": str(d.type_id), "fromObjectTypeId": d.from_id,
             "toObjectTypeId": d.to_id, "name": d.name}
            for d in call.account.definitions.by_key.values()
            if schema.id in (d.from_id, d.to_id)]
    return shown


def label_usage(call):
    """One pair of object types, or all that have labels of their own."""
    definitions = call.account.definitions
    given = call.query.get("fromObjectTypeId"), \
        call.query.get("toObjectTypeId")
    if None not in given:
        directions = [(given[0].id, given[1].id)]
    else:
        directions = [direction for direction in sorted(
            definitions.by_direction) if labels_of(definitions, direction) and
            all(kind is None or kind.id == type_id
                for kind, type_id in zip(given, direction))]
    return Reply(200, {"results": [
        show_label_usage(call, direction) for direction in directions]})


def labels_of(definitions, direction):
    """The labels that the account itself has defined."""
    return [d.label for d in definitions.by_direction.get(direction, ())
            if d.category == "USER_DEFINED" and d.label is not None]


def show_label_usage(call, direction):
    labels = labels_of(call.account.definitions, direction)
    return {"fromObjectType": show_type(call, direction[0]),
            "toObjectType": show_type(call, direction[1]),
            "limit": MAX_LABELS, "usage": len(labels),
            "percentage": 100 * len(labels) / MAX_LABELS,
            "allLabels": labels}


def show_type(call, type_id):
    """An object type with its words."""
    if type_id in call.account.schemas:
        schema = call.account.schemas[type_id]
        words = schema.singular, schema.plural
    else:
        words = [word.replace("_", " ").capitalize() for word in
                 WORDS.get(type_id, (type_id, type_id))]
    return {"objectTypeId": type_id, "singularLabel": words[0],
            "pluralLabel": words[1]}


def record_usage(call):
    """Records of a type that have as many others as they may, or nearly."""
    direction = call.from_type.id, call.to_type.id
    limit = MAX_ASSOCIATED
    for definition in call.account.definitions.by_direction.get(
            direction, ()):
        if definition.label is None:
            limit = call.account.limits.get(definition.key(), limit)
    counts = sorted(((len(row), source) for source, row in
                     call.account.store.table(*direction).items()),
                    key=lambda item: (-item[0], int(item[1])))
    at_limit = [item for item in counts if item[0] >= limit]
    near = [item for item in counts[len(at_limit):]
            if item[0] * 100 >= limit * NEAR]
    return Reply(200, {
        "limit": limit, "totalRecordsAtLimit": len(at_limit),
        "totalRecordsNearLimit": len(near),
        "atLimitFromRecordSamples": [
            {"objectId": int(source), "label": name_of(call, source)}
            for _, source in at_limit[:MAX_SAMPLES]],
        "nearLimitFromRecordSamples": [
            {"objectId": int(source), "label": name_of(call, source),
             "usage": usage, "percentage": 100 * usage / limit}
            for usage, source in near[:MAX_SAMPLES]]})


def name_of(call, source):
    """What a record is called: no more than its type and id."""
    return "%s %s" % (call.from_type.upper, source)
