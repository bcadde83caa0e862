"""How each process fares, said in the store every few seconds: for /metrics and `status`."""

from __future__ import annotations

from feedkit.heartbeat.numbered import NumberedPulse
from feedkit.heartbeat.pulse import SILENT, Pulse
from feedkit.heartbeat.stream import StreamPulse
from feedkit.heartbeat.working import JobsPulse

__all__ = ["SILENT", "JobsPulse", "NumberedPulse", "Pulse", "StreamPulse"]
