"""From YAML and Python to a checked `feedkit.settings.Service`, or every problem at once."""

from feedkit.config.loading import load_config
from feedkit.config.problems import ConfigError

__all__ = ["ConfigError", "load_config"]
