"""JTL as XML, read as a stream: an element is forgotten once its sample is taken, whatever bodies it holds.

Source: JMeter user manual, "Listeners", XML log format 2.2 (attributes ts, t, s, lb, rc, rm, tn, by, na). Counted are
the samples on top, as in CSV: those within are parts of them (redirects, embedded resources). A transaction that holds
its requests is no request itself, so they are taken in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from sys import intern
from typing import BinaryIO
from xml.etree import ElementTree
from xml.parsers.expat import errors as expat

import pandas as pd

from genkai.study.foreign import ImportedError
from genkai.study.series import unpacked

TRANSACTION = "Number of samples in transaction"
SAMPLES = ("httpSample", "sample")
ATTRIBUTES = {"ts": "timeStamp", "t": "elapsed", "lb": "label", "rc": "responseCode", "rm": "responseMessage",
              "tn": "threadName", "s": "success", "by": "bytes", "na": "allThreads"}  # fmt: skip
CUT_SHORT = "The file ends in the middle, as when JMeter is killed: what comes before was read."
_ENDS = {expat.codes[e] for e in (expat.XML_ERROR_NO_ELEMENTS, expat.XML_ERROR_UNCLOSED_TOKEN,
                                  expat.XML_ERROR_PARTIAL_CHAR, expat.XML_ERROR_UNCLOSED_CDATA_SECTION)}  # fmt: skip


def read_xml(path: Path, notes: list[str]) -> pd.DataFrame:
    """Samples as text, under the names of the CSV's columns. Raises ImportedError, OSError."""
    rows: list[tuple[str | None, ...]] = []
    try:
        with unpacked(path) as stream:
            for element in _tops(stream):
                rows += _rows(element)
    except ElementTree.ParseError as error:
        if error.code not in _ENDS or not rows:
            line = error.position[0]
            raise ImportedError(f"{path}:{line}: expected JTL as XML, got {error}; mend the file there, or write CSV "
                                "with -Jjmeter.save.saveservice.output_format=csv") from error  # fmt: skip
        notes.append(CUT_SHORT)
    except ValueError as error:  # an encoding that the parser has not
        raise ImportedError(f"{path}: expected JTL as XML in UTF-8, got {error}; convert it: iconv -t utf-8, and "
                            "change its first line") from error  # fmt: skip
    if not rows:
        raise ImportedError(f"{path}: expected elements {' or '.join(SAMPLES)} below testResults, got none")
    frame = pd.DataFrame(rows, columns=[*ATTRIBUTES.values(), "failureMessage"]).dropna(axis=1, how="all")
    missing = [name for name in ("ts", "t", "lb") if ATTRIBUTES[name] not in frame]
    if missing:
        raise ImportedError(f"{path}: expected attributes ts, t, lb of samples, missing {', '.join(missing)}; save "
                            "them with jmeter.save.saveservice.timestamp_format=ms and …time, …label")  # fmt: skip
    return frame.fillna("")


def _tops(stream: BinaryIO) -> Iterator[ElementTree.Element]:
    """Each sample that lies in no other one, whole."""
    depth, root = 0, None
    for event, element in ElementTree.iterparse(stream, events=("start", "end")):
        root = element if root is None else root
        if element.tag not in SAMPLES:
            continue
        depth += 1 if event == "start" else -1
        if event == "end" and depth == 0:
            yield element
            root.clear()


def _rows(element: ElementTree.Element) -> Iterator[tuple[str | None, ...]]:
    within = [child for child in element if child.tag in SAMPLES]
    if within and element.get("rm", "").startswith(TRANSACTION):
        for child in within:
            yield from _rows(child)
        return
    values = (element.get(key) for key in ATTRIBUTES)  # interned: a million samples share few labels and threads
    told = (a.findtext("failureMessage") for a in element.iter("assertionResult") if a.findtext("failure") == "true")
    yield *(None if value is None else intern(value) for value in values), intern(next(filter(None, told), ""))
