"""A clip through Opus and back, for comparison: what everyone's telephone calls go through (RFC 6716)."""

from __future__ import annotations

import io

import numpy as np


def opus(wave: np.ndarray, bits: int) -> np.ndarray:
    """Through Opus at `bits` bit/s and back, aligned to the original. (samples,) at 16 kHz."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="ogg") as file:
        stream = file.add_stream("libopus", rate=16_000, options={"b": str(bits), "vbr": "constrained"})
        stream.bit_rate, stream.layout = bits, "mono"  # type: ignore[attr-defined]
        frame = av.AudioFrame.from_ndarray(
            (np.clip(wave, -1, 1) * 32767).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = 16_000
        file.mux([*stream.encode(frame), *stream.encode(None)])  # type: ignore[attr-defined]
    with av.open(io.BytesIO(out.getvalue())) as file:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
        parts = [r.to_ndarray().reshape(-1) for f in file.decode(audio=0) for r in resampler.resample(f)]  # type: ignore[union-attr]
        parts += [r.to_ndarray().reshape(-1) for r in resampler.resample(None)]
    back = np.concatenate(parts)
    shift = int(np.argmax(np.correlate(back[:20_000], wave[:16_000], "valid"))) if len(back) > 20_000 else 0
    back = back[shift:][: len(wave)]
    return np.pad(back, (0, len(wave) - len(back)))
