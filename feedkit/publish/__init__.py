"""The records of the feeds in their publishers' repositories: a plan first, then its steps."""
