// Ties the page together: feed to view, input to the board, the board's state to the panels.
import { ask, Refusal } from "./api.js";
import { drawLadder, drawLatency } from "./charts.js";
import { Feed } from "./feed.js";
import { Input } from "./input.js";
import { ObjectList } from "./objects.js";
import { View } from "./view.js";

const POLL_MS = 1000, STALE_MS = 3000, TOAST_MS = 6000;
const HINTS = {
  prompt: "Cuts out the same places in every frame.",
  track: "Follows each object from the frame it was named in.",
  everything: "All masks of every frame; objects rest meanwhile.",
};
const get = (id) => document.getElementById(id);
const view = new View(get("view"));
const list = new ObjectList(get("objects"), { select, remove });
const feed = new Feed("/live", show, tell);
const state = { connection: "connecting", detail: "", status: null, objects: [], selected: null, shownAt: 0, mode: null };
let toastTimer, pollTimer;

async function show(row, jpeg) {
  const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
  const [high, wide] = row.image_hw;
  get("frame").style.aspectRatio = `${wide} / ${high}`;
  view.show(row, bitmap);
  state.shownAt = performance.now();
  document.body.dataset.frame = row.frame_id;
  tellPicture();
}

function tell(connection, detail = "") {
  Object.assign(state, { connection, detail });
  const words = { live: ["good", "connected"], connecting: ["wait", "connecting"], lost: ["bad", "no connection"], login: ["wait", "token needed"], paused: ["wait", "paused"] };
  setPill("connection", ...words[connection]);
  if (connection === "lost") setPill("camera", "wait", "camera unknown");
  if (connection === "login") openLogin();
  tellPicture();
}

function setPill(id, look, text) {
  const pill = get(id);
  pill.dataset.state = look;
  if (pill.textContent !== text) pill.textContent = text;
}

/** Say over the picture what is not as it should be; nothing if all is well. */
function tellPicture() {
  const age = performance.now() - state.shownAt, camera = state.status?.camera;
  const isStale = !view.row || state.connection !== "live" || age > STALE_MS;
  let text = "";
  if (state.connection === "lost") text = `No connection: ${state.detail}. Trying again.`;
  else if (state.connection === "login") text = "This board asks for its token.";
  else if (!view.row) text = camera && camera.state !== "live" ? cameraWords(camera) : "Waiting for the first picture";
  else if (isStale && state.connection === "live")
    text = `${camera && camera.state !== "live" ? cameraWords(camera) : "No new result"}; this picture is ${Math.round(age / 1000)} s old`;
  get("frame").classList.toggle("stale", isStale && Boolean(view.row));
  if (get("message").textContent !== text) get("message").textContent = text;
}

function cameraWords(camera) {
  return `Camera ${camera.state}${camera.last_error ? `: ${camera.last_error}` : ""}`;
}

/** Look at the board's state, again and again. */
async function poll() {
  clearTimeout(pollTimer);
  try {
    if (!document.hidden && state.connection !== "login") await refresh();
  } catch (error) {
    if (error.status === 401) tell("login");
  }
  tellPicture();
  pollTimer = setTimeout(poll, POLL_MS);
}

async function refresh() {
  const [status, objects] = await Promise.all([ask("GET", "/api/v1/status"), ask("GET", "/api/v1/objects")]);
  state.status = status;
  state.objects = objects.objects;
  showStatus(status);
  showObjects();
}

function showStatus(status) {
  const { camera } = status, age = status.stages.age;
  setPill("camera", camera.state === "live" ? "good" : camera.state === "connecting" ? "wait" : "bad", camera.state === "live" ? "camera live" : `camera ${camera.state}`);
  get("camera").title = camera.last_error || "";
  get("fps").textContent = status.fps.toFixed(1);
  get("age").textContent = age ? age.p95_ms.toFixed(0) : "–";
  get("step").textContent = status.ladder_step ?? "–";
  get("board").textContent = status.build.board;
  get("build").textContent = `edgesam_rt ${status.build.version}, ${status.build.bundle}, ${status.build.backend}. ${camera.reconnects} camera reconnects.`;
  showMode(status.mode);
  drawLatency(get("latency"), status);
  drawLadder(get("ladder"), status);
  showStages(status);
}

function showMode(mode) {
  state.mode = mode;
  for (const input of get("modes").querySelectorAll("input")) input.checked = input.value === mode;
  get("mode-hint").textContent = HINTS[mode];
}

function showStages(status) {
  const rows = Object.entries(status.stages).map(([name, times]) => {
    const row = document.createElement("tr"), head = document.createElement("th");
    head.scope = "row";
    head.textContent = name === "age" ? "capture to result" : name;
    row.append(head);
    for (const value of [times.p50_ms, times.p95_ms]) row.insertCell().textContent = value.toFixed(1);
    return row;
  });
  get("stages").replaceChildren(...rows);
  const lost = Object.entries({ ...status.dropped, ...status.sinks_lost }).map(([why, n]) => `${n} ${why}`);
  get("losses").textContent = `${status.results} results, ${status.late} late${lost.length ? `; lost: ${lost.join(", ")}` : ""}`;
}

function showObjects() {
  if (!state.objects.some((each) => each.id === state.selected)) state.selected = state.objects.at(-1)?.id ?? null;
  const isAll = state.mode === "everything";
  list.show(state.objects, state.selected, isAll);
  get("count").textContent = isAll ? `${view.row?.objects.length ?? 0} masks` : state.objects.length || "";
  get("no-objects").textContent = isAll ? "Choose Prompt or Track to name one." : "None yet. Tap one in the picture.";
  view.set({ selected: isAll ? null : state.selected });
}

function select(id) {
  state.selected = id;
  showObjects();
}

/** Do something to the board, show what came of it, and say what it refused. */
async function act(what) {
  try {
    const answer = await what();
    await refresh();
    return answer;
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) tell("login");
    else toast(error.message);
    return null;
  } finally {
    view.set({ pending: null });
  }
}

function remove(id = state.selected) {
  if (id !== null) act(() => ask("DELETE", `/api/v1/objects/${id}`));
}

function point(at, isShifted) {
  const tool = isShifted ? "not" : chosenTool();
  const xy = [round(at.x), round(at.y)];
  view.set({ pending: { ...at, isOn: tool !== "not" } });
  if (tool === "new") return add({ points: [xy] });
  return refine(tool === "not" ? [...xy, 0] : xy);
}

function chosenTool() {
  return get("tools").querySelector("input:checked").value;
}

async function add(body) {
  const made = await act(() => ask("POST", "/api/v1/objects", body));
  if (made) select(made.id);
}

/** One more point for the selected object, which keeps its number. */
async function refine(xy) {
  const object = state.objects.find((each) => each.id === state.selected);
  if (!object) {
    view.set({ pending: null });
    return toast("Name an object first; then say what else belongs to it, or does not.");
  }
  await act(() => ask("PUT", `/api/v1/objects/${object.id}`, withPoint(object, xy)));
}

function withPoint(object, xy) {
  // A tracked object has moved since it was named: what it covers now stands for its old prompt.
  if (state.mode === "track" && object.box_xyxy) return { points: [xy], box: object.box_xyxy };
  const points = [...object.points, xy];
  return object.box ? { points, box: object.box } : { points };
}

function toast(text) {
  const place = get("toast");
  place.textContent = text;
  place.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (place.hidden = true), TOAST_MS);
}

function openLogin() {
  if (!get("login").open) get("login").showModal();
}

async function logIn(event) {
  event.preventDefault();
  try {
    await ask("POST", "/api/v1/session", { token: get("token").value });
    get("token").value = get("login-problem").textContent = "";
    get("login").close();
    feed.start();
    poll();
  } catch (error) {
    get("login-problem").textContent = error.message;
  }
}

function round(value) {
  return Math.round(value * 10) / 10;
}

new Input(view, { point, box: (band) => add({ box: band.map(round) }), remove: () => remove() });
get("modes").addEventListener("change", (event) => act(() => ask("PUT", "/api/v1/mode", { mode: event.target.value })).then(() => state.mode && showMode(state.mode)));
get("login").querySelector("form").addEventListener("submit", logIn);
get("login").addEventListener("cancel", (event) => event.preventDefault());
document.addEventListener("visibilitychange", () => {
  feed.stop();
  if (document.hidden) tell("paused");
  else feed.start(), poll();
});
feed.start();
poll();
