"""
test_problems: tests of the search for what is wrong with a pair
"""

from .harness import SimulatorTest, spec


class ProblemTest(SimulatorTest):
    """Types that don't fit, and records that are missing."""

    def test_wrong_types(self):
        path = "/crm/v4/objects/contacts/1/associations/companies/2"
        answer = self.api("PUT", path, [spec(280)], status=400).json()
        self.assertEqual(answer["message"],
                         "One or more associations are invalid")
        self.assertEqual(answer["category"], "VALIDATION_ERROR")
        self.assertEqual(answer["context"]["objectId"], ["1"])
        answer = self.api("PUT", path, [spec(3, "USER_DEFINED")],
                          status=400).json()
        self.assertEqual(answer["context"], {
            "associationSpec": ["USER_DEFINED=3"],
            "INVALID_ASSOCIATION_TYPE_ID": [
                "USER_DEFINED=3 is not a valid association definition id"]})
        answer = self.api("PUT", "/crm/v4/objects/widgets/1/associations/"
                          "default/companies/2", status=400).json()
        self.assertEqual(answer["message"],
                         "Unable to infer object type from: widgets")
        self.assertNotIn("category", answer)
        self.assertEqual(self.stored(), {})

    def test_missing_objects(self):
        self.control("POST", "/objects", {"type": "contacts",
                                          "missing": ["383"]})
        answer = self.put("383", "9001", status=400)
        value = answer.json()
        self.assertEqual(value["context"], {
            "INVALID_OBJECT_IDS": ["CONTACT=383 is not valid"],
            "objectId": ["383"], "objectType": ["CONTACT"]})
        self.assertEqual(answer.headers["x-hubspot-correlation-id"],
                         value["correlationId"])
        self.put("384", "9001", status=200)
        self.control("POST", "/objects", {"type": "companies",
                                          "existing": ["5"]})
        self.put("1", "5", status=200)
        self.put("1", "6", status=400)
        self.control("POST", "/objects", {"type": "companies"})
        self.put("1", "6", status=200)
        for wrong in ("0", "01", "-1", "abc", "1" * 20, "%D9%A1"):
            self.put(wrong, "9001", status=400)
        self.put("9" * 19, "9001", status=200)
