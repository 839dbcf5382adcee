"""Labelled portraits: 20,000 DiceBear avatars with exact attribute records and captions.

    python -m training.portraits      # runs/data: portraits-128.npy, portraits-64.npy, portraits.jsonl, sheets

Each record is drawn first and then rendered with options that force it, so the labels are exact: every part
that is drawn only with a probability is set to 0 or 100, colours are ours, and options whose look contradicts
their name (hats over the hair, translucent hair) are left out. About one attribute combination (style, hair
colour, background, glasses) in ten is held out: it occurs only in the split "heldout".
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "runs" / "data"
NODE = ROOT / "runs" / "node"
COUNT, SIZE, SEED = 20_000, 128, 0

# 1. What can be said about a portrait

HAIR_COLORS = {
    "black": "1d1a20",
    "brown": "6b3d20",
    "blond": "ecc85c",
    "red": "c8361a",
    "grey": "a3a6ab",
    "pink": "f266b0",
    "blue": "2a63d6",
    "green": "2b9a4b",
}
SKIN_COLORS = {"light": "ffdcb8", "tan": "e2a76f", "brown": "a8683c", "dark": "633c26"}
BACKGROUNDS = {
    "white": "ffffff",
    "sky blue": "87ceeb",
    "navy": "1f2f66",
    "mint green": "a5ebc4",
    "yellow": "ffe25e",
    "orange": "ff9a45",
    "pink": "ffb6cf",
    "lavender": "c7b3f5",
}
MOUTHS = {
    "smile": "a smile",
    "laugh": "a laughing mouth",
    "neutral": "a straight mouth",
    "sad": "a sad mouth",
    "open": "an open mouth",
}
CUTS = ("short", "long", "bob", "bun", "curly", "mohawk", "bald")
CLOTHES = ["3c4f5c", "65c9ff", "e6e6e6", "ff5c5c", "8fa7df", "6dbb58", "f3b63a"]

Options = dict[str, list[str] | int]

# A style's "cut" and "mouth" map our names to lists of its own options (one of them is drawn at random),
# "glasses" and "beard" likewise, absent where it has none; "fixed" goes to every picture of the style.
STYLES: dict[str, dict[str, Any]] = {
    "avataaars": {
        "cut": {
            "short": [{"top": [t]} for t in ("shortFlat", "shortRound", "shortWaved", "theCaesarAndSidePart")],
            "long": [{"top": [t]} for t in ("straight01", "straight02", "straightAndStrand", "curvy")],
            "bob": [{"top": [t]} for t in ("bob", "miaWallace")],
            "bun": [{"top": ["bun"]}],
            "curly": [{"top": [t]} for t in ("fro", "curly")],
            "bald": [{"topProbability": 0}],
        },
        "mouth": {
            "smile": [{"mouth": ["twinkle"]}],
            "laugh": [{"mouth": ["smile"]}],
            "neutral": [{"mouth": ["serious"]}],
            "sad": [{"mouth": ["sad"]}],
            "open": [{"mouth": ["screamOpen"]}],
        },
        "glasses": [{"accessories": [a]} for a in ("prescription01", "prescription02", "round")],
        "beard": [{"facialHair": [b]} for b in ("beardLight", "beardMedium", "beardMajestic")],
        "probability": {"glasses": "accessoriesProbability", "beard": "facialHairProbability"},
        "hair_color": ("hairColor", "facialHairColor"),
        "skin_color": ("skinColor",),
        "fixed": {
            "style": ["default"],
            "accessoriesColor": ["262e33"],
            "clothesColor": CLOTHES,
            "clothing": ["collarAndSweater", "hoodie", "shirtCrewNeck", "shirtVNeck"],
            "eyes": ["default", "happy", "side", "squint"],
            "eyebrows": ["defaultNatural", "flatNatural", "raisedExcitedNatural"],
        },
    },
    "adventurer": {
        "cut": {
            "short": [{"hair": [f"short{n}"]} for n in ("01", "02", "04", "08", "10", "11", "14")],
            "long": [{"hair": [f"long{n}"]} for n in ("05", "06", "07", "09")],
            "bob": [{"hair": [f"long{n}"]} for n in ("01", "20", "26")],
            "bun": [{"hair": [h]} for h in ("short05", "long10", "long11", "long12")],
            "curly": [{"hair": [h]} for h in ("short03", "long22")],
            "mohawk": [{"hair": ["short15"]}],
            "bald": [{"hairProbability": 0}],
        },
        "mouth": {
            "smile": [{"mouth": [f"variant{n}"]} for n in ("02", "29")],
            "laugh": [{"mouth": [f"variant{n}"]} for n in ("05", "25", "26")],
            "neutral": [{"mouth": [f"variant{n}"]} for n in ("09", "10")],
            "sad": [{"mouth": ["variant14"]}],
            "open": [{"mouth": ["variant15"]}],
        },
        "glasses": [{"glasses": [f"variant{n}"]} for n in ("02", "04", "05")],
        "probability": {"glasses": "glassesProbability"},
        "hair_color": ("hairColor",),
        "skin_color": ("skinColor",),
        "fixed": {
            "earringsProbability": 0,
            "featuresProbability": 0,
            "eyes": [f"variant{n}" for n in ("01", "02", "03", "20", "23", "24", "25", "26")],
            "eyebrows": [f"variant{n:02d}" for n in range(5, 11)],
        },
    },
    "micah": {
        "cut": {
            "short": [{"hair": [h]} for h in ("fonze", "dannyPhantom")],
            "long": [{"hair": ["full"]}],
            "bob": [{"hair": ["pixie"]}],
            "mohawk": [{"hair": ["mrT"]}],
            "bald": [{"hair": ["mrClean"]}],
        },
        "mouth": {
            "smile": [{"mouth": [m]} for m in ("smile", "smirk")],
            "laugh": [{"mouth": ["laughing"]}],
            "sad": [{"mouth": [m]} for m in ("sad", "frown")],
            "open": [{"mouth": ["surprised"]}],
        },
        "glasses": [{"glasses": [g]} for g in ("round", "square")],
        "beard": [{"facialHair": ["beard"]}],
        "probability": {"glasses": "glassesProbability", "beard": "facialHairProbability"},
        "hair_color": ("hairColor", "facialHairColor"),
        "skin_color": ("baseColor",),
        "fixed": {
            "earringsProbability": 0,
            "glassesColor": ["222222"],
            "shirtColor": CLOTHES,
            "eyes": ["eyes", "round", "smiling"],
            "hairProbability": 100,
        },
    },
    "open-peeps": {
        # only some heads take the contrast colour, the others are always black: see `cuts_for`
        "cut": {
            "short": [{"head": [h]} for h in ("grayShort", "short4")],
            "long": [{"head": ["mediumBangs2"]}],
            "bob": [{"head": ["bangs"]}],
            "bun": [{"head": ["grayBun"]}],
            "mohawk": [{"head": [h]} for h in ("mohawk", "mohawk2")],
            "bald": [{"head": ["noHair1"]}],
        },
        "black": {
            "short": [{"head": [h]} for h in ("short1", "short2", "short5", "flatTop")],
            "long": [{"head": [h]} for h in ("long", "longBangs")],
            "bob": [{"head": [h]} for h in ("bangs2", "medium1")],
            "curly": [{"head": [h]} for h in ("afro", "dreads1")],
        },
        "mouth": {
            "smile": [{"face": [f]} for f in ("calm", "smile")],
            "laugh": [{"face": [f]} for f in ("smileBig", "smileLOL")],
            "neutral": [{"face": [f]} for f in ("serious", "eyesClosed")],
            "sad": [{"face": ["solemn"]}],
            "open": [{"face": ["explaining"]}],
        },
        "glasses": [{"accessories": [a]} for a in ("glasses", "glasses2", "glasses3", "glasses5")],
        "beard": [{"facialHair": [b]} for b in ("full", "full2", "full3")],
        "probability": {"glasses": "accessoriesProbability", "beard": "facialHairProbability"},
        "hair_color": ("headContrastColor",),
        "skin_color": ("skinColor",),
        "fixed": {"maskProbability": 0, "clothingColor": CLOTHES},
    },
    "personas": {
        "cut": {
            "short": [{"hair": [h]} for h in ("shortCombover", "shortComboverChops")],
            "long": [{"hair": [h]} for h in ("long", "extraLong")],
            "bob": [{"hair": [h]} for h in ("bobCut", "bobBangs")],
            "bun": [{"hair": [h]} for h in ("straightBun", "curlyBun")],
            "mohawk": [{"hair": ["mohawk"]}],
            "bald": [{"hair": ["bald"]}],
        },
        "mouth": {
            "smile": [{"mouth": ["smile"]}],
            "laugh": [{"mouth": ["bigSmile"]}],
            "sad": [{"mouth": ["frown"]}],
            "open": [{"mouth": ["surprise"]}],
        },
        "glasses": [{"eyes": ["glasses"]}],
        "no_glasses": [{"eyes": [e]} for e in ("open", "happy", "sleep")],
        "beard": [{"facialHair": ["beardMustache"]}],
        "probability": {"beard": "facialHairProbability"},
        "hair_color": ("hairColor",),
        "skin_color": ("skinColor",),
        "fixed": {"clothingColor": CLOTHES, "nose": ["mediumRound", "smallRound"]},
    },
    "big-smile": {
        "cut": {
            "short": [{"hair": [h]} for h in ("shortHair", "bowlCutHair")],
            "long": [{"hair": [h]} for h in ("straightHair", "wavyBob")],
            "bob": [{"hair": ["bangs"]}],
            "bun": [{"hair": ["bunHair"]}],
            "curly": [{"hair": ["curlyShortHair"]}],
            "mohawk": [{"hair": ["mohawk"]}],
        },
        "mouth": {
            "smile": [{"mouth": ["teethSmile"]}],
            "laugh": [{"mouth": [m]} for m in ("openedSmile", "gapSmile")],
            "neutral": [{"mouth": ["unimpressed"]}],
            "sad": [{"mouth": ["openSad"]}],
        },
        "glasses": [{"accessories": ["glasses"]}],
        "probability": {"glasses": "accessoriesProbability"},
        "hair_color": ("hairColor",),
        "skin_color": ("skinColor",),
        "fixed": {"eyes": ["cheery", "normal", "confused", "winking"]},
    },
    "pixel-art": {
        "cut": {
            "short": [{"hair": [f"short{n}"]} for n in ("02", "03", "10", "15", "16", "17", "22")],
            "long": [{"hair": [f"long{n}"]} for n in ("03", "07", "09", "13")],
            "bob": [{"hair": [f"long{n}"]} for n in ("04", "17", "21")],
            "bun": [{"hair": ["long05"]}],
        },
        "mouth": {
            "smile": [{"mouth": ["happy09"]}],
            "laugh": [{"mouth": ["happy12"]}],
            "neutral": [{"mouth": [m]} for m in ("sad05", "sad06")],
            "sad": [{"mouth": [m]} for m in ("sad01", "sad08")],
            "open": [{"mouth": ["happy01"]}],
        },
        "glasses": [{"glasses": [f"light{n}"]} for n in ("02", "05", "06", "07")],
        "probability": {"glasses": "glassesProbability"},
        "hair_color": ("hairColor",),
        "skin_color": ("skinColor",),
        "fixed": {
            "accessoriesProbability": 0,
            "beardProbability": 0,
            "hatProbability": 0,
            "glassesColor": ["191919", "323232"],
            "mouthColor": ["de0f0d"],
            "clothingColor": CLOTHES,
        },
    },
    "toon-head": {
        "cut": {
            "short": [{"hair": [h], "rearHairProbability": 0} for h in ("sideComed", "undercut", "spiky")],
            "long": [
                {"hair": ["sideComed"], "rearHair": [r], "rearHairProbability": 100}
                for r in ("longStraight", "longWavy")
            ],
            "bob": [
                {"hair": ["sideComed"], "rearHair": [r], "rearHairProbability": 100}
                for r in ("neckHigh", "shoulderHigh")
            ],
            "bun": [{"hair": ["bun"], "rearHairProbability": 0}],
            "bald": [{"hairProbability": 0, "rearHairProbability": 0}],
        },
        "mouth": {
            "smile": [{"mouth": ["smile"]}],
            "laugh": [{"mouth": ["laugh"]}],
            "sad": [{"mouth": ["sad"]}],
            "open": [{"mouth": ["agape"]}],
        },
        "beard": [{"beard": [b]} for b in ("fullBeard", "longBeard")],
        "probability": {"beard": "beardProbability"},
        "hair_color": ("hairColor",),
        "skin_color": ("skinColor",),
        "fixed": {
            "eyes": ["happy", "wide", "bow"],
            "clothesColor": CLOTHES,
            "eyebrows": ["neutral", "happy", "raised"],
        },
    },
}

ATTRIBUTES: dict[str, list[str]] = {  # every attribute and its values, in the order that the classifiers use
    "style": list(STYLES),
    "hair": list(CUTS),
    "hair_color": [*HAIR_COLORS, "none"],
    "skin_color": list(SKIN_COLORS),
    "background": list(BACKGROUNDS),
    "glasses": ["no", "yes"],
    "beard": ["no", "yes"],
    "mouth": list(MOUTHS),
}


def cuts_for(style: str, hair_color: str) -> dict[str, list[Options]]:
    """Hair cuts that `style` can draw in `hair_color`, each with the style's own options for it."""
    spec = STYLES[style]
    cuts = {name: list(options) for name, options in spec["cut"].items()}
    if hair_color == "black":
        for name, options in spec.get("black", {}).items():
            cuts[name] = cuts.get(name, []) + options
    return cuts


def is_heldout(record: dict[str, Any]) -> bool:
    """True for about a tenth of the (style, hair colour, background, glasses) combinations."""
    key = "|".join(str(record[name]) for name in ("style", "hair_color", "background", "glasses"))
    return hashlib.sha256(key.encode()).digest()[0] < 26


def draw(index: int, seed: int = SEED) -> tuple[dict[str, Any], Options]:
    """The attribute record of portrait `index` and the DiceBear options that render exactly that."""
    rng = np.random.default_rng([seed, index])

    def pick(values: Any) -> Any:
        values = list(values)
        return values[int(rng.integers(len(values)))]

    style = pick(STYLES)
    spec = STYLES[style]
    hair_color = pick(HAIR_COLORS)
    cuts = cuts_for(style, hair_color)
    # bald heads are thinned out, so that most pictures have a hair colour to speak of
    cut = pick([name for name in cuts if name != "bald" or rng.random() < 0.5])
    glasses = "glasses" in spec and bool(rng.random() < 0.4)
    beard = "beard" in spec and cut not in ("long", "bob", "bun") and bool(rng.random() < 0.4)
    record = {
        "style": style,
        "hair": cut,
        "hair_color": "none" if cut == "bald" else hair_color,
        "skin_color": pick(SKIN_COLORS),
        "background": pick(BACKGROUNDS),
        "glasses": glasses,
        "beard": beard,
        "mouth": pick(spec["mouth"]),
    }

    options: dict[str, Any] = {
        "seed": f"{seed}-{index}",
        **spec["fixed"],
        "backgroundColor": [BACKGROUNDS[record["background"]]],
    }
    for name in spec["hair_color"]:
        options[name] = [HAIR_COLORS[hair_color]]
    for name in spec["skin_color"]:
        options[name] = [SKIN_COLORS[record["skin_color"]]]
    for part in ("glasses", "beard"):
        if part in spec["probability"]:
            options[spec["probability"][part]] = 100 if record[part] else 0
    options |= pick(cuts[cut]) | pick(spec["mouth"][record["mouth"]])
    if glasses:
        options |= pick(spec["glasses"])
    elif "no_glasses" in spec:
        options |= pick(spec["no_glasses"])
    if beard:
        options |= pick(spec["beard"])
    return record, options


# 2. Captions


def hair_phrase(record: dict[str, Any]) -> str:
    """ "short red hair", "a blue bob", "a bald head"."""
    cut, color = record["hair"], record["hair_color"]
    if cut == "bald":
        return "a bald head"
    if cut in ("short", "long", "curly"):
        return f"{cut} {color} hair"
    return f"a {color} {cut}"


def join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def captions(record: dict[str, Any]) -> list[str]:
    """Eight phrasings of a record; each names every attribute, absence by silence or "no"."""
    hair, mouth, skin = hair_phrase(record), MOUTHS[record["mouth"]], record["skin_color"]
    background, style = record["background"], record["style"].replace("-", " ")
    article = "an" if style[0] in "ao" else "a"
    back_article = "an" if background[0] == "o" else "a"
    extras = ["glasses"] * record["glasses"] + ["a beard"] * record["beard"]
    worn = ["wearing glasses"] * record["glasses"] + ["with a beard"] * record["beard"]
    said = ["glasses" if record["glasses"] else "no glasses", "a beard" if record["beard"] else "no beard"]
    who = f"person with {skin} skin"
    return [
        f"a portrait of a {who}, {join([hair, *extras, mouth])} on {back_article} {background} background, "
        f"in the {style} style",
        f"{article} {style} avatar with {join([hair, skin + ' skin', *extras, mouth])}, {background} background",
        f"{style} style: {join([hair, *extras, mouth, skin + ' skin'])}, on {background}",
        f"a {skin}-skinned person with {join([hair, mouth, *extras])} in front of {back_article} "
        f"{background} background, {style} style",
        f"on {back_article} {background} background, {article} {style} character who has "
        f"{join([skin + ' skin', hair, *said, mouth])}",
        f"someone with {hair} and {skin} skin{''.join(', ' + w for w in worn)}, {mouth}, "
        f"{background} backdrop, drawn as {style}",
        f"{hair}, {skin} skin, {', '.join([*extras, mouth])}, {background} background, {style}",
        f"a face with {mouth} and {hair}, {' and '.join(said)}, {skin} skin, {style} style, {background} behind",
    ]


# 3. Rendering


def install_node_packages() -> Path:
    """Install the pinned packages into runs/node once; later runs need no network. Returns that folder."""
    here = Path(__file__).parent
    lock = (here / "package-lock.json").read_bytes()
    stamp = NODE / "installed"
    if stamp.is_file() and stamp.read_text() == hashlib.sha256(lock).hexdigest():
        return NODE
    if not (shutil.which("node") and shutil.which("npm")):
        raise SystemExit("The pictures need Node.js 18 or later with npm: install it and run this again.")
    NODE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(here / name, NODE / name)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"], cwd=NODE, check=True)
    stamp.write_text(hashlib.sha256(lock).hexdigest())
    return NODE


def render(specs: list[tuple[str, Options]], size: int = SIZE, processes: int = 2) -> np.ndarray:
    """Pictures (N, size, size, 3) uint8 of `specs`, pairs of style and DiceBear options, in their order."""
    return render_lines([{"style": style, "options": options} for style, options in specs], size, processes)


def render_lines(specs: list[dict[str, Any]], size: int, processes: int = 2) -> np.ndarray:
    """Pictures (N, size, size, 3) uint8 of `specs`, each {style, options} or {svg, background}: see portraits.mjs."""
    home = install_node_packages()
    DATA.mkdir(parents=True, exist_ok=True)
    jobs, parts = [], np.array_split(np.arange(len(specs)), processes)
    with tempfile.TemporaryDirectory(dir=DATA, prefix="render-") as folder:
        work = Path(folder)
        for number, part in enumerate(parts):
            spec = work / f"{number}.jsonl"
            spec.write_text("".join(json.dumps(specs[i]) + "\n" for i in part))
            script = Path(__file__).with_suffix(".mjs")
            command = ["node", str(script), str(home), str(spec), str(work / f"{number}.rgb"), str(size)]
            jobs.append(subprocess.Popen(command))
        if any([job.wait() for job in jobs]):
            raise SystemExit("Rendering failed: the message of node stands above.")
        pictures = np.concatenate([np.fromfile(work / f"{n}.rgb", np.uint8) for n in range(len(parts))])
    return pictures.reshape(len(specs), size, size, 3)


def halve(images: np.ndarray) -> np.ndarray:
    """Area downsampling (N, 2s, 2s, 3) -> (N, s, s, 3), uint8, rounded; in blocks to spare memory."""
    count, size = len(images), images.shape[1] // 2
    out = np.empty((count, size, size, 3), np.uint8)
    for i in range(0, count, 500):
        block = images[i : i + 500].astype(np.uint16)
        out[i : i + 500] = (block.reshape(-1, size, 2, size, 2, 3).sum(axis=(2, 4)) + 2) // 4
    return out


def build(count: int = COUNT, seed: int = SEED, folder: Path = DATA) -> None:
    """Write portraits-128.npy, portraits-64.npy, portraits.jsonl: train portraits first, held-out last."""
    drawn = [draw(i, seed) for i in range(count)]
    drawn.sort(key=lambda pair: is_heldout(pair[0]))  # stable: contiguous splits can be memory-mapped
    folder.mkdir(parents=True, exist_ok=True)
    large = render([(record["style"], options) for record, options in drawn])
    small = halve(large)
    for size, images in ((128, large), (64, small)):
        part = folder / f"portraits-{size}.part.npy"
        np.save(part, images)
        part.replace(folder / f"portraits-{size}.npy")  # a training that maps the old file keeps it whole
    with (folder / "portraits.jsonl").open("w") as out:
        for index, (record, _) in enumerate(drawn):
            split = "heldout" if is_heldout(record) else "train"
            row = {"index": index, **record, "split": split, "captions": captions(record)}
            out.write(json.dumps(row) + "\n")


Records = list[dict[str, Any]]


def load(split: str = "train", size: int = 64, folder: Path = DATA) -> tuple[np.ndarray, Records]:
    """Portraits of `split` ("train", "heldout", "all"): images (N, size, size, 3) uint8 and their N records.

    The images are a copy-on-write memory map: only what is touched takes memory, and trainings share it.
    """
    path = folder / f"portraits-{size}.npy"
    if not path.is_file():
        raise SystemExit(f"{path} is missing: run python -m training.portraits first.")
    with (folder / "portraits.jsonl").open() as lines:
        records = [json.loads(line) for line in lines]
    images = np.load(path, mmap_mode="c")
    if split == "all":
        return images, records
    if split not in ("train", "heldout"):
        raise ValueError(f"split must be train, heldout or all, not {split!r}")
    rows = [i for i, record in enumerate(records) if record["split"] == split]
    return images[rows[0] : rows[-1] + 1], [records[i] for i in rows]


def sheet(images: np.ndarray, records: list[dict[str, Any]], path: Path, columns: int = 8) -> None:
    """A PNG of pictures with their records written below, to check the labels by eye."""
    from PIL import Image, ImageDraw

    size, rows = images.shape[1], -(-len(images) // columns)
    page = Image.new("RGB", (columns * (size + 24), rows * (size + 40)), "white")
    pen = ImageDraw.Draw(page)
    for i, (picture, r) in enumerate(zip(images, records, strict=True)):
        x, y = i % columns * (size + 24), i // columns * (size + 40)
        page.paste(Image.fromarray(picture), (x, y))
        pen.text(
            (x, y + size + 1),
            f"{r['hair']} {r['hair_color']}, {r['skin_color']}\n{r['background']}, "
            f"{r['mouth']}\n{'glasses ' * r['glasses']}{'beard' * r['beard']}",
            fill="black",
        )
    page.save(path)


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    start = time.perf_counter()
    build(args.count, args.seed)
    images, records = load("all", 128)
    for style in STYLES:
        rows = [i for i, record in enumerate(records) if record["style"] == style][:32]
        sheet(images[rows], [records[i] for i in rows], DATA / f"sheet-{style}.png")
    held = sum(record["split"] == "heldout" for record in records)
    print(f"{len(records)} portraits ({held} held out) in {time.perf_counter() - start:.0f} s: {DATA}")


if __name__ == "__main__":
    main()
