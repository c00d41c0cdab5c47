"""Health tells the truth: of a camera that is lost, of results that do not come, of outputs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgesam_rt.cameras.health import CameraHealth
from edgesam_rt.engines import EngineSet
from edgesam_rt.errors import SinkError
from edgesam_rt.server import health
from edgesam_rt.server.health import Losses, SinkWatch
from edgesam_rt.system.probes import Readings
from tests.pipeline.doubles import FailingCamera, Recorder
from tests.result_doubles import make_result
from tests.server.asking import Served, served, wait_for

S = 1_000_000_000


def samples(run: Served) -> dict[str, Any]:
    """Every sample of /metrics, by name and labels."""
    text = run.get("/metrics").body.decode()
    return {
        " ".join(
            [sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))]
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_all_is_well_while_results_flow(site: Served) -> None:
    assert site.get("/readyz").status == 200
    well = site.get("/healthz")
    assert (well.status, well.json["status"], well.json["reasons"]) == (200, "ok", [])
    assert well.json["camera"]["state"] == "live"
    assert well.json["ladder_step"] == 0


def silent() -> FailingCamera:
    return FailingCamera(0, None, live=True)


def test_before_the_first_result_it_is_not_ready_and_says_why(engines: EngineSet) -> None:
    with served(engines, camera=silent, waits=False) as run:
        reply = run.get("/readyz")
        assert (reply.status, reply.json["reasons"]) == (503, ["no result yet"])
        for path in ("/api/v1/result", "/api/v1/snapshot"):
            assert (run.get(path).status, run.get("/metrics").status) == (503, 200)
        refused = run.ask("POST", "/api/v1/objects", {"points": [[3, 3]]})
        assert (refused.status, "no picture yet" in refused.json["detail"]) == (503, True)


def test_a_camera_that_falls_silent_is_told(
    engines: EngineSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "STALLED_S", 0.4)
    monkeypatch.setattr("edgesam_rt.service.control.PATIENCE_S", 0.3)
    with served(engines, camera=lambda: FailingCamera(3, None, live=True)) as run:
        wait_for(lambda: run.get("/healthz").status == 503)
        assert run.get("/healthz").json["reasons"][0].startswith("no result for")
        assert run.get("/readyz").status == 503
        stuck = run.ask("PUT", "/api/v1/mode", {"mode": "prompt"})
        assert stuck.status == 503
        assert "Nothing was changed" in stuck.json["detail"]
        assert run.get("/api/v1/mode").json["mode"] == "track"


@pytest.mark.parametrize("state", ["lost", "stuck"])
def test_a_camera_that_is_lost_is_told_with_its_own_words(state: Any, site: Served) -> None:
    camera = CameraHealth(state, last_error="unplugged")
    assert list(health._of_results(camera, 0.1)) == [f"camera {state}: unplugged"]


def test_an_output_that_loses_most_results_is_told_and_forgotten_when_it_works() -> None:
    watch = SinkWatch()
    assert list(watch.failing(Losses(1 * S, 100, {"mqtt:": 10}))) == []
    told = list(watch.failing(Losses(4 * S, 140, {"mqtt:": 45})))
    assert told == ["output mqtt: lost 35 of the newest 40 results"]
    assert list(watch.failing(Losses(20 * S, 400, {"mqtt:": 45}))) == []


def test_a_full_disk_fails_health_and_not_the_run(engines: EngineSet) -> None:
    full = Recorder("full", fails_at=1, error=SinkError("no space left."))
    with served(engines, out=full) as run:
        wait_for(lambda: run.get("/healthz").status == 503)
        assert "output full lost" in run.get("/healthz").json["reasons"][0]
        assert run.get("/readyz").status == 200


def test_metrics_are_what_the_run_counts(site: Served) -> None:
    site.ask("POST", "/api/v1/objects", {"points": [[48, 32]]})
    found = samples(site)
    results = found["edgesam_results_total"]
    assert 0 < results <= site.running.pipeline.results_made
    assert found["edgesam_age_seconds_count"] == pytest.approx(results, abs=2)
    for stage in ("capture", "fit", "encode", "decode", "mask"):
        count = found[f"edgesam_stage_seconds_count stage={stage}"]
        assert count == found[f"edgesam_stage_seconds_bucket le=+Inf stage={stage}"]
    assert found["edgesam_camera_state state=live"] == 1
    assert found["edgesam_objects"] == 1
    assert site.get("/healthz", Host="evil.example").status == 421
    wait_for(lambda: samples(site).get("edgesam_http_refused_total status=421") == 1)
    assert found["edgesam_build_info backend=onnxruntime board=cpu bundle=pocketsam version=0"] == 1
    assert {"process_resident_memory_bytes", "process_open_fds", "edgesam_threads"} <= set(found)


def test_degraded_results_and_steps_are_counted(engines: EngineSet) -> None:
    with served(engines, camera=silent, waits=False) as run:
        for step in (0, 2, 2, 0):
            made = make_result(ladder_step=step, ladder_name="256 px", ladder_reason="late")
            run.running.hub.put(made)
            run.running.pipeline.metrics.add(made, is_late=False)
        run.running.hub.put(make_result(reuse="still"))
        found = samples(run)
        assert found["edgesam_results_degraded_total ladder_name=256 px reason=late"] == 2
        assert found["edgesam_stage_seconds_count stage=encode"] == 4, "one was not encoded"
        assert found["edgesam_age_seconds_bucket le=0.035"] == 5
        assert found["edgesam_age_seconds_bucket le=0.02"] == 0
        steps = [each["ladder_step"] for each in run.get("/api/v1/status").json["steps"]]
        assert steps == [0, 2, 0]


def test_heat_is_told_where_the_board_has_sensors(engines: EngineSet) -> None:
    with served(engines, camera=silent, waits=False) as run:
        told = Readings({"cpu-thermal": 81.5}, reasons=("under-voltage",))
        run.running.pipeline._shared.readings = told
        found = samples(run)
        assert found["edgesam_temperature_celsius sensor=cpu-thermal"] == 81.5
        assert found["edgesam_held_back reason=under-voltage"] == 1
        assert run.get("/api/v1/status").json["held_back_by"] == ["under-voltage"]


def test_status_has_what_charts_need(site: Served) -> None:
    found = site.get("/api/v1/status").json
    assert {"capture", "encode", "decode", "age"} <= set(found["stages"])
    assert found["image_hw"] == [64, 96]
    assert 0 < found["fps"] < 40
    times = [point["at_s"] for point in found["recent"]]
    assert times == sorted(times)
    assert times[-1] <= 0


def test_one_picture_is_made_for_all_who_ask_at_once(
    site: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgesam_rt.server import renders

    made: list[int] = []
    draw = renders._jpeg

    def counted(result: Any, with_overlay: bool) -> bytes:
        made.append(result.frame.frame_id)
        return draw(result, with_overlay)

    monkeypatch.setattr(renders, "_jpeg", counted)
    site.ask("POST", "/api/v1/objects", {"box": [10, 10, 60, 50]})
    pictures = [site.get("/api/v1/snapshot") for _ in range(30)]
    assert all(p.status == 200 and p.body.startswith(b"\xff\xd8") for p in pictures)
    assert len(made) == len(set(made))
    assert site.get("/api/v1/snapshot?overlay=0").body != pictures[-1].body


def test_a_result_comes_with_masks_with_boxes_or_with_neither(site: Served) -> None:
    site.ask("POST", "/api/v1/objects", {"box": [10, 10, 60, 50]})
    wait_for(lambda: len(site.result_ids()) == 1)
    whole = site.get("/api/v1/result").json["objects"][0]
    boxes = site.get("/api/v1/result?masks=boxes").json["objects"][0]
    assert whole["rle"]["size"] == [64, 96]
    assert {*whole} - {*boxes} == {"rle"}
    assert "objects" not in json.loads(site.get("/api/v1/result?masks=none").body)
