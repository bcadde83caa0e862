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
from feedkit.accounts.written import Source, read_file

__all__ = [
    "Accounts", "AccountsOrPosts", "Authors", "Followed", "Found", "Lists", "NotKnownYet",
    "Source", "accounts_in", "bind", "read_file", "supposing_nobody",
]  # fmt: skip
