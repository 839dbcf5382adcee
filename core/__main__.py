"""Command line of the lab: `python -m core models` and `python -m core run ID --out PATH`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from core.errors import BadRequest, LabError

EPILOG = """examples:
  python -m core models --json
  python -m core run stylegan2 --out face.png --seed 7
  python -m core run stylegan2 --out sheet.png --count 16 --set truncation_psi=0.5
  python -m core run latent-diffusion --out "face-{seed}.png" --count 3 --prompt "a smiling person with red hair"
  python -m core run stylegan2 --settings        what --set accepts for this model

The same id, seed and settings give the same file, byte for byte. The ending chooses the format: .png .gif for
pictures, .mp4 .gif for video, .wav .flac .mp3 for sound, .txt .md .py for text. Errors are one sentence on stderr
and exit code 2; no partial file is left.
environment: LAB_MEMORY_MB (budget, default 690), LAB_DEVICE (cpu, cuda, mps), LAB_THREADS (default 1)"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadRequest(f"{message[0].upper()}{message[1:]}; see `python -m core --help`.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m core",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    models = commands.add_parser("models", help="list the models of the catalog")
    models.add_argument("--json", action="store_true", help="print a JSON list of objects")
    runner = commands.add_parser(
        "run", help="run a generator", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    runner.add_argument("id", help="id of a generator (`python -m core models`)")
    runner.add_argument("--out", help="file to write; {seed} in it makes one file a sample")
    runner.add_argument("--prompt", help="text for models that take one")
    runner.add_argument("--seed", help="seed of the first sample (default 0)")
    runner.add_argument("--count", help="number of samples (default 1)")
    runner.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any setting of the model")
    runner.add_argument("--json", action="store_true", help="print the record of what was made")
    runner.add_argument("--settings", action="store_true", help="list the settings of this model and stop")
    return parser


def _print_models(as_json: bool) -> None:
    from core import catalog

    cards = catalog.cards()
    if as_json:
        print(json.dumps([card.to_dict() for card in cards], indent=1))
    else:
        for card in cards:
            size = f"{card.parameters / 1e6:.2f}M"
            print(
                f"{card.id:22} {card.role:10} {card.family:15} {card.modality:10} {card.year}  {size:>9}  {card.title}"
            )
    for problem in catalog.problems():
        print(problem, file=sys.stderr)


def _request(cls: Any, args: argparse.Namespace) -> Any:
    """The request that the arguments describe, defaults for the rest."""
    values: dict[str, Any] = {"model": args.id}
    for pair in args.set:
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadRequest(f"--set {pair} has no “=”; write --set name=value.")
        values[name.strip()] = value
    fields = cls.__dataclass_fields__
    for name in ("prompt", "seed", "count"):
        value = getattr(args, name)
        if value is None:
            continue
        if name == "prompt" and "prompt" not in fields and "text" in fields:
            name = "text"
        if name not in fields:
            if name == "count" and value == "1":
                continue
            raise BadRequest(f"{args.id} takes no --{name}; leave it out.")
        values[name] = value
    if "prompt" not in values:
        values |= cls.EXAMPLE
    if "count" in fields and "count" not in values:
        values["count"] = 1
    return cls.from_dict(values)


def _print_settings(cls: Any) -> None:
    for spec in cls.__dataclass_fields__.values():
        meta = spec.metadata
        span = f"{meta['low']:g} to {meta['high']:g}" if "low" in meta else "|".join(meta.get("options", ()))
        default = "" if isinstance(spec.default, bytes) else spec.default
        print(f"{spec.name:24} default {default!s:14} {span:24} {meta.get('help', '')}".rstrip())


def _run(args: argparse.Namespace) -> None:
    from core import catalog

    cls = catalog.card(args.id).request_class()
    if args.settings:
        _print_settings(cls)
        return
    if not args.out:
        raise BadRequest("Say where to write with --out PATH.")
    request = _request(cls, args)
    path = Path(args.out)
    if not path.parent.is_dir():
        raise BadRequest(f"The folder {path.parent} does not exist; create it or choose another.")
    if path.is_dir():
        raise BadRequest(f"{path} is a folder; give a file name.")
    from core import provenance
    from core.pipeline import complete

    endings = {ending for group in provenance.ENDINGS.values() for ending in group}
    if path.suffix.lower() not in endings:
        raise BadRequest(f"“{path.name}” ends in no known format; end it in one of {' '.join(sorted(endings))}.")
    numbered = "{seed}" in path.name
    requests = [request]
    if numbered:  # one file a sample, each the very file that --seed N --count 1 writes
        requests = [request.replace(count=1, seed=seed) for seed in request.sample_seeds(getattr(request, "count", 1))]
    written = []
    files = []
    for one in requests:  # all are made before the first is written
        result = complete(one)
        target = path.with_name(path.name.replace("{seed}", str(getattr(one, "seed", 0))))
        files.append((target, provenance.encode(result, target.suffix), result))
    for target, data, result in files:
        provenance.write(target, data)
        written.append({"path": str(target), "seconds": round(result.seconds, 3), **provenance.record(result)})
    print(
        json.dumps(written if numbered else written[0], indent=1)
        if args.json
        else "\n".join(w["path"] for w in written)
    )


def main(argv: list[str] | None = None) -> int:
    """Exit code 0, or 2 after one sentence on stderr."""
    from core.runtime import memory

    memory.lean()
    try:
        args = _parser().parse_args(argv)
        if args.command == "models":
            _print_models(args.json)
        else:
            _run(args)
    except LabError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; no file was written.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
