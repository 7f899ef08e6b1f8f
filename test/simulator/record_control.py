"""
record_control: the requests to the control port that are about records

"type" is any name of an object type; "token" selects the account, as always.

POST /records           {"type", "records": [{"id", "properties": {...}}]}:
                        new ones, or other values of those that are there;
                        null takes a value away.  Or, instead of records,
                        "generate": {"count", "first_id", "first_n",
                        "properties"}: "count" of them, whose ids and numbers
                        n go up from the first ones (1), with "{n}" in the
                        values for the number, as in "contact{n}@example.com";
                        100,000 take about a second.  {"count"} of the type
GET  /records?type=[&id=]
                        {"count", "records": [{"id", "properties"}],
                        "merged": {old id: the id that answers, or null}}
DELETE /records?type=[&id=]
                        one or all, with their associations
POST /records/merge     {"type", "id", "into", "variant", "new_id"}: makes one
                        record of two, with the associations of both; "id",
                        the one that stays.  Its hs_merged_object_ids lists
                        those that went into it, and the address of the other
                        is an additional one.  variant:
        survivor          "into" stays, and answers for the other id
        new               a new id (new_id, or the next one) for both
        vanished          "into" stays; nothing answers for the other id
POST /properties        {"type", "name"} and, optionally, "label", "unique"
                        (false), "has_unique_value" (what the definition says
                        of that, as it may be wrong), "kind" (string, number,
                        enumeration: values with ";" between them)
DELETE /properties?type=&name=

No two records have the same value of a unique property, nor an additional
e-mail address that another one has; whoever puts that, or a value of a
property that does not exist, is refused.  E-mail addresses and domains are
kept in lower case.
"""

import time

from .catalog import object_type


def put_records(account, body):
    records = account.records_of(object_type(body["type"]))
    now, lag = time.time(), account.search_lag()
    if "generate" in body:
        made = generate(**body["generate"])
    else:
        made = ((str(item["id"]), item.get("properties", {}))
                for item in body["records"])
    for record_id, properties in made:
        records.put(record_id, properties, now, lag)
    return {"count": len(records.by_id)}


def generate(count, properties, first_id=1, first_n=1):
    """Ids and properties of records that are numbered."""
    for place in range(count):
        n = str(first_n + place)
        yield str(first_id + place), {
            name: value.replace("{n}", n)
            for name, value in properties.items()}


def get_records(account, query):
    records = account.records_of(object_type(query["type"]))
    if "id" in query:
        shown = [records.by_id[query["id"]]] \
            if query["id"] in records.by_id else []
    else:
        shown = sorted(records.by_id.values(), key=lambda r: int(r.id))
    return {"count": len(shown), "merged": records.merged, "records": [
        {"id": record.id, "properties": record.properties}
        for record in shown]}


def delete_records(account, query):
    kind = object_type(query["type"])
    records = account.records_of(kind)
    for record in [query["id"]] if "id" in query else list(records.by_id):
        account.delete_record(kind, record, time.time())
    return {"count": len(records.by_id)}


def merge_records(account, body):
    kind = object_type(body.pop("type"))
    return {"id": account.merge_records(
        kind, body["id"], body["into"], body["variant"], body.get("new_id"),
        time.time())}


def add_property(account, body):
    account.records_of(object_type(body.pop("type"))).define(**body)
    return {"ok": True}


def delete_property(account, query):
    account.records_of(object_type(query["type"])).remove_property(
        query["name"], time.time())
    return {"ok": True}


HANDLERS = {
    ("POST", "records"): put_records,
    ("GET", "records"): get_records,
    ("DELETE", "records"): delete_records,
    ("POST", "records/merge"): merge_records,
    ("POST", "properties"): add_property,
    ("DELETE", "properties"): delete_property,
}
