"""Documents whose blocks are tried: what they show is what happens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from feedkit.sentences import PACKAGE

DOCS = Path(__file__).resolve().parents[1] / "docs"
_FENCE = re.compile(
    r"^(?:<!-- (?P<note>.*?) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class Block:
    """A fenced block. `note`: the comment right above it; `heading`: what it stands under."""

    kind: str
    text: str
    note: str
    heading: str
    line: int


def blocks(name: str) -> list[Block]:
    """The fenced blocks of docs/NAME, in order. A fence inside a Python block is indented."""
    page = (DOCS / name).read_text("utf-8")
    found = []
    for match in _FENCE.finditer(page):
        above = page[: match.start()]
        headings = re.findall(
            r"^#+ (.*)$", re.sub(r"^```\w.*?^```$", "", above, flags=re.M | re.S), re.M
        )
        line = page[: match.start("text")].count("\n") + 1
        found.append(
            Block(
                match["kind"],
                match["text"],
                match["note"] or "",
                headings[-1] if headings else "",
                line,
            )
        )
    return found


def needs_absent_model(text: str) -> bool:
    """Whether `text` is about vectors of sentences, whose model is not installed here."""
    wants = "similar_to" in text or "sentence_vector" in text
    return wants and not all(map(find_spec, ("numpy", "safetensors", "tokenizers", PACKAGE)))


def shows(output: str, expected: str) -> str:
    """The first line of `expected` that `output` does not have, in this order; "" if it has all.
    In a line `…` stands for anything; white space at both ends does not count."""
    lines = iter(output.splitlines())
    for wanted in filter(None, map(str.strip, expected.splitlines())):
        pattern = re.compile(".*?".join(map(re.escape, wanted.split("…"))))
        if not any(pattern.search(line) for line in lines):
            return wanted
    return ""
