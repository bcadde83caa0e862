"""Filters that read: words, hashtags, languages."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from feedkit.plugin import Field, Filter, Key
from feedkit.post import Post
from feedkit.text import Place, in_word, normalise, occurrences, places, stands_alone, words

TEXT: frozenset[Place] = frozenset({"text"})


def _visible(word: str) -> str:
    if not normalise(word).strip("#"):
        raise ValueError(f"{word!r} has no letter or sign to look for")
    return word


def _tag(tag: str) -> str:
    bare = normalise(tag).removeprefix("#")
    if not bare:
        raise ValueError(f"{tag!r} is no hashtag; write it as birds or '#birds'")
    return bare


Word = Annotated[str, AfterValidator(_visible)]
Tag = Annotated[str, AfterValidator(_tag)]


class _Sought(NamedTuple):
    written: str  # as the user wrote it
    folded: str  # as it stands in a normalised text
    exact: str  # the same, in the letter case that counts


class Keywords(Filter):
    """Posts that say one of these words, phrases, #hashtags or emoji.

    Upper and lower case, accents typed in different ways, full-width letters and invisible
    characters make no difference. A word is found as a whole word (`art` not in `party`), in
    scripts without spaces between words (Japanese, Chinese, Thai, Korean) anywhere. A phrase is
    found across line breaks. A #hashtag is also found among the tags that are not in the text.

    ```yaml
    keywords:
      words: [絵, illustration, "#art", 🎨]
      in: [text, alt]
      except: [絵文字, "no art"]
    ```
    """

    words: frozenset[Word] = Field(min_length=1, description="words, phrases, #hashtags, emoji")
    in_: frozenset[Place] = Field(
        default=TEXT,
        min_length=1,
        description="where to look: text, alt (descriptions of pictures and video), "
        "link (title, description and address of the link card, addresses of links)",
    )
    parts: bool = Field(default=False, description="whether parts of words count too")
    case: bool = Field(default=False, description="whether upper and lower case must agree")
    except_: frozenset[Word] = Field(
        default=frozenset(), description="phrases inside which a word does not count"
    )

    def match(self, post: Post) -> bool:
        if self.case:
            return next(self._found(post), None) is not None
        # The same as `_found`, but fast: with thousands of feeds it is most of the work.
        if self._in_text_alone:
            return self._says(post.text) or not self._tags.isdisjoint(post.tags)
        return any(self._says(text) for _, text in places(post, self.in_)) or (
            not self._tags.isdisjoint(post.tags)
        )

    def keys(self) -> AbstractSet[Key]:
        found: set[Key] = {("word", word) for word in self._whole}
        return found | {("text", word) for word in self._others} | {("tag", t) for t in self._tags}

    def explain(self, post: Post) -> str:
        found: dict[str, set[str]] = {}
        for sought, place in self._found(post):
            found.setdefault(sought.written, set()).add(place)
        return ", ".join(
            f"“{word}” in {' and '.join(sorted(where))}" for word, where in sorted(found.items())
        )

    @cached_property
    def _sought(self) -> tuple[_Sought, ...]:
        return tuple(
            _Sought(word, normalise(word), normalise(word, self.case))
            for word in sorted(self.words)
        )

    @cached_property
    def _excepted(self) -> tuple[str, ...]:
        return tuple(normalise(phrase, self.case) for phrase in self.except_)

    @cached_property
    def _in_text_alone(self) -> bool:
        return self.in_ == TEXT

    @cached_property
    def _folded(self) -> tuple[str, ...]:
        return tuple({sought.folded: None for sought in self._sought})

    @cached_property
    def _whole(self) -> frozenset[str]:
        """The words that count exactly where they are a whole word of a text."""
        if self.parts or self.except_:
            return frozenset()
        return frozenset(word for word in self._folded if all(map(in_word, word)))

    @cached_property
    def _others(self) -> tuple[str, ...]:
        return tuple(word for word in self._folded if word not in self._whole)

    @cached_property
    def _tags(self) -> frozenset[str]:
        """What is looked for among the tags, which have no letter case."""
        if self.case or "text" not in self.in_:
            return frozenset()
        return frozenset(word[1:] for word in self._folded if word[0] == "#")

    def _found(self, post: Post) -> Iterator[tuple[_Sought, str]]:
        for place, text in places(post, self.in_):
            if not text:
                continue
            folded = normalise(text)
            exact = normalise(text, True) if self.case else folded
            for sought in self._sought:
                if sought.folded in folded and self._counts(exact, sought.exact):
                    yield sought, place
        for sought in self._sought:
            if sought.folded[0] == "#" and sought.folded[1:] in self._tags & post.tags:
                yield sought, "tags"

    def _says(self, text: str) -> bool:
        folded = normalise(text)
        if self._whole and not self._whole.isdisjoint(words(folded)):
            return True
        return any(word in folded and self._counts(folded, word) for word in self._others)

    def _counts(self, text: str, word: str) -> bool:
        for start, end in occurrences(text, word):
            if not self.parts and not stands_alone(text, start, end):
                continue
            if not any(
                first <= start and end <= last
                for phrase in self._excepted
                for first, last in occurrences(text, phrase)
            ):
                return True
        return False


class Hashtags(Filter):
    """Posts with one of these hashtags, in the text or among the tags beside it.

    A hashtag that was typed but not made a link by the author's app is found by `keywords`.

    ```yaml
    hashtags: [birds, birding]
    ```
    """

    tags: frozenset[Tag] = Field(min_length=1, description="hashtags, with or without #")

    def match(self, post: Post) -> bool:
        return not self.tags.isdisjoint(post.tags)

    def keys(self) -> AbstractSet[Key]:
        return {("tag", tag) for tag in self.tags}

    def explain(self, post: Post) -> str:
        return ", ".join(f"#{tag}" for tag in sorted(self.tags & post.tags))


def _language(tag: str) -> str:
    subtags = tag.strip().replace("_", "-").split("-")
    if not all(part.isascii() and part.isalnum() for part in subtags) or len(subtags[0]) > 3:
        raise ValueError(f"{tag!r} is no language; write its code, such as en, pt-BR or zh-Hant")
    return "-".join(subtags).lower()


class Language(Filter):
    """Posts whose author declared one of these languages. `en` takes `en-US` too; `pt-BR` does
    not take `pt`. About one post in twenty declares none.

    ```yaml
    language:
      languages: [en, pt-BR]
      undeclared: true
    ```
    """

    languages: frozenset[Annotated[str, AfterValidator(_language)]] = Field(
        min_length=1, description="language codes (BCP 47), such as en, pt-BR"
    )
    undeclared: bool = Field(
        default=False, description="whether posts that declare no language belong too"
    )

    def match(self, post: Post) -> bool:
        if not post.langs:
            return self.undeclared
        return any(self._takes(lang) for lang in post.langs)

    def keys(self) -> AbstractSet[Key] | None:
        if self.undeclared:
            return None
        return {("lang", language.partition("-")[0]) for language in self.languages}

    def explain(self, post: Post) -> str:
        return ", ".join(filter(self._takes, post.langs)) or "declares no language"

    def _takes(self, lang: str) -> bool:
        folded = lang.lower()
        return any(
            folded == language or folded.startswith(f"{language}-") for language in self.languages
        )
