"""The filter by where a post was written first."""

from __future__ import annotations

from functools import cached_property

from feedkit.addresses import Site, unicode_host
from feedkit.filters.content import below, hosts_and_paths
from feedkit.links import host_of
from feedkit.plugin import Field, Filter
from feedkit.post import Post


class Bridged(Filter):
    """Posts that came over a bridge from elsewhere: the fediverse (Mastodon, Misskey, Wafrn …) or,
    with Bridgy Fed, a website. Their records name the original; who merely has an account on both
    sides is not bridged.

    ```yaml
    not: bridged
    ```
    """

    from_: frozenset[Site] = Field(
        default=frozenset(),
        description="servers or sites, with their subdomains, such as mastodon.social; "
        "without: wherever it came from",
    )

    def match(self, post: Post) -> bool:
        if not post.original_url:
            return False
        if not self.from_:
            return True
        return any(below(post.original_url, host, path) for host, path in self._forms)

    def explain(self, post: Post) -> str:
        return f"from {unicode_host(host_of(post.original_url))}"

    @cached_property
    def _forms(self) -> frozenset[tuple[str, str]]:
        return hosts_and_paths(self.from_)
