from __future__ import annotations

import re
import time

import pytest
from _trials import trials
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from feedkit import Regex
from feedkit.matcher import Matcher
from feedkit.post import External
from feedkit.testing import check_plugin, post


@pytest.mark.parametrize(
    ("filter", "made", "matches"),
    [
        (Regex(r"\bGTK\d?\b"), post("gtk4!"), True),
        (Regex(r"\bGTK\d?\b"), post("gtkmm"), False),
        (Regex(r"\bGTK\d?\b"), post(""), False),
        (Regex("GTK", case=True), post("gtk"), False),
        (Regex("GTK", case=True), post("ＧＴＫ"), True),
        (Regex("^start"), post("start"), True),
        (Regex("^start"), post("x\nstart"), False),
        (Regex("(?m)^start"), post("x\nstart"), True),
        (Regex("絵|描"), post("絵を描いた"), True),
        (Regex("絵", except_="絵文字"), post("絵文字"), False),
        (Regex("絵", except_="絵文字"), post("絵文字と絵"), True),
        (Regex(r"\d+", except_=[r"v\d+", r"#\d+"]), post("v12 #13"), False),
        (Regex(r"\d+", except_=[r"v\d+", r"#\d+"]), post("v12 13"), True),
        (Regex("heron", in_="alt"), post("heron", images=["egret"]), False),
        (Regex("heron", in_="alt"), post(images=["egret", "Heron"]), True),
        (Regex("heron", in_=["link"]), post(link_card=External("", "Heron", "")), True),
        (Regex(r"\p{Hiragana}{3}"), post("ひらがな"), True),
        (Regex(r"\p{Hebrew}"), post("שלום"), True),
        (Regex("🐦"), post("🐦\u200d⬛"), True),
        (Regex("❤️"), post("❤"), True),
        (Regex("L.nux"), post("L\u200binux"), True),
        (Regex("．net"), post(".net"), True),
        (Regex("．net"), post("xnet"), False),
        (Regex("ÜRÜN"), post("ürün"), True),
        (Regex("U\u0308RUN"), post("ürun"), True),
        (Regex("(?=x)x", engine="backtracking"), post("x"), True),
        (Regex(r"(?<!not )fine", engine="backtracking"), post("not fine"), False),
        (Regex(r"\bürün\b", engine="backtracking"), post("bu ürün!"), True),
        (Regex(r"\bürün\b", engine="backtracking"), post("ürünler"), False),
        (
            Regex(r"(\w)\1\1", engine="backtracking", in_=["text", "alt"]),
            post("a", images=["sooo"]),
            True,
        ),
        (Regex("絵", except_="絵文字", engine="backtracking"), post("絵文字"), False),
    ],
)
def test_regex(filter, made, matches):
    assert filter.match(made) is matches


def test_regex_says_what_it_found():
    assert (
        Regex(r"GTK\d?", in_=["text", "alt"]).explain(post("Gtk4 and gtk3", images=["gtk"]))
        == "“Gtk4” in text, “gtk” in alt"
    )


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(?=a)b", r"“(?=a)b” looks around, which RE2 cannot; .* under except:, .*backtracking"),
        ("(?<!a)b", "looks around.*except:.*engine: backtracking"),
        ("(?!a)b", "looks around.*except:.*engine: backtracking"),
        (r"(a)\1", "refers back"),
        ("(?>a)", "holds on"),
        ("a++", "holds on"),
        ("a(", r"well formed: missing \)"),
        ("[", "well formed: missing ]"),
        ("*", "well formed: no argument for repetition operator"),
        (r"\bürün", "“ü”.*keywords.*backtracking"),
        (r"猫\b", "“猫”.*keywords.*backtracking"),
        ("a{1,5000}", "well formed"),
        ("", "at least 1"),
    ],
)
def test_a_bad_pattern_is_refused_with_a_remedy(pattern, said):
    pattern_said = said.replace("(?=a)b", r"\(\?=a\)b")
    with pytest.raises(ValidationError, match=pattern_said):
        Regex(pattern)


def test_a_bad_exception_is_refused_too():
    with pytest.raises(ValidationError, match="looks around"):
        Regex("a", except_="(?=a)")


def test_the_backtracking_engine_refuses_what_is_malformed():
    with pytest.raises(ValidationError, match="well formed"):
        Regex("(", engine="backtracking")


def test_redos_takes_no_time_in_re2():
    began = time.perf_counter()
    assert not Regex("(a+)+$").match(post("a" * 3000 + "!"))
    assert time.perf_counter() - began < 0.5


def test_redos_is_cut_off_and_named_in_the_backtracking_engine():
    began = time.perf_counter()
    with pytest.raises(TimeoutError, match=r"“\(a\|aa\)\+\$” took over 50 ms"):
        Regex("(a|aa)+$", engine="backtracking").match(post("a" * 300 + "!"))
    assert time.perf_counter() - began < 2


def test_contract_of_the_backtracking_engine():
    check_plugin(Regex(r"\b\w+(?=!)", engine="backtracking"))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (r"\bGTK\d?\b", {"gtk"}),
        ("linux|debian", {"linux", "debian"}),
        ("(?:foo|bar)bazz", {"bazz"}),
        ("(?:foobar|barfoo)baz", {"foobar", "barfoo"}),
        ("fooo?", {"foo"}),
        ("fo+bar", {"bar"}),
        ("(foo)?bar", {"bar"}),
        ("(foo){0,1}bar", {"bar"}),
        ("(?i)Heron", {"heron"}),
        ("[Hh]eron", {"eron"}),
        ("[]a]bc", {"bc"}),
        (r"kernel\s+panic", {"kernel"}),
        (r"C\+\+", {"c++"}),
        ("絵|描く", {"絵", "描く"}),
        ("ünder", {"nder"}),
        ("straße", {"strasse"}),
        ("(?P<name>abc)d", {"abc"}),
        ("teeth", {"teeth", "teetẖ"}),
        ("a|", None),
        ("a.b", None),
        (r"(\w+)", None),
        ("linux|x", None),
        ("(foo)*", None),
        (r"\x{41}bc", None),
        (r"\Qabc\E", None),
        ("(?U)abc", None),
    ],
)
def test_keys_of_a_pattern(pattern, found):
    keys = Regex(pattern).keys()
    assert (None if keys is None else {literal for _, literal in keys}) == found


@pytest.mark.parametrize(
    "pattern", ["foo(?!bar)", "(?<=foo)bar", "(?x)f o o", "(?:foo){e<=1}", r"(fo)\1", "ab++c"]
)
def test_keys_give_up_on_what_they_do_not_know(pattern):
    assert Regex(pattern, engine="backtracking").keys() is None


ATOM = st.sampled_from(
    ["a", "bc", "hH", "th", "絵", "ß", "é", "カ", "İ", "σ", "J", "'", "-", " ", ".", r"\b", "^",
     "$", r"\w", r"\s", r"\.", "[ab]", "[^a]", "(?i)", r"\p{L}", "ﬁ", "．", "ー", "…", "～"]
)  # fmt: skip
PATTERN = st.recursive(
    ATOM,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,1}", "{1,}", "??"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)
MARKS = st.text(alphabet="\u0331\u0308\u030a\u030c\u0301\u0345\u3099\uff9e\u200bhtS ", max_size=2)


def holds(pattern):
    """Texts in which `pattern` finds something, as far as Python's own engine is to be trusted."""
    try:
        return st.from_regex(re.compile(pattern.replace(r"\p{L}", r"\w")), fullmatch=False)
    except re.error:
        reject()


@settings(max_examples=trials(300), suppress_health_check=list(HealthCheck), deadline=None)
@given(PATTERN, st.booleans(), st.sampled_from(["re2", "backtracking"]), MARKS, st.data())
def test_the_index_never_loses_a_pattern(pattern, case, engine, marks, data):
    try:
        filter = Regex(pattern, case=case, engine=engine)
    except ValidationError:
        reject()
    text = data.draw(holds(pattern))
    for written in (text, text.upper(), text.lower(), text + marks, text.upper() + marks):
        made = post(written)
        if filter.match(made):
            assert Matcher({"feed": filter}).match(made), filter.keys()
