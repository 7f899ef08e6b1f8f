"""
creates: the operations that associate records, one pair or a batch of them
"""

from .batches import envelope_of, judge, partial_status
from .contexts import refusal
from .problems import find_problem
from .replies import Reply, to_json


def create_default(call):
    (source, target, types), = call.current(
        [(call.parts["from_id"], call.parts["to_id"], None)])
    problem = find_problem(call, source, target, types, {})
    if problem:
        raise refusal(call, [problem])
    call.link(source, target, types)
    results = default_results(call, source, target)
    return Reply(200, envelope_of(results.encode("ascii")))


def create_labelled(call):
    (source, target, types), = call.current(
        [(call.parts["from_id"], call.parts["to_id"], call.body)])
    call.request.noop = not call.body
    problem = find_problem(call, source, target, types, {})
    if problem:
        raise refusal(call, [problem])
    call.link(source, target, types)
    result = labelled_result(call, source, target, types)
    if call.account.settings["single_create_form"] == "entity":
        result = {"createdResourceId": "%s-%s" % (source, target),
                  "entity": result, "location": call.request.path}
    return Reply(201, result)


def batch_create(call):
    return create_batch(call, labelled_batch_results,
                        call.account.settings["batch_create_status"])


def batch_create_default(call):
    return create_batch(call, default_batch_results, 200)


def create_batch(call, make_results, status):
    """Either batch create: sorts out bad inputs, stores, answers."""
    good, problems, added = [], [], {}
    for item in call.current(call.body):
        problem = find_problem(call, *item, added)
        if problem:
            problems.append(problem)
        else:
            good.append(item)
        if item[2] == ():
            call.request.noop = True
    errors = judge(call, problems)
    for item in good:
        call.link(*item)
    return Reply(partial_status(call) if errors else status,
                 envelope_of(make_results(call, good), errors))


DEFAULT_RESULT = ('{"from":{"id":%s},"to":{"id":%s},"associationSpec":'
                  '{"associationCategory":"%s","associationTypeId":%d}}')


def default_results(call, source, target):
    """
    A default create's results for one pair as JSON text, one for each
    direction.
    """
    form = call.account.settings["id_form"]
    left = source if form == "number" else '"%s"' % source
    right = '"%s"' % target if form == "string" else target
    plain = call.plain_type()
    text = DEFAULT_RESULT % (left, right, plain.category, plain.type_id)
    if call.account.settings["default_results"] == "both":
        if form == "mixed":
            left, right = source, '"%s"' % target
        text += "," + DEFAULT_RESULT % (right, left, plain.category,
                                        plain.inverse)
    return text


def default_batch_results(call, good):
    return ",".join([default_results(call, source, target)
                     for source, target, _ in good]).encode("ascii")


def labelled_result(call, source, target, types):
    """A labelled create's result for one pair."""
    from_form, to_form = call.id_formats()
    label = call.account.definitions.label
    return {"fromObjectTypeId": call.from_type.id,
            "fromObjectId": from_form(source),
            "toObjectTypeId": call.to_type.id,
            "toObjectId": to_form(target),
            "labels": [label(key) for key in types
                       if label(key) is not None]}


def labelled_batch_results(call, good):
    results = to_json([labelled_result(call, *item) for item in good])
    return results[1:-1]
