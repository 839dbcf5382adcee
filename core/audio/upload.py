"""Any sound a visitor brings -> mono float32. One sentence for everything that cannot be read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from core.audio.dsp import SAMPLE_RATE, resample
from core.errors import BadRequest

CLIPS = Path(__file__).resolve().parent.parent.parent / "assets" / "models" / "codec" / "clips"


def clip_names() -> tuple[str, ...]:
    """Names of the held-out clips that ship with the codec, e.g. "music-1"."""
    return tuple(sorted(path.stem for path in CLIPS.glob("*.flac")))


def read_clip(name: str, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """One shipped clip: (samples,) float32. Raises BadRequest for an unknown name."""
    if name not in clip_names():
        raise BadRequest(f"There is no clip “{name[:40]}”; choose one of {', '.join(clip_names())}.")
    return decode(CLIPS.joinpath(f"{name}.flac").read_bytes(), sample_rate)


def decode(data: bytes, sample_rate: int = SAMPLE_RATE, max_seconds: float = 30.0) -> np.ndarray:
    """WAV, FLAC, OGG, MP3 or M4A of any rate, depth and channel count -> (samples,) float32 mono at `sample_rate`.

    Never decodes more than `max_seconds` + 1 s. Raises BadRequest: empty, unreadable, silent, too short or too long.
    """
    if not data:
        raise BadRequest("The file is empty (0 bytes); choose a sound file.")
    wave, rate, seconds = _soundfile(data, max_seconds) or _av(data, max_seconds)
    if seconds > max_seconds:
        raise BadRequest(
            f"The clip is longer than {max_seconds:.0f} s; cut it to {max_seconds:.0f} s or less and try again."
        )
    if not np.isfinite(wave).all():
        raise BadRequest("The clip holds values that are no numbers; export it again as 16-bit WAV.")
    mono = resample(wave.mean(1), rate, sample_rate)
    if len(mono) < sample_rate // 5:
        raise BadRequest("The clip is shorter than 0.2 s; choose a longer one.")
    if np.abs(mono).max() < 1e-4:
        raise BadRequest("The clip is silent; choose one with sound in it.")
    return np.clip(mono, -1, 1).astype(np.float32)


def _soundfile(data: bytes, max_seconds: float) -> tuple[np.ndarray, int, float] | None:
    """((samples, channels), rate, seconds), or None when libsndfile does not know the format."""
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            wave = file.read(int((max_seconds + 1) * file.samplerate), dtype="float32", always_2d=True)
            seconds = max(len(wave), file.frames if file.frames < 2**40 else 0) / file.samplerate
            return wave, file.samplerate, seconds
    except (soundfile.LibsndfileError, RuntimeError, ValueError):
        return None


def _av(data: bytes, max_seconds: float) -> tuple[np.ndarray, int, float]:
    """The same through FFmpeg (M4A, WebM and others)."""
    import av

    parts: list[np.ndarray] = []
    count, rate = 0, 0
    try:
        with av.open(io.BytesIO(data)) as file:
            if not file.streams.audio:
                raise BadRequest("The file holds no sound; choose a WAV, FLAC, OGG, MP3 or M4A file.")
            resampler = av.AudioResampler(format="flt", layout="mono")
            for frame in file.decode(file.streams.audio[0]):  # type: ignore[union-attr]
                rate = frame.sample_rate
                for mono in resampler.resample(frame):
                    parts.append(mono.to_ndarray().reshape(-1))
                    count += len(parts[-1])
                if count > (max_seconds + 1) * rate:
                    break
    except (av.FFmpegError, ValueError, IndexError):
        raise BadRequest("The file cannot be read as sound; choose a WAV, FLAC, OGG, MP3 or M4A file.") from None
    if not count:
        raise BadRequest("The file holds no sound; choose a WAV, FLAC, OGG, MP3 or M4A file.")
    return np.concatenate(parts)[:, None], rate, count / rate
