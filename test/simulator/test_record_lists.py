"""
test_record_lists: tests of going through the records of an object type
"""

from .harness import SimulatorTest, VersionsTest

LIST = "/crm/objects/2026-03/contacts"


class ListTest(SimulatorTest):
    """What a list of records has, and how it is asked for."""

    def setUp(self):
        super().setUp()
        self.control("POST", "/records", {"type": "contacts", "generate": {
            "count": 205, "first_id": 1001, "properties": {
                "email": "c{n}@example.com", "firstname": "C{n}"}}})

    def walk(self, query, most=100):
        """The ids on all pages, and the sizes of these."""
        ids, sizes, after = [], [], ""
        while True:
            answer = self.api("GET", LIST + query + after, status=200).json()
            ids += [result["id"] for result in answer["results"]]
            sizes.append(len(answer["results"]))
            self.assertLess(len(sizes), most)
            if "paging" not in answer:
                return ids, sizes
            following = answer["paging"]["next"]
            self.assertIn("+", following["after"])
            after = following["link"].partition("&after=")[2]
            self.assertEqual(after, following["after"].replace(
                ">", "%3E").replace("+", "%2B").replace("=", "%3D"))
            after = "&after=" + after

    def test_pages(self):
        ids, sizes = self.walk("?limit=100")
        self.assertEqual(ids, [str(1001 + n) for n in range(205)])
        self.assertEqual(sizes, [100, 100, 5])
        self.settings(page_size=3)
        self.assertEqual(self.walk("?limit=100", 1000)[1], [3] * 68 + [1])
        self.settings(page_size=500)
        self.assertEqual(len(self.api("GET", LIST, status=200).json()[
            "results"]), 10)
        self.assertEqual(self.api(
            "GET", LIST + "?archived=true", status=200).json(),
            {"results": []})
        self.assertEqual(self.api(
            "GET", LIST.replace("contacts", "deals"), status=200).json(),
            {"results": []})

    def test_end_of_a_page(self):
        """No page is announced that would have nothing."""
        for record in range(1101, 1206):
            self.control("DELETE", "/records?type=contacts&id=%d" % record)
        self.assertEqual(self.walk("?limit=100")[1], [100])
        self.assertEqual(self.walk("?limit=50")[1], [50, 50])

    def test_who_is_listed(self):
        """Records that were put, and others that are associated."""
        self.control("DELETE", "/records?type=contacts")
        self.control("POST", "/records", {"type": "contacts", "records": [
            {"id": "20", "properties": {}}]})
        self.control("POST", "/associations", {
            "from_type": "contacts", "to_type": "companies",
            "pairs": [["100", "1"], ["3", "1"], ["3", "2"]]})
        self.control("POST", "/associations", {
            "from_type": "deals", "to_type": "contacts",
            "pairs": [["7", "9"], ["7", "20"]]})
        self.assertEqual(self.walk("?limit=2"),
                         (["3", "9", "20", "100"], [2, 2]))
        self.control("POST", "/objects", {"type": "contacts",
                                          "missing": ["9", "100"]})
        self.assertEqual(self.walk("?limit=2"), (["3", "20"], [2]))
        self.control("POST", "/objects", {"type": "contacts",
                                          "existing": ["9"]})
        self.assertEqual(self.walk("?limit=2"), (["9"], [1]))

    def test_changes_between_pages(self):
        """What comes, goes or is associated later, and past the cursor."""
        first = self.api("GET", LIST + "?limit=100", status=200).json()
        after = "?limit=100&after=" + first["paging"]["next"]["link"] \
            .partition("&after=")[2]
        self.control("DELETE", "/records?type=contacts&id=1101")
        self.control("DELETE", "/records?type=contacts&id=1001")
        self.control("POST", "/associations", {
            "from_type": "contacts", "to_type": "companies",
            "pairs": [["5", "1"], ["999999", "1"]]})
        more = self.api("GET", LIST + after, status=200).json()
        self.assertEqual(more["results"][0]["id"], "1102")
        self.assertEqual(self.walk("?limit=100")[0][-1], "999999")

    def test_result(self):
        query = "?limit=1&archived=false"
        result, = self.api("GET", LIST + query, status=200).json()["results"]
        self.assertEqual(list(result), ["id", "properties", "createdAt",
                                        "updatedAt", "archived"])
        self.assertEqual(result["properties"]["email"], "c1@example.com")
        result, = self.api("GET", LIST + query + "&properties=hs_object_id,"
                           "nothing", status=200).json()["results"]
        self.assertEqual(list(result["properties"]), [
            "hs_object_id", "createdate", "lastmodifieddate"])
        self.settings(id_form="number")
        result, = self.api("GET", LIST + query, status=200).json()["results"]
        self.assertEqual(result["id"], 1001)

    def test_associations(self):
        """They have names of types, and are cut."""
        self.control("POST", "/associations", {
            "from_type": "contacts", "to_type": "companies",
            "generate": {"first_from": 1001, "count": 1, "per_from": 103,
                         "first_to": 1}})
        one, two = self.api("GET", LIST + "?limit=2&associations=companies,"
                            "2-77", status=200).json()["results"]
        self.assertNotIn("associations", two)
        self.assertEqual(list(one["associations"]), ["companies"])
        shown = one["associations"]["companies"]
        self.assertEqual(shown["results"][99], {
            "id": "100", "type": "contact_to_company"})
        self.assertEqual(len(shown["results"]), 100)
        self.assertIn("after", shown["paging"]["next"])
        self.control("POST", "/associations", {
            "from_type": "contacts", "to_type": "2-77",
            "pairs": [["1002", "5"]]})
        _, two = self.api("GET", LIST + "?limit=2&associations=companies,"
                          "2-77", status=200).json()["results"]
        self.assertEqual(two["associations"], {"2-77": {"results": [
            {"id": "5", "type": "contact_to_2-77"}]}})

    def test_queries(self):
        after = self.api("GET", LIST.replace("contacts", "contacts/1001/"
                                             "associations/companies"),
                         status=200)
        self.assertEqual(after.json(), {"results": []})
        self.assert_refused([
            (query, "GET", LIST + "?" + query, None, 400) for query in (
                "limit=0", "limit=101", "limit=", "x=1", "after=1",
                "after=YXQ%2BMC0yOjU%3D", "archived=no", "limit=1&limit=1",
                "associations=nonsense", "associations=")])
        self.assert_refused([("method", "POST", LIST, {}, 405)])

    def test_scopes(self):
        self.control("POST", "/accounts", {
            "token": "narrow", "scopes": ["crm.objects.companies.read"]})
        value = self.api("GET", LIST, token="narrow", status=403).json()
        self.assertEqual(
            value["errors"][0]["context"]["requiredGranularScopes"],
            ["crm.objects.contacts.read"])

    def test_log(self):
        self.api("GET", LIST, status=200)
        self.rule({"envelope": {"paging": {"next": {"after": "x"}}}})
        self.assertEqual(self.api("GET", LIST, status=200).json()["paging"],
                         {"next": {"after": "x"}})
        self.assertEqual(self.control(
            "GET", "/log/count?operation=list_records")["count"], 2)


class ListVersionsTest(VersionsTest):
    """The same in each version, whose names have v3 in place of v4."""

    def test_versions(self):
        for version in self.each_version():
            self.control("POST", "/records", {"type": "2-77", "records": [
                {"id": "5", "properties": {}}]})
            found = self.api("GET", self.records(
                version, "2-77?limit=100&archived=false"), status=200).json()
            self.assertEqual([r["id"] for r in found["results"]], ["5"])
        self.api("GET", "/crm/v4/objects/contacts", status=404)
