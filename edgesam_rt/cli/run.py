"""`edgesam-run`: source to sinks, in the foreground."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

import edgesam_rt
from edgesam_rt.bundle import find_detector
from edgesam_rt.cameras.base import Camera
from edgesam_rt.cameras.open import open_camera
from edgesam_rt.cameras.spec import parse_source
from edgesam_rt.cli import arguments, report
from edgesam_rt.cli.arguments import STDOUT_RESULTS
from edgesam_rt.cli.exits import run_command
from edgesam_rt.cli.http import entry_of, serving
from edgesam_rt.cli.logs import set_up_logging
from edgesam_rt.cli.memory import limit_arenas
from edgesam_rt.cli.prompts_file import load_prompts
from edgesam_rt.cli.run_config import RunConfig
from edgesam_rt.cli.signals import ended_by_signals
from edgesam_rt.cli.targets import check_targets
from edgesam_rt.engines import resolve
from edgesam_rt.errors import ConfigError
from edgesam_rt.everything.options import with_options
from edgesam_rt.finder import OWN
from edgesam_rt.pipeline.pipeline import Pipeline, Plan, SinkPlan
from edgesam_rt.pipeline.stages import Limits
from edgesam_rt.pipeline.task import Prompts, PromptTask, TrackTask, make_task, mode_of
from edgesam_rt.pipeline.work import Task
from edgesam_rt.records import Prompt
from edgesam_rt.service.prompts import to_prompts
from edgesam_rt.service.running import Running
from edgesam_rt.service.service import Service, service_of_environment
from edgesam_rt.sinks.spec import open_sink, parse_sink

POLL_S = 0.1
_FFMPEG_SILENT = "-8"  # what it has to say of broken files, our own errors say better
log = logging.getLogger(__name__)


def make_plan(config: RunConfig, prompts: tuple[Prompt, ...], default_out: str) -> Plan:
    """Resolve a configuration; opens no device, and finds what is wrong with it.

    Raises:
        ConfigError, BundleError, BackendMissing: what cannot work, before anything runs.
    """
    engines = resolve(
        board=config.board,
        bundle_name=config.bundle,
        backend=config.backend,
        encoder_side=config.encoder_side,
        threads=config.threads,
        detector_name=config.detector,
    )
    if config.strategy == "objects" and config.detector != OWN:
        find_detector(config.detector)  # what is wrong with it shows before anything runs
    source = parse_source(config.source or engines.board.camera)
    sinks = [parse_sink(text) for text in config.out or (default_out,)]
    check_targets(source, sinks)
    if config.prompts is not None and prompts:
        raise ConfigError(
            "give prompts by --prompts, or by --point, --box and [[object]]: not both."
        )
    asked = load_prompts(Path(config.prompts)) if config.prompts else Prompts(prompts)
    facts = with_options(engines.bundle.manifest.thresholds, config.everything)

    def camera() -> Camera:
        return open_camera(source)

    budget = engines.board.budget_ms if config.budget_ms is None else config.budget_ms
    return Plan(
        engines=engines,
        open_camera=camera,
        task=make_task(
            config.mode, asked, config.strategy, facts, may_be_empty=config.http is not None
        ),
        sinks=[SinkPlan(spec.text, partial(open_sink, spec), spec.place) for spec in sinks],
        budget_ms=budget,
        limits=Limits(config.max_frames, config.duration_s),
    )


def _run(args: argparse.Namespace) -> int:
    set_up_logging(quiet=args.quiet, verbose=args.verbose)
    service = None if args.check else service_of_environment()
    plan_again = partial(_planned, args, is_service=service is not None)
    config, plan = plan_again()
    entry = entry_of(config, is_check=args.check)
    if args.check:
        sys.stdout.write(json.dumps(_checked(config, plan), indent=2) + "\n")
        return 0
    log.info("edgesam_rt %s", edgesam_rt.__version__)
    running = _changeable(config, plan, plan_again, service) if service or entry else None
    pipeline = running.pipeline if running else Pipeline(plan)
    stop, reload = (service.stop, service.ask_reload) if service else (pipeline.stop, None)
    with ended_by_signals(stop, reload) as received, serving(entry, running, plan):
        try:
            with pipeline:
                show = _has_room_for_a_bar(args, config)
                _watch(pipeline, show=show, look=service.look if service else None)
        finally:
            _report(pipeline, args)
    if isinstance(plan.task, PromptTask | TrackTask) and plan.task.unmatched and not received:
        missing = ", ".join(sorted(plan.task.unmatched))
        log.warning("%s: no frame of this source is called %s.", config.prompts, missing)
    return 128 + received[0] if received else 0


def _changeable(
    config: RunConfig,
    plan: Plan,
    plan_again: Callable[[], tuple[RunConfig, Plan]],
    service: Service[RunConfig] | None,
) -> Running[RunConfig]:
    """A run that a reload or HTTP may change; a service is told of its results."""
    facts = plan.engines.bundle.manifest.thresholds

    def everything(now: RunConfig, strategy: str | None) -> Task:
        thresholds = with_options(facts, now.everything)
        return make_task("everything", Prompts(), strategy or now.strategy, thresholds)

    running = Running(
        config,
        replace(plan, outlives_sinks=service is not None),
        plan_again,
        everything=everything,
        on_result=service.heart.beat if service else None,
    )
    if service:
        service.watch(running)
    return running


def _planned(args: argparse.Namespace, *, is_service: bool) -> tuple[RunConfig, Plan]:
    """Read the configuration and make a plan of it; where nothing reads stdout, it gets nothing."""
    config = arguments.effective(args)
    prompts = arguments.prompts_of(args.objects) or to_prompts(
        config.object, f"{args.config}: object"
    )
    to_stdout = not (args.json or is_service or config.http)
    return config, make_plan(config, prompts, STDOUT_RESULTS if to_stdout else "null:")


def _checked(config: RunConfig, plan: Plan) -> dict[str, object]:
    """Check the engines' hashes; return the configuration with everything resolved."""
    engines = plan.engines
    engines.bundle.check_files(engines.options.backend)
    resolved = msgspec.structs.replace(
        config,
        source=parse_source(config.source or engines.board.camera).text,
        board=engines.board.name,
        bundle=config.bundle or engines.board.bundle,
        backend=engines.options.backend,
        threads=engines.options.backend_options.threads,
        mode=mode_of(plan.task),
        budget_ms=plan.budget_ms,
        out=tuple(sink.name for sink in plan.sinks),
    )
    checked: dict[str, object] = msgspec.to_builtins(resolved)
    return checked


def _watch(pipeline: Pipeline, *, show: bool, look: Callable[[], None] | None) -> None:
    """Wait for the run to end; with a progress bar where the number of frames is known."""
    bar = None
    while not pipeline.wait(POLL_S):
        if look is not None:
            look()
        info = pipeline.info
        if show and bar is None and info is not None and info.length:
            from tqdm import tqdm

            bar = tqdm(total=info.length, unit="frame", file=sys.stderr, leave=False)
        if bar is not None:
            bar.update(min(pipeline.results_made, bar.total) - bar.n)
    if bar is not None:
        bar.update(min(pipeline.results_made, bar.total) - bar.n)
        bar.close()


def _has_room_for_a_bar(args: argparse.Namespace, config: RunConfig) -> bool:
    """Whether stderr is a terminal that nothing else is written to."""
    results_on_terminal = not config.out and sys.stdout.isatty()
    return sys.stderr.isatty() and not (args.quiet or args.json or results_on_terminal)


def _report(pipeline: Pipeline, args: argparse.Namespace) -> None:
    if not pipeline.has_started:
        return
    summary = pipeline.summary()
    if args.json:
        sys.stdout.write(json.dumps(summary.as_json()) + "\n")
        sys.stdout.flush()
    elif not args.quiet and summary.frames:
        sys.stderr.write(report.table(summary))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    limit_arenas()
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _FFMPEG_SILENT)
    args = arguments.parser(edgesam_rt.__version__).parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
