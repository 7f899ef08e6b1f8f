"""
labels: the operations on definitions of labels
"""

from .catalog import MAX_LABELS
from .errors import ApiError, invalid
from .replies import Reply


def labels_list(call):
    return Reply(200, {"results": [
        definition.entry() for definition in
        call.account.definitions.of(call.from_type, call.to_type)]})


def labels_create(call):
    label, name, inverse = call.body
    definitions = call.account.definitions
    if label is None:
        return create_plain(call, name)
    labels = [d for d in definitions.of(call.from_type, call.to_type)
              if d.category == "USER_DEFINED" and d.label is not None]
    if any(d.name == name or d.label == label for d in labels):
        raise invalid("A label \"%s\" with the name \"%s\" is there already"
                      % (label, name))
    if len(labels) >= MAX_LABELS:
        raise ApiError(437, "The limit of %d labels is reached" % MAX_LABELS,
                       "VALIDATION_ERROR")
    if call.dry:
        return Reply(200, {"results": []})
    made = call.account.define(call.from_type.id, call.to_type.id, label,
                               inverse, name)
    return Reply(200, {"results": [d.entry() for d in made]})


def create_plain(call, name):
    """The type without a label, which object types of HubSpot's own have."""
    known = call.account.definitions.by_direction.get(
        (call.from_type.id, call.to_type.id), ())
    if not (call.from_type.custom or call.to_type.custom):
        raise invalid("label must not be empty")
    if any(d.label is None for d in known):
        raise invalid("The association without a label is there already")
    if call.dry:
        return Reply(200, {"results": []})
    made = call.account.define(call.from_type.id, call.to_type.id, None,
                               None, name)
    return Reply(200, {"results": [d.entry() for d in made]})


def labels_update(call):
    type_id, label, inverse = call.body
    definition = find_label(call, type_id)
    if definition.paired and inverse is None:
        raise invalid("inverseLabel is required, as the label is one of a "
                      "pair")
    if not call.dry:
        call.account.relabel(definition.type_id, label, inverse)
    return Reply(204)


def labels_delete(call):
    definition = find_label(call, call.parts["type_id"])
    if not call.dry:
        call.account.drop_label(definition.type_id)
    return Reply(204)


def find_label(call, type_id):
    """A label of this direction that the account itself defined."""
    definition = call.account.definitions.by_key.get(
        ("USER_DEFINED", type_id))
    if definition is None or not call.fits(definition.key()) or \
            definition.label is None:
        raise ApiError(404, "There is no label with the id %d" % type_id)
    return definition
