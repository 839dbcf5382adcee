"""The Generate workbench of the Sound page: rail, lenses, blind listening, failures."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core import catalog, provenance
from core.audio import analysis, upload
from core.audio.music_lm import EXAMPLES, GenerateRequest
from core.audio.sound_diffusion import DenoiseRequest
from core.request import Request
from core.result import AudioResult
from ui import compare as comparison
from ui import controls, learn, picker, sound_denoise, tables
from ui import sound_views as show
from ui.page import guard
from ui.sound_inputs import changed, example, own_clip


def rail() -> GenerateRequest | DenoiseRequest | None:
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
        st.caption("It takes words, not a melody: draw, hum, upload or write one for the model of the Score workbench.")
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


def inside(result: AudioResult) -> None:
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
        return changed(base, model=model, guidance_scale=guidance)
    values: dict[str, Any] = {k: getattr(base, k) for k in ("prompt", "seed")}
    return controls.build(cls, model=model, guidance_scale=guidance, seconds=min(base.seconds, 8.0), **values)  # type: ignore[attr-defined]


def compare(request: Request) -> None:
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

    results = comparison.compare(request, column, show.cell, key="sound", most=4, measures=None if blind else measures)
    if blind and results:
        _vote(results)


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
