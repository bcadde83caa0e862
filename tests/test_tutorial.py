"""docs/tutorial.md, done as it says: every file written, every command run, every answer there."""

from __future__ import annotations

import subprocess

from _documents import blocks, shows
from _project import installed

BLOCKS = blocks("tutorial.md")


def test_the_tutorial_does_what_it_says(tmp_path):
    environment = installed(tmp_path)
    here = tmp_path / "home"
    here.mkdir()
    said = ""
    ran = 0
    for block in BLOCKS:
        where = f"docs/tutorial.md:{block.line}"
        if block.note.startswith("not run"):
            continue
        if block.kind in ("yaml", "python"):
            first, _, rest = block.text.partition("\n")
            assert first.startswith("# "), f"{where}: the first line names the file"
            (here / first[2:]).write_text(f"{first}\n{rest}", "utf-8")
        elif block.kind == "sh":
            done = subprocess.run(
                ["bash", "-e", "-c", f"{block.text}\npwd > {tmp_path / 'pwd'}"],
                cwd=here, env=environment, capture_output=True, text=True,
            )  # fmt: skip
            said = done.stdout + done.stderr
            assert (done.returncode != 0) == (block.note == "fails"), f"{where}:\n{said}"
            if block.note != "fails":
                here = type(here)((tmp_path / "pwd").read_text().strip())
            ran += 1
        else:
            missing = shows(said, block.text)
            assert not missing, f"{where}: {missing!r} is not in\n{said}"
    assert ran >= 12


def test_only_what_needs_the_network_is_not_run():
    left_out = [block.text for block in BLOCKS if block.note.startswith("not run")]
    assert len(left_out) == 2
    assert "pip install" in left_out[0]
    assert left_out[1] == "feedkit run\n"
