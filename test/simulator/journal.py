"""
journal: the changes that outlive the process, in a file

With --journal every change of associations, whoever made it and in whatever
account, is handed to the kernel before the reply to it starts, and at the
start the file is played back.  So whatever a client or a test was told is
still there after a kill -9.  A change that took effect, but was not answered
yet, is there as well; of one request, either all changes are or none.

What comes back: associations with their types; labels, and the ids that the
types of custom objects were given; the accounts that the control port added,
without those that it deleted, and all scopes.  What does not: settings, limits
on associations, records and their properties, OAuth clients and their tokens,
rules, the log, statistics.  The default account is found by --token, which
must be what it was.

POST /reset empties the journal as well.  It only grows otherwise.  It holds
the tokens, as they are, to tell accounts by.

Each line is a request's changes: a JSON array of [what, token, argument, ...].
A last line without its end is of a write that was cut short, so nobody was
told of it: it is cut off at the start.  Any other line that makes no sense
keeps the simulator from starting.
"""

import json
import os
import sys

# The names of changes are those of the methods that make them.
ACCOUNT_CHANGES = frozenset(["link", "link_many", "link_table", "unlink",
                             "clear", "define", "relabel", "drop_label"])
STATE_CHANGES = frozenset(["add_account", "delete_account"])


class Journal:
    """
    The changes that outlive the process.  They are noted as they are made,
    and written, all those of a request at once, before its reply starts.
    Without a file, and while that is played back, nothing is noted.
    """

    def __init__(self):
        self.file = None
        self.changes = []

    def is_open(self):
        return self.file is not None

    def note(self, *change):
        if self.file is not None:
            self.changes.append(change)

    def write(self):
        """Hands what was noted to the kernel."""
        if not self.changes:
            return
        line = JOURNAL_JSON.encode(self.changes).encode("utf-8") + b"\n"
        self.changes = []
        try:
            while line:
                line = line[os.write(self.file, line):]
        except OSError as problem:
            sys.exit("simulator: could not write the journal: %s"
                     % problem)

    def clear(self):
        """Forgets everything, also what was written."""
        self.changes = []
        if self.file is not None:
            os.ftruncate(self.file, 0)

    def open(self, path, state):
        """Makes the changes that the file tells of; then goes on with it."""
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        size = 0
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    for change in json.loads(line):
                        self.repeat(state, *map(as_tuples, change))
                except (ValueError, LookupError, TypeError,
                        AttributeError) as problem:
                    sys.exit("simulator: %s, line %d: %s: %s" % (
                        path, number, type(problem).__name__, problem))
                size += len(line)
        os.ftruncate(file, size)
        self.file = file

    @staticmethod
    def repeat(state, what, token, *arguments):
        """Makes one change again."""
        if what in STATE_CHANGES:
            getattr(state, what)(token, *arguments)
        elif what in ACCOUNT_CHANGES:
            if what == "link_table":
                arguments = (*arguments[:-1], arguments[-1].encode("ascii"))
            getattr(state.accounts[token], what)(*arguments)
        else:
            raise ValueError("there is no change %r" % (what,))


def journal_json(value):
    """What JSON has no form for: a table of the fast path, scopes."""
    return value.decode("ascii") if isinstance(value, bytes) else list(value)


JOURNAL_JSON = json.JSONEncoder(separators=(",", ":"), default=journal_json)


def as_tuples(value):
    """JSON's arrays as tuples, also where they are inside others."""
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value
