"""People, as parameters of plugins: what was written, and whom it means."""

from __future__ import annotations

from feedkit.accounts.sets import (
    Accounts,
    AccountsOrPosts,
    Authors,
    Followed,
    Found,
    Lists,
    NotKnownYet,
    accounts_in,
    bind,
    supposing_nobody,
)
from feedkit.accounts.written import Source, parse_lines

__all__ = [
    "Accounts", "AccountsOrPosts", "Authors", "Followed", "Found", "Lists", "NotKnownYet",
    "Source", "accounts_in", "bind", "parse_lines", "supposing_nobody",
]  # fmt: skip
