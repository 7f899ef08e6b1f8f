"""
removals: the operations that take records apart
"""

from .batches import envelope, judge, partial_status
from .catalog import require_record_ids
from .contexts import error_items
from .errors import ApiError, invalid
from .problems import Problem, find_removal_problem
from .replies import Reply


def archive(call):
    require_record_ids(call.parts["from_id"], call.parts["to_id"])
    found = call.unlink(call.parts["from_id"], call.parts["to_id"])
    if not found and call.account.settings["archive_missing"] != 204:
        raise ApiError(404, "There is no such association")
    return archived(call, 204)


def batch_archive(call):
    return archive_batch(call, [(*pair, None) for pair in call.body])


def batch_archive_labels(call):
    if not all(types for _, _, types in call.body):
        raise invalid("types must not be empty")
    return archive_batch(call, call.body)


def archive_batch(call, items):
    """Either batch removal: sorts out bad inputs, removes, answers."""
    good, problems, absent = [], [], []
    for item in items:
        problem = find_removal_problem(call, *item)
        if problem:
            problems.append(problem)
        else:
            good.append(item)
    errors = judge(call, problems)
    for item in good:
        if not call.unlink(*item):
            absent.append(item)
    if call.account.settings["archive_missing"] == "item":
        errors += error_items(call, [
            Problem(call, source, target, "OBJECT_NOT_FOUND",
                    "There is no such association", "both", types or ())
            for source, target, types in absent])
    if errors:
        return Reply(partial_status(call), envelope([], errors=errors))
    return archived(call, 204 if call.version == "v4" else 200)


def archived(call, status):
    """A removal's success: without a body, or with one."""
    status = call.account.settings["archive_status"] or status
    return Reply(status, envelope([]) if status == 200 else None)
