"""Whether a filter would take the whole firehose.

The definition: it cannot name keys of which a post must have one, it nowhere says `everything`,
and it keeps every one of a handful of ordinary posts, or cannot say before a hydrator has looked
at it: short texts of different people in several languages, without pictures, links, tags,
mentions, labels, quotes, and no replies. So `not: reply`
and `regex: .` are the whole firehose; `language: en`, `has_media: image`, `reply` are not, though
they are much of it: who asks for a property of posts, however common, means it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from feedkit.accounts import supposing_nobody
from feedkit.awaiting import awaited
from feedkit.plugin import Filter
from feedkit.post import CountsUnknown, Post

_TEXTS = (
    ("en", "Slept in and had breakfast at noon. No regrets."),
    ("de", "Der Zug hat schon wieder Verspätung, ich nehme das Rad."),
    ("ja", "今日は雨なので、家で本を読んでいます。"),
    ("pt", "Bom dia! Hoje vou cozinhar feijoada para a família toda"),
    ("es", "¿Alguien más no puede dormir esta noche?"),
    ("ko", "점심 뭐 먹을지 아직도 못 정했다"),
    ("", "ok"),
    ("tr", "Bugün hava çok güzel, sahilde yürüyüşe çıkıyoruz"),
)
_NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
ORDINARY = tuple(
    Post(
        uri=f"at://did:plc:ordinaryaccount{number:08}/app.bsky.feed.post/3mgaaaaaaaa2{number}",
        author=f"did:plc:ordinaryaccount{number:08}",
        text=text,
        langs=(language,) if language else (),
        created_at=_NOON + timedelta(minutes=97 * number),
        seen_at=_NOON + timedelta(minutes=97 * number),
        sort_at=_NOON + timedelta(minutes=97 * number),
    )
    for number, (language, text) in enumerate(_TEXTS)
)


def refusal(filter: Filter) -> str:
    """Why `filter` cannot be a feed's, or nothing."""
    if any(part.yaml_name() == "everything" for part in filter.walk()):
        return ""
    try:
        with supposing_nobody(filter):  # whom lists mean is not known here
            takes_all = filter.keys() is None and all(
                filter.decide(p) is True or awaited(filter, p) for p in ORDINARY
            )
        if takes_all:
            return (
                "this filter takes the whole firehose, for it asks nothing of a post that ordinary "
                "posts do not have; add what the feed is about, or `everything` if you mean that"
            )
    except CountsUnknown as error:
        return str(error)
    except (Exception, SystemExit):  # the plugin's fault: its contract test and the log will tell
        return ""
    return ""
