"""The log of the web processes: gunicorn's own lines and feedkit's look alike."""

from __future__ import annotations

import os
import sys
from typing import Any

from gunicorn.glogging import Logger as Gunicorn  # type: ignore[import-untyped]

from feedkit.logs import write_log


class Logger(Gunicorn):  # type: ignore[misc]
    """gunicorn's logger, which writes as `FEEDKIT_LOG` and `FEEDKIT_LOG_FORMAT` say."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        formatter = write_log(os.environ, sys.stdout)
        level = os.environ.get("FEEDKIT_LOG", "").upper()
        for handler in self.error_log.handlers:
            handler.setFormatter(formatter)
            handler.setStream(sys.stdout)
        if level:
            self.error_log.setLevel(level)
