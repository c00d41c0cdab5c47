"""What can be asked: one table, from which the application and its description are made."""

from __future__ import annotations

from dataclasses import replace

from edgesam_rt.server import handlers as h
from edgesam_rt.server import schemas
from edgesam_rt.server.operation import JPEG, TEXT, Answer, Operation

V1 = "/api/v1"
BODY = (400, 413, 415)  # what may be wrong with a body, beside what is in it
HEALTH = {
    200: Answer("Yes.", schemas.HealthAnswer),
    503: Answer("No; `reasons` say why.", schemas.HealthAnswer),
}
METRICS = {200: Answer("Text format.", media=TEXT)}
RESULT = {200: Answer("As docs/results.md has it.", schemas.ResultRow)}
PICTURE = {200: Answer("A JPEG.", media=JPEG)}
STATUS = {200: Answer("Times, counters, charts.", schemas.StatusAnswer)}
OBJECTS = {200: Answer("All objects.", schemas.ObjectsAnswer)}
OBJECT = {200: Answer("The object.", schemas.ObjectAnswer)}
ADDED = {201: Answer("It is asked for.", schemas.ObjectAnswer)}
MODE = {200: Answer("The present mode.", schemas.ModeAnswer)}
SESSION = {200: Answer("Whether it is.", schemas.SessionAnswer)}
DONE = {204: Answer("Done.", media=None)}


def operations() -> tuple[Operation, ...]:
    """The table."""
    return (*_to_watch(), *_to_look(), *_to_change(), *_to_enter())


def _to_watch() -> tuple[Operation, ...]:
    checks = h.Checks()
    return (
        Operation("GET", "/healthz", "health", "Is all well?", checks.alive, HEALTH),
        Operation("GET", "/readyz", "ready", "Do results flow?", checks.ready, HEALTH),
        Operation("GET", "/metrics", "metrics", "For Prometheus.", checks.scrape, METRICS),
    )


def _to_look() -> tuple[Operation, ...]:
    masks, overlay = (h.MASKS,), (h.OVERLAY,)
    result, picture = "The newest result.", "The newest picture."
    return (
        Operation("GET", f"{V1}/result", "getResult", result, h.result, RESULT, query=masks),
        Operation("GET", f"{V1}/snapshot", "snapshot", picture, h.snapshot, PICTURE, query=overlay),
        Operation("GET", f"{V1}/status", "getStatus", "How the run goes.", h.status, STATUS),
    )


def _to_change() -> tuple[Operation, ...]:
    every, one, mode = f"{V1}/objects", f"{V1}/objects/{{id}}", f"{V1}/mode"
    refused, unknown = (*BODY, 409), (404, 409)
    either = (*refused, 404)
    added, changed = schemas.ObjectRequest, schemas.ModeRequest
    return (
        Operation("GET", every, "listObjects", "What is asked for.", h.list_objects, OBJECTS),
        Operation("POST", every, "addObject", "One more.", h.add_object, ADDED, refused, added),
        Operation("GET", one, "getObject", "One object.", h.get_object, OBJECT, (404,)),
        Operation("PUT", one, "changeObject", "Anew.", h.change_object, OBJECT, either, added),
        Operation("DELETE", one, "removeObject", "No longer.", h.remove_object, DONE, unknown),
        Operation("GET", mode, "getMode", "The present mode.", h.get_mode, MODE),
        Operation("PUT", mode, "setMode", "Another mode.", h.set_mode, MODE, refused, changed),
    )


def _to_enter() -> tuple[Operation, ...]:
    """What anybody may ask."""
    path, shown = f"{V1}/session", schemas.SessionRequest
    asked = Operation("GET", path, "getSession", "Is a token needed?", h.get_session, SESSION)
    opened = Operation(
        "POST", path, "openSession", "The token for a cookie.", h.open_session, DONE, BODY, shown
    )
    return replace(asked, is_public=True), replace(opened, is_public=True)
