"""
cursors: opaque places in the list of one record's associations
"""

import base64
import binascii

from .errors import invalid


def make_cursor(source, last):
    """
    An opaque place in the list of one record's associations: after this id.
    It has a "+" in it, which a query must not have as it is.
    """
    return base64.b64encode(b"at>%s:%d" % (source.encode("ascii"),
                                           last)).decode("ascii")


def read_cursor(text, source):
    """The id that a cursor of this record's list holds, or ApiError."""
    try:
        plain = base64.b64decode(text.encode("ascii"), validate=True)
        place, _, last = plain.partition(b":")
        if place == b"at>%s" % source.encode("utf-8") and last.isdigit():
            return int(last)
    except (binascii.Error, UnicodeEncodeError):
        pass
    raise invalid("Invalid paging cursor: " + text)
