"""Uploaded films to frames: decoded by PyAV (GIF too), turned upright, cropped to a square, resampled in time.

Limits: 40 MB, the first 30 seconds, 4096 pixels a side. Whatever is no film ends in one sentence.
"""

from __future__ import annotations

import io
import math

import numpy as np

from core.errors import BadRequest
from core.video.scenes import FPS, FRAMES, SIZE

MAX_BYTES = 40_000_000
MAX_SECONDS = 30.0
MAX_SIDE = 4096
MAX_DECODED = 3600  # frames looked at, whatever the file claims


def read_clip(data: bytes, frames: int = FRAMES, fps: float = FPS, size: int = SIZE, start: float = 0.0) -> np.ndarray:
    """(frames, size, size, 3) uint8 from `start` seconds on, at `fps` by the frames' own times (variable rates too).

    A film that is too short repeats its last frame. Raises BadRequest.
    """
    import av
    from PIL import Image, ImageOps

    if not data:
        raise BadRequest("The file is empty; choose a film.")
    if len(data) > MAX_BYTES:
        raise BadRequest(f"The film has {len(data) / 1e6:.0f} MB; give one of at most {MAX_BYTES // 1_000_000} MB.")
    wanted = [start + i / fps for i in range(frames)]
    found: list[np.ndarray] = []
    last: np.ndarray | None = None
    try:
        with av.open(io.BytesIO(data), "r", metadata_errors="ignore") as file:
            if not file.streams.video:
                raise BadRequest("This file holds sound but no pictures; give a film (MP4, MOV, WebM or GIF).")
            stream = file.streams.video[0]
            if max(stream.codec_context.width, stream.codec_context.height) > MAX_SIDE:
                raise BadRequest(f"The film is larger than {MAX_SIDE} pixels a side; give a smaller one.")
            stream.thread_count = 1
            begin: float | None = None
            count, guess = 0, 1.0 / float(stream.average_rate or fps)
            for count, frame in enumerate(file.decode(stream)):
                at = frame.time if frame.time is not None else count * guess
                begin = at if begin is None else begin
                if count >= MAX_DECODED or at - begin > MAX_SECONDS or len(found) == frames:
                    break
                # a frame is shown until the next begins: fill every wanted time before this one with the one before
                while last is not None and len(found) < frames and wanted[len(found)] < at - begin - 1e-6:
                    found.append(last)
                if at - begin + 2.0 / fps < start:
                    continue  # far before what is wanted: not converted
                picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
                turn = int(getattr(frame, "rotation", 0) or 0)
                if turn % 360:
                    picture = picture.rotate(turn, expand=True)
                last = np.asarray(ImageOps.fit(picture, (size, size), Image.Resampling.BOX))
    except (av.FFmpegError, OSError, ValueError, MemoryError, EOFError):
        if last is None:
            raise BadRequest("This file is no readable film; give a whole MP4, MOV, WebM or GIF.") from None
        # truncated: what was read before the break stands
    if last is None:
        message = (
            "The film ends before the start that was asked for; choose an earlier start."
            if start
            else ("This film holds no picture; give a whole MP4, MOV, WebM or GIF.")
        )
        raise BadRequest(message)
    found += [last] * (frames - len(found))
    return np.stack(found[:frames])


def duration(data: bytes) -> float:
    """Seconds of a film, at most MAX_SECONDS; 0 when the file does not say."""
    import av

    try:
        with av.open(io.BytesIO(data), "r", metadata_errors="ignore") as file:
            seconds = float(file.duration or 0) / av.time_base
    except (av.FFmpegError, OSError, ValueError):
        return 0.0
    return min(MAX_SECONDS, seconds) if math.isfinite(seconds) else 0.0
