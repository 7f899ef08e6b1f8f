"""
operations: the table of the API's operations
"""

from .catalog import DATED_VERSIONS
from .creates import (batch_create, batch_create_default, create_default,
                      create_labelled)
from .labels import labels_create, labels_delete, labels_list, labels_update
from .limits import (high_usage_report, limits_all, limits_create,
                     limits_pair, limits_purge, limits_update)
from .reads import batch_read, list_associations
from .record_lists import list_records
from .record_reads import list_properties, read_property, read_records
from .record_validators import check_read_records, check_search
from .removals import archive, batch_archive, batch_archive_labels
from .searches import search_records
from .usage import (account_details, daily_usage, label_usage,
                    list_schemas, record_usage)
from .validators import (check_archive, check_create, check_default,
                         check_label_create, check_label_update,
                         check_limits, check_purge, check_read, check_specs,
                         scan_read)


class Operation:
    """
    A row of the API's table: method, path, validator of the body (None:
    there must be no body), most inputs, and the access its scopes want; for
    compact bodies also the fast path, or a scanner: what that finds is what
    the validator would, or None.  "query" has the parameters that may be in
    the path's query, and "most" is the largest "limit" there.  "partial" is the status of a batch with errors beside
    its results.  "undated" is the version beside the dated ones.  One of
    "scopes" is wanted besides, if there are any.
    """

    def __init__(self, method, area, path, handler, check=None, limit=None,
                 access="write", fast=None, scan=None, query=(),
                 partial=207, undated="v4", scopes=(), most=500):
        self.name = handler.__name__
        self.method = method
        self.area = area
        self.segments = path.split("/")
        self.handler = handler
        self.check = check
        self.limit = limit
        self.access = access
        self.fast = fast
        self.scan = scan
        self.query = frozenset(query)
        self.most = most
        self.partial = partial
        self.scopes = scopes
        self.versions = (undated, *DATED_VERSIONS)
        self.literals = [(i, s) for i, s in enumerate(self.segments)
                         if not s.startswith("{")]
        self.places = [(i, s[1:-1]) for i, s in enumerate(self.segments)
                       if s.startswith("{")]

    def fits(self, segments):
        for i, literal in self.literals:
            if segments[i] != literal:
                return False
        return True


PAIR = "{from_type}/{from_id}/associations/{to_type}/{to_id}"
BATCH = "{from_type}/{to_type}/batch/"
LABELS = "{from_type}/{to_type}/labels"
LIMITS = "definitions/configurations/"
OPERATIONS = (
    Operation("PUT", "objects",
              "{from_type}/{from_id}/associations/default/{to_type}/{to_id}",
              create_default),
    Operation("PUT", "objects", PAIR, create_labelled, check_specs),
    Operation("DELETE", "objects", PAIR, archive),
    Operation("GET", "objects", "{from_type}/{from_id}/associations/{to_type}",
              list_associations, access="read", query=("limit", "after")),
    Operation("GET", "objects", "{type}", list_records, access="read",
              query=("limit", "after", "properties", "associations",
                     "archived"), undated="v3", most=100),
    Operation("POST", "objects", "{type}/batch/read", read_records,
              check_read_records, 100, access="read", query=("archived",),
              undated="v3"),
    Operation("POST", "objects", "{type}/search", search_records,
              check_search, access="read", undated="v3"),
    Operation("GET", "properties", "{type}", list_properties, access="read",
              query=("archived",), undated="v3"),
    Operation("GET", "properties", "{type}/{name}", read_property,
              access="read", query=("archived",), undated="v3"),
    Operation("POST", "associations", BATCH + "create", batch_create,
              check_create, 2000, fast="labelled"),
    Operation("POST", "associations", BATCH + "associate/default",
              batch_create_default, check_default, 2000, fast="default",
              partial=200),
    Operation("POST", "associations", BATCH + "read", batch_read, check_read,
              1000, access="read", scan=scan_read),
    Operation("POST", "associations", BATCH + "archive", batch_archive,
              check_archive, 100, partial=200),
    Operation("POST", "associations", BATCH + "labels/archive",
              batch_archive_labels, check_create, 100, partial=200),
    Operation("GET", "associations", LIMITS + "all", limits_all,
              access="read"),
    Operation("GET", "associations", LABELS, labels_list, access="read"),
    Operation("POST", "associations", LABELS, labels_create,
              check_label_create),
    Operation("PUT", "associations", LABELS, labels_update,
              check_label_update),
    Operation("DELETE", "associations", LABELS + "/{type_id}",
              labels_delete),
    Operation("GET", "associations", LIMITS + "{from_type}/{to_type}",
              limits_pair, access="read"),
    Operation("POST", "associations",
              LIMITS + "{from_type}/{to_type}/batch/create", limits_create,
              check_limits, 100),
    Operation("POST", "associations",
              LIMITS + "{from_type}/{to_type}/batch/update", limits_update,
              check_limits, 100),
    Operation("POST", "associations",
              LIMITS + "{from_type}/{to_type}/batch/purge", limits_purge,
              check_purge, 100),
    Operation("POST", "associations", "usage/high-usage-report/{user_id}",
              high_usage_report, access="read"),
    Operation("GET", "account-info", "details", account_details,
              undated="v3"),
    Operation("GET", "account-info", "api-usage/daily/private-apps",
              daily_usage, undated="v3"),
    Operation("GET", "crm-object-schemas", "schemas", list_schemas,
              undated="v3", query=("archived",
                                   "includeAssociationDefinitions",
                                   "includeAuditMetadata",
                                   "includePropertyDefinitions"),
              scopes=("crm.schemas.custom.read", "crm.objects.custom.read")),
    Operation("GET", "limits", "associations/labels", label_usage,
              undated="v3", query=("fromObjectTypeId", "toObjectTypeId")),
    Operation("GET", "limits",
              "associations/records/{from_type_id}/{to_type_id}",
              record_usage, access="read", undated="v3"),
)


def operations_by_place():
    """The operations that a path may lead to, by its part of the API, its
    version, and its length after these."""
    index = {}
    for operation in OPERATIONS:
        for version in operation.versions:
            index.setdefault((operation.area, version,
                              len(operation.segments)), []).append(operation)
    return index


OPERATIONS_BY_PLACE = operations_by_place()
