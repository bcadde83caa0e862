from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedkit.post import Post
from feedkit.posts import Joined, Posts, places_by


def post(number, author):
    return Post(uri=f"at://{author}/app.bsky.feed.post/{number}", author=author)


some = st.lists(st.sampled_from(["ann", "ben", "cat", "dan"]), max_size=12).map(
    lambda authors: [post(number, author) for number, author in enumerate(authors)]
)


@settings(deadline=None)
@given(some, st.integers(0, 14), some, st.sets(st.sampled_from(["ann", "ben", "cat", "eve"])))
def test_joined_posts_are_as_a_list_of_them(posts, first, others, authors):
    joined, want = Joined(Posts(posts), first, others), [*posts[:first], *others]
    assert list(joined) == want
    assert len(joined) == len(want)
    numbers = range(-len(want), len(want))
    assert [joined[number] for number in numbers] == [want[number] for number in numbers]
    assert joined[1:-1] == want[1:-1]
    assert joined[::-2] == want[::-2]
    for beyond in (len(want), -len(want) - 1):
        with pytest.raises(IndexError):
            joined[beyond]
    assert list(reversed(joined)) == want[::-1]
    for several in (joined, want, Posts(want)):
        places = [number for number, one in enumerate(want) if one.author in authors]
        assert sorted(places_by(several, authors)) == places
