"""A long run of `edgesam-run` while its camera fails, its broker is killed, and people look at it.

The camera is a real GStreamer pipeline that ends again and again; each time is a failure that must
be noticed and mended. The results go to MQTT (QoS 1), to a rotated file, and to the live page.
Judged is what must not grow (memory by results after the first 2,000, threads, descriptors) and
that every result arrived or was counted as lost.

The small engine is made by
`edgesam-engines build benchmarks/soak/pocketsam-soak.toml --calibration ../shared/data/photos
--out out/bundles/pocketsam-soak`; needed too: apt-get install mosquitto python3-gi
gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-base.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

from tqdm import tqdm

from benchmarks import report
from benchmarks.ports import free_port
from benchmarks.soak.broker import PREFIX, Mosquitto, Subscriber
from benchmarks.soak.guests import Viewer, scrape
from benchmarks.soak.judge import WARM_UP, Sample, curve, growth
from benchmarks.soak.process import sample, started
from edgesam_rt.cli.exits import run_command
from edgesam_rt.errors import EdgeSamError

LIVE = "/live"
QUEUE = 1_000  # results that wait for the broker
CAMERA_FPS = 250
_LOOK_S = 0.5
_PATIENCE = 120  # looks without a new result: it hangs
_SETTLE_S = 8.0  # after the last result, for what is queued to arrive


@dataclass
class Run:
    """What is there while it runs."""

    process: Popen[bytes]
    url: str
    broker: Mosquitto
    began_s: float


def command(args: argparse.Namespace, folder: Path, port: int, broker_port: int) -> list[str]:
    """What is started."""
    frames = max(1, args.frames // args.failures)
    camera = (
        f"gst:videotestsrc is-live=true pattern=ball num-buffers={frames} ! "
        f"video/x-raw,width=320,height=240,framerate={CAMERA_FPS}/1"
    )
    mqtt = f"mqtt:mqtt://127.0.0.1:{broker_port}/{PREFIX}?qos=1&queue={QUEUE}&masks=boxes"
    file = f"jsonl:{folder}/results.jsonl?rotate=10MB&keep=1000&rle=0"
    return [
        f"{camera}#retry=0.5",
        *("--bundle", str(args.bundle), "--point", "160,120", "--http", f"127.0.0.1:{port}"),
        *("--out", mqtt, "--out", file),
    ]


def soak(args: argparse.Namespace, folder: Path) -> Mapping[str, Any]:
    """Run it to its end; returns what was found."""
    broker = Mosquitto(folder)
    broker.start()
    port = free_port()
    words, summary = command(args, folder, port, broker.port), folder / "summary.json"
    with ExitStack() as stack:
        stack.callback(broker.stop)
        subscriber = Subscriber(broker.port)
        stack.callback(subscriber.stop)
        with started(words, summary, args.log) as process, _viewer(f"127.0.0.1:{port}") as viewer:
            run = Run(process, f"http://127.0.0.1:{port}", broker, time.monotonic())
            samples = _watch(run, args)
        time.sleep(_SETTLE_S)
    lines = sorted(_lines(folder))
    return {
        "samples": len(samples),
        "wall_s": round(samples[-1].at_s),
        "growth": asdict(growth(samples)),
        "curve": curve(samples),
        "summary": json.loads(summary.read_text(encoding="utf-8")),
        "broker_kills": broker.kills,
        "viewer": {"connections": viewer.connections, "mib": viewer.bytes_read / 2**20},
        "mqtt_received": len(subscriber.frames),
        "file_lines": len(lines),
        "file_repeated": len(lines) - len(set(lines)),
    }


def _watch(run: Run, args: argparse.Namespace) -> list[Sample]:
    """Sample it until it has made enough results; kill the broker on the way."""
    samples: list[Sample] = []
    # The first falls into the warm-up: what waits for a broker takes memory, once.
    kill_at = [WARM_UP // 4 + args.frames * i // args.kills for i in range(args.kills)]
    silent = 0
    made = 0
    with tqdm(total=args.frames, unit="result", file=sys.stderr, mininterval=2) as bar:
        while bar.n < args.frames:
            time.sleep(_LOOK_S)
            if run.process.poll() is not None:
                raise EdgeSamError(f"it ended with {run.process.returncode}; see {args.log}")
            with suppress(OSError):  # not listening yet
                made = int(scrape(run.url).get("edgesam_results_total", 0))
            silent = 0 if made > bar.n else silent + 1
            if silent > _PATIENCE:
                raise EdgeSamError(
                    f"no result for {_PATIENCE * _LOOK_S:g} s at {made}; see {args.log}"
                )
            bar.update(made - bar.n)
            samples.append(sample(run.process.pid, run.began_s, made))
            if kill_at and made >= kill_at[0]:
                kill_at.pop(0)
                run.broker.kill_and_start()
    return samples


@contextmanager
def _viewer(address: str) -> Iterator[Viewer]:
    viewer = Viewer(address, LIVE)
    viewer.start()
    try:
        yield viewer
    finally:
        viewer.stop()


def _lines(folder: Path) -> Iterator[int]:
    """The frame of every line in every file that was written; a torn line is an error."""
    for path in folder.glob("results.jsonl*"):
        with path.open(encoding="ascii") as lines:
            yield from (int(json.loads(line)["frame_id"]) for line in lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("out/bundles/pocketsam-soak"))
    parser.add_argument("--frames", type=int, default=100_000, help="results to make")
    parser.add_argument("--failures", type=int, default=200, help="of the camera, at least")
    parser.add_argument("--kills", type=int, default=20, help="of the broker")
    parser.add_argument("--log", type=Path, default=Path("out/soak.log"))
    parser.add_argument("--json", type=Path, help="where the report goes")
    return parser


def _run(args: argparse.Namespace) -> int:
    recorder = report.Recorder("soak", "benchmarks.soak", args)
    with tempfile.TemporaryDirectory() as folder:
        recorder.finish(soak(args, Path(folder)))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = _parser().parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
