"""Logs: one JSON object a line on standard error, and never a token in it."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

from sfp_server.clock import rfc3339

_SECRETS = re.compile(r"(sfp_app_)[0-9A-Za-z]+|(signature=)[^&\s\"\\]+|((?i:bearer)\s+)[^\s\"\\]+")


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send every logger's lines through one formatter, with `level` (debug, info, warning, error) as the least."""
    output = logging.StreamHandler(stream or sys.stderr)
    output.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [output]
    root.setLevel(level.upper())
    logging.getLogger("asyncio").setLevel(logging.WARNING)


class JsonLines(logging.Formatter):
    """A record as one line: at, level, logger, message, what `extra={"fields": …}` gives, and the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": rfc3339(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return redact(json.dumps(line, ensure_ascii=False, default=str))


def redact(text: str) -> str:
    """The text with tokens and signatures cut out."""
    return _SECRETS.sub(lambda match: (match[1] or match[2] or match[3]) + "••••", text)
