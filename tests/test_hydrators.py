"""The built-in hydrators and their filters, against an AppView on loopback; the configuration;
scores from a file; the examples in feeds/."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from _appview import FakeAppView, said
from pydantic import ValidationError
from storing import apply, at, did, order, uri, written

from feedkit import (
    Author,
    AuthorFollowers,
    AuthorProfile,
    Keywords,
    NewAccount,
    Newest,
    Parent,
    ParentPost,
    PostingRate,
    Quoted,
    QuotedPost,
)  # fmt: skip
from feedkit.appview import AppView
from feedkit.config import ConfigError, load_config
from feedkit.explain import explain
from feedkit.hydrate import Hydration
from feedkit.hydrate.context import WebContext
from feedkit.matcher import Matcher
from feedkit.post import as_mapping, from_mapping
from feedkit.settings import FeedConfig, Network, Service
from feedkit.store import Store
from feedkit.testing import ALICE, BOB, ContractBroken, check_plugin, corpus, post

ROOT = Path(__file__).resolve().parents[1]


class Bluesky(FakeAppView):
    """`profiles`: by DID; `records`: posts by URI."""

    def __init__(self) -> None:
        super().__init__()
        self.profiles: dict[str, dict[str, Any]] = {}
        self.records: dict[str, Any] = {}
        self.always = self._known

    def _known(self, method: str, query: dict[str, list[str]]) -> Any:
        if method == "app.bsky.actor.getProfiles":
            assert len(query["actors"]) <= 25
            found = [{"did": who, **self.profiles[who]} for who in query["actors"]
                     if who in self.profiles]  # fmt: skip
            return said({"profiles": found})
        if method == "app.bsky.feed.getPosts":
            assert len(query["uris"]) <= 25
            return said({"posts": [
                {"uri": uri, "cid": "bafy", "indexedAt": "2026-07-04T12:00:00Z", "record": {
                    "$type": "app.bsky.feed.post", "createdAt": "2026-07-04T12:00:00Z",
                    **self.records[uri]}}
                for uri in query["uris"] if uri in self.records
            ]})  # fmt: skip
        return None


@pytest.fixture
def bluesky(monkeypatch: Any) -> Any:
    monkeypatch.setattr(AppView.__init__, "__defaults__", (0.001,))
    view = Bluesky()
    with view.serving():
        yield view


@pytest.fixture
def context(bluesky: Bluesky, store: Store) -> Any:
    with WebContext(Network(appview=bluesky.address), store) as made:
        yield made


def service(bluesky: Bluesky, *hydrators: Any, **feeds: Any) -> Service:
    return Service(
        hostname="feeds.example.com", publisher=did("ann"), did="did:web:feeds.example.com",
        feeds={n: f if isinstance(f, FeedConfig) else FeedConfig(n, f, Newest())
               for n, f in feeds.items()},
        hydrators=hydrators, network=Network(appview=bluesky.address),
    )  # fmt: skip


def arrive(store: Store, made: Service, *posts: Any) -> None:
    matcher = Matcher(made.feed_filters, made.keeps_missing)
    store.sync_feeds(dict.fromkeys(made.feeds, "1"))
    apply(store, *((event, matcher.match(event.post)) for event, _ in posts))


def once(store: Store, made: Service) -> None:
    Hydration(made, store).once(threading.Event())


def test_profiles_in_batches(bluesky: Bluesky, store: Store) -> None:
    """One question for 25 posts; who is not there yet is asked for again."""
    names = [f"a{n}" for n in range(30)]
    bluesky.profiles = {
        did(name): {"followersCount": n, "createdAt": "2026-07-01T00:00:00.000Z"}
        for n, name in enumerate(names) if n != 7
    }  # fmt: skip
    made = service(bluesky, AuthorProfile(), big=Keywords("seen") & AuthorFollowers(least=5))
    arrive(store, made, *(written(f"p-{n}", rev="1", author=name, text="seen", seconds=n)
                          for n, name in enumerate(names)))  # fmt: skip
    once(store, made)
    assert order(store, "big") == [uri(f"p-{n}", f"a{n}") for n in range(29, 4, -1) if n != 7]
    assert [len(query["actors"]) for _, query in bluesky.asked] == [25, 5]
    assert store.stats().pending == 1
    bluesky.profiles[did("a7")] = {"followersCount": 700}
    store.db.run("UPDATE features SET next_at = 0 WHERE value = ''")
    once(store, made)
    assert uri("p-7", "a7") in order(store, "big")


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("profile", "want"),
    [
        ({"followersCount": 3, "followsCount": 4, "postsCount": 5,
          "createdAt": "2026-07-04T12:00:00.000Z"}, (3, 4, 5, at(0).timestamp())),
        ({}, (None, None, None, None)),
        ({"followersCount": "3", "followsCount": -1, "postsCount": True, "createdAt": "soon"},
         (None, None, None, None)),
        ({"createdAt": "2026-07-04T12:00:00"}, (None, None, None, None)),
        ({"createdAt": None}, (None, None, None, None)),
    ],
)  # fmt: skip
def test_what_a_profile_says(bluesky: Bluesky, context: Any, profile: Any, want: Any) -> None:
    bluesky.profiles = {ALICE: profile}
    found = AuthorProfile().hydrate([post(), post(author=BOB), post()], context)
    words = ("author_followers", "author_follows", "author_posts", "author_created")
    assert found == [dict(zip(words, want, strict=True)), {}, dict(zip(words, want, strict=True))]


@pytest.mark.parametrize(
    ("filter", "features", "want"),
    [
        (AuthorFollowers(least=10), {"author_followers": 10}, True),
        (AuthorFollowers(least=10), {"author_followers": 9}, False),
        (AuthorFollowers(most=10), {"author_followers": 10}, True),
        (AuthorFollowers(most=10), {"author_followers": 11}, False),
        (AuthorFollowers(1, 2), {"author_followers": 0}, False),
        (AuthorFollowers(1), {}, None),
        (AuthorFollowers(1), {"author_followers": None}, None),
        (AuthorFollowers(1, missing=True), {"author_followers": None}, True),
        (AuthorFollowers(1, missing=False), {"author_followers": None}, False),
        (NewAccount("2d"), {"author_created": at(-86400).timestamp()}, True),
        (NewAccount("2d"), {"author_created": at(-2 * 86400).timestamp()}, False),
        (NewAccount("2d"), {"author_created": at(60).timestamp()}, True),
        (NewAccount("2d"), {}, None),
        (NewAccount("2d", missing=True), {"author_created": None}, True),
    ],
)
def test_filters_by_the_author(filter: Any, features: Any, want: Any) -> None:
    shown = post(seen_at=at(0), features=features)
    assert filter.decide(shown) is want
    if want:
        assert filter.missing or filter.explain(shown)


@pytest.mark.parametrize("bad", [{}, {"least": 5, "most": 4}, {"least": -1}])
def test_bounds_make_sense(bad: Any) -> None:
    with pytest.raises(ValidationError):
        AuthorFollowers(**bad)


@pytest.mark.parametrize("shown", corpus(), ids=lambda p: p.uri[-13:])
def test_a_post_survives_as_a_mapping(shown: Any) -> None:
    plain = json.loads(json.dumps(as_mapping(shown)))
    assert from_mapping(plain) == shown


def test_the_quoted_post_and_the_parent(bluesky: Bluesky, store: Store) -> None:
    heron, wren = uri("heron", "bea"), uri("wren", "bea")
    bluesky.records = {heron: {"text": "A heron"}, wren: {"text": "A wren"}}
    made = service(bluesky, Quoted(), Parent(), quotes=QuotedPost(Keywords("heron")),
                   answers=ParentPost(Keywords("heron")),
                   mine=QuotedPost(Author(did("bea"))))  # fmt: skip
    arrive(store, made,
        written("q1", rev="1", quote=heron), written("q2", rev="1", quote=wren),
        written("q3", rev="1", quote=uri("gone", "bea")), written("a1", rev="1", reply_parent=heron),
        written("none", rev="1"))  # fmt: skip
    assert store.find_post(uri("none")) is None  # no question: it quotes nothing
    once(store, made)
    assert order(store, "quotes") == [uri("q1")]
    assert order(store, "answers") == [uri("a1")]
    assert order(store, "mine") == [uri("q2"), uri("q1")]
    assert [method for method, _ in bluesky.asked] == ["app.bsky.feed.getPosts"] * 2
    assert store.stats().pending == 2  # q3, in two feeds


def test_why_looks_at_the_other_post() -> None:
    quoting = post("look", quote=uri("heron"))
    filter = QuotedPost(Keywords("heron"))
    assert list(explain(filter, quoting).lines()) == ["? quoted_post  waits for quoted"]
    known = post("look", quote=uri("heron"), features={"quoted": as_mapping(post("A heron"))})
    first, second = explain(filter, known).lines()
    assert first.startswith("✓ quoted_post")
    assert second.strip() == "✓ keywords: [heron]  “heron” in text"
    assert list(explain(filter, post("heron")).lines()) == ["✗ quoted_post"]


def test_only_what_is_in_a_post_can_be_asked_of_another() -> None:
    with pytest.raises(ValidationError, match="nobody finds out author_followers of a post that"):
        QuotedPost(AuthorFollowers(5))


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_while_the_appview_is_away_posts_wait(bluesky: Bluesky, store: Store, caplog: Any) -> None:
    made = service(bluesky, AuthorProfile(), big=Keywords("seen") & AuthorFollowers(least=5))
    arrive(store, made, *(written(f"p{n}", rev="1", text="seen") for n in range(60)))
    bluesky.always = lambda method, query: said({"error": "Busy"}, 503)
    once(store, made)
    assert store.stats().pending == 60
    assert store.db.rows("SELECT count(*) FROM features WHERE tries > 0") == [(25,)]  # left alone
    assert "the hydrator author_profile failed on at://" in caplog.text
    assert "503" in caplog.text
    bluesky.always = bluesky._known
    bluesky.profiles = {did("ann"): {"followersCount": 9}}
    store.db.run("UPDATE features SET next_at = 0 WHERE value = ''")
    once(store, made)
    assert len(order(store, "big")) == 60


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_what_is_fetched_has_an_end(bluesky: Bluesky, context: Any) -> None:
    bluesky.always = lambda method, query: (200, {}, b"x" * 5000)
    address = f"{bluesky.address}/xrpc/blob?a=b"
    assert len(context.fetch(address)) == 5000
    with pytest.raises(ValueError, match="larger than 4,999 bytes"):
        context.fetch(address, most=4999)
    assert context.database.rows("SELECT 1 + ?", (1,)) == [(2,)]


# ── The configuration ───────────────────────────────────────────────────────────────────────────

HEAD = "service: {hostname: feeds.example.com, publisher: alice.example.com}\n"
BIRDS = """
from feedkit import Field, Filter, Hydrator

class Bird(Filter):
    "Posts with a bird in them."
    needs = {"bird"}
    def match(self, post):
        return post.features["bird"] > 0.5

class Birds(Hydrator):
    "Sees birds."
    provides = {"bird": float}
    def hydrate(self, posts, context):
        return [{"bird": 1.0} for post in posts]
"""


def loaded(folder: Path, text: str, **files: str) -> Service:
    (folder / "feeds").mkdir(exist_ok=True)
    for name, code in files.items():
        (folder / "feeds" / f"{name}.py").write_text(code, "utf-8")
    (folder / "config.yaml").write_text(HEAD + text, "utf-8")
    return load_config(folder / "config.yaml", {})


def wrong(folder: Path, text: str, **files: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        loaded(folder, text, **files)
    return [str(p).replace(f"{folder}/", "") for p in raised.value.problems]


FEED = "feeds: {birds: {filter: {all: [{keywords: heron}, bird]}, missing: yes}}\n"


def test_hydrators_are_found_and_made_where_they_are_needed(tmp_path: Path) -> None:
    made = loaded(tmp_path, FEED, birds=BIRDS)
    assert [one.yaml_name() for one in made.hydrators] == ["birds"]
    assert made.feeds["birds"].missing
    assert made.keeps_missing == {"birds"}
    assert loaded(tmp_path, "feeds: {a: {filter: {keywords: a}}}\n").hydrators == ()
    text = "feeds: {a: {filter: {all: [reply, {not: {new_account: 3d}}]}}}\n"
    assert loaded(tmp_path, text).hydrators == (AuthorProfile(),)


def test_a_word_that_nobody_provides(tmp_path: Path) -> None:
    said = wrong(tmp_path, FEED, birds=BIRDS.replace('{"bird": float}', '{"birds": float}'))
    assert said == [
        "config.yaml:2:51: feeds.birds.filter.all[1]: no hydrator provides 'bird'; did you mean "
        "'birds'?"
    ]
    ranker = """
from feedkit import Ranker
class ByBeauty(Ranker):
    "The beautiful first."
    needs = {"beauty"}
    def score(self, post, request):
        return post.features["beauty"]
"""
    text = "feeds: {birds: {filter: {keywords: heron}, rank: by_beauty}}\n"
    assert wrong(tmp_path, text, rank=ranker) == [
        "config.yaml:2:50: feeds.birds.rank: no hydrator provides 'beauty'"
    ]


@pytest.mark.parametrize(
    ("needs", "told"),
    [
        ('{"likes"}', "hot needs likes, which no post has when it arrives; use the selector"),
        ('{"viewer.follows", "likes"}', "hot needs likes, which no post has when it arrives"),
        ('{"viewer.follows"}', "hot needs viewer.follows, and nobody asks for a feed when a post"),
        ('{"beauty"}', "no hydrator provides 'beauty'"),
    ],
)
def test_a_filter_that_would_wait_for_ever(tmp_path: Path, needs: str, told: str) -> None:
    hot = f"""
from feedkit import Filter
class Hot(Filter):
    "The liked."
    needs = {needs}
    def match(self, post):
        return post.likes > 3
"""
    for filter, path in (("hot", ""), ("{all: [{not: hot}]}", ".all[0].not")):
        (said,) = wrong(tmp_path, f"feeds: {{birds: {{filter: {filter}}}}}\n", hot=hot)
        assert f"feeds.birds.filter{path}: {told}" in said


@pytest.mark.parametrize(
    ("body", "written", "told"),
    [
        ("w = 1", "{odd: 2}", "odd takes no parameters; parameters are annotated fields: w: int"),
        (
            "w = 1",
            "{odd: {w: 2}}",
            "odd takes no parameters; parameters are annotated fields: w: int",
        ),
        ("w: int = 1", "{odd: {x: 2}}", "odd has no parameter 'x'; it takes w"),
        ("LIMIT = 1", "{odd: 2}", "odd takes no parameters; write it alone"),
        (
            "def __init__(self, w): self.w = w",
            "{odd: 2}",
            "odd takes no parameters; parameters are annotated fields: w: str",
        ),
        (
            "def __init__(self, w): self.w = w",
            "odd",
            "missing 1 required positional argument: 'w'; parameters are annotated fields: w: str",
        ),
    ],
)
def test_parameters_that_are_none(tmp_path: Path, body: str, written: str, told: str) -> None:
    odd = f"""
from feedkit import Filter
class Odd(Filter):
    "Odd."
    {body}
    def match(self, post):
        return post.reply_parent == "x"
"""
    (said,) = wrong(tmp_path, f"feeds: {{birds: {{filter: {written}}}}}\n", odd=odd)
    assert said.endswith(told)


def test_only_the_first_line_of_what_pydantic_says(tmp_path: Path) -> None:
    odd = """
from pydantic import field_validator
from feedkit import Filter
class Odd(Filter):
    "Odd."
    w: str
    @field_validator("v")
    @classmethod
    def check(cls, value):
        return value
    def match(self, post):
        return False
"""
    (said, *more) = wrong(tmp_path, "feeds: {birds: {filter: {odd: x}}}\n", odd=odd)
    assert "PydanticUserError: " in said
    assert "further information" not in " ".join((said, *more))


OTHER = """
from feedkit import Field, Hydrator

class Model(Hydrator):
    "Sees birds by a model."
    provides = {"bird": float}
    path: str = Field(description="where the model is")
    def hydrate(self, posts, context):
        return [{} for post in posts]
"""


def test_one_of_several(tmp_path: Path) -> None:
    assert wrong(tmp_path, FEED, birds=BIRDS, model=OTHER) == [
        "config.yaml:2:51: feeds.birds.filter.all[1]: birds and model provide 'bird'; name the one "
        "you mean under hydrators:"
    ]
    chosen = "hydrators: [{model: birds.bin}]\n" + FEED
    (made,) = loaded(tmp_path, chosen, birds=BIRDS, model=OTHER).hydrators
    assert (made.yaml_name(), made.path) == ("model", "birds.bin")  # type: ignore[attr-defined]


def test_parameters_are_given_under_hydrators(tmp_path: Path) -> None:
    only = BIRDS.partition("class Birds")[0]
    (said,) = wrong(tmp_path, FEED, birds=only, model=OTHER)
    assert "the hydrator model needs parameters" in said
    assert said.endswith("write it under hydrators:")
    (said,) = wrong(tmp_path, "hydrators: [modell]\n" + FEED, birds=BIRDS, model=OTHER)
    assert said.endswith("no hydrator is called 'modell'; did you mean 'model'?")
    (said,) = wrong(tmp_path, "hydrators: [keywords]\n" + FEED, birds=BIRDS)
    assert said.endswith("keywords is a filter: write it under filter:")


def test_looking_up_the_whole_firehose_is_refused(tmp_path: Path) -> None:
    (said,) = wrong(tmp_path, "feeds: {big: {filter: {author_followers: 1000}}}\n")
    assert "this filter takes the whole firehose" in said
    loaded(tmp_path, "feeds: {big: {filter: {all: [everything, {author_followers: 1000}]}}}\n")
    loaded(tmp_path, "feeds: {big: {filter: {quoted_post: {keywords: heron}}}}\n")


def test_examples_say_what_hydrators_would(tmp_path: Path) -> None:
    from feedkit.testing.examples import examples

    made = loaded(
        tmp_path,
        "feeds:\n  birds:\n    filter: {all: [{keywords: heron}, bird]}\n    examples:\n"
        "      in: [{text: A heron, features: {bird: 0.9}}]\n"
        "      out: [{text: A heron, features: {bird: 0.1}}, A wren]\n",
        birds=BIRDS,
    )
    assert [case.problem() for case in examples(made.feeds["birds"])] == [None] * 3


# ── Scores from a file ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def scored(tmp_path: Path, store_url: str, store: Store) -> Path:
    """A project with the example feeds/scored.py."""
    (tmp_path / "feeds").mkdir()
    shutil.copy(ROOT / "feeds" / "scored.py", tmp_path / "feeds")
    text = (
        f"store: {json.dumps(store_url)}\n"
        "feeds: {good: {filter: {all: [{keywords: heron}, {scored: 0.5}]}}}\n"
    )
    (tmp_path / "config.yaml").write_text(HEAD + text, "utf-8")
    return tmp_path


def run(folder: Path, capsys: Any, *args: str) -> tuple[int, str]:
    from feedkit.cli import run as command

    code = command([*args, "--config", str(folder / "config.yaml")])
    out = capsys.readouterr()
    return code, out.out + out.err


def test_scores_are_loaded_and_looked_up(scored: Path, store: Store, capsys: Any) -> None:
    made = load_config(scored / "config.yaml", {})
    arrive(store, made, *(written(f"p{n}", rev="1", text="A heron", seconds=n) for n in range(4)))
    file = scored / "scores.csv"
    file.write_text(f"uri,name,value\n{uri('p0')},quality,0.9\n{uri('p1')},quality,0.1\n\n"
                    f"{uri('later')},quality, 0.8\n")  # fmt: skip
    code, said = run(scored, capsys, "scores", "good", str(file))
    assert (code, said) == (0, "3 scores kept; 2 posts stored already\n")
    assert order(store, "good") == [uri("p0")]
    arrive(store, made, written("later", rev="2", text="A heron", seconds=9))
    assert order(store, "good") == [uri("p0")]
    once(store, made)
    assert order(store, "good") == [uri("later"), uri("p0")]
    assert store.stats().pending == 2
    # A new score takes a post out again; one for a post that was taken out comes too late.
    file.write_text(f"{uri('p0')},quality,0.2\n{uri('p2')},quality,1\n{uri('p1')},quality,1\n")
    assert run(scored, capsys, "scores", "good", str(file))[0] == 0
    assert order(store, "good") == [uri("later"), uri("p2")]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"{uri('p')},quality", "2: a line is uri,name,value; this has 2 parts"),
        (f"{uri('p')},quality,high", "2: quality must be a valid number, unable to parse string as"),
        (f"{uri('p')},quality,nan", "2: quality: nan is no number"),
        (f"{uri('p')},qualty,1", "nothing in the feed good needs 'qualty'; did you mean 'quality'?"),
        (f"{uri('p')},x,1", "nothing in the feed good needs 'x'; it needs quality"),
        ("https://example.com,quality,1", "2: 'https://example.com' is no post; write at://DID/"),
        (b"\xff\xfe", "is not UTF-8; save it as UTF-8"),
    ],
)  # fmt: skip
def test_a_file_with_a_mistake_is_not_loaded(
    scored: Path, store: Store, capsys: Any, line: Any, told: str
) -> None:
    file = scored / "scores.csv"
    good = f"{uri('p')},quality,1\n".encode()
    file.write_bytes(good + (line if isinstance(line, bytes) else line.encode()) + b"\n")
    code, said = run(scored, capsys, "scores", "good", str(file))
    assert code == 1
    assert told in said
    assert store.db.rows("SELECT count(*) FROM scores") == [(0,)]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_no_such_file_or_feed(scored: Path, store: Store, capsys: Any) -> None:
    assert run(scored, capsys, "scores", "good", str(scored / "none.csv"))[0] == 1
    code, said = run(scored, capsys, "scores", "god", str(scored / "none.csv"))
    assert (code, "did you mean 'good'?" in said) == (1, True)


# ── The other examples in feeds/ ────────────────────────────────────────────────────────────────


def example(name: str) -> Any:
    from feedkit.config.discover import discover

    found = discover(ROOT / "feeds").plugins
    return next(cls for kind in found for n, cls in found[kind].items() if n == name)


def test_a_classifier_of_texts() -> None:
    hydrator = example("birdwatching")()
    hydrator.load()
    texts = ["Binoculars out: a juvenile heron on the estuary!", "The bird app has a new logo", ""]
    scores = [one["birdwatching"] for one in hydrator.hydrate([post(t) for t in texts], None)]
    assert [score > 0.8 for score in scores] == [True, False, False]
    sounds = example("sounds_like_birdwatching")(0.8)
    assert sounds.decide(post(features={"birdwatching": scores[0]})) is True
    assert sounds.decide(post(texts[0])) is None


def jpeg(width: int, height: int, size: int) -> bytes:
    """The bytes of a JPEG file as far as its frame header, then as many as it takes."""
    app = b"\xff\xe0" + (16).to_bytes(2) + b"JFIF" + bytes(10)
    frame = (
        b"\xff\xc0" + (11).to_bytes(2) + b"\x08" + height.to_bytes(2) + width.to_bytes(2) + b"\x01"
    )
    return (b"\xff\xd8" + app + frame).ljust(size, b"x")


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("blob", "kind"),
    [
        (jpeg(1000, 800, 300_000), "photo"),
        (jpeg(1000, 800, 30_000), "flat"),
        (b"GIF89a", None),
        (b"", None),
        (jpeg(0, 0, 500), None),
        (b"\xff\xd8\xff\xe0\x00\x00" * 9, None),
    ],
)
def test_a_picture_by_its_blob(bluesky: Bluesky, context: Any, blob: bytes, kind: Any) -> None:
    from feedkit.post import Image

    bluesky.always = lambda method, query: (200, {}, blob)
    bluesky.answer_any = True
    hydrator = example("picture_kind")(f"{bluesky.address}/xrpc")
    shown = [post(images=[Image(cid="bafy")]), post(images=[""]), post()]
    assert hydrator.hydrate(shown, context) == [
        {"picture": kind},
        {"picture": None},
        {"picture": None},
    ]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_why_says_what_is_missing(scored: Path, store: Store, capsys: Any) -> None:
    text = (
        (scored / "config.yaml")
        .read_text()
        .replace("feeds: {good: {", "feeds: {good: {missing: yes, ")
    )
    (scored / "config.yaml").write_text(text)
    made = load_config(scored / "config.yaml", {})
    arrive(store, made, written("p", rev="1", text="A heron"))
    code, told = run(scored, capsys, "why", uri("p"), "good")
    assert code == 0
    assert "? scored  waits for quality" in told
    assert "missing" not in told
    store.db.run("UPDATE features SET tries = 99")
    once(store, made)
    assert order(store, "good") == [uri("p")]
    code, told = run(scored, capsys, "why", uri("p"), "good")
    assert "? scored  nobody could find it out" in told
    assert "in the feed all the same: it says `missing: yes`" in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('{"bird": float}', "{}"), ""),
        (
            ('{"bird": float}', '{"bird": "float"}'),
            "'float' is no type for 'bird'; write float, int",
        ),
        (('{"bird": float}', '{"bird": 3}'), "3 is no type for 'bird'"),
        (('{"bird": float}', '{"bird": float, "a b": int}'), "'a b' cannot be a word"),
        (('{"bird": float}', '{"bird": float, "likes": int}'), "'likes' cannot be a word"),
        (
            ('"Sees birds."', '"Sees birds."\n    needs = {"x"}'),
            "a hydrator is asked before anything",
        ),
        (('"Sees birds."', '"Sees birds."\n    batch = 0'), "batch and tries are at least 1"),
        (("self, posts, context", "self, posts"), "too many positional arguments); write def hyd"),
        (("self, posts, context", "self, posts, context, more"), "argument: 'more'); write def"),
        (("def hydrate(", "async def hydrate("), "hydrate must not be async"),
    ],
)
def test_a_hydrator_that_is_written_wrongly(tmp_path: Path, change: Any, told: str) -> None:
    (said,) = wrong(tmp_path, FEED, birds=BIRDS.replace(*change))
    assert said.startswith("config.yaml:2:51: feeds.birds.filter.all[1]: ")
    assert told in said


def test_the_contract_of_a_hydrator(tmp_path: Path) -> None:
    from feedkit.testing.examples import contracts

    for cls in (AuthorProfile, PostingRate, Quoted, Parent):
        check_plugin(cls)
    made = loaded(tmp_path, FEED, birds=BIRDS)
    assert [case.name for case in contracts(made)] == ["plugin Bird()", "plugin Birds()"]
    assert [case.problem() for case in contracts(made)] == [None, None]


def trial(body: str, given: str = '{"bird": float}', more: str = "") -> Any:
    """A hydrator whose `hydrate` has this body."""
    space: dict[str, Any] = {"__name__": __name__}
    code = (
        "from feedkit import Hydrator\nimport time\n"
        f'class Birds(Hydrator):\n    "Sees birds."\n    provides = {given}\n    {more}\n'
        f"    def hydrate(self, posts, context):\n        {body}\n"
    )
    exec(code, space)
    globals()["Birds"] = space["Birds"]  # where pickle looks for it
    return space["Birds"]


@pytest.mark.parametrize(
    ("body", "more", "told"),
    [
        ("return {p.uri: 1.0 for p in posts}", "", "a list of 25, one for each post, not dict"),
        ("return [{'bird': 1.0}]", "", "hydrate must return a list of 25, one for each post, not 1"),
        ("return [{'bird': 1.0} for p in posts if p.text]", "", "one for each post, not 2"),
        ("return [{'bird': 1.0}] * 7", "batch = 7", "one for each post, not 7"),
        ("return [1.0] * len(posts)", "", "gave float for a post, not a mapping, for post("),
        ("return [{'brid': 1.0}] * len(posts)", "", "'brid', which is not in provides"),
        ("return [{'bird': p.text} for p in posts]", "", "bird: Input should be a valid number, not"),
        ("return [{'bird': float('nan')}] * len(posts)", "", "bird: nan is no number"),
        ("return [{'bird': 1.0 / len(p.text)} for p in posts]", "", "raises ZeroDivisionError: "),
        ("return [{'bird': [*p.langs][0] and 1.0} for p in posts]", "", "IndexError: list index"),
        ("assert len(posts) == 1; return [{'bird': 1.0}]", "", "for 25 posts at once"),
        ("raise SystemExit(3)", "", "hydrate raises SystemExit: 3, for post("),
        ("time.sleep(1)", "deadline = 0.01", "hydrate has no answer: it took more than 0.01 s"),
        ("return []", "def load(self): open('/nowhere/model')", "load raises FileNotFoundError"),
        ("context.api('x', {}); return []", "", "must return a list of 25"),
        ("context.http.get('http://a.example/'); return [{'bird': 'x'}] * len(posts)", "", "not 'x'"),
        ("context.posts([]); context.fetch('x'); return [{'bid': 1}] * len(posts)", "", "'bid', wh"),
        ("context.database.rows('x'); return ()", "", "must return a list of 25"),
    ],
)  # fmt: skip
def test_what_a_hydrator_answers_is_looked_at(body: str, more: str, told: str) -> None:
    with pytest.raises(ContractBroken) as raised:
        check_plugin(trial(body, more=more))
    assert str(raised.value).startswith("Birds: ")
    assert told in str(raised.value)


@pytest.mark.parametrize(
    "body",
    [
        "return [{'bird': len(p.text)} for p in posts]",
        "return tuple({'bird': None} for p in posts)",
        "return [{} for p in posts]",
        "return [{'bird': 1.0 if context.fetch(p.uri) else None} for p in posts]",
        "return [{'bird': context.api('x', {})['count']} for p in posts]",
        "return [{'bird': context.database.rows('SELECT 1')[0][0]} for p in posts]",
        "context.http.get('http://a.example/').raise_for_status(); return []",
    ],
)
def test_a_hydrator_may_raise_where_what_it_asks_for_is_not_there(body: str) -> None:
    check_plugin(trial(body))


def test_where_everything_is_there_a_hydrator_must_answer(bluesky: Bluesky, context: Any) -> None:
    asked = "api('app.bsky.actor.getProfiles', {'actors': [posts[0].author]})"
    check_plugin(trial(f"return [{{'bird': len(context.{asked})}}] * len(posts)"), context=context)
    for body, told in (
        (f"return [{{'bird': context.{asked}['bird']}}] * len(posts)", "raises KeyError: 'bird'"),
        (f"return [{{'bird': context.{asked}['profiles']}}] * len(posts)", "number, not \\["),
    ):
        check_plugin(hydrator := trial(body))
        with pytest.raises(ContractBroken, match=told):
            check_plugin(hydrator, context=context)


def test_a_hydrator_reads_its_model_once_before_it_is_asked() -> None:
    hydrator = trial(
        "assert self.loads == [1]; return [{'bird': 1.0}] * len(posts)",
        more="loads = []\n    def load(self): self.loads.append(1)",
    )
    check_plugin(hydrator)
    assert hydrator.loads == [1]
