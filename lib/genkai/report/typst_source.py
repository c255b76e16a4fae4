"""An executed notebook as Typst source: one pandoc call for Markdown, outputs in Typst form, references checked."""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from genkai.report.displayed import REPORT_MIME, TYPST_MIME, status_colour
from genkai.report.errors import ReportError
from genkai.report.fonts import GETA, missing_glyphs
from genkai.report.inline import LABEL
from genkai.report.messages import Messages
from genkai.report.notebook_outputs import Rendered, html_table, joined, picture, printed, raised
from genkai.report.typst_text import call, literal

READER = (
    "markdown+lists_without_preceding_blankline+east_asian_line_breaks+autolink_bare_uris"
    "-blank_before_header-auto_identifiers-citations"
)
HIDDEN_TAGS = frozenset({"notebook", "parameters", "injected-parameters", "remove_cell", "remove-cell"})
_CODE = re.compile(
    r"(?ms)^(?P<fence>```+|~~~+).*?(?:^(?P=fence)[`~]*\s*$|\Z)|(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)"
)
_REFERENCE = re.compile(rf"(?<![A-Za-z0-9_@.\\])@({LABEL.pattern})")
_IMAGE = re.compile(r"!\[(?P<alt>[^\]]*)\]\((?P<path>[^)\s]+)(?P<title>\s+\"[^\"]*\")?\)")
_RAW = "````````{=typst}"
_USED = re.compile(r"ref\(<([^>]+)>\)")


@dataclass
class Source:
    """Everything that the compiler needs: the main file's text, other files by name, and what the document states."""

    main: str
    files: dict[str, bytes] = field(default_factory=dict)
    document: Mapping[str, Any] | None = None


def notebook_source(notebook: Any, *, name: str = "notebook", folder: Path | None = None) -> Source:
    """Return the Typst source of an executed notebook; `folder` is where its Markdown's picture paths start.

    Characters that the fonts lack are replaced, and a note says so. Raises ReportError for a failed cell in a report,
    an unknown or repeated label, or a missing picture.
    """
    pieces: list[str] = []
    outputs: list[tuple[int, Rendered]] = []
    files: dict[str, bytes] = {}
    for number, cell in enumerate(notebook.cells, 1):
        if HIDDEN_TAGS & set(cell.metadata.get("tags", [])):
            continue
        if cell.cell_type == "markdown":
            text, found = _markdown(cell, number, folder)
            pieces.append(text)
            files |= found
        elif cell.cell_type == "code":
            for output in _rendered_outputs(cell, number):
                pieces.append(f"{_RAW}\n{_slot(len(outputs))}\n{_RAW[:8]}")
                outputs.append((number, output))
    document = next((output.document for _, output in outputs if output.document), None)
    _refuse_failed(outputs, document)
    body = _filled(_pandoc("\n\n".join(pieces)), outputs)
    for _, output in outputs:
        files |= output.files
    _check_labels(body, outputs)
    title, body = (document["title"], body) if document else _title(body, name)
    return _drawable(Source(_preamble(document, title) + body + "\n", files, document))


def _drawable(source: Source) -> Source:
    """The source with a geta mark for each character that the fonts lack, and a note at its end that says which."""
    drawn = {name: content.decode("utf-8") for name, content in source.files.items() if name.endswith(".svg")}
    missing = missing_glyphs(source.main + "".join(drawn.values()))
    if not missing:
        return source
    table = {ord(c): GETA for c in missing}
    m = Messages((source.document or {}).get("language", "en"))
    named = ", ".join(f"{unicodedata.name(c, '?')} (U+{ord(c):04X})" for c in missing)
    note = "#" + call("par", m.text("document.replaced", geta=GETA, characters=named).to_typst())
    files = source.files | {name: text.translate(table).encode() for name, text in drawn.items()}
    return Source(f"{source.main.translate(table)}\n{note}\n", files, source.document)


def _slot(index: int) -> str:
    return f"// genkai output {index} //"


def _markdown(cell: Any, number: int, folder: Path | None) -> tuple[str, dict[str, bytes]]:
    """Return the cell's Markdown with references as raw Typst and pictures under flat names."""
    files: dict[str, bytes] = {}

    def image(match: re.Match[str]) -> str:
        target, content = _picture_file(match["path"], cell, number, folder)
        files[target] = content
        return f"![{match['alt']}]({target})"

    def outside_code(text: str) -> str:
        return _IMAGE.sub(image, _REFERENCE.sub(r"`#ref(<\1>)`{=typst}", text))

    parts, position, source = [], 0, cell.source
    for match in _CODE.finditer(source):
        parts += [outside_code(source[position : match.start()]), match[0]]
        position = match.end()
    return "".join([*parts, outside_code(source[position:])]), files


def _picture_file(path: str, cell: Any, number: int, folder: Path | None) -> tuple[str, bytes]:
    suffix = Path(path).suffix.lower() or ".png"
    target = f"cell-{number}-{re.sub(r'[^A-Za-z0-9]', '-', Path(path).stem)}{suffix}"
    if path.startswith("attachment:"):
        bundle = cell.get("attachments", {}).get(path.removeprefix("attachment:"), {})
        if bundle:
            return target, base64.b64decode(next(iter(bundle.values())))
    elif "://" not in path and (file := (folder or Path()) / path).is_file():
        return target, file.read_bytes()
    where, expected = f"cell {number}, picture {path}", "a file beside the notebook or an attachment"
    raise ReportError(
        where, expected, "a web address" if "://" in path else "no such file", "save the picture beside the notebook"
    )


def _rendered_outputs(cell: Any, number: int) -> Iterator[Rendered]:
    has_picture = any("image/png" in output.get("data", {}) for output in cell.outputs)
    for index, output in enumerate(cell.outputs):
        if has_picture and set(output.get("data", {})) == {"text/plain"}:
            continue  # the repr of what the plot's last line returned
        if output.output_type == "stream":
            if output.name == "stdout":  # stderr is warnings and progress bars
                yield printed(joined(output.text))
        elif output.output_type == "error":
            yield raised(output.ename, output.evalue)
        else:
            yield _rendered_bundle(output.data, output.get("metadata", {}), f"output-{number}-{index}")


def _rendered_bundle(data: Mapping[str, Any], metadata: Mapping[str, Any], name: str) -> Rendered:
    if TYPST_MIME in data:
        facts = data.get(REPORT_MIME, {})
        files = {key: joined(text).encode("utf-8") for key, text in facts.get("resources", {}).items()}
        return Rendered(joined(data[TYPST_MIME]), files, tuple(facts.get("labels", ())), facts.get("document"))
    found = picture(data, metadata, name)
    if found is None and "text/html" in data:
        found = html_table(joined(data["text/html"]))
    return found or printed(joined(data.get("text/plain", "")))


def _pandoc(markdown: str) -> str:
    import pypandoc

    return pypandoc.convert_text(markdown, "typst", format=READER, extra_args=["--wrap=none"]).replace("\r\n", "\n")


def _filled(body: str, outputs: list[tuple[int, Rendered]]) -> str:
    swallowed = body.find(_RAW)  # an unclosed fence or comment in a Markdown cell has taken an output for its text
    for index, (number, output) in enumerate(outputs):
        if body.count(_slot(index)) != 1 or 0 <= swallowed < body.index(_slot(index)):
            where = f"cell {number}: its output"
            raise ReportError(
                where, "to stand by itself", "inside an unclosed code block or comment", "close it in the cell above"
            )
        body = body.replace(_slot(index), output.typst)
    return body


def _refuse_failed(outputs: list[tuple[int, Rendered]], document: Mapping[str, Any] | None) -> None:
    failed = next(((number, output.error) for number, output in outputs if output.error), None)
    if failed and document:
        raise ReportError(
            f"cell {failed[0]}", "a report whose cells all ran", failed[1], "mend the cell and run all cells again"
        )


def _check_labels(body: str, outputs: list[tuple[int, Rendered]]) -> None:
    defined: dict[str, int] = {}
    for number, output in outputs:
        for label in output.labels:
            if label in defined:
                where, got = f"cell {number}, label {label}", f"cell {defined[label]} has it too"
                raise ReportError(where, "a label of its own", got, "rename one of them")
            defined[label] = number
    for label in _USED.findall(body):
        if label not in defined:
            known = ", ".join(sorted(defined)) or "none in this notebook"
            raise ReportError(
                f"reference @{label}", f"one of the labels: {known}", f'"{label}"', "correct the reference or show it"
            )


def _title(body: str, name: str) -> tuple[str, str]:
    """Return (title, body without it): the first level-1 heading, else the notebook's name."""
    first = re.search(r"(?m)^= (.+)\n", body)
    title = re.sub(r"[#\\\[\]]|strong|emph", "", first[1]) if first else name
    cover = "#" + call("cover", literal(name), literal(title), literal(""), "()")
    return title, cover + "\n\n" + (body.replace(first[0], "", 1) if first else body)


def _preamble(document: Mapping[str, Any] | None, title: str) -> str:
    facts = document or {}
    lang, verdict, window = facts.get("language", "en"), facts.get("verdict", ""), facts.get("window") or []
    tag = (
        call("badge", literal(status_colour(verdict)), literal(Messages(lang)(f"status.{verdict}")))
        if verdict
        else "none"
    )
    day = datetime.fromisoformat(window[-1].removesuffix(" UTC")) if window else datetime(1970, 1, 1)
    foot = Messages(lang)("cover.foot", hash=facts["plan_hash"][:12]) if facts.get("plan_hash") else ""
    arguments = {
        "lang": literal(lang),
        "title": literal(title),
        "date": call(
            "datetime", **{key: str(getattr(day, key)) for key in ("year", "month", "day", "hour", "minute", "second")}
        ),
        "head": literal(facts.get("running_head", title)),
        "head_tag": tag,
        "foot": literal(foot),
    }
    return f'#import "template.typ": *\n#show: {call("report.with", **arguments)}\n\n'
