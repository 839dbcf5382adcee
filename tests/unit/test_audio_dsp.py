"""Signal processing and uploads, without any model."""

from __future__ import annotations

import io

import numpy as np
import pytest

from core.audio import analysis, dsp, pitch, upload
from core.audio.opus import opus
from core.errors import BadRequest

RNG = np.random.default_rng(0)
TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).astype(np.float32)


def as_file(wave: np.ndarray, rate: int, kind: str = "WAV", subtype: str | None = None) -> bytes:
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, wave, rate, format=kind, subtype=subtype)
    return out.getvalue()


def test_delay_pattern_shifts_each_codebook_and_comes_back():
    codes = RNG.integers(0, 256, (4, 9))
    grid = dsp.delay_codes(codes, 256)
    assert grid.shape == (4, 13)
    assert (grid[:, 0] == 256).all()
    assert (grid[3, :4] == 256).all() and grid[3, 4] == codes[3, 0]
    assert (dsp.undelay_codes(grid) == codes).all()


def test_vocoder_keeps_length_pitch_and_spectrum():
    back = dsp.vocode(dsp.codec_features(TONE))
    assert back.shape == TONE.shape
    spectrum = np.abs(np.fft.rfft(back))
    assert abs(int(spectrum.argmax()) - 440) <= 12
    assert dsp.mel_distance(TONE[2000:-2000], back[2000:-2000]) < 0.5
    assert (dsp.vocode(dsp.codec_features(TONE)) == back).all()  # seeded phases


def test_mel_distance_is_zero_for_equal_clips_and_grows_with_noise():
    noisy = TONE + 0.01 * RNG.standard_normal(16_000).astype(np.float32)
    assert dsp.mel_distance(TONE, TONE) == 0
    assert dsp.mel_distance(TONE, noisy) > 0.1


def test_loudness_is_matched_without_clipping():
    assert abs(dsp.loudness(dsp.match_loudness(TONE * 0.1)) + 20) < 0.1
    spike = np.zeros(16_000, np.float32)
    spike[5] = 0.5
    assert np.abs(dsp.match_loudness(spike)).max() <= 0.951


def test_tempo_and_key_of_a_click_track_and_a_chord():
    clicks = np.zeros(64_000, np.float32)
    for at in np.arange(0, 64_000, 8_000):  # 120 a minute
        clicks[at : at + 200] = 0.5 * RNG.standard_normal(200)
    assert abs(analysis.tempo(clicks) - 120) < 4
    t = np.arange(32_000) / 16_000
    scale = [261.6, 329.6, 392.0, 261.6, 349.2, 440.0]  # C E G, then C F A: C major
    chord = sum(np.sin(2 * np.pi * f * t) * w for f, w in zip(scale, (3, 2, 2, 3, 1, 1), strict=True)) / 12
    assert analysis.key(chord.astype(np.float32)) == ("C", "major")


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"),
    [(8_000, 1, "PCM_U8"), (44_100, 2, "PCM_24"), (48_000, 6, "PCM_16"), (11_025, 1, "FLOAT")],
)
def test_odd_files_come_out_mono_at_16_khz(rate: int, channels: int, subtype: str):
    wave = np.repeat(0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)[:, None], channels, 1)
    clip = upload.decode(as_file(wave, rate, subtype=subtype))
    assert abs(len(clip) - 16_000) <= 2
    assert abs(int(np.abs(np.fft.rfft(clip)).argmax()) - 440) <= 1


@pytest.mark.parametrize("kind", ["OGG", "MP3", "FLAC"])
def test_compressed_files_are_read(kind: str):
    assert 15_000 < len(upload.decode(as_file(TONE, 16_000, kind))) < 18_500


def test_m4a_is_read_through_ffmpeg():
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="ipod") as file:
        stream = file.add_stream("aac", rate=44_100)
        wave = (0.3 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate = 44_100
        file.mux([*stream.encode(frame), *stream.encode(None)])
    assert abs(len(upload.decode(out.getvalue())) - 16_000) < 1_500


def test_bad_files_get_one_sentence_each():
    from PIL import Image

    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    hour = as_file(np.zeros((40 * 8_000, 1), np.float32) + 0.1, 8_000)
    bad = {
        b"": "empty",
        picture.getvalue(): "sound",
        b"RIFF" + bytes(60): "sound",
        hour: "longer than 30 s",
        as_file(np.zeros(16_000), 16_000): "silent",
        as_file(TONE[:800], 16_000): "shorter",
    }
    for data, words in bad.items():
        with pytest.raises(BadRequest) as caught:
            upload.decode(data)
        text = str(caught.value)
        assert words in text and text.count(".") <= 3 and text.endswith(".") and len(text) < 160


def test_a_hummed_line_becomes_its_notes():
    t = np.arange(6_400) / 16_000
    rest = np.zeros(1_600)

    def hum(key: int) -> np.ndarray:
        hertz = 440 * 2 ** ((key - 69) / 12)
        return sum(np.sin(2 * np.pi * h * hertz * t) / h for h in (1, 2, 3)) * 0.2 * np.hanning(len(t))

    line = np.concatenate([part for key in (48, 52, 55, 55) for part in (hum(key), rest)])
    assert pitch.melody(line) == [60, 64, 67, 67]  # an octave up, where the lead plays
    assert pitch.written([60, 64, 70]) == "C4 E4 Bb4"
    with pytest.raises(BadRequest):
        pitch.melody(RNG.normal(0, 0.1, 16_000))


def test_opus_comes_back_aligned_and_of_the_same_length():
    back = opus(TONE, 12_000)
    assert back.shape == TONE.shape
    middle = slice(4_000, 12_000)
    assert np.corrcoef(back[middle], TONE[middle])[0, 1] > 0.8
