"""What a YAML parser complains about, in words that say what to write instead."""

from __future__ import annotations

import codecs

import yaml

from feedkit.config.problems import Place, Problems

_WRONG_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16",
}  # fmt: skip
_QUOTED_FIRST = "@`%"  # characters that no plain text can begin with


def text_of(source: bytes | str, file: str, problems: Problems) -> str | None:
    """The file's text. A UTF-8 byte order mark, as Windows editors write it, is left out."""
    if isinstance(source, str):
        return source.removeprefix("\ufeff")
    for mark, encoding in _WRONG_ENCODINGS.items():
        if source.startswith(mark):
            problems.add(Place(file, 1), "", f"the file is written in {encoding}; save it as UTF-8")
            return None
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        byte = error.object[error.start]
        message = f"the byte 0x{byte:02x} is not UTF-8; save the file as UTF-8"
        problems.add(Place(file, line, column), "", message)
    return None


def syntax_problem(error: yaml.YAMLError, file: str, lines: list[str]) -> tuple[Place, str, str]:
    """Place, path and message of what the YAML parser could not read."""
    if isinstance(error, yaml.reader.ReaderError):
        before = "\n".join(lines)[: error.position].split("\n")
        place = Place(file, len(before), len(before[-1]) + 1)
        code = error.character if isinstance(error.character, int) else ord(error.character)
        return place, "", f"the control character \\x{code:02x} is not allowed in YAML"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return Place(file, 1), "", f"this is not YAML: {error}"
    place = Place(file, mark.line + 1, mark.column + 1)
    said = str(getattr(error, "problem", "") or error)
    start = getattr(error, "context_mark", None)
    first = start.line if start is not None else mark.line
    return place, "", _message(said, first, mark.line, mark.column, lines)


def _message(said: str, first: int, line: int, column: int, lines: list[str]) -> str:
    here = lines[line] if line < len(lines) else ""
    at = here[column : column + 1]
    context = lines[first : line + 1]
    if at == "\t" or (here[:column] + at).strip(" ").startswith("\t"):
        return "a tab cannot indent YAML; use spaces"
    if "cannot start any token" in said or "node content" in said:
        if at and at in _QUOTED_FIRST:
            return f"a text that begins with {at!r} must be quoted"
        return f"a value is missing before this {at!r}" if at else "a value is missing here"
    if "mapping values are not allowed" in said:
        return "a ':' is not expected here; quote a text that holds ': ', or mend the indentation"
    if "block sequence entries are not allowed" in said:
        return "a list cannot begin here; put '-' on a line of its own below the key"
    if "expected ',' or" in said:
        return _unclosed(said, first + 1, context)
    if "unexpected end of stream" in said:
        return f"the quote that opens on line {first + 1} is not closed"
    if "escape" in said:
        return "in double quotes '\\' begins an escape; use single quotes for a plain backslash"
    if "could not find expected ':'" in said:
        return (
            f"the text on line {first + 1} is no key: a ':' is missing, or the indentation is off"
        )
    if "alphabetic or numeric" in said:
        return "a text that begins with '*' or '&' must be quoted"
    if any(word in said for word in ("expected key", "'-' indicator", "<document start>")):
        return (
            "this does not belong to what stands above it; mend the indentation, or put "
            "quotes around the whole text"
        )
    return f"this is not YAML: {said}"


def _unclosed(said: str, opened: int, context: list[str]) -> str:
    bracket = "[" if "']'" in said else "{"
    message = f"the '{bracket}' on line {opened} is not closed, or a ',' is missing"
    for text in context:
        for lead in (" #", ",#", "[#"):
            if lead in text:
                word = text[text.index(lead) + 1 :].split(",")[0].split("]")[0].split()[:1]
                quoted = f', "{word[0]}"' if word else ""
                return f"{message}; '#' begins a comment in YAML: quote it{quoted}"
    return message
