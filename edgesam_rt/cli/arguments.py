"""The arguments of `edgesam-run`, and a configuration file with the same names."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from edgesam_rt import boards, bundle
from edgesam_rt.backends.table import TABLE as BACKENDS
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.cli.run_config import RunConfig, with_environment
from edgesam_rt.config import convert, load_toml
from edgesam_rt.errors import ConfigError, PromptError
from edgesam_rt.everything.strategies import STRATEGIES
from edgesam_rt.finder import OWN
from edgesam_rt.pipeline.task import DEFAULT_STRATEGY, MODES
from edgesam_rt.records import FOREGROUND, Prompt
from edgesam_rt.secrets import redact
from edgesam_rt.sinks.table import SINKS

STDOUT_RESULTS = "jsonl:-"

EPILOG = """\
examples:
  edgesam-run photo.jpg --point 420,310 --out overlay:out.png
  edgesam-run clip.mp4 --box 10,20,200,220 --out overlay:out.mp4
  edgesam-run clip.mp4 --mode track --box 10,20,200,220 --out overlay:out.mp4
  edgesam-run photos/ --prompts prompts.json --out masks:masks/
  edgesam-run photo.jpg --mode everything --strategy objects --out sheet:all.png
  edgesam-run --board rpi5 --point 320,240 --budget-ms 200 --out jsonl:-

exit codes: 0 good, 1 failed, 2 wrong usage or configuration, 3 something is
missing here (a device, a library), 70 a bug of ours, 129, 130 and 143 stopped
by a signal. What was written so far is always intact.
"""

_NEGATIVE_VALUE = re.compile(r"-[0-9.]")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and takes `--point -5,3` for what it is."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        given = list(sys.argv[1:] if args is None else args)
        for i in range(len(given) - 1, 0, -1):
            if given[i - 1] in ("--point", "--box") and _NEGATIVE_VALUE.match(given[i]):
                given[i - 1 : i + 1] = [f"{given[i - 1]}={given[i]}"]
        return super().parse_known_args(given, namespace)

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments") and "-" not in message.split(": ")[1][:1]:
            message += ". One SOURCE at a time; quote a pattern for several: 'photos/*.jpg'"
        self.exit(2, f"error: {redact(message)}. See {self.prog} --help.\n")


class _AddPrompt(argparse.Action):
    """Collects --point, --box and --object in the order they were given: one list per object."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        objects: list[list[Prompt]] = getattr(namespace, self.dest) or [[]]
        if option_string == "--object":
            objects.append([])
        else:
            objects[-1].append(values)
        setattr(namespace, self.dest, objects)


class _AddOption(argparse.Action):
    """Collects --everything NAME=VALUE into one table."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        name, value = values
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest) or {}), name: value})


def _option(text: str) -> tuple[str, float]:
    name, found, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        found = ""
    if not name or not found:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE with a number, got {text!r}")
    return name, int(number) if number.is_integer() else number


def _numbers(text: str, counts: tuple[int, ...], shape: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in counts:
        raise argparse.ArgumentTypeError(f"expected {shape}, got {text!r}")
    return values


def _point(text: str) -> Prompt:
    values = _numbers(text, (2, 3), "X,Y or X,Y,LABEL with label 1 or 0")
    label = values[2] if len(values) == 3 else FOREGROUND
    if label not in (0, 1):
        raise argparse.ArgumentTypeError(f"a point's label is 1 or 0, got {text!r}")
    try:
        return Prompt.point(values[0], values[1], int(label))
    except PromptError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _box(text: str) -> Prompt:
    values = _numbers(text, (4,), "X0,Y0,X1,Y1")
    try:
        return Prompt.box(*values)
    except PromptError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def parser(version: str) -> argparse.ArgumentParser:
    """The argument parser of `edgesam-run`."""
    p = _Parser(
        allow_abbrev=False,
        prog="edgesam-run",
        description="Cut objects out of pictures, videos and cameras with prebuilt INT8 engines.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sources = "; ".join(row.help for row in SOURCES.values())
    sinks = "; ".join(f"{n}:{row.target}  {row.help}" for n, row in SINKS.items() if n != "memory")
    p.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        help=f"a path, or {sources}. Default: the board's camera",
    )
    what = p.add_argument_group("what to cut out")
    what.add_argument(
        "--mode",
        help=f"{', '.join(MODES)}: prompt asks the same of every frame, track follows what the "
        "prompts name in the first one; default: prompt if there are prompts",
    )
    what.add_argument(
        "--point",
        dest="objects",
        action=_AddPrompt,
        type=_point,
        metavar="X,Y[,0|1]",
        help="a point on the object (label 0: not on it); pixels; repeatable",
    )
    what.add_argument(
        "--box",
        dest="objects",
        action=_AddPrompt,
        type=_box,
        metavar="X0,Y0,X1,Y1",
        help="a box around the object; pixels",
    )
    what.add_argument(
        "--object",
        dest="objects",
        action=_AddPrompt,
        nargs=0,
        help="the prompts after this are about the next object",
    )
    what.add_argument("--prompts", metavar="FILE.json", help="prompts from a file")
    every = p.add_argument_group("everything mode")
    every.add_argument("--strategy", help=f"{', '.join(STRATEGIES)}; default: {DEFAULT_STRATEGY}")
    every.add_argument(
        "--detector",
        metavar="NAME|PATH",
        help=f"finds boxes for --strategy objects: a detector bundle, or {OWN} for the head of the "
        f"segmenter's bundle; default: {bundle.DEFAULT_DETECTOR}",
    )
    every.add_argument(
        "--everything",
        action=_AddOption,
        type=_option,
        metavar="NAME=VALUE",
        help="a threshold instead of the bundle's own, by SAM's names: points_per_side=16, "
        "pred_iou_thresh=0.6, min_mask_region_area=100; repeatable",
    )
    how = p.add_argument_group("how to run")
    how.add_argument("--board", help=f"auto, {', '.join(boards.names())}; default: auto")
    how.add_argument(
        "--bundle",
        metavar="NAME|PATH",
        help=f"engines to use: {', '.join(bundle.installed())} or a folder",
    )
    how.add_argument("--backend", help=f"{', '.join(BACKENDS)}; default: the board's")
    how.add_argument("--encoder-side", type=int, metavar="PX", help="default: the board's ladder")
    how.add_argument("--threads", type=int, help="of the engines; default: the board's")
    how.add_argument(
        "--budget-ms",
        type=float,
        metavar="N",
        help="capture to result; quality steps "
        "down to keep it, and late frames of a live source are dropped",
    )
    how.add_argument("--max-frames", type=int, metavar="N", help="stop after N frames")
    how.add_argument(
        "--duration", dest="duration_s", type=float, metavar="S", help="stop after S seconds"
    )
    how.add_argument("--config", type=Path, metavar="FILE.toml", help="these options from a file")
    how.add_argument(
        "--check",
        action="store_true",
        help="check configuration, files and engines, print what would run; opens no device",
    )
    out = p.add_argument_group("what comes out")
    out.add_argument(
        "--out",
        action="append",
        metavar="SPEC",
        help=f"{sinks}. Repeatable; default: {STDOUT_RESULTS}, results on stdout",
    )
    out.add_argument(
        "--http",
        metavar="ADDRESS:PORT",
        help="serve health, metrics, control and a live page there, such as 127.0.0.1:8080; "
        "prompts may come later (docs/http.md)",
    )
    out.add_argument(
        "--http-token-file", metavar="FILE", help="holds the token that is to be shown"
    )
    out.add_argument("--json", action="store_true", help="the summary as one JSON line on stdout")
    out.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")
    out.add_argument("-v", "--verbose", action="count", default=0, help="say more; twice: all")
    out.add_argument("--version", action="version", version=f"edgesam_rt {version}")
    return p


def prompts_of(objects: Sequence[Sequence[Prompt]] | None) -> tuple[Prompt, ...]:
    """Join the prompts of each object; objects without any are left out.

    Raises:
        ConfigError: --object was given, and no prompt at all.
        PromptError: an object has two boxes.
    """
    if objects and not any(objects):
        raise ConfigError("--object separates objects: give --point or --box with it.")
    joined = []
    for parts in objects or ():
        if parts:
            whole = parts[0]
            for part in parts[1:]:
                whole = whole + part
            joined.append(whole)
    return tuple(joined)


def _as_option(message: str) -> str:
    """Say "--max-frames: …" where a message begins with "command line: max_frames: …"."""
    found = re.match(r"command line: (\w+?)(_s)?: (.*)", message, re.DOTALL)
    return f"--{found[1].replace('_', '-')}: {found[3]}" if found else message


def effective(args: argparse.Namespace) -> RunConfig:
    """The configuration file, overridden by the environment, overridden by the command line.

    Raises:
        ConfigError: something in the file or on the command line is wrong.
    """
    read = load_toml(args.config, RunConfig) if args.config is not None else RunConfig()
    base = with_environment(read)
    given = {
        name: getattr(args, name)
        for name in RunConfig.__struct_fields__
        if getattr(args, name, None) is not None
    }
    if args.objects or args.prompts:
        given["object"] = ()
    given["everything"] = {**base.everything, **given.get("everything", {})}
    try:
        merged = convert({**msgspec.structs.asdict(base), **given}, RunConfig, "command line")
    except ConfigError as error:
        raise ConfigError(_as_option(str(error))) from error
    if merged.source == "":
        raise ConfigError("SOURCE is empty. Name a file, a folder or a camera.")
    return merged
