"""The log: how often something is worth a line in it, and how a line looks."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FORMATS = ("text", "json")
_CHATTY = ("apscheduler", "httpx", "httpcore", "websockets")


class WrongSetting(ValueError):
    """FEEDKIT_LOG or FEEDKIT_LOG_FORMAT cannot be understood."""


def worth_saying(count: int) -> bool:
    """The first, the tenth, the hundredth … time: what is broken must not drown the log."""
    return str(count).strip("0") == "1"


def write_log(environ: Mapping[str, str], stream: TextIO) -> logging.Formatter:
    """Write messages to `stream`, a line each, as `FEEDKIT_LOG` (the level) and
    `FEEDKIT_LOG_FORMAT` (text or json) say; how they are formatted. Raises `WrongSetting`."""
    level = environ.get("FEEDKIT_LOG", "").upper() or "INFO"
    if level not in LEVELS:
        raise WrongSetting(
            f"FEEDKIT_LOG: {level!r} is no level of the log; write one of {', '.join(LEVELS)}"
        )
    shape = environ.get("FEEDKIT_LOG_FORMAT", "").lower() or "text"
    if shape not in FORMATS:
        raise WrongSetting(f"FEEDKIT_LOG_FORMAT: {shape!r} is no format; write text or json")
    formatter = (
        JsonLines()
        if shape == "json"
        else logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler])
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return formatter


class JsonLines(logging.Formatter):
    """Each message as one line of JSON: time (UTC), level, logger, message, and for an exception
    its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)
