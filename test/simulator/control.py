"""
control: the port over which tests arrange and look at things

Plain HTTP, JSON both ways, no authorization.  Wrong requests get 400 and
{"error": text}.  "token" always selects the account (default: the default
account).

POST /reset             forget everything; back to the state at the start
GET  /health            {"ok": true}
GET  /stats             connections_open, connections_accepted, requests,
                        in_flight, max_in_flight, inputs; and "operations",
                        {"batch_read": {"requests", "inputs"}, ...}, of the
                        requests that came as far as their operation, without
                        those that a rule kept from taking effect; with
                        --discard also "digest", a sum of hashes of the whole
                        requests, the same for the same ones in any order,
                        within a process
DELETE /stats           all of that from 0 on, but for the connections
GET  /stats?token=      requests, inputs and operations of one account: of
                        the requests whose access token led to it
GET  /settings[?token=] the account's settings
POST /settings          change some; answers all of them:
    bad_batch           how a batch with bad inputs is answered; in a read
                        these are ids that cannot be (one that is missing has
                        no associations), in a removal such ids, missing
                        records and types that don't fit:
        partial           results, and one error for each bad input: with
                          200, for a default create and removals, or 207
        partial200, partial207
                          the same with that status
        whole             400, nothing done, the offenders named
        unnamed           400, nothing done, nobody named
        canceled          200, status CANCELED, one error, offenders named
        canceled-unnamed  the same, nobody named
        silent            bad inputs are in neither results nor errors
    context             how errors name them: pair, from, to, objectId, ids,
                        id, INVALID_OBJECT_IDS, associationSpec, string,
                        none; null: pair in a batch's errors, and what the
                        live API says in those of a read and where a request
                        is refused whole
    id_form             string, number, mixed: record ids in replies
    batch_create_status 200 or 201
    single_create_form  bare or entity: the labelled create's reply
    default_results     both or forward: results for each pair of a default
                        create
    archive_status      200 (with a body), 204, null: 204 for a single pair
                        and in v4, else 200
    limit_create_status 200, 201, null: as the version's documents have it
    limit_purge_status  200 (with a body), 204, null: 204 in v4, else 200
    v4_limits           where v4 has limits: v4/associations, associations/v4
    archive_missing     deleting what is not there: 204, as if it had been;
                        404, for a single pair; item, that and an error of a
                        batch for each such pair
    check_records       true: of the types whose records were put, no other
                        records can be associated, nor ids that answer no
                        more; where another id answers for one that was
                        merged, a create associates that, and says so
    missing_keys        how a batch read of records tells of keys without a
                        record: named in an error, beside the others'
                        results; empties: named, and no results at all;
                        silent: neither
    not_unique          the words by which it refuses a property that is not
                        unique: write, as those of a write were seen; read,
                        others; context, the context names it; plain, nothing
                        does
    unknown_properties  to be shown in results: refused, ignored
    secondary_emails    whether it finds a contact by one: found, missing
    key_case            of a property that is not kept in lower case: exact,
                        any (then a record may have another value than asked)
    search_parts        of a property with several values, IN and EQ find
                        each; or only CONTAINS_TOKEN does: token
    search_lag_ms       for how long after a change a search does not see how
                        a record is now; 0
    portal_id, account_type, time_zone
                        which account it is, as the account says itself
    daily_limit, daily_usage
                        its quota of the day, and what is used of it; null:
                        as many requests as have come.  It is shown, and
                        limits nothing: that is rate_limit's
    fetch_status        how well it knows that: SUCCESS, CACHED, FAILURE,
                        NOTFOUND, TIMEOUT
    page_size           most associations in a page, 1 to 500
    max_body_bytes      a longer body is answered 413; null: none is
    latency_ms          as --latency; a reply's latency counts from the
                        moment in which its request was complete, so that
                        the time for working it out is part of it
    rate_limit          null, or {"max", "interval_ms", "policy",
                        "retry_after"}; policy is TEN_SECONDLY_ROLLING,
                        SECONDLY or DAILY
    search_rate_limit   the same for searches alone, whose answers then do
                        not tell of it; by default 5 and SECONDLY
POST /accounts          {"token", "scopes": [...] or null}: add or change
DELETE /accounts/TOKEN
POST /objects           {"type", "missing": [ids]} or {"type", "existing":
                        [ids]}; each replaces what was said before
/records, /properties   what records there are, and what they say: see
                        record_control.py
GET  /associations?from_type=&to_type=[&from_id=][&token=]
                        {"count", "associations": [{"from_id", "to_id",
                        "types": [{"category", "type_id", "label"}]}]}
GET  /associations/count?from_type=&to_type=[&token=]
                        {"count"}
GET  /associations/table?from_type=&to_type=[&token=]
                        all of them as text, cheap even for 100,000: a line
                        "from,to,types" for each, in the order of the ids;
                        types are "category=type_id", with blanks between
                        them, for instance "101,9001,HUBSPOT_DEFINED=279"
POST /associations      {"from_type", "to_type", "pairs": [[from, to], ...]}
                        or, instead of pairs, "generate": {"first_from",
                        "count", "per_from", "first_to", "to_count"}, which
                        gives "count" records "per_from" associations each,
                        all in all to "to_count" others; optionally "types":
                        [{"category", "type_id"}]: put them in place
DELETE /associations[?token=]
POST /labels            {"from_type", "to_type", "label", "name",
                        "inverse_label"}: a label, as if the API had been
                        asked for it; "types": [{"category", "type_id"}], one
                        for each direction, or one for both
POST /limits            {"category", "type_id", "max_to_ids"}: likewise; null
                        removes it
POST /schemas           {"type": "2-123", "name", "singular", "plural"}: a
                        custom object type.  From now on p<portal_id>_<name>
                        and p_<name> mean it, too
DELETE /schemas?type=   it is no longer listed
POST /oauth             {"client_id", "client_secret", "refresh_token",
                        "expires_in", "rotate", "latency_ms"}: a client whose
                        access tokens lead to the account; the last three are
                        optional: seconds, whether each refresh token is good
                        for one use, latency of the refreshes alone
POST /oauth/expire      every access token given out so far has expired
GET  /log[?path=REGEX][&operation=NAME][&limit=N]
                        {"count", "dropped", "requests": [...]}, the last N
GET  /log/count[?path=REGEX][&operation=NAME]
GET  /log/paths[?path=REGEX][&operation=NAME]
                        {"requests": [[method, path, status], ...]}
DELETE /log
POST /rules             one rule or a list (rules.py); {"ids": [...]}
GET  /rules             all of them, with "id", "seen" and "hits"
DELETE /rules
POST /release           answers what rules with "hold" have kept back; they go on
                        to hold what comes
POST /batch             [[method, path, body], ...]: requests to this port,
                        one after the other; "replies": what is answered to
                        each, texts as strings.  The first wrong one ends it

A log entry has n, time_ms (of a clock that simulators share), method, path,
query, operation (null: it did not come so far, or took no effect because of a
rule), status (null: no answer), inputs (a batch's, or the values that a search
looks for), token_hash (never the token),
connection, http_version, content_type, headers (without authorization), body
(its first 4,000 characters, secrets left out), rule, noop (answered as a
success although nothing was asked for), in_flight (requests at work when it
came).
"""

import itertools
import json
import re
import urllib.parse

from .account import Counts
from .catalog import (Schema, name_custom_type, object_type,
                      require_record_ids)
from .errors import ApiError
from .oauth import OAuthClient
from .record_control import HANDLERS as RECORD_HANDLERS
from .replies import Reply


class Control:
    """The port over which tests arrange and look at things."""

    def __init__(self, state, api):
        self.state = state
        self.api = api

    def opened(self, _connection):
        return 0

    def closed(self, _connection):
        pass

    def finished(self):
        pass

    def handle(self, connection, request):
        request.correlation = "control"
        try:
            reply = self.dispatch(request)
            if not isinstance(reply, Reply):
                reply = Reply(200, reply)
        except (ValueError, KeyError, TypeError, AttributeError, LookupError,
                re.error, ApiError) as problem:
            reply = Reply(400, {"error": "%s: %s" % (
                type(problem).__name__, problem)})
        self.state.journal.write()
        connection.respond(reply, 0)

    def dispatch(self, request):
        """What is answered: a JSON value, or a Reply."""
        body = json.loads(request.body) \
            if request.method == "POST" and request.body else {}
        return self.perform(request.method, request.path, request.query, body)

    def perform(self, method, path, query, body):
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        parts = path.strip("/").split("/")
        if method == "DELETE" and parts[0] == "accounts":
            return self.delete_account(urllib.parse.unquote(parts[1]))
        place = (method, "/".join(parts))
        options = body if method == "POST" else query
        if place in RECORD_HANDLERS:
            return RECORD_HANDLERS[place](self.account(options), options)
        if place not in self.HANDLERS:
            raise ValueError("there is no %s %s" % (method, path))
        return self.HANDLERS[place](self, options)

    def batch(self, body):
        replies = []
        for method, target, *more in body:
            path, _, query = target.partition("?")
            reply = self.perform(method, path, query, *more or [{}])
            if isinstance(reply, Reply):
                reply = reply.body().decode("utf-8")
            replies.append(reply)
        return {"replies": replies}

    def account(self, options):
        """The account that "token" names, which is taken out of options."""
        token = options.pop("token", None)
        if token is None:
            return self.state.default
        if token not in self.state.accounts:
            raise ValueError("there is no such account")
        return self.state.accounts[token]

    def reset(self, _body):
        self.state.reset()
        self.api.reset()
        return {"ok": True}

    def health(self, _query):
        return {"ok": True}

    def stats(self, query):
        if "token" in query:
            return self.account(query).counts.show()
        digest = {"digest": "%016x" % (self.api.digest % 2 ** 64)} \
            if self.state.discard else {}
        return {"connections_open": len(self.api.connections),
                "connections_accepted": self.api.accepted,
                "in_flight": self.api.in_flight,
                "max_in_flight": self.api.max_in_flight,
                **digest, **self.api.counts.show()}

    def clear_stats(self, _query):
        self.api.clear_counts()
        for account in self.state.accounts.values():
            account.counts = Counts()
        return {"ok": True}

    def get_settings(self, query):
        return self.account(query).settings

    def set_settings(self, body):
        account = self.account(body)
        account.change_settings(body)
        return account.settings

    def add_account(self, body):
        if not isinstance(body["token"], str) or not \
                body.keys() <= {"token", "scopes"}:
            raise ValueError("an account is token and scopes")
        self.state.add_account(body["token"], body.get("scopes"))
        return {"ok": True}

    def delete_account(self, token):
        self.state.delete_account(token)
        return {"ok": True}

    def set_objects(self, body):
        account = self.account(body)
        kind = object_type(body.pop("type"))
        if not body.keys() <= {"missing", "existing"}:
            raise ValueError("objects are missing or existing")
        account.set_objects(kind, body.get("missing"), body.get("existing"))
        return {"ok": True}

    def direction(self, options):
        return (object_type(options["from_type"]).id,
                object_type(options["to_type"]).id)

    def get_associations(self, query):
        account = self.account(query)
        from_id, to_id = self.direction(query)
        table = account.store.table(from_id, to_id)
        label = account.definitions.label
        sources = [query["from_id"]] if "from_id" in query else \
            sorted(table, key=int)
        found = []
        for source in sources:
            row = table.get(source, {})
            found += [{"from_id": source, "to_id": target, "types": [
                {"category": key[0], "type_id": key[1], "label": label(key)}
                for key in row[target]]} for target in sorted(row, key=int)]
        return {"count": len(found), "associations": found}

    def get_association_table(self, query):
        account = self.account(query)
        table = account.store.table(*self.direction(query))
        tails = {}
        lines = []
        for source in sorted(table, key=int):
            row = table[source]
            for target in sorted(row, key=int):
                types = row[target]
                tail = tails.get(types)
                if tail is None:
                    tail = tails[types] = " ".join("%s=%d" % key
                                                   for key in types)
                lines.append("%s,%s,%s\n" % (source, target, tail))
        return Reply(200, "".join(lines).encode("ascii"),
                     content_type="text/csv;charset=utf-8")

    def count_associations(self, query):
        account = self.account(query)
        return {"count": account.store.count(*self.direction(query))}

    def add_associations(self, body):
        account = self.account(body)
        from_type = object_type(body["from_type"])
        to_type = object_type(body["to_type"])
        types = tuple((t["category"], t["type_id"])
                      for t in body.get("types", ()))
        if not types:
            types = (account.definitions.plain(from_type, to_type).key(),)
        for key in types:
            definition = account.definitions.by_key[key]
            if (definition.from_id, definition.to_id) != (from_type.id,
                                                          to_type.id):
                raise ValueError("%s=%d is of another direction" % key)
        if "pairs" in body:
            pairs = [(str(source), str(target))
                     for source, target in body["pairs"]]
            require_record_ids(*itertools.chain(*pairs))
        else:
            pairs = self.generate(**body["generate"])
        account.link_many(from_type.id, to_type.id, types, True, pairs)
        return {"count": account.store.count(from_type.id, to_type.id)}

    @staticmethod
    def generate(first_from=1, count=1, per_from=1, first_to=1,
                 to_count=None):
        """Pairs of ids; with to_count the second ones go in a circle."""
        to_count = to_count or count * per_from
        targets = itertools.cycle(map(str, range(first_to,
                                                 first_to + to_count)))
        for source in map(str, range(first_from, first_from + count)):
            for target in itertools.islice(targets, per_from):
                yield source, target

    def delete_associations(self, query):
        self.account(query).clear()
        return {"ok": True}

    def add_label(self, body):
        account = self.account(body)
        made = account.define(*self.direction(body), body["label"],
                              body.get("inverse_label"), body["name"])
        return {"types": [{"category": definition.category,
                           "type_id": definition.type_id}
                          for definition in made]}

    def add_limit(self, body):
        account = self.account(body)
        key = (body["category"], body["type_id"])
        if key not in account.definitions.by_key:
            raise ValueError("there is no such association type")
        if body["max_to_ids"] is None:
            account.limits.pop(key, None)
        else:
            account.limits[key] = body["max_to_ids"]
        return {"ok": True}

    def add_schema(self, body):
        account = self.account(body)
        schema = Schema(body["type"], body["name"], body["singular"],
                        body["plural"])
        name_custom_type(schema.id, [
            "p%d_%s" % (account.settings["portal_id"], schema.name),
            "p_" + schema.name])
        account.schemas[schema.id] = schema
        return {"ok": True}

    def delete_schema(self, query):
        del self.account(query).schemas[query["type"]]
        return {"ok": True}

    def add_oauth(self, body):
        client = OAuthClient(self.account(body), **body)
        self.state.oauth.clients[client.client_id] = client
        return {"ok": True}

    def expire_oauth(self, _body):
        self.state.oauth.expire_access_tokens()
        return {"ok": True}

    def logged(self, query):
        path = re.compile(query.get("path", ""))
        operation = query.get("operation")
        return [e for e in self.api.log if path.search(e.request.path) and
                operation in (None, e.request.operation)]

    def get_log(self, query):
        entries = self.logged(query)
        limit = int(query.get("limit", len(entries)))
        shown = entries[len(entries) - limit:] if limit < len(entries) \
            else entries
        return {"count": len(entries),
                "dropped": self.api.logged - len(self.api.log),
                "requests": [entry.show() for entry in shown]}

    def count_log(self, query):
        return {"count": len(self.logged(query))}

    def get_log_paths(self, query):
        return {"requests": [
            [entry.request.method, entry.request.path, entry.status]
            for entry in self.logged(query)]}

    def delete_log(self, _query):
        self.api.clear_log()
        return {"ok": True}

    def add_rules(self, body):
        return {"ids": self.api.add_rules(
            body if isinstance(body, list) else [body])}

    def get_rules(self, _query):
        return {"rules": [rule.show() for rule in self.api.rules]}

    def delete_rules(self, _query):
        self.api.rules = []
        return {"ok": True}

    def release(self, _body):
        self.api.release()
        return {"ok": True}

    HANDLERS = {
        ("POST", "reset"): reset,
        ("GET", "health"): health,
        ("GET", "stats"): stats,
        ("DELETE", "stats"): clear_stats,
        ("GET", "settings"): get_settings,
        ("POST", "settings"): set_settings,
        ("POST", "accounts"): add_account,
        ("POST", "objects"): set_objects,
        ("GET", "associations"): get_associations,
        ("GET", "associations/count"): count_associations,
        ("GET", "associations/table"): get_association_table,
        ("POST", "associations"): add_associations,
        ("DELETE", "associations"): delete_associations,
        ("POST", "labels"): add_label,
        ("POST", "limits"): add_limit,
        ("POST", "schemas"): add_schema,
        ("DELETE", "schemas"): delete_schema,
        ("POST", "oauth"): add_oauth,
        ("POST", "oauth/expire"): expire_oauth,
        ("GET", "log"): get_log,
        ("GET", "log/count"): count_log,
        ("GET", "log/paths"): get_log_paths,
        ("DELETE", "log"): delete_log,
        ("POST", "rules"): add_rules,
        ("GET", "rules"): get_rules,
        ("DELETE", "rules"): delete_rules,
        ("POST", "release"): release,
        ("POST", "batch"): batch,
    }
