"""Who the people of the configuration are: asked of the network by the jobs, kept in the store,
bound to the plugins in every process."""

from __future__ import annotations

from feedkit.people.membership import Membership
from feedkit.people.refreshing import Refreshing

__all__ = ["Membership", "Refreshing"]
