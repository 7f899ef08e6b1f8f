"""
catalog: what HubSpot defines, and how records and object types are named
"""

import re

from .errors import ApiError, invalid

# singular name, plural name, object type id
OBJECT_TYPES = (
    ("contact", "contacts", "0-1"),
    ("company", "companies", "0-2"),
    ("deal", "deals", "0-3"),
    ("ticket", "tickets", "0-5"),
    ("product", "products", "0-7"),
    ("line_item", "line_items", "0-8"),
    ("quote", "quotes", "0-14"),
    ("communication", "communications", "0-18"),
    ("feedback_submission", "feedback_submissions", "0-19"),
    ("task", "tasks", "0-27"),
    ("note", "notes", "0-46"),
    ("meeting", "meetings", "0-47"),
    ("call", "calls", "0-48"),
    ("email", "emails", "0-49"),
    ("invoice", "invoices", "0-53"),
    ("subscription", "subscriptions", "0-69"),
    ("payment", "payments", "0-101"),
    ("postal_mail", "postal_mails", "0-116"),
    ("order", "orders", "0-123"),
    ("lead", "leads", "0-136"),
    ("service", "services", "0-162"),
    ("course", "courses", "0-410"),
    ("listing", "listings", "0-420"),
    ("appointment", "appointments", "0-421"),
    ("conversation", "conversations", "0-11"),
    ("marketing_event", "marketing_events", "0-54"),
    ("quote_template", "quote_templates", "0-64"),
    ("deal_split", "deal_splits", "0-72"),
    ("goal_target", "goal_targets", "0-74"),
    ("discount", "discounts", "0-84"),
    ("fee", "fees", "0-85"),
    ("tax", "taxes", "0-86"),
    ("user", "users", "0-115"),
    ("cart", "carts", "0-142"),
    ("partner_client", "partner_clients", "0-145"),
    ("project", "projects", "0-970"),
)

# from, to, type id, type id of the other direction, label, and the label of
# the other direction.  The first row of a pair holds its plain association.
ASSOCIATION_TYPES = (
    ("contact", "company", 279, 280, None, None),
    ("contact", "company", 1, 2, "Primary", "Contact with Primary Company"),
    ("deal", "company", 341, 342, None, None),
    ("deal", "company", 5, 6, "Primary", "Deal with Primary Company"),
    ("ticket", "company", 339, 340, None, None),
    ("ticket", "company", 26, 25, "Primary", "Ticket with Primary Company"),
    ("deal", "contact", 3, 4, None, None),
    ("ticket", "contact", 16, 15, None, None),
    ("deal", "ticket", 27, 28, None, None),
    ("contact", "contact", 449, 449, None, None),
    ("company", "company", 450, 450, None, None),
    ("company", "company", 13, 14, "Child Company", "Parent Company"),
    ("deal", "deal", 451, 451, None, None),
    ("ticket", "ticket", 452, 452, None, None),
    ("call", "company", 182, 181, None, None),
    ("call", "contact", 194, 193, None, None),
    ("call", "deal", 206, 205, None, None),
    ("call", "ticket", 220, 219, None, None),
    ("email", "company", 186, 185, None, None),
    ("email", "contact", 198, 197, None, None),
    ("email", "deal", 210, 209, None, None),
    ("email", "ticket", 224, 223, None, None),
    ("meeting", "company", 188, 187, None, None),
    ("meeting", "contact", 200, 199, None, None),
    ("meeting", "deal", 212, 211, None, None),
    ("meeting", "ticket", 226, 225, None, None),
    ("note", "company", 190, 189, None, None),
    ("note", "contact", 202, 201, None, None),
    ("note", "deal", 214, 213, None, None),
    ("note", "ticket", 228, 227, None, None),
    ("task", "company", 192, 191, None, None),
    ("task", "contact", 204, 203, None, None),
    ("task", "deal", 216, 215, None, None),
    ("task", "ticket", 230, 229, None, None),
    ("task", "quote", 218, 217, None, None),
    ("communication", "company", 87, 88, None, None),
    ("communication", "contact", 81, 82, None, None),
    ("communication", "deal", 85, 86, None, None),
    ("communication", "ticket", 83, 84, None, None),
    ("line_item", "deal", 20, 19, None, None),
    ("line_item", "quote", 68, 67, None, None),
    ("line_item", "order", 514, 513, None, None),
    ("quote", "deal", 64, 63, None, None),
    ("quote", "contact", 69, 70, None, None),
    ("quote", "company", 71, 72, None, None),
    ("invoice", "deal", 175, 176, None, None),
    ("invoice", "contact", 177, 178, None, None),
    ("invoice", "company", 179, 180, None, None),
    ("order", "contact", 507, 508, None, None),
    ("order", "company", 509, 510, None, None),
    ("order", "deal", 512, 511, None, None),
    ("order", "ticket", 525, 526, None, None),
    ("cart", "contact", 586, 587, None, None),
    ("cart", "discount", 588, 589, None, None),
    ("cart", "line_item", 590, 591, None, None),
    ("cart", "order", 592, 593, None, None),
    ("cart", "quote", 732, 733, None, None),
    ("discount", "quote", 361, 362, None, None),
    ("fee", "quote", 363, 364, None, None),
    ("tax", "quote", 365, 366, None, None),
    ("discount", "line_item", 367, 368, None, None),
)

# The record on the "from" side of these has at most one of them.
PRIMARY_OF_FROM = frozenset([("HUBSPOT_DEFINED", n) for n in (1, 5, 26)])

# The same seen from the other end.
PRIMARY_OF_TO = frozenset([("HUBSPOT_DEFINED", n) for n in (2, 6, 25)])

CATEGORIES = frozenset(["HUBSPOT_DEFINED", "USER_DEFINED",
                        "INTEGRATOR_DEFINED", "WORK"])
# The dated versions of the API, the oldest first; each has a "-beta", too.
DATED_VERSIONS = ("2025-09", "2026-03", "2026-09", "2027-03")

MAX_LABELS = 50                 # label definitions of a pair of object types
MAX_ID_DIGITS = 19              # of a record's id
MAX_INT32 = 2 ** 31 - 1


class ObjectType:
    """A kind of record: its name in scopes, its id, its name in messages."""

    __slots__ = ("id", "upper", "scope", "custom")

    def __init__(self, type_id, upper, scope, custom):
        self.id = type_id
        self.upper = upper
        self.scope = scope
        self.custom = custom


def standard_object_types():
    """Every accepted spelling of every standard object type, in lower case."""
    known = {}
    for singular, plural, type_id in OBJECT_TYPES:
        kind = ObjectType(type_id, singular.upper(), plural, False)
        for spelling in (singular, plural, type_id):
            known[spelling] = kind
    return known


KNOWN_TYPES = standard_object_types()
CUSTOM_TYPE = re.compile(r"2-([1-9][0-9]{0,9})|p[0-9]{0,18}_[A-Za-z0-9_]+",
                         re.ASCII)


def object_type(name):
    """The object type that a path segment names; ApiError if none."""
    kind = KNOWN_TYPES.get(name) or KNOWN_TYPES.get(name.lower())
    if kind is None:
        custom = CUSTOM_TYPE.fullmatch(name)
        if not custom or int(custom.group(1) or 0) > MAX_INT32:
            raise ApiError(400, "Unable to infer object type from: " + name)
        kind = ObjectType(name, name, "custom", True)
        KNOWN_TYPES[name] = kind
    return kind


class Schema:
    """What an account says of one of its custom object types."""

    __slots__ = ("id", "name", "singular", "plural")

    def __init__(self, type_id, name, singular, plural):
        self.id = type_id
        self.name = name
        self.singular = singular
        self.plural = plural


def name_custom_type(type_id, names):
    """From now on these names mean the custom object type, too."""
    kind = object_type(type_id)
    if not kind.custom or not type_id.startswith("2-"):
        raise ValueError("%s is not the id of a custom type" % type_id)
    for name in names:
        if not CUSTOM_TYPE.fullmatch(name):
            raise ValueError("%s cannot name a custom type" % name)
        KNOWN_TYPES[name] = kind


def is_type_id(text):
    """Whether this has the form of an object type's id."""
    return re.fullmatch("[0-9]{1,10}-[1-9][0-9]{0,9}", text,
                        re.ASCII) is not None


def is_record_id(text):
    """Whether this could be a record's id."""
    return text.isdigit() and text.isascii() and text[0] != "0" and \
        len(text) <= MAX_ID_DIGITS


def require_record_ids(*ids):
    """Refuses what cannot be the ids of records."""
    for record in ids:
        if not is_record_id(record):
            raise invalid("\"%s\" is not a record id" % record)
