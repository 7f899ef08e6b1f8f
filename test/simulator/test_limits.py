"""
test_limits: tests of limits on associations, and of the report of high usage
"""

from .harness import LIMITS, SimulatorTest, VersionsTest


class LimitTest(VersionsTest):
    """What they do, in each version of the API."""

    def test_limits(self):
        for version in self.each_version():
            base = self.associations(version, "definitions/configurations/")
            pair = base + "contacts/companies"
            limit = {"category": "HUBSPOT_DEFINED", "typeId": 279}
            self.assertEqual(self.api("GET", base + "all",
                                      status=200).json(), {"results": []})
            answer = self.api("POST", pair + "/batch/create", {"inputs": [
                {**limit, "maxToObjectIds": 2}]},
                status=201 if version in ("v4", "2026-03") else 200).json()
            entry = {**limit, "userEnforcedMaxToObjectIds": 2}
            self.assertEqual(answer["results"], [entry])
            for path in (base + "all", pair):
                self.assertEqual(self.api("GET", path, status=200).json(),
                                 {"results": [entry]})
            self.assertEqual(
                self.api("GET", base + "companies/contacts").json(),
                {"results": []})
            self.put("1", "11", status=200)
            self.put("1", "12", status=200)
            self.put("1", "12", status=200)
            self.assertIn("limit", self.put("1", "13", status=400).json()[
                "message"])
            self.api("POST", pair + "/batch/update", {"inputs": [
                {**limit, "maxToObjectIds": 3}]}, status=200)
            self.put("1", "13", status=200)
            answer = self.batch([("1", "14"), ("2", "14")], status=207).json()
            self.assertEqual(answer["errors"][0]["context"], {
                "fromObjectId": ["1"], "toObjectId": ["14"]})
            answer = self.api("POST", pair + "/batch/purge", {
                "inputs": [limit]}, status=204 if version == "v4" else 200)
            self.assertEqual(answer.raw == b"", version == "v4")
            self.put("1", "14", status=200)

    def test_statuses(self):
        """As they are set, whatever the version."""
        for version in self.each_version():
            pair = self.associations(
                version, "definitions/configurations/contacts/companies")
            limit = {"category": "HUBSPOT_DEFINED", "typeId": 279}
            for created, purged in ((200, 204), (201, 200)):
                self.settings(limit_create_status=created,
                              limit_purge_status=purged)
                self.api("POST", pair + "/batch/create", {"inputs": [
                    {**limit, "maxToObjectIds": 2}]}, status=created)
                self.api("POST", pair + "/batch/purge", {"inputs": [limit]},
                         status=purged)

    def test_path(self):
        """That of the newest document of v4, or that of older ones."""
        older = "/crm/v4/associations/definitions/configurations/all"
        newer = "/crm/associations/v4/definitions/configurations/all"
        self.api("GET", older, status=200)
        self.api("GET", newer, status=404)
        self.settings(v4_limits="associations/v4")
        self.api("GET", older, status=404)
        self.api("GET", newer, status=200)
        self.api("GET", "/crm/v4/associations/contacts/companies/labels",
                 status=200)
        self.api("GET", "/crm/associations/v4/contacts/companies/labels",
                 status=404)
        self.api("GET", LIMITS + "all", status=200)

    def test_limits_of_labels(self):
        """They may not be above that of the object types."""
        for version in self.each_version():
            label = self.api("POST", self.associations(
                version, "contacts/companies/labels"), {
                    "label": "A", "name": "a"}).json()["results"][0]["typeId"]
            pair = self.associations(
                version, "definitions/configurations/contacts/companies")
            plain = {"category": "HUBSPOT_DEFINED", "typeId": 279}
            other = {"category": "USER_DEFINED", "typeId": label}
            self.settings(limit_create_status=201)

            def send(verb, *inputs, status):
                self.api("POST", pair + "/batch/" + verb, {"inputs": [
                    {**key, "maxToObjectIds": most} for key, most in inputs]},
                    status=status)
            send("create", (plain, 3), (other, 4), status=400)
            send("create", (plain, 3), status=201)
            send("create", (other, 4), status=400)
            send("create", (other, 3), status=201)
            send("update", (other, 4), status=400)
            send("update", (plain, 5), (other, 4), status=200)

    def test_high_usage_report(self):
        for version in self.each_version():
            answer = self.api("POST", self.associations(
                version, "usage/high-usage-report/12"), status=200).json()
            self.assertEqual(set(answer),
                             {"userId", "userEmail", "enqueueTime"})
            self.assertEqual(answer["userId"], 12)


class OtherSideTest(SimulatorTest):
    """A limit is on one direction of a type."""

    def test_limit_of_the_other_side(self):
        limit = {"category": "HUBSPOT_DEFINED", "typeId": 280}
        self.api("POST", LIMITS + "companies/contacts/batch/create",
                 {"inputs": [{**limit, "maxToObjectIds": 1}]}, status=201)
        self.put("1", "11", status=200)
        self.put("1", "12", status=200)
        self.put("2", "11", status=400)
        self.api("POST", LIMITS + "companies/contacts/batch/create",
                 {"inputs": [{**limit, "maxToObjectIds": 2}]}, status=400)
        self.assertEqual(set(self.stored()), {("1", "11"), ("1", "12")})
