// Questions to the board. What it refuses comes out as a Refusal with its own words.

export class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Ask, and return the answer's JSON; null if it has none. */
export async function ask(method, path, body) {
  const options = { method, headers: {}, signal: AbortSignal.timeout(15000) };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refusal(0, "The board does not answer.");
  }
  const text = await answer.text();
  const data = parse(text);
  if (!answer.ok) throw new Refusal(answer.status, data?.detail ?? `${answer.status} ${answer.statusText}`);
  return data;
}

function parse(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
