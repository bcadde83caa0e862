"""feedkit: composable custom feeds for Bluesky and the AT Protocol."""

__version__ = "0.1.0"
