"""How people are written, for the reference."""

from __future__ import annotations

ACCOUNTS = """\
## Accounts

Wherever a parameter takes accounts, one or several of these may be written:

```yaml
author:
  - did:plc:ewvi7nxzyoun6zhxrhs64oiz                               # a DID
  - alice.example.com                                              # a handle, with or without @
  - https://bsky.app/profile/alice.example.com                     # a profile
  - https://bsky.app/profile/alice.example.com/lists/3l2s5xxv2ze2c # all on a list
  - https://bsky.app/starter-pack/alice.example.com/3l2s5xxv2ze2d  # all in a starter pack
  - followed_by: alice.example.com                                 # whom she follows
  - followers_of: [alice.example.com, bob.example.com]             # who follow one of them
```

`at://` addresses of lists and starter packs will do, too. `{file: people.txt}` is a file beside the
configuration: a DID, handle, list or link a line, `#` begins a comment.

Whom these mean is asked of the AppView (`network:`) by `feedkit jobs`, never by `feedkit check`,
and asked again: lists, starter packs and follows every 10 minutes (large ones less often: 5 seconds
for each hundred members), handles once a day, files every minute. When somebody comes or goes,
ingest knows a second later, and stored posts of theirs are decided again within a minute. If the
AppView cannot be asked, the last known state is kept and the log says so; while nothing is known at
all, neither the filter nor its `not:` matches. A handle or list that never was there is nobody; the
log says that, too. A set has at most 200,000 accounts.

In a plugin of your own the type is `Accounts`: `people: Accounts = Field(description="…")`, and
`match` asks `post.author in self.people`. It is a frozen set of DIDs that feedkit keeps current.
`keys()` goes by `self.people.known`: `{("author", did) for did in self.people.known}`.
"""
