"""A complete feed in Python: people show what they made."""

from __future__ import annotations

from datetime import timedelta

from feedkit import Feed, Gravity, HasMedia, Keywords, LinksTo, PerAuthor, Reply

SAID = ["I made", "I built", "I wrote a", "I fixed", "I finished", "I designed"]
TAGS = [
    "#showyourwork",
    "#opensource",
    "#selbstgemacht",
    "#手作り",
    "#個人開発",
    "#faitmain",
    "#hechoamano",
    "#feitoàmão",
    "#수제",
    "#fattoamano",
    "#elyapımı",
    "#рукоділля",
]
MADE = Keywords([*SAID, *TAGS])
CODE = LinksTo(["github.com", "codeberg.org", "gitlab.com", "sr.ht", "itch.io"])


class ShowAndTell(Feed):
    display_name = "Show and tell"
    description = "People show what they made: with a picture, or with a link to try it."
    filter = MADE & (HasMedia("image") | CODE) & ~Reply()
    rank = Gravity(gravity=1.5)
    select = [PerAuthor(most=1, window=5)]
    keep = timedelta(days=5)
