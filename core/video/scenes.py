"""Scenes made by script: one or two objects over a background, perhaps a moving camera, with an exact caption.

    one     an object moves along one of fourteen paths
    two     an object passes in front of a resting one, or behind it, or hits it and hands its velocity over
    camera  it pans or zooms over striped ground (on even ground its motion could not be seen)

A `Scene` is a plain record (what is seen), `render` turns it into pixels, `caption` into words. The renderer is
numpy only, so that pages can draw a real clip without loading torch.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace

import numpy as np

SIZE = 48  # pixels, both sides
FRAMES = 16  # two seconds
FPS = 8

SHAPES = ("circle", "square", "triangle", "star", "ring")
COLORS: dict[str, tuple[int, int, int]] = {
    "red": (222, 40, 44),
    "yellow": (250, 222, 50),
    "green": (112, 226, 72),
    "blue": (44, 88, 236),
    "purple": (160, 60, 200),
}
# top and bottom colour of a vertical gradient
BACKGROUNDS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "snow": ((206, 216, 232), (248, 250, 252)),
    "night": ((8, 10, 30), (34, 36, 70)),
    "grass": ((34, 92, 52), (58, 122, 60)),
    "sea": ((132, 196, 206), (66, 148, 168)),
}
# unit directions in picture axes (x to the right, y down) of the motions along a line
DIRECTIONS: dict[str, tuple[float, float]] = {
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
    "up": (0.0, -1.0),
    "down": (0.0, 1.0),
    "up left": (-0.7071, -0.7071),
    "up right": (0.7071, -0.7071),
    "down left": (-0.7071, 0.7071),
    "down right": (0.7071, 0.7071),
}
MOTIONS = (*DIRECTIONS, "fall", "bounce", "circle", "grow", "shrink", "still")
SIZES = {"small": 7.6, "big": 9.4}  # half-width in pixels
SPEEDS = {"slowly": 12.0, "fast": 25.0}  # path length over 16 frames, in pixels

BOUNCE_PERIOD = 8  # frames from floor to floor
BOUNCE_HEIGHT = 18.0
FALL_HEIGHT = 25.0
ORBIT_RADIUS = 11.0

KINDS = ("one", "two", "camera")
MEETINGS = ("front", "behind", "hit")  # the moving object to the resting one
PASS_RADIUS, PASS_LENGTH = 6.8, 28.0  # half-width of both objects, path in pixels
HIT_RADIUS, HIT_LENGTH = 6.2, 18.0  # half of the path before the collision, half after it
WIDTH = {"circle": 1.0, "square": 0.88, "triangle": 0.95, "star": 1.0, "ring": 1.0}  # reach to the side / half-width
CAMERAS = ("pan left", "pan right", "zoom in", "zoom out")
PAN_LENGTH, ZOOM = 18.0, 1.6  # pixels over 16 frames; the larger of the two scales
STRIPE, STRIPE_HEIGHT = 24.0, 16.0  # of the ground under a moving camera: pixels from crest to crest, grey levels


@dataclass(frozen=True)
class Scene:
    """What a clip shows. `x`, `y` in [0, 1] place the object inside the room its motion leaves; `phase` in [0, 1)
    is where a periodic motion starts (and the stripes lie); `jitter` in [-1, 1] changes the size by up to 0.3 pixel.
    Two objects: `motion` (left or right) is the first one's, `meeting` what it does to the second."""

    shape: str
    color: str
    motion: str
    background: str
    size: str = "big"
    speed: str = "fast"
    x: float = 0.5
    y: float = 0.5
    phase: float = 0.0
    jitter: float = 0.0
    shape2: str = ""
    color2: str = ""
    meeting: str = ""
    camera: str = ""

    @property
    def kind(self) -> str:
        return "two" if self.meeting else "camera" if self.camera else "one"

    def combination(self) -> tuple[str, str, str, str]:
        return self.shape, self.color, self.motion, self.background

    def heldout(self) -> bool:
        """True for the one combination in eight that no training clip shows."""
        more = [m for m in (self.shape2, self.color2, self.meeting, self.camera) if m]
        return hashlib.sha256("/".join([*self.combination(), *more]).encode()).digest()[0] < 32

    def to_dict(self) -> dict[str, str | float]:
        return asdict(self)


def random_scene(rng: np.random.Generator, split: str = "train", kind: str = "one") -> Scene:
    """Draws a scene of the split: "train", "heldout" (combinations never trained on) or "any"; and of a kind."""
    while True:
        scene = Scene(
            shape=str(rng.choice(SHAPES)),
            color=str(rng.choice(list(COLORS))),
            motion=str(rng.choice(MOTIONS)),
            background=str(rng.choice(list(BACKGROUNDS))),
            size=str(rng.choice(list(SIZES))),
            speed=str(rng.choice(list(SPEEDS))),
            # paths keep near the middle of their room: the fewer films fit a caption, the sooner a small net learns them
            x=float(rng.uniform(0.38, 0.62)),
            y=float(rng.uniform(0.38, 0.62)),
            phase=float(rng.uniform(0.0, 0.1)),
            jitter=float(rng.uniform(-1, 1)),
        )
        if kind == "two":
            scene = replace(
                scene,
                motion=str(rng.choice(("left", "right"))),
                meeting=str(rng.choice(MEETINGS)),
                shape2=str(rng.choice([s for s in SHAPES if s != scene.shape])),
                color2=str(rng.choice([c for c in COLORS if c != scene.color])),
            )
        elif kind == "camera":
            scene = replace(
                scene, motion=str(rng.choice(("still", "up", "down"))), camera=str(rng.choice(CAMERAS)), speed="slowly"
            )
        if split == "any" or scene.heldout() == (split == "heldout"):
            return scene


def trajectory(scene: Scene, frames: int = FRAMES, rate: int = 1) -> np.ndarray:
    """Centre and half-width of the object in each frame: (frames, 3) of x, y, r in pixels.

    rate: frames drawn for one of the standard clip (2 doubles the frame rate). Of two objects the moving one's."""
    if scene.kind != "one":
        return paths(scene, frames, rate)[0]
    f = np.arange(frames, dtype=np.float64) / rate
    s = f / (FRAMES - 1)  # 0..1 over the standard length, so that speed does not depend on `frames`
    radius = np.full(frames, SIZES[scene.size] + 0.3 * scene.jitter)
    dx, dy = np.zeros(frames), np.zeros(frames)
    motion = scene.motion
    if motion in DIRECTIONS:
        ux, uy = DIRECTIONS[motion]
        dx, dy = ux * SPEEDS[scene.speed] * s, uy * SPEEDS[scene.speed] * s
    elif motion == "fall":
        dy = FALL_HEIGHT * s**2
    elif motion == "bounce":
        u = 2 * ((f / BOUNCE_PERIOD + scene.phase) % 1.0) - 1
        dy = -BOUNCE_HEIGHT * (1 - u**2)
    elif motion == "circle":
        angle = 2 * np.pi * (f / FRAMES + scene.phase)
        dx, dy = ORBIT_RADIUS * np.cos(angle), ORBIT_RADIUS * np.sin(angle)
    elif motion in ("grow", "shrink"):
        low, high = 5.0, 11.5
        radius = low + (high - low) * np.clip(s if motion == "grow" else 1 - s, 0, 1)
    # the start is drawn from the room that keeps the whole (16-frame) path inside the picture
    room = radius.max() + 0.7
    if rate != 1 or frames > FRAMES:  # finer or longer: starts where the standard clip does, and may leave the picture
        start = trajectory(scene)[0]
        return np.stack([start[0] + dx - dx[0], start[1] + dy - dy[0], radius], axis=1)
    x0, x1 = room - dx.min(), SIZE - room - dx.max()
    y0, y1 = room - dy.min(), SIZE - room - dy.max()
    if motion == "fall":
        y1 = min(y1, y0 + 3.0)  # a fall starts near the top
    if motion == "bounce":
        y0 = max(y0, y1 - 3.0)  # a bounce ends on the floor
    return np.stack([x0 + scene.x * (x1 - x0) + dx, y0 + scene.y * (y1 - y0) + dy, radius], axis=1)


def paths(scene: Scene, frames: int = FRAMES, rate: int = 1) -> np.ndarray:
    """Of every object, the moving one first: (objects, frames, 3) of x, y, r on the screen."""
    s = np.arange(frames, dtype=np.float64) / rate / (FRAMES - 1)
    if scene.kind == "two":
        hit = scene.meeting == "hit"
        r = (HIT_RADIUS if hit else PASS_RADIUS) + 0.3 * scene.jitter
        reach = r * (WIDTH[scene.shape] + WIDTH[scene.shape2])  # from centre to centre when they touch
        length = HIT_LENGTH if hit else PASS_LENGTH
        first = length * (np.minimum(s, 0.5) if hit else s)
        second = np.full(frames, length / 2) + (reach + length * np.maximum(s - 0.5, 0) if hit else 0)
        span = length + reach if hit else length
        y = np.full(frames, SIZE / 2 + 40 * (scene.y - 0.5))
        both = np.stack([first, second]) - span / 2
        x = SIZE / 2 + 8 * (scene.x - 0.5) + (both if scene.motion == "right" else -both)
        return np.stack([np.stack([x[i], y, np.full(frames, r)], 1) for i in range(2)])
    if scene.kind == "camera":
        path = trajectory(replace(scene, camera="", x=0.5, y=0.5), frames, rate)
        room = SIZE - path[0, 2] * (ZOOM if "zoom" in scene.camera else 1) * 2 - 2
        path[:, 0] += 0.3 * room * (scene.x - 0.5)
        scale, shift = view(scene, s)
        shown = (path - (SIZE / 2, SIZE / 2, 0)) * scale[:, None] + (SIZE / 2, SIZE / 2, 0)
        shown[:, 0] -= shift
        return shown[None]
    return trajectory(scene, frames, rate)[None]


def view(scene: Scene, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale of the picture about its middle and the camera's way to the right in pixels, at times s (1 is the end)."""
    scale, shift = np.ones_like(s), np.zeros_like(s)
    if "zoom" in scene.camera:  # equal factors in equal times
        scale = (1 / ZOOM) * ZOOM ** (s if scene.camera == "zoom in" else 1 - s) * ZOOM**0.5
    elif scene.camera:
        shift = PAN_LENGTH * (s - 0.5) * (1 if scene.camera == "pan right" else -1)
    return scale, shift


def stripes(scale: np.ndarray, shift: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Phase of the stripes in each column: (T, size) radians, for the camera's scale and shift (T,)."""
    x = np.arange(size) + 0.5 - size / 2
    return 2 * np.pi * (x + shift[:, None]) / scale[:, None] / STRIPE


def distance(shape: str, x: np.ndarray, y: np.ndarray, r: np.ndarray | float) -> np.ndarray:
    """Signed distance to the outline (negative inside), near enough within a pixel of it; x, y from the centre."""
    if shape == "circle":
        return np.hypot(x, y) - r
    if shape == "ring":
        return np.abs(np.hypot(x, y) - 0.72 * r) - 0.28 * r
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - 0.88 * r
    if shape == "triangle":  # point up
        return np.maximum(y - 0.84 * r, 0.878 * np.abs(x) - 0.479 * y - 0.57 * r)
    if shape == "star":  # five points, the first up
        angle = np.arctan2(x, -y)
        sector = np.abs((angle + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)  # 0 at a point, pi/5 at a notch
        rho = np.hypot(x, y)
        px, py = rho * np.cos(sector), rho * np.sin(sector)
        # edge from the point (1.15 r, 0) to the notch (0.5 r at pi/5)
        ax, bx, by = 1.15 * r, 0.5 * r * np.cos(np.pi / 5), 0.5 * r * np.sin(np.pi / 5)
        nx, ny = by, ax - bx
        return (nx * (px - ax) + ny * py) / np.hypot(nx, ny)
    raise ValueError(f"no shape {shape!r}; choose one of {', '.join(SHAPES)}")


def coverage(shape: str, path: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Share of each pixel that the object covers: (T, size, size) in [0, 1], for a path (T, 3) of x, y, r."""
    grid, path = np.arange(size, dtype=np.float32) + 0.5, path.astype(np.float32)
    x = grid[None, None, :] - path[:, 0, None, None]
    y = grid[None, :, None] - path[:, 1, None, None]
    x, y = np.broadcast_arrays(x, y)
    return np.clip(0.5 - distance(shape, x, y, path[:, 2, None, None]), 0.0, 1.0)


def backdrop(background: str, size: int = SIZE) -> np.ndarray:
    """The empty background: (size, size, 3) float32 in 0..255."""
    top, bottom = (np.array(c, dtype=np.float32) for c in BACKGROUNDS[background])
    rows = top + (bottom - top) * np.linspace(0, 1, size, dtype=np.float32)[:, None]  # (size, 3)
    return np.broadcast_to(rows[:, None], (size, size, 3))


def render(scene: Scene, frames: int = FRAMES, rate: int = 1, start: int = 0) -> np.ndarray:
    """The clip: (frames, 48, 48, 3) uint8, at `rate` times the standard frame rate, from frame `start` on."""
    every = paths(scene, start + frames, rate)[:, start:]
    clip = np.repeat(backdrop(scene.background)[None], frames, axis=0)
    if scene.camera:
        phase = stripes(*view(scene, np.arange(start, start + frames) / rate / (FRAMES - 1)))
        wave = STRIPE_HEIGHT * np.cos(phase + 20 * np.pi * scene.phase)  # phase is at most 0.1
        clip = (clip + wave[:, None, :, None]).clip(0, 255).astype(np.float32)
    drawn = [(scene.shape, scene.color, every[0])]
    if scene.meeting:
        drawn.insert(1 if scene.meeting == "behind" else 0, (scene.shape2, scene.color2, every[1]))
    for shape, color, path in drawn:
        _draw(clip, shape, np.array(COLORS[color], dtype=np.float32), path)
    return np.rint(clip).astype(np.uint8)


def _draw(clip: np.ndarray, shape: str, color: np.ndarray, path: np.ndarray) -> None:
    """One object over the clip (T, H, W, 3), in place; only the box around it is drawn: four times faster."""
    half = int(np.ceil(1.2 * path[:, 2].max())) + 1
    corner = np.floor(path[:, :2]).astype(int) - half  # (T, 2) of x, y
    inside = path.copy()
    inside[:, :2] -= corner
    alpha = coverage(shape, inside, 2 * half + 1)[..., None]  # (T, b, b, 1)
    for frame, (left, top), a in zip(clip, corner, alpha, strict=True):
        ys, xs = (slice(max(low, 0), max(low + 2 * half + 1, 0)) for low in (top, left))
        a = a[max(-top, 0) :, max(-left, 0) :][: len(frame[ys]), : frame[ys, xs].shape[1]]
        frame[ys, xs] += (color - frame[ys, xs]) * a


# --- words ---------------------------------------------------------------------------------------------------

PLACES = {
    "snow": ("in the snow", "on snow", "over white snow"),
    "night": ("at night", "in the night", "in the dark night"),
    "grass": ("on grass", "over the grass", "in the green grass"),
    "sea": ("over the sea", "by the sea", "at sea"),
}
GOING = ("moves", "slides", "flies", "goes")
VERBS = {
    "fall": ("falls", "drops to the ground", "falls down"),
    "bounce": ("bounces", "bounces up and down", "jumps"),
    "circle": ("circles", "goes around in a circle", "orbits"),
    "grow": ("grows", "gets bigger"),
    "shrink": ("shrinks", "gets smaller"),
    "still": ("stays still", "rests", "does not move"),
}
WAYS = {
    "left": ("left", "to the left"),
    "right": ("right", "to the right"),
    "up": ("up", "upwards"),
    "down": ("down", "downwards"),
}


MEETS = {  # with the way that the first object goes
    "front": ("moves {way} in front of", "passes {way} in front of", "goes {way} in front of"),
    "behind": ("moves {way} behind", "passes {way} behind", "goes {way} behind"),
    "hit": ("moves {way} and hits", "slides {way} and pushes", "goes {way} and hits"),
}
TAKES = {
    "pan": ("the camera pans {way}", "panning {way}"),
    "zoom": ("the camera zooms {way}", "zooming {way}"),
}


def caption(scene: Scene, rng: np.random.Generator | None = None, drop: float = 0.0) -> str:
    """One phrasing, drawn with rng (the first of each list without one); `drop` is the chance to leave out size,
    speed or place."""

    def pick(options: tuple[str, ...]) -> str:
        return options[0] if rng is None else str(rng.choice(options))

    def keep() -> bool:
        return rng is None or rng.random() >= drop

    words = ["a"]
    if scene.kind == "one" and keep() and scene.motion not in ("grow", "shrink"):
        words.append(scene.size)
    words += [scene.color, scene.shape]
    if scene.meeting:
        words += [pick(MEETS[scene.meeting]).format(way=scene.motion), "a", scene.color2, scene.shape2]
    elif scene.motion in DIRECTIONS:
        parts = scene.motion.split()
        way = (
            " and ".join(pick(WAYS[p]) for p in parts) if len(parts) == 1 else f"{parts[0]} and {pick(WAYS[parts[1]])}"
        )
        speed = [scene.speed] if scene.kind == "one" and keep() else []
        words += [pick(GOING), *speed, way] if rng is None or rng.random() < 0.5 else [pick(GOING), way, *speed]
    else:
        words.append(pick(VERBS[scene.motion]))
    if keep():
        place = pick(PLACES[scene.background])
        if rng is not None and rng.random() < 0.3:
            words.insert(0, place)
        else:
            words.append(place)
    if scene.camera:
        take, way = scene.camera.split()
        words.append(pick(TAKES[take]).format(way=way))
    return " ".join(words)


def roles(words: list[str]) -> list[str]:
    """The words as the reader takes them, which does not hear their order: what describes a second object and where the
    camera goes are words of their own (`red/2`, `left/camera`)."""
    told, second, camera = [], False, False
    for word in words:
        if second and (word in SHAPES or word in COLORS):
            word += "/2"
        elif camera and word in ("left", "right", "in", "out"):
            word, camera = word + "/camera", False
        second = second or word in SHAPES
        camera = camera or word in ("camera", "panning", "zooming")
        told.append(word)
    return told


def vocabulary() -> tuple[str, ...]:
    """Every word that a caption can hold, sorted."""
    phrases = [*SHAPES, *COLORS, *SIZES, *SPEEDS, *GOING, "a", "and"]
    for table in (PLACES, VERBS, WAYS, TAKES, MEETS):
        for options in table.values():
            phrases += [option.format(way="") for option in options]
    phrases += [f"{w}/2" for w in (*SHAPES, *COLORS)] + [f"{w}/camera" for w in ("left", "right", "in", "out")]
    return tuple(sorted({w for p in phrases for w in p.split()}))
