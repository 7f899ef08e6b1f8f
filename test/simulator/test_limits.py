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
                {**limit, "maxToObjectIds": 2}]}, status=201).json()
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
            self.api("POST", pair + "/batch/purge", {"inputs": [limit]},
                     status=204)
            self.put("1", "14", status=200)

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
