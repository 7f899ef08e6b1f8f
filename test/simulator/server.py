"""
server: answers for the API, by the rules; counts and remembers

Rules stand around the chain: they may keep an operation from taking effect
("dry": it answers, but stores nothing), and change what it said.
"""

import collections
import copy
import itertools

from . import chain
from .account import Counts
from .catalog import object_type
from .changes import apply_action
from .errors import ApiError
from .log import LogEntry
from .replies import CORRELATION_IDS
from .rules import Rule
from .wire import NO_FAULT

MAX_LOG = 100000                # more requests than these are forgotten


class ApiServer:
    """Answers for the API, by the rules; counts and remembers."""

    def __init__(self, state, loop):
        self.state = state
        self.connections = set()
        self.numbers = itertools.count(1)
        self.in_flight = 0
        self.rule_numbers = itertools.count(1)
        self.loop = loop
        self.late = []
        self.held = []
        self.reset()

    def reset(self):
        self.rules = []
        for timer in self.late:
            timer.cancel()
        self.late = []
        self.held = []
        self.clear_log()
        self.accepted = 0
        self.clear_counts()

    def clear_counts(self):
        self.counts = Counts()
        self.digest = 0
        self.max_in_flight = self.in_flight

    def clear_log(self):
        self.log = collections.deque(maxlen=MAX_LOG)
        self.logged = 0

    # What connections tell

    def opened(self, connection):
        self.connections.add(connection)
        self.accepted += 1
        return next(self.numbers)

    def closed(self, connection):
        self.connections.discard(connection)

    def finished(self):
        self.in_flight -= 1

    def handle(self, connection, request):
        """Works a request out at once, and sends the reply in due time."""
        self.logged += 1
        entry = LogEntry(self.logged, request.received, request,
                         connection.number, self.in_flight)
        self.log.append(entry)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        request.correlation = CORRELATION_IDS.next()
        request.latency_ms = self.state.default.settings["latency_ms"]
        rule = self.find_rule(request) if self.rules else None
        if rule is None:
            reply = self.answer(request)
        else:
            reply = self.obey(rule, request)
            entry.rule = rule.id
        self.state.journal.write()
        self.count(request)
        entry.close()
        fault = reply.fault or NO_FAULT
        if not (fault.get("hang") or "close" in fault or
                fault.get("reset") == "before"):
            entry.status = reply.status
        if fault.get("hold"):
            self.held.append((connection, request, reply))
            return
        delay = request.latency_ms + fault.get("delay_ms", 0)
        connection.respond(reply, request.received + delay / 1000)

    def release(self):
        """Sends what rules hold back, to those who still wait for it."""
        held, self.held = self.held, []
        for connection, request, reply in held:
            if connection.request is request:
                connection.respond(reply, 0)

    def count(self, request):
        """Adds a request to the statistics."""
        inputs = request.inputs or 0
        self.counts.add(request.operation, inputs)
        if self.state.discard:
            self.digest += hash((request.head, request.body))
        account = request.account
        if account is None:
            # A rule, perhaps, has kept anybody from asking.
            try:
                account = self.state.account_of(request.headers.authorization)
            except ApiError:
                return
        account.counts.add(request.operation, inputs)

    # Rules

    def add_rules(self, definitions):
        rules = [Rule(next(self.rule_numbers), d) for d in definitions]
        self.rules.extend(rules)
        return [rule.id for rule in rules]

    def find_rule(self, request):
        """The rule that decides.  Every rule counts, also past that one."""
        found = None
        for rule in self.rules:
            if rule.counts(request) and found is None:
                found = rule
        return found

    def obey(self, rule, request):
        """The reply that a rule wants, with the effects that it wants."""
        rule.hits += 1
        reply = None
        if "late_ms" in rule.action:
            self.late.append(self.loop.call_later(
                rule.action["late_ms"] / 1000, self.act_late,
                copy.copy(request)))    # the log strips the original
        if rule.takes_effect():
            reply = self.answer(request)
        elif rule.wants_reply():
            reply = self.answer(request, dry=True)
        if request.inputs is None:
            request.inputs = request.count_inputs()
        for change in rule.action.get("meanwhile", ()):
            self.interfere(*change)
        return apply_action(rule, request, reply)

    def interfere(self, from_type, from_id, to_type, to_id, types):
        """What somebody else does to a pair of the default account."""
        place = (object_type(from_type).id, from_id,
                 object_type(to_type).id, to_id)
        store = self.state.default.store
        if types:
            store.link(*place, [tuple(key) for key in types], False)
        else:
            store.unlink(*place)

    def act_late(self, request):
        """The operation takes effect; nobody hears of it."""
        self.answer(request)
        self.state.journal.write()

    def answer(self, request, dry=False):
        """The API's reply; "dry" keeps the operation from having effects."""
        return chain.answer(self.state, request, dry,
                            shortcuts=not self.rules and not dry)
