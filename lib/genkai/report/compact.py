"""A PDF with its objects packed into compressed object streams: less than half of what Typst writes.

Typst leaves the structure tree (what makes a document accessible) uncompressed, an object a table cell. Object streams
and a cross-reference stream (ISO 32000-1, 7.5.7 and 7.5.8) are allowed in PDF/A-2. Pages, fonts and texts stay as they
are, byte for byte, and the same input gives the same output.
"""

from __future__ import annotations

import re
import struct
import zlib

from genkai.report.errors import ReportError

PACKED = 200  # objects in one stream
_ENTRY = re.compile(rb"(\d{10}) (\d{5}) ([nf])")


def compact(pdf: bytes) -> bytes:
    """Return the PDF with object streams. Raises ReportError for one without a plain cross-reference table."""
    objects, trailer = _objects(pdf)
    loose = {n: body for n, body in objects.items() if b"stream" in body}
    packed = {n: body for n, body in objects.items() if n not in loose}
    head = pdf[: pdf.index(b"\n", pdf.index(b"\n") + 1) + 1]  # the version, and the comment that says "binary"
    out, places, number = bytearray(head), {0: (0, 0, 65535)}, max(objects) + 1
    for name, body in loose.items():
        places[name] = (1, len(out), 0)
        out += b"%d 0 obj\n%b\nendobj\n" % (name, body)
    names = sorted(packed)
    for first in range(0, len(names), PACKED):
        group = names[first : first + PACKED]
        places |= {name: (2, number, index) for index, name in enumerate(group)}
        places[number] = (1, len(out), 0)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, _object_stream([(n, packed[n]) for n in group]))
        number += 1
    places[number] = (1, len(out), 0)
    out += b"%d 0 obj\n%b\nendobj\nstartxref\n%d\n%%%%EOF\n" % (number, _references(places, trailer), len(out))
    return bytes(out)


def _objects(pdf: bytes) -> tuple[dict[int, bytes], bytes]:
    """({number: what stands between obj and endobj}, the entries of the trailer's dictionary)."""
    start = int(pdf[pdf.rindex(b"startxref") + 9 :].split()[0])
    if pdf[start : start + 4] != b"xref" or b"trailer" not in pdf[start:]:
        raise ReportError("PDF", "a cross-reference table", repr(pdf[start : start + 12]), "compile it with Typst")
    end = pdf.index(b"trailer", start)
    entries = list(_ENTRY.finditer(pdf, start, end))
    offsets = {n: int(e.group(1)) for n, e in enumerate(entries) if e.group(3) == b"n"}
    ends = dict(zip(sorted(offsets.values()), [*sorted(offsets.values())[1:], start], strict=True))
    found = {}
    for number, offset in offsets.items():
        whole = pdf[offset : ends[offset]]
        found[number] = whole[whole.index(b"obj") + 3 : whole.rindex(b"endobj")].strip(b"\n")
    trailer = pdf[pdf.index(b"<<", end) + 2 : pdf.rindex(b">>", end)]
    return found, re.sub(rb"/Size\s+\d+", b"", trailer).strip()


def _object_stream(group: list[tuple[int, bytes]]) -> bytes:
    index, offset = [], 0
    for number, body in group:
        index.append(b"%d %d" % (number, offset))
        offset += len(body) + 1
    head = b" ".join(index) + b"\n"
    data = zlib.compress(head + b"\n".join(body for _, body in group), 9)
    about = b"<</Type/ObjStm/N %d/First %d/Filter/FlateDecode/Length %d>>" % (len(group), len(head), len(data))
    return about + b"\nstream\n" + data + b"\nendstream"


def _references(places: dict[int, tuple[int, int, int]], trailer: bytes) -> bytes:
    """The cross-reference stream: kind (free, place, packed), then place or stream, then generation or index."""
    size = max(places) + 1
    rows = (places.get(n, (0, 0, 65535)) for n in range(size))
    data = zlib.compress(b"".join(struct.pack(">BIH", *row) for row in rows), 9)
    about = b"<</Type/XRef/Size %d/W[1 4 2]/Filter/FlateDecode/Length %d" % (size, len(data))
    return about + b"\n" + trailer + b">>\nstream\n" + data + b"\nendstream"
