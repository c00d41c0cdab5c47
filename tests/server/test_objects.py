"""Objects and modes over HTTP: what is asked for changes; nothing that is asked ends the run."""

from __future__ import annotations

import pytest

from tests.server.asking import Served, wait_for

OBJECTS, MODE = "/api/v1/objects", "/api/v1/mode"
INSIDE = {"points": [[48, 32]]}
BOX = {"box": [10, 10, 60, 50], "points": [[30, 30], [2, 2, 0]]}


def test_a_run_begins_without_objects_and_its_results_are_empty(site: Served) -> None:
    wait_for(lambda: site.result_ids() == [])
    assert site.get(OBJECTS).json["objects"] == []


def test_an_object_that_is_added_is_in_the_next_results(site: Served) -> None:
    made = site.ask("POST", OBJECTS, INSIDE)
    assert (made.status, made.headers["location"]) == (201, f"{OBJECTS}/{made.json['id']}")
    wait_for(lambda: site.result_ids() == [made.json["id"]])
    found = site.get(made.headers["location"]).json
    assert found["points"] == [[48, 32, 1]]
    assert found["state"] in ("tracked", "lost")


def test_ids_are_kept_when_another_goes_and_are_never_used_again(site: Served) -> None:
    first, second = (site.ask("POST", OBJECTS, INSIDE).json["id"] for _ in range(2))
    assert site.ask("DELETE", f"{OBJECTS}/{first}").status == 204
    wait_for(lambda: site.result_ids() == [second])
    assert site.ask("POST", OBJECTS, BOX).json["id"] == second + 1
    assert site.get(f"{OBJECTS}/{first}").status == 404
    assert site.ask("DELETE", f"{OBJECTS}/{first}").status == 404


@pytest.mark.parametrize("mode", ["prompt", "track"])
def test_an_object_is_changed_in_its_place_and_keeps_its_id(site: Served, mode: str) -> None:
    site.ask("PUT", MODE, {"mode": mode})
    first, second = (site.ask("POST", OBJECTS, INSIDE).json["id"] for _ in range(2))
    wait_for(lambda: site.result_ids() == [first, second])
    changed = site.ask("PUT", f"{OBJECTS}/{first}", BOX)
    assert (changed.status, changed.json["id"], changed.json["box"]) == (200, first, BOX["box"])
    assert site.get(f"{OBJECTS}/{first}").json["points"] == [[30, 30, 1], [2, 2, 0]]
    seen = site.running.pipeline.results_made
    wait_for(lambda: site.running.pipeline.results_made > seen + 1)
    assert site.result_ids() == [first, second]


@pytest.mark.parametrize("mode", ["prompt", "track"])
def test_a_change_that_means_nothing_leaves_the_object_as_it_was(site: Served, mode: str) -> None:
    site.ask("PUT", MODE, {"mode": mode})
    one = f"{OBJECTS}/{site.ask('POST', OBJECTS, INSIDE).json['id']}"
    refused = site.ask("PUT", one, {"points": [[500, 3]]})
    assert (refused.status, site.get(one).json["points"]) == (422, [[48, 32, 1]])
    assert site.ask("PUT", f"{OBJECTS}/999", BOX).status == 404
    site.ask("PUT", MODE, {"mode": "everything"})
    assert site.ask("PUT", one, BOX).status == 409


def test_points_and_box_come_back_as_they_were_given(site: Served) -> None:
    found = site.ask("POST", OBJECTS, BOX).json
    assert found["box"] == BOX["box"]
    assert found["points"] == [[30, 30, 1], [2, 2, 0]]


@pytest.mark.parametrize("mode", ["prompt", "track"])
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"points": [[500, 3]]}, "point 500,3 lies outside the 96x64 picture"),
        ({"box": [300, 300, 400, 400]}, "lies outside the 96x64 picture"),
        ({"points": [[3, 3, 0]]}, "background points alone name no object"),
        ({"points": [[3, 3, 7]]}, "labels are 1"),
        ({"box": [9, 9, 1, 1]}, "x0 < x1"),
        ({}, 'an object needs "points" or "box"'),
        ({"points": [[3, 3]] * 60}, "this model takes"),
    ],
)
def test_an_object_that_means_nothing_is_refused_and_the_run_goes_on(
    site: Served, mode: str, body: object, told: str
) -> None:
    site.ask("PUT", MODE, {"mode": mode})
    refused = site.ask("POST", OBJECTS, body)
    assert refused.status == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert told in refused.json["detail"]
    seen = site.running.pipeline.results_made
    wait_for(lambda: site.running.pipeline.results_made > seen + 1)
    assert site.get(OBJECTS).json["objects"] == []


def test_objects_are_followed_in_track_mode_and_more_can_be_added(site: Served) -> None:
    first = site.ask("POST", OBJECTS, INSIDE).json["id"]
    assert site.ask("PUT", MODE, {"mode": "track"}).json == {"mode": "track", "strategy": None}
    wait_for(lambda: site.result_ids() == [first])
    second = site.ask("POST", OBJECTS, BOX).json["id"]
    wait_for(lambda: site.result_ids() == [first, second])
    assert second > first
    states = {each["state"] for each in site.get(OBJECTS).json["objects"]}
    assert states <= {"tracked", "lost", "re-acquired"}
    assert site.ask("DELETE", f"{OBJECTS}/{first}").status == 204
    wait_for(lambda: site.result_ids() == [second])


def test_everything_mode_keeps_the_objects_for_later_and_takes_none(site: Served) -> None:
    kept = site.ask("POST", OBJECTS, INSIDE).json["id"]
    changed = site.ask("PUT", MODE, {"mode": "everything", "strategy": "hierarchical"})
    assert changed.json == {"mode": "everything", "strategy": "hierarchical"}
    assert site.ask("POST", OBJECTS, INSIDE).status == 409
    wait_for(lambda: "completeness" in site.get("/api/v1/result?masks=boxes").json)
    assert [each["id"] for each in site.get(OBJECTS).json["objects"]] == [kept]
    site.ask("PUT", MODE, {"mode": "prompt"})
    wait_for(lambda: site.result_ids() == [kept])


def test_a_strategy_of_another_mode_is_a_conflict(site: Served) -> None:
    refused = site.ask("PUT", MODE, {"mode": "track", "strategy": "grid"})
    assert (refused.status, refused.json["status"]) == (409, 409)


def test_there_are_only_so_many_objects(site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgesam_rt.service.control.MOST_OBJECTS", 2)
    assert [site.ask("POST", OBJECTS, INSIDE).status for _ in range(3)] == [201, 201, 409]
