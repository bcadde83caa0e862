"""A configuration is a service, or every problem at once: each at its place, in plain words."""

from __future__ import annotations

import os
import random
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from _trials import trials
from hypothesis import given, settings
from hypothesis import strategies as st

from feedkit import All, Any, Everything, HasMedia, Keywords, Newest, Not, PerAuthor, Regex, Reply
from feedkit.config import load_config
from feedkit.config.keys import FeedKeys, Firehose, Jetstream
from feedkit.config.names import is_did, is_handle, is_record_key
from feedkit.config.ordinary import ORDINARY, refusal
from feedkit.config.problems import ConfigError
from feedkit.plugin import Field, Filter
from feedkit.post import Post
from feedkit.settings import Example, Examples, FeedConfig, Network, Stream
from feedkit.testing.examples import examples

ROOT = Path(__file__).resolve().parents[1]
BAD = ROOT / "tests" / "config" / "bad"
SHARED = Path(os.environ.get("FEEDKIT_SHARED", ROOT.parent / "shared"))
HEAD = "service: {hostname: feeds.example.com, publisher: alice.example.com}\n"


def load(folder, text, environ=None, **files):
    """The configuration `text`, with files beside it; `feeds__birds_py` is feeds/birds.py."""
    (folder / "config.yaml").write_text(text, "utf-8")
    for name, content in files.items():
        *parts, last = name.split("__")
        file = folder.joinpath(*parts, re.sub(r"_(py|yaml|yml)$", r".\1", last))
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, "utf-8")
    return load_config(folder / "config.yaml", environ or {})


def feed(folder, settings, environ=None, **files):
    """The one feed with these settings, as one YAML flow mapping or indented by four."""
    return load(folder, f"{HEAD}feeds:\n  birds: {settings}\n", environ, **files).feeds["birds"]


def problems(folder, text, environ=None, **files):
    with pytest.raises(ConfigError) as raised:
        load(folder, text, environ, **files)
    return [str(problem).replace(f"{folder}{os.sep}", "") for problem in raised.value.problems]


# ── mistakes ────────────────────────────────────────────────────────────────────────────────────


MISTAKES = sorted(path.stem for path in BAD.glob("*.txt"))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_its_exact_messages(name, monkeypatch):
    monkeypatch.chdir(BAD)
    folder = Path(name)
    path = folder / "config.yaml" if folder.is_dir() else Path(f"{name}.yaml")
    with pytest.raises(ConfigError) as raised:
        load_config(path, {})
    assert str(raised.value).split("\n") == Path(f"{name}.txt").read_text("utf-8").splitlines()


def test_every_mistake_has_its_messages():
    written = {path.stem for path in BAD.glob("*.yaml")}
    written |= {path.name for path in BAD.iterdir() if path.is_dir() and path.name[0] != "_"}
    assert written == set(MISTAKES)
    assert len(MISTAKES) >= 35


def test_problems_are_sorted_and_have_places():
    with pytest.raises(ConfigError) as raised:
        load_config(BAD / "many_at_once.yaml", {})
    found = raised.value.problems
    assert [problem.place.line for problem in found] == [2, 6, 9, 10, 11, 12, 13]
    assert all(problem.place.column and problem.message for problem in found)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file"):
        load_config(tmp_path / "config.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


def test_a_database_password_is_not_repeated(tmp_path):
    text = HEAD + "store: ${DATABASE}\nfeeds: {birds: {filter: reply}}\n"
    (said,) = problems(tmp_path, text, {"DATABASE": "mysql://feeds:secret@db/feeds"})
    assert "secret" not in said


# ── YAML ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("no", {"no"}),
        ("[yes, off, ~, null]", {"yes", "off", "~", "null"}),
        ("12:30", {"12:30"}),
        ("[3.10, 1e3, 0x10, 010]", {"3.10", "1e3", "0x10", "010"}),
        ("2026-01-31", {"2026-01-31"}),
        ("[heron, heron]", {"heron"}),
        ('"#birds"', {"#birds"}),
        ('["a: b", "x # y"]', {"a: b", "x # y"}),
        ("end$", {"end$"}),
        ("$$$", {"$$$"}),
        ("$${BIRD}", {"${BIRD}"}),
        ("${BIRD}", {"heron"}),
        ("x${BIRD}${NONE:-wren}y", {"xheronwreny"}),
        ("${EMPTY:-owl}", {"owl"}),
        ("${NONE:-a:-b}", {"a:-b"}),
        ("!!str heron", {"heron"}),
    ],
)
def test_scalars_are_text(tmp_path, written, words):
    environ = {"BIRD": "heron", "EMPTY": ""}
    made = feed(tmp_path, f"\n    filter:\n      keywords: {written}", environ)
    assert made.filter == Keywords(words)


def test_anchors_aliases_and_merge_keys(tmp_path):
    text = HEAD + (
        "feeds:\n"
        "  birds: &birds\n"
        "    filter: &filter {keywords: [&heron heron, *heron]}\n"
        "    keep: 3d\n"
        "    depth: 10\n"
        "  wrens:\n"
        "    <<: *birds\n"
        "    depth: 20\n"
        "  owls: {filter: {not: *filter, <<: {}}, <<: [{keep: 1d}, *birds], filter: reply}\n"
    )
    with pytest.raises(ConfigError, match="'filter' stands here twice"):
        load(tmp_path, text)
    feeds = load(tmp_path, text.replace("filter: {not: *filter, <<: {}}, ", "")).feeds
    assert feeds["wrens"].filter == feeds["birds"].filter == Keywords("heron")
    assert [feed.depth for feed in feeds.values()] == [10, 20, 10]
    assert [feed.keep.days for feed in feeds.values()] == [3, 3, 1]
    assert feeds["owls"].filter == Reply()


def test_a_byte_order_mark_is_left_out(tmp_path):
    text = "\ufeff" + HEAD + "feeds: {birds: {filter: reply}}\n"
    assert load(tmp_path, text).feeds["birds"].filter == Reply()


@pytest.mark.parametrize("loader", ["CBaseLoader", "BaseLoader"])
def test_columns_are_counted_without_the_byte_order_mark(tmp_path, monkeypatch, loader):
    monkeypatch.setattr("feedkit.config.yamlreader.Loader", getattr(yaml, loader))
    (said,) = problems(tmp_path, "\ufeffstor: x.db\n" + HEAD + "feeds: {birds: {filter: reply}}\n")
    assert said.startswith("config.yaml:1:1: stor: ")


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_line_ends_of_windows(tmp_path, newline):
    text = (HEAD + "feeds:\n  birds:\n    filter: replies\n").replace("\n", newline)
    (tmp_path / "config.yaml").write_bytes(text.encode())
    with pytest.raises(ConfigError, match=r":4:13: feeds\.birds\.filter: no filter is called"):
        load_config(tmp_path / "config.yaml", {})


# ── how plugins are written ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("written", "filter"),
    [
        ("reply", Reply()),
        ("{reply: {}}", Reply()),
        ("{keywords: heron}", Keywords("heron")),
        ("{keywords: [heron, wren]}", Keywords(["heron", "wren"])),
        ("{keywords: {words: heron, case: on}}", Keywords("heron", case=True)),
        ("{keywords: {words: heron, in: alt}}", Keywords("heron", in_="alt")),
        ("{not: reply}", Not(Reply())),
        ("{not: {filter: reply}}", Not(Reply())),
        ("{not: {keywords: heron}}", Not(Keywords("heron"))),
        ("{all: [{keywords: a}, {not: reply}]}", All((Keywords("a"), Not(Reply())))),
        ("{any: {keywords: a}}", Any((Keywords("a"),))),
        ("{any: {filters: [reply, part]}}", Any((Reply(), Keywords("#ad")))),
        ("{has_media: {kinds: [image, video], least: 2}}", HasMedia(["image", "video"], 2)),
        (r"{regex: \bheron\b}", Regex(r"\bheron\b")),
        ("part", Keywords("#ad")),
        ("{not: part}", Not(Keywords("#ad"))),
    ],
)
def test_a_filter_is_its_name_its_first_parameter_or_its_parameters(tmp_path, written, filter):
    text = HEAD + (
        "filters: {part: {keywords: '#ad'}}\n"
        f"feeds: {{birds: {{filter: {{any: [{written}, {{keywords: x}}]}}}}}}\n"
        "all_feeds: {any: [everything]}\n"
    )
    built = load(tmp_path, text).feeds["birds"].filter
    assert built.filters[0].filters[0] == filter


def test_rank_and_select(tmp_path):
    made = feed(tmp_path, "{filter: reply, rank: {gravity: 1.5}, select: {per_author: 3}}")
    assert (made.rank.gravity, made.select) == (1.5, (PerAuthor(3),))
    assert feed(tmp_path, "{filter: reply}").rank == Newest()


DICTIONARY = """
from datetime import timedelta
from feedkit import Field, Filter, Selector

class Weighted(Filter):
    weights: dict[str, float] = Field(description="weights by word")
    least: float = 1

    def match(self, post):
        return sum(self.weights.get(w, 0) for w in post.text.split()) >= self.least

class Unless(Filter):
    either: dict[str, Filter] = {}
    limit: int | Filter = 3
    within: timedelta = timedelta(days=1)
    several: list[timedelta] = ()
    pair: tuple[int, str] = (1, "a")

    def match(self, post):
        return True
"""


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("{weighted: {heron: 2, wren: 0.5}}", {"weights": {"heron": 2, "wren": 0.5}, "least": 1}),
        ("{weighted: {weights: {heron: 2}, least: 3}}", {"weights": {"heron": 2}, "least": 3}),
        ("{weighted: {least: 3, heron: 1}}", {"weights": {"heron": 1, "least": 3}}),
        ("{unless: {a: reply, b: {not: reply}}}", {"either": {"a": Reply(), "b": ~Reply()}}),
        ("{unless: {limit: 7}}", {"limit": 7}),
        ("{unless: {limit: reply}}", {"limit": Reply()}),
        ("{unless: {limit: {not: reply}}}", {"limit": ~Reply()}),
        ("{unless: {within: 36h}}", {"within": timedelta(hours=36)}),
        ("{unless: {several: 1m30s}}", {"several": (timedelta(seconds=90),)}),
        ("{unless: {pair: [2, b]}}", {"pair": (2, "b")}),
    ],
)
def test_parameters_of_every_shape(tmp_path, written, values):
    made = feed(tmp_path, f"{{filter: {{all: [{written}, everything]}}}}", feeds__x_py=DICTIONARY)
    built = made.filter.filters[0]
    assert {name: getattr(built, name) for name in values} == values


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{weighted: {heron: much}}", "weighted.heron: must be a number, not 'much'"),
        ("{unless: {a: replies}}", "unless.a: no filter is called 'replies'"),
        ("{unless: {limit: x}}", "unless.limit: must be a whole number or a filter, not 'x'"),
        ("{unless: {limit: {nott: reply}}}", "unless.limit: no filter is called 'nott'; did you"),
        ("{unless: {several: [1m, 2]}}", "unless.several[1]: must be a duration such as"),
        ("{unless: {pair: [2, b, c]}}", "unless.pair: "),
    ],
)
def test_mistakes_in_parameters_of_every_shape(tmp_path, written, said):
    text = f"{HEAD}feeds: {{birds: {{filter: {written}}}}}\n"
    (problem,) = problems(tmp_path, text, feeds__x_py=DICTIONARY)
    assert said in problem


def test_a_plugins_own_checks_are_heard(tmp_path):
    code = (
        "from pydantic import model_validator, field_validator\n"
        "from feedkit import Filter\n"
        "class Near(Filter):\n"
        "    least: int = 1\n"
        "    most: int = 2\n"
        "    @field_validator('least')\n"
        "    def small(cls, value):\n"
        "        if value > 9: raise ValueError('nine is plenty')\n"
        "        return value\n"
        "    @model_validator(mode='after')\n"
        "    def ordered(self):\n"
        "        if self.most == 7: raise KeyError('seven')\n"
        "        if self.least > self.most: raise ValueError('least is more than most')\n"
        "        return self\n"
        "    def match(self, post): return True\n"
    )
    for written, said in [
        ("{near: {least: 10}}", "config.yaml:2:40: feeds.birds.filter.near.least: nine is plenty"),
        ("{near: {least: 3}}", "2:26: feeds.birds.filter.near: least is more than most"),
        ("{near: {most: 7}}", "feeds.birds.filter.near: near could not be made: KeyError: 'seven'"),
    ]:
        text = f"{HEAD}feeds: {{birds: {{filter: {written}}}}}\n"
        (problem,) = problems(tmp_path, text, feeds__x_py=code)
        assert problem.endswith(said)


# ── the parts together ──────────────────────────────────────────────────────────────────────────


def test_same_as_finds_parts_and_feeds(tmp_path):
    text = HEAD + (
        "filters:\n"
        "  wrens: {keywords: wren}\n"
        "  both: {any: [{same_as: birds}, {same_as: wrens}]}\n"
        "feeds:\n"
        "  birds: {filter: {keywords: heron}}\n"
        "  all-birds: {filter: {all: [both, {same_as: both}]}}\n"
    )
    service = load(tmp_path, text)
    wanted = service.feeds["all-birds"].filter
    assert wanted.match(Post(uri="at://a", text="a wren"))
    assert wanted.match(Post(uri="at://a", text="a heron"))
    assert not wanted.match(Post(uri="at://a", text="an owl"))
    assert wanted.filters[0] is service.filters["both"]


def test_defaults_and_all_feeds(tmp_path):
    text = HEAD + (
        "defaults: {keep: 1d, rank: gravity, labels: [spoiler]}\n"
        "all_feeds: {not: reply}\n"
        "feeds:\n"
        "  birds: {filter: {keywords: heron}}\n"
        "  wrens: {filter: {keywords: wren}, keep: 2d, rank: newest}\n"
    )
    feeds = load(tmp_path, text, feeds__owls_yaml="filter: {keywords: owl}\n").feeds
    assert [feed.keep.days for feed in feeds.values()] == [1, 2, 1]
    assert [feed.rank.yaml_name() for feed in feeds.values()] == ["gravity", "newest", "gravity"]
    assert all(feed.labels == ("spoiler",) for feed in feeds.values())
    assert feeds["owls"].filter == Keywords("owl") & ~Reply()


def test_everything_a_feed_can_say(tmp_path):
    (tmp_path / "birds.png").write_bytes(b"\x89PNG\r\n\x1a\n and so on")
    made = feed(
        tmp_path,
        "\n    filter: {keywords: heron}\n    display_name: Birds 🐦\n"
        "    description: About birds\n"
        "    avatar: birds.png\n    content_mode: video\n    accepts_interactions: yes\n"
        "    labels: spoiler\n    publisher: '@Bob.example.com'\n    served: no\n    refresh: 90s\n"
        "    keep: 2w\n    depth: 500\n    examples: {in: A heron, out: [A wren, An owl]}\n"
        "    order: [{text: A heron, likes: 3, age: 2h, images: ['']}, A wren]",
    )
    assert made == FeedConfig(
        name="birds", filter=Keywords("heron"), rank=Newest(), display_name="Birds 🐦",
        description="About birds", avatar="birds.png", content_mode="video",
        accepts_interactions=True, labels=("spoiler",), publisher="bob.example.com", served=False,
        refresh=timedelta(seconds=90), keep=timedelta(weeks=2), depth=500,
        examples=Examples(
            ("A heron",), ("A wren", "An owl"),
            (Example("A heron", likes=3, age="2h", images=[""]), "A wren"),
        ),
        place=f"{tmp_path}/config.yaml:3",
    )  # fmt: skip


def test_what_is_not_said_is_the_settings_own_default(tmp_path):
    made = feed(tmp_path, "{filter: reply}")
    plain = FeedConfig(name="birds", filter=Reply(), rank=Newest(), display_name="birds")
    assert made == plain.__class__(**{**vars(plain), "place": made.place})


def test_an_avatar_of_the_wrong_kind_or_size(tmp_path):
    (tmp_path / "big.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1_000_000))
    (tmp_path / "bird.gif").write_bytes(b"GIF89a")
    for name, said in [("big.png", "larger than the 1 MB"), ("bird.gif", "neither a PNG nor")]:
        text = f"{HEAD}feeds: {{birds: {{filter: reply, avatar: {name}}}}}\n"
        assert said in problems(tmp_path, text)[0]


def test_the_service(tmp_path):
    text = (
        "service: {hostname: Feeds.Example.com, publisher: did:plc:ewvi7nxzyoun6zhxrhs64oiz}\n"
        "network: {plc: http://localhost:2582/, appview: http://localhost:2584}\n"
        "feeds: {birds: {filter: reply}}\n"
    )
    service = load(tmp_path, text)
    assert service.hostname == "feeds.example.com"
    assert service.did == "did:web:feeds.example.com"
    assert service.publisher == "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
    assert service.network == Network("http://localhost:2582", "http://localhost:2584")
    assert (service.store, service.stream) == ("sqlite:///feedkit.db", Stream())
    assert service.path == tmp_path / "config.yaml"
    environ = {"DATABASE_URL": "postgres://u:p@h/feeds"}
    assert load(tmp_path, text, environ).store == "postgres://u:p@h/feeds"
    assert load(tmp_path, text + "store: sqlite:///x.db\n", environ).store == "sqlite:///x.db"
    local = text.replace("Feeds.Example.com", "localhost:8000")
    assert load(tmp_path, local).did == "did:web:localhost%3A8000"
    own = text.replace("hostname:", "did: did:plc:ewvi7nxzyoun6zhxrhs64oiz, hostname:")
    assert load(tmp_path, own).did == "did:plc:ewvi7nxzyoun6zhxrhs64oiz"


@pytest.mark.parametrize(
    ("written", "stream"),
    [
        ("jetstream", Stream()),
        ("{jetstream: wss://a.example.com/x}", Stream(url="wss://a.example.com/x")),
        ("firehose", Stream("firehose", compress=False)),
        ("{firehose: {idle: 2m}}", Stream("firehose", compress=False, idle=120.0)),
        (
            "{jetstream: {url: ws://localhost:6008, compress: no, backoff: 0.1s, idle: 5m}}",
            Stream("jetstream", "ws://localhost:6008", False, 0.1, 60.0, 300.0),
        ),
        (
            "{firehose: {url: ws://localhost:2583, backoff: 3s, backoff_cap: 2s}}",
            Stream("firehose", "ws://localhost:2583", False, 3.0, 3.0, 60.0),
        ),
    ],
)
def test_streams(tmp_path, written, stream):
    text = f"{HEAD}stream: {written}\nfeeds: {{birds: {{filter: reply}}}}\n"
    assert load(tmp_path, text).stream == stream


def test_each_kind_of_stream_has_its_own_address():
    assert "jetstream" in Stream().url
    assert Stream("firehose").url == "wss://bsky.network/xrpc/com.atproto.sync.subscribeRepos"
    assert replace(Stream("firehose", "ws://localhost"), idle=1.0).url == "ws://localhost"


def test_defaults_are_written_once():
    assert (Jetstream().url, Firehose().url) == (Stream().url, Stream("firehose").url)
    for name in ("keep", "refresh", "depth", "labels", "served", "description", "avatar"):
        assert FeedKeys.model_fields[name].default == getattr(FeedConfig, name)


# ── the whole firehose ──────────────────────────────────────────────────────────────────────────


class Sample(Filter):
    """Every second post."""

    def match(self, post):
        return post.uri[-1] in "0246"


class Liked(Filter):
    least: int = Field(1)

    def match(self, post):
        return post.likes >= self.least


class Wrong(Filter):
    def match(self, post):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "filter",
    [
        ~Reply(), ~Reply() & ~HasMedia(), ~Keywords("#ad"), Regex("."), Regex("^"),
        Keywords("heron") | ~Reply(), ~~Regex(".?"), ~(Keywords("a") & Keywords("heron")),
        ~HasMedia("image") & ~Reply() & ~Keywords("#ad"),
    ],
    ids=lambda filter: filter.yaml_name(),
)  # fmt: skip
def test_the_whole_firehose_is_refused(filter):
    assert "takes the whole firehose" in refusal(filter)


@pytest.mark.parametrize(
    "filter",
    [
        Everything(), Everything() & ~Reply(), Reply(), HasMedia("image"), Keywords("heron"),
        ~Reply() & HasMedia("image"), Sample(), Wrong(), ~Reply() & Keywords("the"),
        Keywords([post.text.split()[0] for post in ORDINARY]),
    ],
    ids=lambda filter: filter.yaml_name(),
)  # fmt: skip
def test_what_asks_for_something_is_not_the_whole_firehose(filter):
    assert refusal(filter) == ""


@pytest.mark.parametrize("language", ["en", "ja", "de"])
def test_a_language_is_not_the_whole_firehose(tmp_path, language):
    made = feed(tmp_path, f"{{filter: {{all: [{{language: {language}}}, {{not: reply}}]}}}}")
    assert not made.filter.match(next(post for post in ORDINARY if post.langs == ("pt",)))


def test_a_filter_that_asks_for_likes_is_sent_to_at_least(tmp_path):
    code = (
        "from feedkit import Filter\n"
        "class Liked(Filter):\n"
        "    def match(self, post): return post.likes > 3\n"
    )
    text = f"{HEAD}feeds: {{birds: {{filter: liked}}}}\n"
    (said,) = problems(tmp_path, text, feeds__x_py=code)
    assert "feeds.birds.filter: a post has no likes when it arrives" in said
    assert "at_least" in said
    assert "no likes" in refusal(Liked())


# ── names of the protocol ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("check", "name"), [(is_handle, "handle"), (is_did, "did"), (is_record_key, "recordkey")]
)
@pytest.mark.parametrize("valid", [True, False])
def test_interop_vectors(check, name, valid):
    file = SHARED / f"protocol/interop/syntax/{name}_syntax_{'' if valid else 'in'}valid.txt"
    if not file.exists():
        pytest.skip("the interop vectors are not here")
    lines = [line for line in file.read_text("utf-8").split("\n") if line and line[0] != "#"]
    assert [line for line in lines if check(line) is not valid] == []


# ── nothing but ConfigError ─────────────────────────────────────────────────────────────────────

EXAMPLE = (ROOT / "config.example.yaml").read_text("utf-8")
PIECES = [
    "#", ":", " ", "\n", "\t", "-", "- ", "[", "]", "{", "}", "*a", "&a ", "<<: *a", "'", '"', "|",
    ">", "!", "!!int ", "%", "@", "`", "?", ",", "${", "${X}", "${X:-}", "$${", "\\", "\0", "\x85",
    "\ufeff", "\u2028", "\ud7ff", "é", "🐦", "null", "~", "9" * 400, "-1", "1e999", "nan", "0x",
    "filter:", "any:", "all: []", "not:", "same_as: linux", "same_as: papers", "reply", "in: ",
]  # fmt: skip


def mutated(seed):
    chance = random.Random(seed)
    text = EXAMPLE
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(text) + 1)
        to = min(len(text), at + chance.choice([0, 0, 1, 1, 3, 20, 200]))
        what = chance.randrange(4)
        if what == 0:
            text = text[:at] + chance.choice(PIECES) + text[to:]
        elif what == 1:
            text = text[:at] + text[to:]
        elif what == 2:
            text = text[:at] + text[at:to] * 2 + text[to:]
        else:
            lines = text.split("\n")
            one, two = chance.randrange(len(lines)), chance.randrange(len(lines))
            lines[one], lines[two] = lines[two], lines[one]
            text = "\n".join(lines)
    return text


def only_config_errors(folder, source):
    (folder / "config.yaml").write_bytes(source)
    try:
        load_config(folder / "config.yaml", {"X": "heron"})
    except ConfigError as error:
        found = error.problems
    else:
        return
    assert found
    assert all(problem.message and "\n" not in str(problem) for problem in found)


@pytest.mark.parametrize("loader", ["CBaseLoader", "BaseLoader"])
@pytest.mark.parametrize("start", range(0, 300, 100))
def test_no_mutation_of_the_example_gives_a_traceback(tmp_path, monkeypatch, start, loader):
    monkeypatch.setattr("feedkit.config.yamlreader.Loader", getattr(yaml, loader))
    for seed in range(start, start + trials(100)):
        only_config_errors(tmp_path, mutated(seed).encode("utf-8", "surrogatepass"))


@settings(max_examples=trials(100), deadline=None)
@given(
    source=st.binary(max_size=200)
    | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace"))
)
def test_no_bytes_give_a_traceback(tmp_path_factory, source):
    only_config_errors(tmp_path_factory.mktemp("bytes"), source)


NESTED = st.recursive(
    st.sampled_from(["reply", "x", "3", "newest", "advert", "", "~", "3d", "${X}"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["all", "any", "not", "keywords", "words", "gravity", "same_as", "name", "filter",
             "filters", "rank", "select", "in", "out", "examples", "per_author", "linux", "keep"]
        ),
        inner,
        max_size=3,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=trials(200), deadline=None)
@given(tree=st.dictionaries(st.sampled_from(
    ["service", "store", "stream", "network", "filters", "defaults", "all_feeds", "feeds", "x"]
), NESTED))  # fmt: skip
def test_no_tree_gives_a_traceback(tmp_path_factory, tree):
    import json

    only_config_errors(tmp_path_factory.mktemp("tree"), json.dumps(tree).encode())


def test_the_example_loads():
    service = load_config(ROOT / "config.example.yaml", {})
    assert {"linux", "papers", "gardens"} <= service.feeds.keys()
    assert {"advert", "adult"} == service.filters.keys()
    for made in service.feeds.values():
        for case in examples(made):
            assert case.problem() is None, case.problem()


@pytest.mark.parametrize(
    ("store", "environ", "url", "most"),
    [
        ("", {}, "sqlite:///feedkit.db", 0),
        ("", {"DATABASE_URL": "postgres://h/a"}, "postgres://h/a", 0),
        ("store: sqlite:///a.db", {"DATABASE_URL": "postgres://h/a"}, "sqlite:///a.db", 0),
        ("store: {url: 'sqlite:///a.db', max: 2GB}", {}, "sqlite:///a.db", 2_000_000_000),
        ("store: {max: 1.5 GiB}", {}, "sqlite:///feedkit.db", 1_610_612_736),
        ("store: {max: 500m}", {"DATABASE_URL": "postgres://h/a"}, "postgres://h/a", 500_000_000),
        ("store: {url: 'sqlite:///a.db'}", {}, "sqlite:///a.db", 0),
    ],
)
def test_the_store_is_an_address_or_a_mapping(tmp_path, store, environ, url, most):
    service = load_config(written_to(tmp_path, store), environ)
    assert (service.store, service.store_max) == (url, most)


def test_how_long_rankings_are_kept(tmp_path):
    for store, kept in (("", 60), ("store: {rankings: 10m}", 10), ("store: {rankings: 2h}", 120)):
        service = load_config(written_to(tmp_path, store), {})
        assert service.store_rankings == timedelta(minutes=kept)


@pytest.mark.parametrize(
    ("store", "says"),
    [
        ("store: {rankings: 10s}", "store.rankings: must be 1 minute or more, not '10s'"),
        ("store: {rankings: 2d}", "store.rankings: must be 1 day or less, not '2d'"),
        ("store: {max: 2}", "store.max: must be 10MB or more, not '2'; does it lack its unit?"),
        ("store: {max: lots}", "store.max: must be a size such as 500MB or 2GB, not 'lots'"),
        ("store: {size: 2GB}", "store has no key 'size'"),
        ("store: {url: 'mysql://a', max: 2GB}", "store.url: must be sqlite:///FILE or postgresql"),
    ],
)
def test_what_is_no_store_is_refused(tmp_path, store, says):
    with pytest.raises(ConfigError) as raised:
        load_config(written_to(tmp_path, store), {})
    assert says in str(raised.value)


def written_to(folder, store):
    path = folder / "config.yaml"
    path.write_text(
        "service: {hostname: feeds.example.com, publisher: alice.example.com}\n"
        f"{store}\nfeeds:\n  birds: {{filter: {{keywords: heron}}}}\n"
    )
    return path
