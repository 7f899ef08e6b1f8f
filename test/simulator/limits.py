"""
limits: the operations on limits of associations, and the report of high usage
"""

from .batches import envelope
from .errors import invalid
from .replies import CLOCK, Reply


def limits_all(call):
    return Reply(200, {"results": [limit_entry(call, key)
                                   for key in sorted(call.account.limits)]})


def limits_pair(call):
    return Reply(200, {"results": [limit_entry(call, key)
                                   for key in sorted(call.account.limits)
                                   if call.fits(key)]})


# The versions whose documents have 201 for a new limit.
CREATED = frozenset(["v4", "2026-03"])


def limits_create(call):
    check_limit_keys(call, False)
    check_label_limits(call)
    status = call.account.settings["limit_create_status"]
    return set_limits(call, status or (201 if call.version in CREATED
                                       else 200))


def limits_update(call):
    check_limit_keys(call, True)
    check_label_limits(call)
    return set_limits(call, 200)


def limits_purge(call):
    check_limit_keys(call, None)
    if not call.dry:
        for key, _ in call.body:
            call.account.limits.pop(key, None)
    status = call.account.settings["limit_purge_status"] or (
        204 if call.version == "v4" else 200)
    return Reply(status, envelope([]) if status == 200 else None)


def check_limit_keys(call, present):
    """
    Refuses limits on types of another direction, and, where "present" is
    not None, on types that have one or have none.
    """
    for key, _ in call.body:
        if not call.fits(key):
            raise invalid("%s=%d is not a valid association definition id"
                          % key)
        if present is not None and (key in call.account.limits) != present:
            raise invalid("%s=%d has %s limit" % (
                key[0], key[1], "no" if present else "already a"))


def check_label_limits(call):
    """A label's limit may not be above that of the object types."""
    wanted = {**call.account.limits, **dict(call.body)}
    known = call.account.definitions.of(call.from_type, call.to_type)
    plain = next((wanted[d.key()] for d in known
                  if d.label is None and d.key() in wanted), None)
    for key, most in call.body:
        if plain is not None and most > plain and \
                call.account.definitions.label(key) is not None:
            raise invalid("The limit %d of %s=%d is above that of the object "
                          "types, %d" % (most, *key, plain))


def set_limits(call, status):
    if not call.dry:
        call.account.limits.update(call.body)
    return Reply(status, envelope([
        {**limit_entry(call, key), "userEnforcedMaxToObjectIds": most}
        for key, most in call.body]))


def limit_entry(call, key):
    definition = call.account.definitions.by_key[key]
    entry = {"category": key[0], "typeId": key[1],
             "userEnforcedMaxToObjectIds": call.account.limits.get(key)}
    if definition.label is not None:
        entry["label"] = definition.label
    return entry


def high_usage_report(call):
    user = call.parts["user_id"]
    return Reply(200, {"userId": user,
                       "userEmail": "user%d@example.com" % user,
                       "enqueueTime": CLOCK.timestamp()})
