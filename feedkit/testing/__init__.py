"""For a plugin author's tests: posts in one line, a clock that stands still, and the contract.

No test framework is needed: what is broken raises `ContractBroken`, an `AssertionError`.

```python
from feedkit.testing import check_plugin, post


def test_described():
    described = Described(words=3)
    assert described.match(post(images=["a grey heron"]))
    assert not described.match(post(images=[""]))
    check_plugin(described)
```
"""

from feedkit.testing.contract import check_plugin
from feedkit.testing.corpus import corpus
from feedkit.testing.failure import ContractBroken
from feedkit.testing.posts import ALICE, BOB, NOW, post, request, viewer, vote
from feedkit.testing.replaying import replay

__all__ = [
    "ALICE", "BOB", "NOW", "ContractBroken", "check_plugin", "corpus", "post", "replay",
    "request", "viewer", "vote",
]  # fmt: skip
