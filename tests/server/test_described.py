"""The server against its own description: what it says can be asked is asked; every answer fits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from edgesam_rt.engines import EngineSet
from edgesam_rt.server.routes import operations
from tests.server.asking import Served, served

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis needs Python 3.11")

# A point may fit the description and still lie outside the picture.
means_something = schemathesis.checks.positive_data_acceptance
DESCRIPTION = "/api/v1/openapi.json"
EXAMPLES = 8  # per operation and way
TABLE = {f"{each.method} {each.path}": each for each in operations()}
MODES = {"fit": "POSITIVE", "do not fit": "NEGATIVE"}
CASES = [(name, "fit") for name in TABLE] + [
    (name, "do not fit")
    for name, each in TABLE.items()
    if each.body or each.query or "{id}" in each.path  # else there is nothing to be wrong
]


@pytest.fixture(scope="module")
def run(engines: EngineSet) -> Iterator[Served]:
    with served(engines) as up:
        yield up


@pytest.fixture(scope="module")
def schema(run: Served) -> Any:
    return schemathesis.openapi.from_url(f"http://{run.address}{DESCRIPTION}")


def test_every_route_is_described(schema: Any) -> None:
    found = {f"{each.ok().method.upper()} {each.ok().path}" for each in schema.get_all_operations()}
    assert found == set(TABLE)


@pytest.mark.parametrize(("name", "way"), CASES)
def test_requests_that_fit_and_that_do_not_get_answers_of_the_description(
    name: str, way: str, schema: Any, run: Served
) -> None:
    method, path = name.split(" ")
    mode = getattr(schemathesis.GenerationMode, MODES[way])
    cases = schema[path][method].as_strategy(generation_mode=mode)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=cases)
    def ask(case: Any) -> None:
        answer = case.call(base_url=f"http://{run.address}", timeout=20)
        assert answer.status_code < 500 or answer.status_code == 503, answer.content
        case.validate_response(answer, excluded_checks=[means_something])

    ask()
    assert run.running.hub.newest() is not None
