"""Tests of your own filter. `pytest` runs them, and the examples in config.yaml too."""

import pytest
from feeds.calm import Calm

from feedkit.testing import check_plugin


@pytest.mark.parametrize("text", ["A heron in the park", "A heron!", ""])
def test_calm(post, text):
    assert Calm().match(post(text))


@pytest.mark.parametrize("text", ["HERON!!", "Look! A heron! Another!"])
def test_not_calm(post, text):
    assert not Calm().match(post(text))


def test_contract():
    check_plugin(Calm(marks=1))
