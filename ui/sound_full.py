"""Full size: checkpoints from the hub or a folder, audiocraft's models in their worker, or a remote voice."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.audio.audiocraft import AudiocraftRequest, installed
from core.audio.full_sound import KINDS, FullSoundRequest, kind_of
from core.audio.music_lm import GenerateRequest
from core.audio.remote import SERVICES, RemoteSpeechRequest
from core.request import Request
from ui import sound_melody
from ui import sound_views as show
from ui.controls import build, control
from ui.full_size import choose, stored_key
from ui.sound_inputs import own_clip
from ui.stage import stage

HINT = (
    "AudioLDM2, Stable Audio Open, MusicLDM; Bark, MMS and other VITS voices, SpeechT5, Dia, Kokoro; MusicGen, with a melody too. For example "
    "facebook/mms-tts-eng (145 MB), suno/bark-small, cvssp/audioldm2, facebook/musicgen-small, facebook/musicgen-melody "
    "(6.2 GB in memory, CC BY-NC 4.0), or a folder. Nothing is fetched before you say so."
)
PLACES = ("this machine", "audiocraft", "remote voice")


def rail() -> Request | None:
    """Where it runs, which checkpoint, few controls; the request or None."""
    st.session_state.setdefault("_known_keys", set()).add("place")
    place = st.segmented_control(
        "Where it runs", PLACES, default=PLACES[0], required=True, key="place", bind="query-params"
    )
    if place == "remote voice":
        return _remote()
    words = st.text_area("Prompt", "A gentle piano melody over soft rain.", max_chars=400, key="full_prompt")
    return _audiocraft(words) if place == "audiocraft" else _local(words)


def _seed() -> int:
    return int(st.number_input("Seed", 0, 2**32 - 1, 0, key="full_seed"))


def _local(words: str) -> Request | None:
    folder = choose("Hub id or folder", "full", kinds=KINDS, hint=HINT)
    if not folder:
        return None
    from pathlib import Path

    from ui.page import guard

    kind = ""
    with guard():
        kind = kind_of(Path(folder))
    if not kind:
        return None
    seed = _seed()
    if kind in ("musicgen", "musicgen_melody"):
        melody = _melody() if kind == "musicgen_melody" else {}
        seconds = st.slider("Seconds", 1.0, 30.0, 4.0, 0.5, key="full_seconds")
        scale = st.slider("Guidance scale", 0.0, 10.0, 3.0, 0.5, key="full_guidance")
        return build(
            GenerateRequest, source=folder, prompt=words, seconds=seconds, seed=seed, guidance_scale=scale,
            temperature=1.0, top_k=250, inspect=False, **melody,
        )  # fmt: skip
    values: dict[str, Any] = {"folder": folder, "prompt": words, "seed": seed}
    if kind.endswith("Pipeline"):
        values["seconds"] = st.slider("Seconds", 0.5, 47.0, 5.0, 0.5, key="full_seconds")
        values["num_inference_steps"] = st.slider("Steps", 1, 200, 50, key="full_steps")
        own = st.toggle("The checkpoint's own guidance", True, key="full_own")
        scale = st.slider("Guidance scale", 0.0, 20.0, 5.0, 0.5, key="full_guidance", disabled=own)
        values["guidance_scale"] = -1.0 if own else scale
    else:
        st.caption("A voice: the prompt is what it says. SpeechT5's speaker is drawn by the seed.")
    return build(FullSoundRequest, **values)


def _melody() -> dict[str, Any]:
    """The melody that the music follows: drawn or written, or a clip."""
    pace = control(GenerateRequest, "note_seconds", "Seconds a note")
    melody = control(GenerateRequest, "melody", "Melody to follow", key="full_melody")
    with st.expander("Draw it", icon=":material/show_chart:"):
        st.caption("Draw a line, or click note by note; a click on a note takes it away. Gaps are rests.")
        sound_melody.by_hand("full_melody", melody, pace)
    with st.expander("Hum it", icon=":material/mic:"):
        clip = own_clip("full_hum", "Hum, whistle or play one line")
        st.caption("The model hears which of the twelve pitch classes is strongest, eight times a second; no drums.")
    return {"melody": melody, "note_seconds": pace, "hummed": clip}


def _audiocraft(words: str) -> AudiocraftRequest | None:
    if not installed():
        st.caption(
            "audiocraft is not installed here; `make install` puts it into .venv/audiocraft, apart from the app."
        )
        return None
    kind = st.segmented_control(
        "Kind", ("MusicGen", "AudioGen", "MAGNeT"), default="MusicGen", required=True, key="full_kind"
    )
    place = st.text_input(
        "Hub id or folder", "", max_chars=300, key="full_checkpoint",
        placeholder="facebook/musicgen-small, facebook/audiogen-medium, facebook/magnet-small-10secs, debug",
        help="“debug” is audiocraft's own tiny random network: noise, to see that the path works.",
    )  # fmt: skip
    if not place.strip():
        st.caption(
            "It runs in a process of its own (7 s and 550 MB to start, then the weights); the first run downloads the "
            "weights: musicgen-small 2.4 GB, audiogen-medium 3.9 GB, magnet-small 1.7 GB. Words only: for a melody choose "
            "“this machine” and facebook/musicgen-melody."
        )
        return None
    seconds = st.slider("Seconds", 0.5, 30.0, 4.0, 0.5, key="full_seconds")
    scale = st.slider("Guidance scale", 1.0, 10.0, 3.0, 0.5, key="full_guidance")
    return build(
        AudiocraftRequest, kind=kind, checkpoint=place.strip(), prompt=words, seconds=seconds, seed=_seed(),
        guidance_scale=scale,
    )  # fmt: skip


def _remote() -> RemoteSpeechRequest | None:
    service = st.selectbox("Service", [*SERVICES, "Another"], key="voice_service")
    address, variable, model, voice = SERVICES.get(service, ("", "", "", ""))
    url = st.text_input(
        "Address", address, max_chars=300, key=f"voice_url_{service}", help="OpenAI-compatible, up to /v1."
    )
    name = st.text_input("Model's name there", model, max_chars=200, key=f"voice_name_{service}")
    speaker = st.text_input("Voice's name there", voice, max_chars=100, key=f"voice_voice_{service}")
    words = st.text_area("Text", "Sound is only air that moves.", max_chars=2000, key="voice_text")
    handle = stored_key(url, (address, variable), "_voice_handle")
    st.caption("Your text is sent to this address. The voice is another model's, not ours.")
    if not (url and name and speaker and words.strip()):
        return None
    return build(RemoteSpeechRequest, base_url=url, name=name, voice=speaker, text=words, key=handle)


def draw(request: Request | None) -> Any:
    """The stage of this workbench: nothing runs before Generate is pressed."""
    if request is None:
        st.info("Choose a checkpoint or an endpoint on the right; its size stands there before anything is loaded.")
        return None
    if st.button("Generate", type="primary", icon=":material/play_arrow:", key="_full_go"):
        st.session_state["_full_asked"] = request
    asked: Request | None = st.session_state.get("_full_asked")
    if asked is None:
        st.caption(
            "Press Generate: a full-size model on a CPU takes from seconds (a voice) to many minutes (diffusion)."
        )
        return None
    return stage(asked, show.result, key="full", preview=show.running)
