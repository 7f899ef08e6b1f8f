"""
call: a request that has found its account, and then its operation
"""


class Call:
    """A request that has found its account and operation."""

    __slots__ = ("request", "account", "state", "operation", "version", "dry",
                 "from_type", "to_type", "parts", "query", "body", "plain",
                 "limit_headers")

    def __init__(self, request, account, state, dry):
        self.request = request
        self.account = account
        self.state = state
        self.dry = dry
        self.operation = None
        self.version = None     # v4, v3, or a dated one without its "-beta"
        self.from_type = None
        self.to_type = None
        self.body = None
        self.plain = None
        self.limit_headers = None   # which tell where the account stands

    def fits(self, key):
        """Whether an association type is known and of this direction."""
        definition = self.account.definitions.by_key.get(key)
        return definition is not None and \
            definition.from_id == self.from_type.id and \
            definition.to_id == self.to_type.id

    def plain_type(self):
        if self.plain is None:
            self.plain = self.account.definitions.plain(self.from_type,
                                                        self.to_type)
        return self.plain

    def link(self, source, target, types):
        """Associates; None for types: by the plain type."""
        if self.dry:
            return
        replace = types is not None
        if not replace:
            types = (self.plain_type().key(),)
        if types:
            self.account.link(self.from_type.id, source, self.to_type.id,
                              target, types, replace)

    def unlink(self, source, target, types=None):
        """Takes apart; whether there was anything."""
        if self.dry:
            return True
        return self.account.unlink(self.from_type.id, source,
                                   self.to_type.id, target, types)

    def current(self, items):
        """
        The same (from id, to id, types), with the ids of the records that are
        associated if these are to be.
        """
        if not self.account.settings["check_records"]:
            return items
        current = self.account.current_id
        return [(current(self.from_type, source),
                 current(self.to_type, target), types)
                for source, target, types in items]

    def id_formats(self):
        """How record ids stand in this account's replies: from, to."""
        form = self.account.settings["id_form"]
        return (int if form == "number" else str,
                str if form == "string" else int)
