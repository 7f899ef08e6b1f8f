"""
A stateful simulator of the HubSpot associations API

README.md says what is simulated and how to run it; process.py has the command
line, control.py the control port, rules.py the faults that tests inject.

PARTS is the order of the modules: each imports only what stands before it.
"""

PARTS = (
    # what replies, errors and records are called
    "replies", "errors", "catalog",
    # what is kept
    "journal", "definitions", "associations", "properties", "search_index",
    "records", "settings", "account", "oauth", "state",
    # what an operation works with
    "cursors", "validators", "record_validators", "call", "problems",
    "contexts", "batches",
    # the operations
    "creates", "removals", "reads", "labels", "limits", "record_reads",
    "record_lists", "searches", "usage", "operations",
    # from a request to its reply
    "routing", "fast_path", "chain",
    # the reply on its way, faults included
    "rules", "changes", "request", "wire", "connection",
    # the process
    "log", "server", "record_control", "control", "process",
)
