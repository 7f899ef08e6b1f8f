"""
test_usage: tests of what tells of the account, its types and its usage
"""

from .harness import SimulatorTest, VersionsTest


def other(version, which):
    """Where paths begin that are not below /crm."""
    return "/%s/%s/" % (which, "v3" if version == "v4" else version)


class UsageTest(VersionsTest):
    """What is told, in each version of the API."""

    def test_account(self):
        for version in self.each_version():
            path = other(version, "account-info") + "details"
            answer = self.api("GET", path, status=200).json()
            self.assertEqual((answer["portalId"], answer["accountType"],
                              answer["timeZone"]), (8001, "STANDARD", "UTC"))
            self.settings(portal_id=7, account_type="SANDBOX",
                          time_zone="Europe/Vienna")
            answer = self.api("GET", path, status=200).json()
            self.assertEqual((answer["portalId"], answer["accountType"],
                              answer["timeZone"]),
                             (7, "SANDBOX", "Europe/Vienna"))

    def test_quota(self):
        for version in self.each_version():
            path = other(version, "account-info") + \
                "api-usage/daily/private-apps"
            usage, = self.api("GET", path, status=200).json()["results"]
            self.assertEqual(usage["usageLimit"], 250000)
            more, = self.api("GET", path, status=200).json()["results"]
            self.assertEqual(more["currentUsage"], usage["currentUsage"] + 1)
            self.settings(daily_limit=100, daily_usage=99,
                          fetch_status="CACHED")
            usage, = self.api("GET", path, status=200).json()["results"]
            self.assertEqual((usage["usageLimit"], usage["currentUsage"],
                              usage["fetchStatus"]), (100, 99, "CACHED"))
            self.assertTrue(usage["resetsAt"].endswith("T00:00:00.000Z"))

    def test_schemas(self):
        for version in self.each_version():
            path = other(version, "crm-object-schemas") + "schemas"
            self.assertEqual(self.api("GET", path, status=200).json(),
                             {"results": []})
            self.control("POST", "/schemas", {
                "type": "2-77", "name": "machine", "singular": "Machine",
                "plural": "Machines"})
            schema, = self.api("GET", path, status=200).json()["results"]
            self.assertEqual(
                (schema["objectTypeId"], schema["fullyQualifiedName"],
                 schema["labels"]), ("2-77", "p8001_machine", {
                     "singular": "Machine", "plural": "Machines"}))
            self.assertIn("properties", schema)
            schema, = self.api(
                "GET", path + "?includePropertyDefinitions=false"
                "&includeAssociationDefinitions=false",
                status=200).json()["results"]
            self.assertNotIn("properties", schema)
            self.assertNotIn("associations", schema)
            self.assertEqual(self.api("GET", path + "?archived=true",
                                      status=200).json(), {"results": []})
            self.control("DELETE", "/schemas?type=2-77")
            self.assertEqual(self.api("GET", path, status=200).json(),
                             {"results": []})

    def test_label_usage(self):
        for version in self.each_version():
            path = self.records(version, "associations/labels", "limits")
            pair = path + "?fromObjectTypeId=0-1&toObjectTypeId=0-2"
            self.assertEqual(self.api("GET", path, status=200).json(),
                             {"results": []})
            usage, = self.api("GET", pair, status=200).json()["results"]
            self.assertEqual((usage["usage"], usage["limit"],
                              usage["allLabels"]), (0, 50, []))
            self.control("POST", "/labels", {
                "from_type": "contacts", "to_type": "companies",
                "label": "Manager", "name": "manager",
                "inverse_label": "Managed by"})
            usage, = self.api("GET", pair, status=200).json()["results"]
            self.assertEqual((usage["usage"], usage["allLabels"]),
                             (1, ["Manager"]))
            self.assertEqual(usage["fromObjectType"], {
                "objectTypeId": "0-1", "singularLabel": "Contact",
                "pluralLabel": "Contacts"})
            self.assertEqual(len(self.api("GET", path, status=200).json()[
                "results"]), 2)

    def test_record_usage(self):
        for version in self.each_version():
            path = self.records(version, "associations/records/0-1/0-2",
                                "limits")
            self.control("POST", "/limits", {
                "category": "HUBSPOT_DEFINED", "type_id": 279,
                "max_to_ids": 5})
            self.control("POST", "/associations", {
                "from_type": "contacts", "to_type": "companies", "pairs":
                [["1", n] for n in range(1, 6)] +
                [["2", n] for n in range(1, 5)] + [["3", 1]]})
            answer = self.api("GET", path, status=200).json()
            self.assertEqual(
                (answer["limit"], answer["totalRecordsAtLimit"],
                 answer["totalRecordsNearLimit"]), (5, 1, 1))
            self.assertEqual(answer["atLimitFromRecordSamples"], [
                {"objectId": 1, "label": "CONTACT 1"}])
            self.assertEqual(answer["nearLimitFromRecordSamples"], [
                {"objectId": 2, "label": "CONTACT 2", "usage": 4,
                 "percentage": 80}])


class StrictTest(SimulatorTest):
    """What is refused."""

    def test_refused(self):
        self.assert_refused([
            ("name", "GET",
             "/crm/limits/2026-03/associations/records/contacts/0-2", None,
             400),
            ("name in a query", "GET", "/crm/limits/2026-03/associations/"
             "labels?fromObjectTypeId=contacts", None, 400),
            ("parameter", "GET", "/account-info/2026-03/details?a=b", None,
             400),
            ("flag", "GET", "/crm-object-schemas/2026-03/schemas?"
             "includePropertyDefinitions=no", None, 400),
            ("version", "GET", "/account-info/v4/details", None, 404),
            ("body", "GET", "/account-info/2026-03/details", {}, 400)])

    def test_names(self):
        """The names of a custom type mean the same as its id."""
        self.control("POST", "/schemas", {
            "type": "2-78", "name": "boat", "singular": "Boat",
            "plural": "Boats"})
        self.api("PUT", "/crm/objects/2026-03/p8001_boat/1/associations/"
                 "default/contacts/2", status=200)
        self.assertEqual(set(self.stored("2-78", "contacts")), {("1", "2")})
        self.assertEqual(set(self.stored("p_boat", "contacts")), {("1", "2")})

    def test_scopes(self):
        """Schemas want one of two."""
        path = "/crm-object-schemas/2026-03/schemas"
        for scopes, status in ((["crm.objects.contacts.read"], 403),
                               (["crm.schemas.custom.read"], 200),
                               (["crm.objects.custom.read"], 200)):
            self.control("POST", "/accounts", {"token": "limited",
                                               "scopes": scopes})
            self.api("GET", path, token="limited", status=status)
            self.api("GET", "/account-info/2026-03/details", token="limited",
                     status=200)
