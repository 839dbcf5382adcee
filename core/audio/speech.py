"""Speech by the borrowed hibari voice: text in, sentence by sentence out.

hibari-tts is by Maureese Williams, Apache-2.0, https://github.com/MMWilliams/hibari.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import BadRequest
from core.request import Request, number, seed_field, text
from core.result import AudioResult, Result, Step
from core.runtime import memory

if TYPE_CHECKING:
    from core.catalog import Card
    from core.pipeline import Control

SAMPLE_RATE = 24_000
UNIT = 600  # samples of one duration unit (25 ms)
DURATIONS = b"/Round_output_0"  # the graph's tensor of units per phoneme


class Voice:
    """hibari with its durations made visible."""

    def __init__(self, tts: Any, session: Any):
        self.tts, self.session = tts, session

    def speak(
        self, phonemes: str, speed: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, list[tuple[str, float]]]:
        """Phonemes of one sentence -> ((samples,) float32 at 24 kHz, [(phoneme, seconds)])."""
        from hibari import dsp

        known = [p for p in phonemes if p in self.tts.vocab]
        ids = [0, *(self.tts.vocab[p] for p in known), 0]
        if len(ids) < 3:
            return np.zeros(0, np.float32), []
        feeds = {"ids": np.asarray([ids], np.int64), "speed": np.asarray([speed], np.float32)}
        *spectra, units = self.session.run(None, feeds)
        wave = dsp.synth(*(part[0] for part in spectra), rng)
        return wave, [(p, float(u) * UNIT / SAMPLE_RATE) for p, u in zip(["·", *known, "·"], units, strict=True)]


class Words:
    """A read-only dictionary of 90,000 words in 3 MB instead of 25: sorted keys and JSON values in two strings."""

    def __init__(self, words: dict[str, Any]):
        keys = sorted(words, key=str.encode)
        self.keys, self.key_at = self._pack([k.encode() for k in keys])
        self.values, self.value_at = self._pack([json.dumps(words[k], ensure_ascii=False).encode() for k in keys])

    @staticmethod
    def _pack(parts: list[bytes]) -> tuple[bytes, np.ndarray]:
        return b"".join(parts), np.cumsum([0, *map(len, parts)], dtype=np.uint32)

    def get(self, word: str) -> Any:
        """The entry, or None: binary search."""
        key, low, high = word.encode(), 0, len(self.key_at) - 1
        while low < high:
            middle = (low + high) // 2
            found = self.keys[self.key_at[middle] : self.key_at[middle + 1]]
            if found == key:
                return json.loads(self.values[self.value_at[middle] : self.value_at[middle + 1]])
            low, high = (middle + 1, high) if found < key else (low, middle)
        return None


@contextmanager
def packed_dictionaries() -> Iterator[None]:
    """hibari's dictionaries and the weights of its tagger become Words as they are read, one after the other: at once
    they take 100 MB for a moment and 60 for good."""
    import hibari.g2p

    read = hibari.g2p._load_json

    def packed(name: str) -> Any:
        found: Any = read(name)
        if name.startswith("lexicon"):
            found = Words(found)
        elif name.startswith("tagger"):
            found["weights"] = Words(found["weights"])
        memory.trim()
        return found

    hibari.g2p._load_json = packed
    try:
        yield
    finally:
        hibari.g2p._load_json = read


def load(card: Card, device: str) -> Voice:
    """The voice inside the installed hibari-tts package; nothing is downloaded. Raises Unavailable when it differs."""
    import hashlib
    from pathlib import Path

    import onnxruntime
    from hibari import Hibari
    from hibari.voices import ASSETS, DEFAULT, voice_path

    from core.errors import Unavailable

    class Lean(Hibari):  # as its own __init__, but without the session that would be replaced below
        def __init__(self) -> None:
            self.voice, self.model_path, self._g2p, self.sess = DEFAULT, voice_path(DEFAULT), None, None
            self.vocab = json.loads(Path(ASSETS, "vocab.json").read_text(encoding="utf-8"))

    tts = Lean()
    data = Path(tts.model_path).read_bytes()
    if hashlib.sha256(data).hexdigest() != card.extra.get("sha256"):
        raise Unavailable(
            "The voice in the hibari-tts package is not the one this app knows; install hibari-tts 0.2.1."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False  # slower by little, smaller by much
    session = onnxruntime.InferenceSession(with_output(data, DURATIONS), options, providers=["CPUExecutionProvider"])
    with packed_dictionaries():
        tts.g2p  # noqa: B018 (made at the first touch)
    voice = Voice(tts, session)
    voice.speak(
        tts.phonemize("Hello there.")[0], 1.0, np.random.default_rng(0)
    )  # dictionaries and buffers are read now, not in the first answer
    memory.trim()
    return voice


def with_output(model: bytes, name: bytes) -> bytes:
    """An ONNX file with one more graph output. Protobuf parsers merge a repeated submessage, so appending a graph that
    holds nothing but the output is enough: ModelProto.graph is field 7, GraphProto.output 12, ValueInfoProto.name 1."""

    def message(field: int, body: bytes) -> bytes:
        if len(body) > 127:
            raise ValueError("the name is too long for a one-byte length")
        return bytes([field << 3 | 2, len(body)]) + body

    return model + message(7, message(12, message(1, name)))


@dataclass(frozen=True)
class SpeechRequest(Request):
    """English text to speech at 24 kHz."""

    PIPELINE = "core.audio.speech"

    model: str = "hibari"
    text: str = text("Sound is only air that moves. This voice was made by a network of six million numbers.", 2000)
    speed: float = number(1.0, 0.5, 2.0, help="1 is the voice's own pace.")
    seed: int = seed_field()

    def work(self) -> float:
        """Characters, for the estimate of time."""
        return len(self.text) / 100

    def check(self) -> None:
        letters = [c for c in self.text if c.isalpha()]
        if not any(c.isalnum() for c in self.text):
            raise BadRequest("There is nothing to say; write a sentence in English.")
        if letters and sum(c.isascii() for c in letters) < 0.6 * len(letters):
            raise BadRequest("This voice speaks English only; write the sentence in English.")


def generate(request: SpeechRequest, control: Control, voice: Voice) -> Iterator[Step | Result]:
    """Yields a step a sentence (data: the new sentence's sound), then an AudioResult at 24 kHz.
    extras: timeline [(phoneme, start s, end s)], sentences [(text, start s, end s)], first_sound (s of waiting)."""
    sentences = voice.tts.split_sentences(request.text)
    parts, timeline, spans = [], [], []
    begin, first, now = time.perf_counter(), 0.0, 0.0
    rng = np.random.default_rng(request.seed)
    for i, sentence in enumerate(sentences):
        if control.finishing:
            break
        for phonemes in voice.tts.phonemize(sentence):
            wave, durations = voice.speak(phonemes, request.speed, rng)
            t = now
            for phoneme, seconds in durations:
                timeline.append((phoneme, t, t + seconds))
                t += seconds
            parts.append(wave)
            spans.append((sentence, now, now + len(wave) / SAMPLE_RATE))
            now += len(wave) / SAMPLE_RATE
        live = {"sound": parts[-1] if parts else None, "rate": SAMPLE_RATE}
        first = first or time.perf_counter() - begin
        yield Step("speak", i + 1, len(sentences), note=sentence[:80], data=live)
    if not parts or sum(len(p) for p in parts) == 0:
        raise BadRequest("The voice found no sounds in this text; write a sentence in English words.")
    wave = np.clip(np.concatenate(parts), -1, 1)
    yield AudioResult(
        request,
        steps_run=len(spans),
        model_calls=len(spans),
        waveform=wave[:, None],
        sample_rate=SAMPLE_RATE,
        seeds=[request.seed],
        complete=len(spans) >= len(sentences),
        extras={"timeline": timeline, "sentences": spans, "first_sound": first},
    )
