"""Patches, their cost, and reading films."""

import io
from fractions import Fraction

import numpy as np
import pytest

from core.errors import BadRequest
from core.video import clip_io, patches, scenes


def film(frames=24, size=(60, 100), fps=12, kind="mp4", codec="libx264", times=None):
    """A film whose left half grows brighter with time: bytes."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format=kind) as file:
        stream = file.add_stream(codec, rate=fps)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        stream.time_base = Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        for i in range(frames):
            picture = np.full((*size, 3), 20, np.uint8)
            picture[:, : size[1] // 2] = 20 + i * 200 // frames
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts = int(1000 * i / fps) if times is None else int(1000 * times[i])
            frame.time_base = Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def brightness(clip):
    return clip[:, :, 10].mean((1, 2))


@pytest.mark.parametrize(("frames", "patch"), [(2, 16), (3, 7), (1, 48), (16, 4)])
def test_cut_and_join_give_the_film_back(frames, patch):
    clip = scenes.render(scenes.Scene("star", "green", "left", "night"))
    cubes = patches.cut(clip, frames, patch)
    assert cubes.shape[:3] == patches.tokens(16, 48, 48, frames, patch)
    assert (patches.join(cubes)[:16, :48, :48] == clip).all()


def test_attention_quadruples_when_the_film_doubles():
    one, two = patches.cost(72, 160, 5, 5), patches.cost(144, 160, 5, 5)
    assert two.linear == 2 * one.linear and two.attention == 4 * one.attention
    assert patches.cost(144, 160, 5, 5, window=9).attention == one.attention * 144 / 72 * 9 / 72


def test_sizes_below_one_are_refused():
    with pytest.raises(BadRequest):
        patches.tokens(16, 48, 48, 0, 8)


@pytest.mark.parametrize(
    ("kind", "codec"), [("mp4", "libx264"), ("mov", "libx264"), ("webm", "libvpx"), ("matroska", "libx264")]
)
def test_films_are_read_at_our_rate_and_size(kind, codec):
    clip = clip_io.read_clip(film(kind=kind, codec=codec))
    assert clip.shape == (16, 48, 48, 3)
    level = brightness(clip)
    assert (np.diff(level) >= -2).all() and level[-1] - level[0] > 100  # 2 s of 12 a second: all of it


def test_variable_rates_follow_the_frames_own_times():
    times = [0, 0.1, 0.2, 1.0, 1.9]  # one frame stands for most of a second
    level = brightness(clip_io.read_clip(film(frames=5, times=times)))
    assert np.ptp(level[3:8]) < 3  # 0.375 to 0.875 s: the third frame


def test_short_films_repeat_their_last_frame_and_gifs_are_films():
    from PIL import Image

    out = io.BytesIO()
    pictures = [Image.new("RGB", (31, 57), (10 + 60 * i, 0, 0)) for i in range(3)]
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:], duration=200)
    clip = clip_io.read_clip(out.getvalue())
    assert clip.shape == (16, 48, 48, 3)
    assert clip[0, ..., 0].mean() < 20 and clip[-1, ..., 0].mean() > 110


def test_a_start_inside_the_film_is_kept():
    data = film(frames=48)
    late = clip_io.read_clip(data, start=2.0)
    assert brightness(late)[0] > brightness(clip_io.read_clip(data))[0] + 60


def test_a_turned_film_is_turned_upright():
    import av

    data = film(size=(60, 100))
    out = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(out, "w", format="mp4") as file:
        stream = file.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                file.mux(packet)
    turned = bytearray(out.getvalue())
    # the display matrix of the track header: identity becomes a quarter turn
    identity = b"".join(v.to_bytes(4, "big") for v in (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000))
    quarter = b"".join(v.to_bytes(4, "big") for v in (0, 0x10000, 0, 0xFFFF0000, 0, 0, 0, 0, 0x40000000))
    place = turned.index(b"tkhd")
    place = turned.index(identity, place)
    turned[place : place + 36] = quarter
    last = clip_io.read_clip(bytes(turned))[-1].astype(int)
    top, bottom = last[:12].mean(), last[-12:].mean()
    assert abs(top - bottom) > 60  # left and right became top and bottom
    assert top > bottom  # turned clockwise: left is up


@pytest.mark.parametrize("data", [b"", b"hello", b"\x00" * 4000])
def test_what_is_no_film_is_said_in_one_sentence(data):
    with pytest.raises(BadRequest) as caught:
        clip_io.read_clip(data)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_sound_alone_and_broken_ends():
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, np.zeros(8000), 8000, format="WAV")
    with pytest.raises(BadRequest, match="sound but no pictures"):
        clip_io.read_clip(out.getvalue())
    whole = film(kind="matroska")
    assert clip_io.read_clip(whole[: len(whole) * 2 // 3]).shape == (16, 48, 48, 3)


def test_half_an_hour_is_read_only_at_its_beginning(monkeypatch):
    data = film(frames=1800, size=(32, 32), fps=1, codec="mpeg4")  # 30 minutes
    monkeypatch.setattr(clip_io, "MAX_DECODED", 50)  # far fewer than it holds
    clip = clip_io.read_clip(data)
    assert clip.shape == (16, 48, 48, 3) and clip_io.duration(data) == 30.0
    assert np.ptp(brightness(clip)) < 3  # two seconds of half an hour
    with pytest.raises(BadRequest, match="ends before the start"):
        clip_io.read_clip(data, start=40.0)


@pytest.mark.parametrize("size", [(61, 99), (33, 640), (480, 17)])
def test_odd_sizes_become_a_square(size):
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as file:
        stream = file.add_stream("ffv1", rate=8)
        stream.height, stream.width, stream.pix_fmt = *size, "bgr0"
        for i in range(4):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((*size, 3), 60 * i, np.uint8), "rgb24")))
        file.mux(stream.encode(None))
    clip = clip_io.read_clip(out.getvalue())
    assert clip.shape == (16, 48, 48, 3) and clip[0].mean() < 5 and clip[-1].mean() > 170


def test_a_truncated_mp4_without_its_index_gets_a_sentence():
    whole = film()
    with pytest.raises(BadRequest, match="no readable film"):
        clip_io.read_clip(whole[: len(whole) // 2])
