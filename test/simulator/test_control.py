"""
test_control: tests of the control port
"""

from .harness import TOKEN, SimulatorTest, spec


class ControlTest(SimulatorTest):
    """What is put in place, and what is shown."""

    def test_labels(self):
        made = self.control("POST", "/labels", {
            "from_type": "contacts", "to_type": "companies",
            "label": "Manager", "inverse_label": "Employer",
            "name": "manager"})["types"]
        self.assertEqual([m["category"] for m in made], ["USER_DEFINED"] * 2)
        labels = self.api("GET", "/crm/v4/associations/contacts/companies"
                          "/labels", status=200).json()["results"]
        self.assertIn({"category": "USER_DEFINED", "label": "Manager",
                       "typeId": made[0]["type_id"]}, labels)
        self.batch([("1", "2")], [spec(made[0]["type_id"], "USER_DEFINED")],
                   status=201)
        self.assertIn(("USER_DEFINED", made[0]["type_id"], "Manager"),
                      self.stored()[("1", "2")])

    def test_limits(self):
        path = "/crm/v4/associations/definitions/configurations/all"
        limit = {"category": "HUBSPOT_DEFINED", "type_id": 279,
                 "max_to_ids": 1}
        self.control("POST", "/limits", limit)
        self.assertEqual(self.api("GET", path).json()["results"], [
            {"category": "HUBSPOT_DEFINED", "typeId": 279,
             "userEnforcedMaxToObjectIds": 1}])
        self.assertEqual(self.put("1", "2").status, 200)
        self.assertEqual(self.put("1", "3").status, 400)
        self.control("POST", "/limits", {**limit, "max_to_ids": None})
        self.assertEqual(self.api("GET", path).json()["results"], [])
        self.control("POST", "/limits", {**limit, "type_id": 9999}, 400)

    def test_batch(self):
        self.put("7", "8")
        pairs = {"from_type": "contacts", "to_type": "companies",
                 "pairs": [["1", "2"]]}
        table = "/associations/table?from_type=contacts&to_type=companies"
        replies = self.control("POST", "/batch", [
            ["DELETE", "/associations"], ["POST", "/associations", pairs],
            ["GET", table], ["GET", "/log/count"]])["replies"]
        self.assertEqual(replies[2:],
                         ["1,2,HUBSPOT_DEFINED=279\n", {"count": 1}])
        self.control("POST", "/batch", [["GET", "/nothing"],
                                        ["DELETE", "/associations"]], 400)
        self.assertEqual(len(self.stored()), 1)

    def test_control(self):
        self.assertEqual(self.control("GET", "/health"), {"ok": True})
        self.control("GET", "/nothing", status=400)
        self.control("POST", "/objects", {"type": "widgets"}, status=400)
        self.control("POST", "/settings", {"token": "nobody"}, status=400)
        self.put()
        self.control("DELETE", "/associations")
        self.assertEqual(self.stored(), {})
        self.assertEqual(self.stored("companies", "contacts"), {})
        self.control("POST", "/associations", {
            "from_type": "contacts", "to_type": "companies",
            "pairs": [["1", "2"]], "types": [
                {"category": "HUBSPOT_DEFINED", "type_id": 1}]})
        self.assertEqual(self.stored(from_id="1"), {
            ("1", "2"): [("HUBSPOT_DEFINED", 1, "Primary")]})
        self.control("POST", "/associations", {
            "from_type": "deals", "to_type": "tickets", "generate": {
                "first_from": 5, "count": 2, "per_from": 2, "first_to": 8,
                "to_count": 3}})
        self.assertEqual(set(self.stored("deals", "tickets")), {
            ("5", "8"), ("5", "9"), ("6", "10"), ("6", "8")})
        self.settings(bad_batch="whole")
        self.control("POST", "/reset", {})
        self.assertEqual(self.settings()["bad_batch"], "partial")
        self.assertEqual(self.stored(), {})

    def test_table(self):
        self.assertEqual(self.table(), [])
        self.batch([("10", "2"), ("9", "11"), ("9", "2")], status=201)
        self.batch([("9", "2")], [spec(1)], status=201)
        self.assertEqual(self.table(), [
            "9,2,HUBSPOT_DEFINED=1 HUBSPOT_DEFINED=279",
            "9,11,HUBSPOT_DEFINED=279", "10,2,HUBSPOT_DEFINED=279"])
        self.assertEqual(self.table("companies", "contacts", token=TOKEN), [
            "2,9,HUBSPOT_DEFINED=2 HUBSPOT_DEFINED=280",
            "2,10,HUBSPOT_DEFINED=280", "11,9,HUBSPOT_DEFINED=280"])
        self.control("GET", "/associations/table", status=400)

    def test_many(self):
        """100,000 associations can be looked at."""
        self.control("POST", "/associations", {
            "from_type": "contacts", "to_type": "companies",
            "generate": {"count": 50000, "per_from": 2, "to_count": 100}})
        lines = self.table()
        self.assertEqual((len(lines), lines[0], lines[-1]), (
            100000, "1,1,HUBSPOT_DEFINED=279",
            "50000,100,HUBSPOT_DEFINED=279"))
        self.assertEqual(set(self.stored()),
                         {tuple(line.split(",")[:2]) for line in lines})
