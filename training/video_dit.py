"""Train the frame codec, the spacetime transformer, and the networks made from it.

    python -m training.video_dit codec --minutes 3        # frames to latents and back
    python -m training.video_dit full --minutes 30        # assets/models/video-dit, text to 16 frames
    python -m training.video_dit slice --minutes 4        # video-dit-frames, the twin without attention over time
    python -m training.video_dit factorised --minutes 8   # video-dit-factorised, space and time in turn
    python -m training.video_dit keyframes --minutes 4    # video-keyframes, text to frames 0, 5, 10, 15
    python -m training.video_dit between --minutes 4      # video-between, the end of a film to what follows
    python -m training.video_dit flow --minutes 5         # video-between, two frames to those between them
All but `codec`, `full` and `flow` start from the full network in assets. Minutes are CPU minutes of the
process. Runs resume from runs/NAME/last.pt; `--resume` starts a new run from the weights in assets. The latents need
only the codec's fitted blocks, so its correction may be trained before or after; `publish` puts the parts together.
"""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.video import scenes
from core.video.dit import Codec, Config, VideoModel, read
from core.video.flow import FlowNet
from training import video_data
from training.loop import RUNS, Run, generator, save_sheet, to_tensor, to_uint8

MODELS = Path("assets/models")
FOLDERS = {
    "full": MODELS / "video-dit",
    "slice": MODELS / "video-dit-frames",
    "factorised": MODELS / "video-dit-factorised",
    "keyframes": MODELS / "video-keyframes",
    "between": MODELS / "video-between",
}
SIZES: dict[str, dict[str, Any]] = {
    "full": {},
    "slice": {"attention": "slice"},
    "factorised": {"attention": "factorised"},
    "keyframes": {"frames": 4, "stride": 5, "patch_frames": 1},
    "between": {"residual": True, "flow": 32},
}


def shipped() -> bool:
    """Whether there are weights of the full network in assets."""
    return (FOLDERS["full"] / "model.safetensors").exists()


def fitted_codec() -> Codec:
    """The codec with its blocks fitted and, once `codec` has run, its trained correction. Where there are weights in
    assets it is theirs: the transformer was trained in its latents."""
    config = Config()
    codec = Codec(config.codec_width, config.latent)
    path = RUNS / "video_codec/last.pt"
    blocks = RUNS / "data/video-blocks.pt"
    if shipped():
        codec.load_state_dict(read(FOLDERS["full"]).codec.state_dict())
        codec.blocks.requires_grad_(False)
        codec.mean.requires_grad_(False)
    else:
        if not blocks.exists():
            blocks.parent.mkdir(parents=True, exist_ok=True)
            codec.fit(to_tensor(video_data.single_frames(np.random.default_rng(1), 1500)))
            torch.save({k: v for k, v in codec.state_dict().items() if not k.startswith("fix")}, blocks)
        codec.load_state_dict(torch.load(blocks, weights_only=True), strict=False)
        codec.freeze()
    if path.exists():
        codec.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["ema"])
    return codec


def train_codec(minutes: float) -> None:
    codec = fitted_codec()
    made, truth = guesses(300) if shipped() else (torch.empty(0), np.empty(0))
    run = Run("video_codec", codec, minutes, lr=2e-3, batch=24, ema=0.995)
    rng, noise = np.random.default_rng(run.step + 1), generator(run.step + 1)
    test = to_tensor(video_data.single_frames(np.random.default_rng(0), 16))
    for _ in run:
        x = to_tensor(video_data.single_frames(rng, run.batch // 3 if len(made) else run.batch))
        with torch.no_grad():
            z = codec.encode(x)
            # half of the latents are spoilt a little: the decoder must forgive what is not quite right
            size = 0.1 * z.std() * torch.rand(len(z), 1, 1, 1, generator=noise).sub(0.5).clamp(min=0) * 2
            z = z + size * torch.randn(z.shape, generator=noise)
            if len(made):  # two in three are the network's own: wavering outlines become the ones they stand for
                index = rng.integers(len(made), size=run.batch - len(z))
                z, x = torch.cat([z, made[index].float()]), torch.cat([x, to_tensor(truth[index])])
            edge = F.max_pool2d((codec.decode(z) - x).abs().amax(1, keepdim=True), 3, stride=1, padding=1)
        y = codec.decode(z)
        weight = 0.5 + 4 * edge.clamp(max=1)  # where it errs most: edges
        l1, l2 = (weight * (y - x).abs()).mean(), F.mse_loss(y, x)
        run.update(l1 + l2, l1=float(l1.detach()), db=float(-10 * (l2.detach() / 4).log10()))
        if run.due("sheet", 1.0) or run.progress >= 1:
            with torch.no_grad():
                back = run.ema.decode(run.ema.encode(test))
            run.sheet(np.concatenate([to_uint8(test[:8]), to_uint8(back[:8]), to_uint8(test[8:]), to_uint8(back[8:])]))


@torch.no_grad()
def guesses(clips: int) -> tuple[Tensor, np.ndarray]:
    """What the shipped network makes of drawn clips that were spoilt to a noise level of 0.3 to 0.85: raw latents
    (clips * 16, 24, 6, 6) fp16, and the frames (clips * 16, 48, 48, 3) that they should become."""
    from core.video.sample import times

    model = read(FOLDERS["full"])
    rng, noise = np.random.default_rng(9), generator(9)
    mean, std = model._stats()
    made, truth = [], []
    for _ in range(clips // 10):
        chosen = video_data.scene_list("train", 10, int(rng.integers(2**31)), "mixed")
        frames = np.stack([scenes.render(scene) for scene in chosen])
        x = torch.stack([model.encode(to_tensor(f)) for f in frames])
        words = torch.cat([model.words(scenes.caption(s, rng))[0] for s in chosen])
        start = float(rng.uniform(0.3, 0.85))
        z = (1 - start) * x + start * torch.randn(x.shape, generator=noise)
        for t, after in pairwise(times(int(rng.integers(1, 5)), model.config.noise_shift, start)):
            cond, null = model.dit(
                torch.cat([z, z]), torch.full((20,), t), torch.cat([words, torch.zeros_like(words)])
            ).chunk(2)
            x = null + 2.5 * (cond - null)
            z = x + after / t * (z - x)
        made.append((z * std + mean).half().flatten(0, 1))
        truth.append(frames.reshape(-1, *frames.shape[2:]))
    return torch.cat(made), np.concatenate(truth)


def latents(count: int, rate: int = 1, start: int = 0, seed: int = 1) -> tuple[Tensor, list[scenes.Scene], Config]:
    """Standardised latents (count, 16, 24, 6, 6) fp16 of drawn training clips, made once; the config with their
    statistics. rate: frames drawn for one of a clip (2: slow motion, the first half of it); start: the first frame."""
    chosen = video_data.scene_list("train", count, seed, "mixed")
    config = Config()
    path = RUNS / "data" / f"video-mixed-{config.latent}-{count}-{rate}-{start}-{seed}.npy"
    codec = fitted_codec()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn = np.empty((count, scenes.FRAMES, config.latent, config.grid, config.grid), np.float16)
        with torch.no_grad():
            for i, scene in enumerate(chosen):
                drawn[i] = codec.encode(to_tensor(scenes.render(scene, rate=rate, start=start))).numpy()
        np.save(path, drawn)
    raw = torch.from_numpy(np.load(path))
    if seed == 1:
        sample = raw[:1000].float().transpose(1, 2).transpose(0, 1).flatten(1)  # (C, many)
        # the square root of the deviation: later components keep a smaller voice in loss and noise
        mean, std = sample.mean(1), sample.std(1).sqrt()
        std = std * ((sample - mean[:, None]) / std[:, None]).std()
        config = replace(
            config,
            latent_mean=tuple(round(v, 4) for v in mean.tolist()),
            latent_std=tuple(round(v, 4) for v in std.tolist()),
            words=scenes.vocabulary(),
        )
        if shipped():  # a network goes on in the numbers that it knows
            known = read(FOLDERS["full"]).config
            config = replace(config, latent_mean=known.latent_mean, latent_std=known.latent_std)
            mean, std = torch.tensor(known.latent_mean), torch.tensor(known.latent_std)
    else:
        config = latents(count)[2]
    shape = (1, 1, -1, 1, 1)
    mean, std = (torch.tensor(v).view(shape) for v in (config.latent_mean, config.latent_std))
    for part in raw.split(500):  # in place: the set is large
        part.copy_((part.float() - mean) / std)
    return raw, chosen, config


# --- the words first -------------------------------------------------------------------------------------------

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "shape": scenes.SHAPES,
    "color": tuple(scenes.COLORS),
    "motion": scenes.MOTIONS,
    "background": tuple(scenes.BACKGROUNDS),
    "size": tuple(scenes.SIZES),
    "speed": tuple(scenes.SPEEDS),
    "shape2": ("", *scenes.SHAPES),
    "color2": ("", *scenes.COLORS),
    "meeting": ("", *scenes.MEETINGS),
    "camera": ("", *scenes.CAMERAS),
}


def teach_words(model: VideoModel, minutes: float, keep: bool) -> None:
    """Teach the reader, from captions alone, to name what they ask for and to say where the object is in each slice.

    Two linear layers read the answers off and are thrown away. A network that learns to draw from words it can
    already tell apart needs far fewer clips. A reader that was taught before (`keep`) goes on saying the same of
    scenes with one object, which are what the transformer knows to draw.
    """
    reader, c = model.dit.reader, model.config
    before = copy.deepcopy(reader).requires_grad_(False)
    counts = [len(options) for options in ATTRIBUTES.values()]
    name = nn.Linear(c.width, sum(counts))
    place = nn.Linear(c.width, 6 * c.patch_frames)  # x, y, half-width of both objects in each frame of a slice
    parameters = [*reader.parameters(), *name.parameters(), *place.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.01)
    rng, step = np.random.default_rng(3), 0
    when = torch.arange(0, scenes.FRAMES, c.patch_frames * c.stride).float()

    def batch(split: str, count: int, drop: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        chosen = [scenes.random_scene(rng, split, video_data.mixed(rng)) for _ in range(count)]
        words = torch.cat([model.words(scenes.caption(s, rng, drop))[0] for s in chosen])
        labels = torch.tensor([[o.index(getattr(s, k)) for k, o in ATTRIBUTES.items()] for s in chosen])
        paths = np.zeros((count, scenes.FRAMES // c.stride + (c.stride > 1), 2, 3))
        for row, scene in zip(paths, chosen, strict=True):
            for i, path in enumerate(scenes.paths(scene)):
                row[:, i] = (path[:: c.stride] - (24, 24, 8)) / (8, 8, 2)
        single = torch.tensor([s.kind == "one" for s in chosen])
        return words, labels, torch.from_numpy(paths).float().reshape(count, len(when), -1), single

    data, begin = batch("train", 12000, 0.1), time.process_time()
    while (done := (time.process_time() - begin) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 50) * (1 - done)
        index = torch.from_numpy(rng.integers(12000, size=64))
        words, labels, paths, single = (d[index] for d in data)
        _, said, plan = reader(words, when)
        parts = name(said).split(counts, dim=1)
        loss = sum(F.cross_entropy(p, labels[:, i]) for i, p in enumerate(parts)) + 4 * F.mse_loss(place(plan), paths)
        if keep:
            _, was, planned = before(words[single], when)
            loss = loss + 10 * (F.mse_loss(said[single], was) + F.mse_loss(plan[single], planned))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
        step += 1
    with torch.no_grad():
        words, labels, paths, _ = batch("heldout", 1000, 0.0)
        _, said, plan = reader(words, when)
        right = [float((p.argmax(1) == labels[:, i]).float().mean()) for i, p in enumerate(name(said).split(counts, 1))]
        off = 8 * float((place(plan) - paths).view(*paths.shape[:2], -1, 3)[..., :2].square().mean().sqrt())
    print("words", step, "steps; right on held-out combinations:", dict(zip(ATTRIBUTES, right, strict=True)),
          f"; place off by {off:.2f} pixels", flush=True)  # fmt: skip


# --- the film --------------------------------------------------------------------------------------------------


def give(x: Tensor, kind: np.ndarray) -> Tensor:
    """The frames of x (B, T, ...) that each clip gives away, NaN elsewhere. kind (B,): 0 none, 1 the first, 2 every
    fifth, 3 the first half, 4 every second."""
    frames = x.shape[1]
    sets = [[], [0], range(0, frames, 5), range(frames // 2), range(0, frames, 2)]
    given = torch.full_like(x, torch.nan)
    for i, k in enumerate(kind):
        index = torch.tensor(list(sets[k]), dtype=torch.long)
        given[i, index] = x[i, index]
    return given


def start_from(model: VideoModel, attention: str) -> bool:
    """Copy the weights of the full network in assets that fit this one; of the words, those that both know."""
    if not shipped():
        return False
    full = read(FOLDERS["full"])
    state, own = full.dit.state_dict(), model.dit.state_dict()
    rows = torch.zeros_like(own["reader.word.weight"])  # new words say nothing yet
    rows[0] = state["reader.word.weight"][0]
    for word, i in model.ids.items():
        if word in full.ids:
            rows[i] = state["reader.word.weight"][full.ids[word]]
    state["reader.word.weight"] = rows
    fits = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    model.dit.load_state_dict({**own, **fits})
    print(f"{attention}: {len(fits)} of {len(own)} tensors from the full network")
    return True


def train_dit(
    what: str, minutes: float, clips: int, lr: float, batch: int, name: str, sizes: dict[str, Any], resume: bool
) -> None:
    z, chosen, config = latents(clips)
    config = replace(config, **SIZES[what], **sizes)
    model = VideoModel(config)
    model.codec = fitted_codec()
    if not (RUNS / name / "last.pt").exists():
        warm = (what != "full" or resume) and start_from(model, what)
        if warm and config.residual:  # at first the blend, and nothing added to it
            for last in (model.dit.out, model.dit.near_out):
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        if what in ("full", "keyframes"):
            teach_words(model, min(0.75 if warm else 0.5, minutes / 8), warm and what == "full")
    run = Run(name, model.dit, minutes, lr=lr, batch=batch, ema=0.997, weight_decay=0.01)
    print(f"{sum(p.numel() for p in model.dit.parameters())} parameters, {len(z)} clips")
    rng, noise = np.random.default_rng(run.step + 7), generator(run.step + 7)
    # between learns from slow motion, too, and from the time after a clip (the object may leave)
    sets = [(z, chosen)]
    if what == "between":
        sets += [latents(1000, rate=2, seed=2)[:2], latents(1000, start=8, seed=3)[:2]]
    empty = model.encode(to_tensor(np.stack([scenes.backdrop(b) for b in scenes.BACKGROUNDS])))  # (4, C, g, g)
    # frames given away: see `give`
    chances = {"between": (0, 0.1, 0.5, 0.1, 0.3), "keyframes": (0.9, 0.1, 0, 0, 0)}.get(
        what, (0.7, 0.1, 0.08, 0.04, 0.08)
    )
    for _ in run:
        # 1. a batch of clips with fresh phrasings; one caption in ten is empty, for guidance
        clips_now, scenes_now = sets[rng.integers(len(sets))]
        index = rng.integers(len(clips_now), size=batch)
        x = clips_now[index][:, :: config.stride].float()  # (B, T, 24, 6, 6)
        silent = 0.6 if what == "between" else 0.1
        prompts = ["" if rng.random() < silent else scenes.caption(scenes_now[i], rng, drop=0.1) for i in index]
        words = torch.cat([model.words(p)[0] for p in prompts])
        given = give(x, rng.choice(5, size=batch, p=chances))
        # 2. noise level: logit-normal, shifted towards noise, since a clip says everything many times
        u = torch.sigmoid(1.2 * torch.randn(batch, generator=noise))
        s = torch.where(torch.rand(batch, generator=noise) < 0.5, config.noise_shift, 2.0)
        t = s * u / (1 + (s - 1) * u)
        e = torch.randn(x.shape, generator=noise)
        tb = t.view(-1, 1, 1, 1, 1)
        # 3. predict x; where there is an object counts four times; the weight 1 / t^2 makes it the loss of the
        # velocity, bounded near t = 0
        ground = empty[[list(scenes.BACKGROUNDS).index(scenes_now[i].background) for i in index]][:, None]
        weight = 1 + 3 * ((x - ground).square().mean(2, keepdim=True) > 0.02).float()
        guess = model.dit((1 - tb) * x + tb * e, t, words, given)
        error = (guess - x).square()
        mse = (weight * error).flatten(1).sum(1) / (weight.flatten(1).sum(1) * config.latent)
        loss = (mse / t.clamp(min=0.3) ** 2).mean()
        run.update(loss, mse=float(error.detach().mean()), object=float(mse.detach().mean()))
        if run.due("sheet", 3.0):
            publish(model, run.ema, FOLDERS[what])
            sheet(read(FOLDERS[what]), run)
    publish(model, run.ema, FOLDERS[what])
    sheet(read(FOLDERS[what]), run)
    print(f"{run.step} steps")


# --- between two frames ----------------------------------------------------------------------------------------


def fitted_flow(width: int) -> FlowNet:
    """The flow network as far as it is trained: its run, else the shipped one, else one that blends."""
    net, path = FlowNet(width), RUNS / "video_flow/last.pt"
    if path.exists():
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["ema"])
    elif (FOLDERS["between"] / "config.json").exists() and (old := read(FOLDERS["between"]).flow) is not None:
        net.load_state_dict(old.state_dict())
    return net


def train_flow(minutes: float) -> None:
    """Two frames of a drawn clip, two to six apart, and the time of one between them: that frame. Then the network
    goes into the folder of video-between, whose transformer it stands beside."""
    net = fitted_flow(SIZES["between"]["flow"])
    run = Run("video_flow", net, minutes, lr=2e-3, batch=24, ema=0.995)
    rng = np.random.default_rng(run.step + 5)
    shown: Tensor | None = None
    for _ in run:
        # 1. six places in each of four clips, half of them in slow motion
        ends, truth, times = [], [], []
        for _ in range(run.batch // 6):
            film = scenes.render(scenes.random_scene(rng, "train", video_data.mixed(rng)), rate=int(rng.integers(1, 3)))
            for _ in range(6):
                gap = int(rng.choice((2, 3, 4, 5), p=(0.4, 0.1, 0.1, 0.4)))
                start, step = int(rng.integers(len(film) - gap)), int(rng.integers(1, gap))
                ends.append(film[[start, start + gap]])
                truth.append(film[start + step])
                times.append(step / gap)
        pair = to_tensor(np.concatenate(ends)).unflatten(0, (-1, 2))
        target, share = to_tensor(np.stack(truth)), torch.tensor(times)
        # 2. the nearer in pixels the better; edges make the difference
        guess = net(pair[:, 0], pair[:, 1], share)
        mse = F.mse_loss(guess, target)
        run.update((guess - target).abs().mean() + 4 * mse, db=float(-10 * (mse.detach() / 4).log10()))
        if run.due("sheet", 1.0) or run.progress >= 1:
            with torch.no_grad():
                shown = torch.stack(
                    [pair[:8, 0], run.ema(pair[:8, 0], pair[:8, 1], share[:8]), target[:8], pair[:8, 1]], 1
                )
            run.sheet(to_uint8(shown.flatten(0, 1)))
    model = read(FOLDERS["between"])
    publish(VideoModel(replace(model.config, flow=SIZES["between"]["flow"])), model.dit, FOLDERS["between"])


def publish(model: VideoModel, ema: torch.nn.Module, folder: Path) -> None:
    """Write the network with the codec as it is trained by now."""
    done = VideoModel(model.config)
    done.codec.load_state_dict(fitted_codec().state_dict())
    done.dit.load_state_dict(ema.state_dict())
    if done.flow is not None:
        done.flow.load_state_dict(fitted_flow(model.config.flow).state_dict())
    done.save(folder)


@torch.no_grad()
def sheet(model: VideoModel, run: Run, guidance: float = 2.5, steps: int = 12) -> None:
    """Eight held-out prompts, eight frames of each (keyframes: four)."""
    from core.video.sample import times

    c = model.config
    chosen = video_data.scene_list("heldout", 8, seed=5)
    words = torch.cat([model.words(scenes.caption(s))[0] for s in chosen])
    z = torch.randn(8, c.frames, c.latent, c.grid, c.grid, generator=generator(0))
    both = torch.cat([words, torch.zeros_like(words)])
    given = None
    if c.residual:
        true = torch.stack([model.encode(to_tensor(scenes.render(scene))) for scene in chosen])
        given = give(true, np.full(8, 2)).repeat(2, 1, 1, 1, 1)
    for t, after in pairwise(times(steps, c.noise_shift)):
        cond, null = model.dit(torch.cat([z, z]), torch.full((16,), t), both, given).chunk(2)
        x = null + guidance * (cond - null)
        z = x + after / t * (z - x)
    part = z[:, :: max(1, c.frames // 8)]
    frames = to_uint8(model.decode(part.flatten(0, 1)))
    save_sheet(frames, run.folder / f"sheet-{run.seconds / 60:05.1f}.png", columns=part.shape[1])
    for scene in chosen:
        print("  ", scenes.caption(scene), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["codec", "flow", *FOLDERS])
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--clips", type=int, default=6000)
    parser.add_argument("--lr", type=float, default=1.2e-3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    parser.add_argument("--resume", action="store_true", help="start a new run from the weights in assets")
    parser.add_argument("--name", default="")
    parser.add_argument("--sizes", nargs="*", default=[], help="fields of Config, as width=96 (whole numbers)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.what == "codec":
        train_codec(args.minutes)
    elif args.what == "flow":
        train_flow(args.minutes)
    else:
        train_dit(
            args.what,
            args.minutes,
            args.clips,
            args.lr,
            args.batch,
            args.name or f"video_{args.what}",
            {k: int(v) for k, v in (pair.split("=") for pair in args.sizes)},
            args.resume,
        )


if __name__ == "__main__":
    main()
