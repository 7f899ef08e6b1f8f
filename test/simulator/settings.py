"""
settings: what the control port can set for an account, and its checks
"""

# The values that a setting can have; the first is the one at the start.
SETTINGS = {
    "bad_batch": ("partial", "partial200", "partial207", "whole", "unnamed", "canceled",
                  "canceled-unnamed", "silent"),
    "context": (None, "pair", "from", "to", "objectId", "ids", "id",
                "INVALID_OBJECT_IDS", "associationSpec", "string", "none"),
    "id_form": ("string", "number", "mixed"),
    "batch_create_status": (201, 200),
    "single_create_form": ("bare", "entity"),
    "default_results": ("both", "forward"),
    "archive_status": (None, 200, 204),
    "archive_missing": (204, 404, "item"),
    "limit_create_status": (None, 201, 200),
    "limit_purge_status": (None, 204, 200),
    "v4_limits": ("v4/associations", "associations/v4"),
    "check_records": (False, True),
    "missing_keys": ("named", "empties", "silent"),
    "not_unique": ("write", "read", "context", "plain"),
    "unknown_properties": ("refused", "ignored"),
    "secondary_emails": ("found", "missing"),
    "key_case": ("exact", "any"),
    "search_parts": ("each", "token"),
    "account_type": ("STANDARD", "SANDBOX", "DEVELOPER_TEST",
                     "APP_DEVELOPER"),
    "fetch_status": ("SUCCESS", "CACHED", "FAILURE", "NOTFOUND", "TIMEOUT"),
}

# What HubSpot calls its rate limits, and their intervals in milliseconds.
POLICIES = {"TEN_SECONDLY_ROLLING": 10000, "SECONDLY": 1000,
            "DAILY": 86400000}


def initial_settings(latency_ms):
    """The settings of a new account."""
    settings = {name: values[0] for name, values in SETTINGS.items()}
    settings.update(page_size=500, max_body_bytes=None,
                    latency_ms=latency_ms, rate_limit=None,
                    search_lag_ms=0, search_rate_limit=None,
                    portal_id=8001, time_zone="UTC", daily_limit=250000,
                    daily_usage=None)
    return settings


def checked_setting(name, value):
    """The value to set; ValueError if there is anything wrong with it."""
    if name in SETTINGS:
        if value not in SETTINGS[name]:
            raise ValueError("%s cannot be %r" % (name, value))
        return value
    if name == "rate_limit":
        return None if value is None else checked_rate_limit(value)
    if name == "search_rate_limit":
        return None if value is None else checked_rate_limit(
            value, 5, "SECONDLY")
    if name in ("latency_ms", "search_lag_ms") and is_number(value) and \
            value >= 0:
        return value
    if name == "page_size" and is_integer(value) and 1 <= value <= 500:
        return value
    if name in ("max_body_bytes", "daily_usage") and (
            value is None or is_integer(value)):
        return value
    if name in ("portal_id", "daily_limit") and is_integer(value) and \
            value >= 0:
        return value
    if name == "time_zone" and isinstance(value, str):
        return value
    raise ValueError("no such setting, or not such a value: %s" % name)


def checked_rate_limit(value, most=100, policy="TEN_SECONDLY_ROLLING"):
    """A limit with all its members, of one with some of them."""
    if not isinstance(value, dict) or not value.keys() <= {
            "max", "interval_ms", "policy", "retry_after"}:
        raise ValueError("rate_limit is null or an object of max, "
                         "interval_ms, policy, retry_after")
    policy = value.get("policy", policy)
    if policy not in POLICIES:
        raise ValueError("no such policy: %r" % (policy,))
    limit = {"max": value.get("max", most), "policy": policy,
             "interval_ms": value.get("interval_ms", POLICIES[policy]),
             "retry_after": value.get("retry_after")}
    if not is_integer(limit["max"]) or not is_number(limit["interval_ms"]):
        raise ValueError("rate_limit wants numbers")
    return limit


def is_integer(value):
    return type(value) is int


def is_number(value):
    return type(value) in (int, float)
