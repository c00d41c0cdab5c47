// The feed: a line of JSON, then as many bytes as it says (a JPEG). It connects again by itself.

const SILENT_MS = 4000; // the board sends a line every second, with or without a result
const FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 5000;

/** Calls `take(row, jpeg)` for every result and `tell(state, detail)` when the connection changes. */
export class Feed {
  constructor(path, take, tell) {
    Object.assign(this, { path, take, tell, wait: FIRST_WAIT_MS, run: 0 });
  }

  start() {
    this.follow(++this.run);
  }

  stop() {
    this.run++;
    this.abort?.abort();
  }

  async follow(run) {
    while (run === this.run) {
      this.tell("connecting");
      const why = await this.connect(run);
      if (run !== this.run) return;
      if (why === "login") return this.tell("login");
      this.tell("lost", why);
      await new Promise((done) => setTimeout(done, this.wait));
      this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
    }
  }

  /** Read until the connection ends; returns why it did. */
  async connect(run) {
    this.abort = new AbortController();
    this.listen();
    try {
      const answer = await fetch(this.path, { signal: this.abort.signal });
      if (answer.status === 401) return "login";
      if (!answer.ok) return (await answer.json().catch(() => ({}))).detail ?? `status ${answer.status}`;
      for await (const [row, payload] of messages(answer.body.getReader())) {
        if (run !== this.run) return "";
        this.listen();
        this.wait = FIRST_WAIT_MS;
        this.tell("live");
        if (row.frame_id !== undefined) await this.take(row, payload);
      }
      return "the board ended the connection";
    } catch {
      return "the board does not answer";
    } finally {
      clearTimeout(this.timer);
      this.abort.abort();
    }
  }

  listen() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.abort.abort(), SILENT_MS);
  }
}

/** The messages of a stream: [row, payload]. */
export async function* messages(reader) {
  let held = new Uint8Array(0);
  const more = async () => {
    const { done, value } = await reader.read();
    if (done) return false;
    const joined = new Uint8Array(held.length + value.length);
    joined.set(held);
    joined.set(value, held.length);
    held = joined;
    return true;
  };
  for (;;) {
    let end;
    while ((end = held.indexOf(10)) < 0) if (!(await more())) return;
    const row = JSON.parse(new TextDecoder().decode(held.subarray(0, end)));
    const whole = end + 1 + row.payload;
    while (held.length < whole) if (!(await more())) return;
    const payload = held.slice(end + 1, whole);
    held = held.slice(whole);
    yield [row, payload];
  }
}
