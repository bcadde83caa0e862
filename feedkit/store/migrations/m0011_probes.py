"""Which rankings of a viewer only answered the app's look for news."""

from __future__ import annotations

STATEMENTS = ("ALTER TABLE versions ADD COLUMN probe {bool} NOT NULL DEFAULT FALSE",)
