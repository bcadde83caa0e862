"""What the network says of a post's author."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from feedkit.context import Context
from feedkit.plugin import Hydrator
from feedkit.post import Post


class AuthorProfile(Hydrator):
    """The numbers in the profile of a post's author, from the AppView: `author_followers`,
    `author_follows`, `author_posts`, and `author_created`, when the account was made (seconds
    since 1970).

    One question (app.bsky.actor.getProfiles) for 25 posts. A profile that the AppView does not
    have yet is asked for again.

    ```yaml
    hydrators: [author_profile]
    ```
    """

    provides: ClassVar[Mapping[str, Any]] = {
        "author_followers": int,
        "author_follows": int,
        "author_posts": int,
        "author_created": float,
    }
    batch = 25  # the most that getProfiles gives at once
    deadline = 120.0  # the AppView may ask for a minute of patience

    def hydrate(self, posts: Sequence[Post], context: Context) -> list[dict[str, Any]]:
        authors = sorted({post.author for post in posts})
        answer = context.api("app.bsky.actor.getProfiles", {"actors": authors})
        profiles = {
            one["did"]: _numbers(one)
            for one in answer.get("profiles") or ()
            if isinstance(one, Mapping) and isinstance(one.get("did"), str)
        }
        return [profiles.get(post.author, {}) for post in posts]


def _numbers(profile: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "author_followers": _count(profile.get("followersCount")),
        "author_follows": _count(profile.get("followsCount")),
        "author_posts": _count(profile.get("postsCount")),
        "author_created": seconds(profile.get("createdAt")),
    }


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def seconds(text: object) -> float | None:
    """The moment that `text` names, in seconds since 1970; None where it names none."""
    try:
        made = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return made.timestamp() if made is not None and made.tzinfo else None
