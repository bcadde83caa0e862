"""The documentation is generated, current, and every YAML block in it loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from _documents import needs_absent_model
from jsonschema import Draft202012Validator

from feedkit.config import load_config
from feedkit.config.annotations import keys_of
from feedkit.config.discover import built_in, discover
from feedkit.config.keys import STREAMS, FeedKeys, FileKeys, NetworkKeys, ServiceKeys
from feedkit.config.problems import ConfigError
from feedkit.reference import HEADINGS, PAGES, describe, listing
from feedkit.reference.schema import json_schema
from feedkit.reference.wording import prose, yaml_blocks
from feedkit.settings import Example
from feedkit.viewing import KINDS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SERVICE = {"hostname": "feeds.example.com", "publisher": "alice.example.com"}
FOUND = built_in()
# The plugins of the folder feeds/, of which some examples speak.
OWN = {
    name
    for kind, found in discover(ROOT / "feeds").plugins.items()
    for name in found.keys() - FOUND.plugins[kind].keys()
}
PLUGINS = [(kind, name, cls) for kind, t in FOUND.plugins.items() for name, cls in t.items()]
NOT_OURS = ("plugins.md", "tutorial.md", "operate.md")  # the last: YAML of other programs
EXAMPLES = (
    [
        pytest.param(block, id=f"{name}-{number}")
        for _, name, cls in PLUGINS
        for number, block in enumerate(yaml_blocks(cls.__doc__ or ""))
    ]
    + [
        pytest.param(block, id=f"{file.name}-{number}")
        for file in sorted([ROOT / "README.md", *DOCS.glob("*.md")])
        if file.exists() and file.name not in NOT_OURS
        for number, block in enumerate(yaml_blocks(file.read_text("utf-8")))
    ]
    + [pytest.param(yaml_blocks((DOCS / "plugins.md").read_text("utf-8"))[0], id="plugins.md-0")]
)


def completed(block):
    """The piece of YAML as part of a whole configuration, by what it is a piece of."""
    tree = yaml.safe_load(block)
    name = next(iter(tree)) if isinstance(tree, dict) else str(tree)
    whole = {"service": SERVICE}
    told = {"accepts_interactions": True}
    if isinstance(tree, dict) and tree.keys() <= keys_of(FileKeys).keys():
        return {"feeds": {"any": {"filter": "reply"}}, **whole, **tree}
    if isinstance(tree, dict) and tree.keys() <= keys_of(FeedKeys).keys():
        feed = {"filter": "reply", **told, **tree}
    elif name in FOUND.plugins["ranker"]:
        feed = {"filter": "reply", "rank": tree, **told}
    elif name in FOUND.plugins["viewer_filter"]:
        feed = {"filter": "reply", "viewer": [tree], **told}
    elif name in FOUND.plugins["selector"]:
        feed = {"filter": "reply", "select": [tree]}
    else:
        feed = {"filter": {"all": [tree, "everything"]}}
    # Names that the examples speak of.
    parts = {"advert": {"keywords": ["#ad"]}}
    others = {name: {"filter": "reply"} for name in ("birds", "terns")}
    return {**whole, "filters": parts, "feeds": {"any": feed, **others}}


@pytest.mark.parametrize("block", EXAMPLES)
def test_every_yaml_block_loads(block, tmp_path):
    if needs_absent_model(block):
        pytest.skip("atproto-feedkit[semantic] or its model is not installed")
    whole = completed(block)
    # The block's own text is loaded as it stands: only what it lacks is added around it.
    tree = yaml.safe_load(block)
    if isinstance(tree, dict) and tree.keys() <= keys_of(FileKeys).keys():
        missing = {key: whole[key] for key in whole.keys() - tree.keys()}
        text = block + "\n" + (yaml.safe_dump(missing) if missing else "")
    else:
        text = yaml.safe_dump(whole, allow_unicode=True)
    if any(name in text for name in OWN):  # to load them takes ten times as long as all the rest
        (tmp_path / "feeds").mkdir()
        for file in (ROOT / "feeds").glob("*.py"):
            shutil.copy(file, tmp_path / "feeds")
    (tmp_path / "config.yaml").write_text(text, "utf-8")
    assert load_config(tmp_path / "config.yaml", {}).feeds


@pytest.mark.parametrize(
    ("kind", "name", "cls"), PLUGINS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_every_plugin_has_a_summary_an_example_and_described_parameters(kind, name, cls):
    assert cls.__doc__, f"{name} has no docstring"
    assert yaml_blocks(cls.__doc__), f"{name} has no example in YAML"
    silent = [field for field, about in cls.model_fields.items() if not about.description]
    assert not silent, f"{name}: parameters without a description: {silent}"
    assert prose(cls).split("\n\n")[0].rstrip().endswith((".", ":")), "the summary is a sentence"


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_docs_are_current(name):
    written = (DOCS / name).read_text("utf-8")
    assert written == PAGES[name](), "run `python -m feedkit.reference`"


def test_every_key_is_described():
    page = (DOCS / "config.md").read_text("utf-8")
    for cls in (FileKeys, ServiceKeys, NetworkKeys, FeedKeys, Example, *STREAMS.values()):
        for key, field in zip(keys_of(cls), cls.model_fields.values(), strict=True):
            assert field.description, key
            assert f"| `{key}` |" in page
    assert set(HEADINGS) == set(KINDS)


def test_listing_and_describe():
    text = listing(FOUND)
    for _, name, _ in PLUGINS:
        assert f"\n  {name} " in text
    said = describe(FOUND, "per_author")
    assert said.startswith("per_author (selector)\n")
    assert "per_author: {most: 2, window: 10}" in said
    assert "most: whole number, at least 1 (default: 2)" in said
    assert "```" not in said
    with pytest.raises(ConfigError, match="no plugin is called 'per_authors'; did you mean 'per_a"):
        describe(FOUND, "per_authors")


def test_describe_knows_the_plugins_of_the_folder():
    found = discover(ROOT / "feeds")
    assert "described:" in describe(found, "described")
    assert "described" in listing(found)


# ── JSON Schema ─────────────────────────────────────────────────────────────────────────────────

SCHEMA = json_schema(FOUND.plugins)
VALIDATOR = Draft202012Validator(SCHEMA)


def config(**feed):
    return {"service": SERVICE, "feeds": {"birds": {"filter": "reply", **feed}}}


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_the_example_and_all_blocks_fit_the_schema():
    whole = yaml.safe_load((ROOT / "config.example.yaml").read_text("utf-8"))
    VALIDATOR.validate(whole)


@pytest.mark.parametrize("block", EXAMPLES)
def test_every_yaml_block_fits_the_schema(block):
    tree = json.loads(json.dumps(completed(block), default=str))  # dates are texts in editors
    VALIDATOR.validate(tree)


@pytest.mark.parametrize(
    "tree",
    [
        config(filter={"keywords": ["heron", 3, True]}),
        config(filter={"keywords": "heron"}),
        config(filter={"not": {"not": {"any": ["reply", {"keywords": {"words": "a"}}]}}}),
        config(filter="advert"),
        config(rank={"gravity": 1.5}, select={"per_author": 2}),
        config(rank={"gravity": {"gravity": "${GRAVITY:-1.8}"}}),
        config(keep="3d", refresh="1h30m", served="no", depth=10),
        config(examples={"in": ["a"], "out": "b"}),
        config(
            examples={"in": {"text": "a", "images": ""}}, order=["a", {"likes": 3, "age": "2h"}]
        ),
        {**config(), "stream": "firehose"},
        {**config(), "stream": {"jetstream": {"url": "wss://a.example.com", "compress": False}}},
        {**config(), "defaults": {"keep": "3d"}, "all_feeds": {"not": "reply"}},
        {**config(), "filters": {"advert": {"keywords": "#ad"}}},
    ],
)
def test_the_schema_takes(tree):
    VALIDATOR.validate(tree)


@pytest.mark.parametrize(
    "tree",
    [
        config(filter={"keyword": ["heron"]}),
        config(filter={"all": [{"any": [{"keyword": "heron"}]}]}),
        config(filter=["reply"]),
        config(filter={"keywords": {"word": "heron"}}),
        config(filter={"keywords": "a", "reply": {}}),
        config(filter={"has_media": "imege"}),
        config(filter={"all": []}),
        config(rank="keywords"),
        config(rank="newst"),
        config(rank={"gravity": {"gravity": "high"}}),
        config(select=[{"newest": {}}]),
        config(keep="long"),
        config(depth=0),
        config(served="perhaps"),
        config(colour="brown"),
        config(examples={"inside": "a"}),
        config(examples={"in": {"txt": "a"}}),
        config(order=[{"likes": "many"}]),
        {"feeds": {}},
        {"service": {"hostname": "feeds.example.com"}},
        {**config(), "stream": "jetstrem"},
        {**config(), "stream": {"jetstream": {"uri": "wss://a.example.com"}}},
    ],
)
def test_the_schema_refuses(tree):
    assert not VALIDATOR.is_valid(tree)
