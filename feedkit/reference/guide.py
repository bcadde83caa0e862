"""The prose around the generated reference."""

from __future__ import annotations

PLUGINS_START = """\
Feeds are composed of three kinds of plugins. A **filter** says which posts belong, a **ranker** in
which order they come, **selectors** reorder or drop posts of the ranked list. A fourth kind, the
**hydrator**, finds out what a post does not carry, for the others to go by. In YAML a plugin is
written in one of three ways:

```yaml
filter:
  all:
    - has_media                                # its name alone
    - keywords: [heron, kingfisher]            # its name and its first parameter
    - keywords: {words: [heron], in: alt}      # its name and its parameters by name
rank: newest
select:
  - per_author: {most: 2, window: 10}
```

A mapping after the name is taken for parameters if every key is one, else for the first parameter
(`not: {keywords: heron}`). Where several values are expected, one may stand alone. `all`, `any` and
`not` are filters like the others. `feedkit plugins` lists what is there, your own in `feeds/`
included; `feedkit plugins NAME` says all about one.

In Python the same plugins are classes (`has_media` is `HasMedia`), their parameters arguments in
the same order, and `&`, `|`, `~` stand for `all`, `any`, `not`:

```python
from feedkit import HasMedia, Keywords, Reply

Keywords(["heron", "kingfisher"]) & HasMedia("image") & ~Reply()
```

To write your own, derive from `Filter`, `Ranker`, `Selector` or `Hydrator` in a file in `feeds/`.
Its parameters are its annotated fields; its name in YAML is the class name in snake case.

A hydrator `provides` words, each with the type of its value, and a filter or ranker that `needs`
one reads it from `post.features`:

```python
from feedkit import Filter, Hydrator


class Birds(Hydrator):
    "How likely the text is about birds: `bird`."

    provides = {"bird": float}

    def hydrate(self, posts, context):
        return [{"bird": 1.0 if "heron" in post.text else 0.0} for post in posts]


class AboutBirds(Filter):
    "Posts about birds."

    needs = {"bird"}

    def match(self, post):
        return post.features["bird"] > 0.5
```

It is used by itself wherever its word is needed, in the process of the jobs, and never makes the
stream wait. A post that a filter cannot decide without the word is kept back until it is known;
`all`, `any` and `not` say what they can say without it, and only posts whose place depends on it
are looked at. `hydrate` gets up to `batch` posts, and a `context` with `http` (a client), `api`
(questions to the AppView), `posts` (posts by address), `fetch` (a file, up to a size) and
`database` (queries). `load` is called once in a process, before the first post. A call has
`deadline` seconds; what it leaves out is asked for again, `tries` times, after `backoff` seconds
and four times as long each time. What is `None`, or given up, is missing: then the filter's own
`missing` decides, where it has one, or else the feed's, which leaves such posts out by default.
A hydrator with parameters, or one of several that provide the same word, is written under the
configuration's `hydrators:`.
"""

CONFIG_START = """\
A service is described by one YAML file, `config.yaml` (`--config FILE` or `FEEDKIT_CONFIG` name
another). The smallest that works:

```yaml
service:
  hostname: feeds.example.com
  publisher: alice.example.com
feeds:
  birds:
    display_name: Birds
    filter:
      all:
        - keywords: [heron, kingfisher, "#birds"]
        - not: reply
```

`feedkit check` reports every mistake in one run, each with file, line, column, what is wrong and
what to write instead. Editors that know JSON Schema complete and check while you write: `feedkit
schema config.schema.json` writes one that knows your own plugins, too, and the first line of the
configuration names it: `# yaml-language-server: $schema=config.schema.json`. A project made by
`feedkit new` has both; run the command again when your plugins have changed.

## How values are written

- All values are text first, and the type of the key or parameter converts: `no`, `12:30` and
  `3.10` stay what they are where text is expected. `yes`, `no`, `on`, `off`, `true`, `false` are
  understood where yes or no is expected.
- Durations have a unit: `30s`, `15m`, `12h`, `3d`, `2w`; or several: `1h30m`.
- `${NAME}` is replaced from the environment, `${NAME:-default}` where NAME is unset or empty; a
  plain `${` is written `$${`.
- `#` begins a comment in YAML, so a hashtag is quoted: `"#birds"`.
- A text that holds `: ` or begins with one of `@ * & ! % [ { "` is quoted, too. In single quotes
  and without quotes a backslash is a backslash, as regular expressions need it.
- Anchors, aliases and `<<` work. A key that stands twice is a mistake.
"""

CONFIG_END = """\
## Where feeds can be written

Under `feeds:`, by record key (the last part of the feed's address: letters, digits and
`. _ ~ : -`); in a file of its own, `feeds/NAME.yaml`, beside the configuration; or as a class in
`feeds/*.py`, whose attributes are the same keys:

```python
from feedkit import Feed, HasMedia, Hashtags


class Skies(Feed):
    display_name = "Skies"
    filter = Hashtags(["clouds", "sunset"]) & HasMedia("image")
```

Its record key is its `name`, or the class name in snake case. A list `FEEDS = [City("leeds"), …]`
holds instances. A class that others derive from, or that `FEEDS` has instances of, is a pattern
and no feed itself. Files and classes whose names begin with `_` are not looked at, but can be
imported: `from ._words import WORDS`.

## Parts, defaults, and what all feeds have in common

```yaml
filters:                                # a name stands for its filter wherever a filter can stand
  advert:
    any:
      - keywords: ["#ad", promo code]
      - links_to: [amzn.to]
defaults:                               # for every feed that does not have these keys
  keep: 3d
all_feeds:                              # every feed's posts must pass this, too
  not: advert
feeds:
  birds:
    filter: {keywords: [heron, kingfisher]}
  described-birds:
    filter: {all: [{same_as: birds}, has_media]}
```

`same_as: NAME` means a part, or else the whole filter of the feed of that name.

## The whole firehose

A filter that would take everything is refused, because it is nearly always a mistake (`not: reply`
alone keeps over a million posts a day). The test: it names no keys that a post must have, and it
keeps each of a handful of ordinary posts: short texts of different people in several languages,
without media, links, tags, mentions, labels or quotes, and no replies. `language: en`,
`has_media: image` and `reply` pass; who means the whole writes `everything` into the filter.
"""
