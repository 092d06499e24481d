/** The one way to the server: a client typed from openapi.json, with idempotency keys, positions and problems. */
import createClient, { type Middleware } from "openapi-fetch";
import { newId } from "../id";
import { ApiError, OfflineError } from "./problem";
import { queryClient, SESSION_KEY } from "./query";
import type { paths } from "./schema";
import type { Pending } from "./types";

/** How long after a write reads still ask for its position: far longer than any read model lags. */
const READ_OWN_WRITES_MS = 60_000;

/** How long a command that is taken and not decided (202) is watched. The server itself has waited before. */
const WATCH_MS = 10_000;
const WATCH_EVERY_MS = 500;

let newest: { position: string; at: number } | null = null;
let clockAheadMs = 0;

/** The server's clock as seen from here, in milliseconds: countdowns must not trust a wrong local clock. */
export function serverNow(): number {
  return Date.now() + clockAheadMs;
}

function isNewer(candidate: string, than: string): boolean {
  // Positions are opaque; where both are plain numbers, answers that arrive out of order can still be told apart.
  const digits = /^\d+$/;
  if (digits.test(candidate) && digits.test(than)) return BigInt(candidate) >= BigInt(than);
  return true;
}

function notePosition(response: Response) {
  const position = response.headers.get("Holdfast-Position");
  if (!position) return;
  if (!newest || isNewer(position, newest.position)) newest = { position, at: Date.now() };
}

function noteClock(response: Response) {
  const date = response.headers.get("Date");
  if (!date) return;
  const ahead = Date.parse(date) + 500 - Date.now();
  // The header counts whole seconds: below two seconds the difference is noise.
  clockAheadMs = Number.isFinite(ahead) && Math.abs(ahead) > 2000 ? ahead : 0;
}

const positions: Middleware = {
  onRequest({ request }) {
    if (request.method === "GET") {
      // The health board says how far behind things are; it must not wait for what is behind.
      if (request.url.endsWith("/v1/health")) return request;
      if (newest && Date.now() - newest.at < READ_OWN_WRITES_MS) {
        request.headers.set("Holdfast-At-Least", newest.position);
      }
    } else if (!request.headers.has("Idempotency-Key") && !request.url.includes("/v1/sessions")) {
      request.headers.set("Idempotency-Key", newId());
    }
    return request;
  },
  onResponse({ response }) {
    notePosition(response);
    noteClock(response);
  },
};

const client = createClient<paths>({ baseUrl: window.location.origin, credentials: "same-origin" });
client.use(positions);

/** The typed verbs. Wrap every call in `ok`, which turns refusals into `ApiError` and silence into `OfflineError`. */
export const { GET, POST, PUT, PATCH, DELETE } = client;

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** The answer's body, or an error worth showing. */
export async function ok<T>(call: Promise<Answer<T>>): Promise<T> {
  return (await withResponse(call)).data;
}

/** As `ok`, with the response, for its headers and its status. */
export async function withResponse<T>(call: Promise<Answer<T>>): Promise<{ data: T; response: Response }> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch (cause) {
    if (cause instanceof SyntaxError)
      throw new ApiError(502, { title: "The answer was not understood" }, null);
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new OfflineError();
  }
  const { response } = answer;
  if (!response.ok) {
    if (response.status === 401) askWhoIsThere(response.url);
    throw ApiError.from(response, answer.error);
  }
  return { data: answer.data as T, response };
}

/**
 * A call that needs somebody to be signed in was refused. Whether the session is over, only the server can say: the refusal
 * may be of a call that was sent before somebody signed in again.
 */
function askWhoIsThere(refused: string) {
  if (/\/v1\/(me|sessions.*)$/.test(refused)) return;
  void queryClient.invalidateQueries({ queryKey: SESSION_KEY }, { cancelRefetch: false });
}

type KeyHeader = { "Idempotency-Key": string };

/**
 * As `ok`, for a command. 202 means that it is taken and will be decided: it is watched for a while, and once it is
 * decided, sending it again under the same key gives its own answer or refusal. `null`: not decided yet.
 * `send` passes the key on, unless its content has a key of its own.
 */
export async function decided<T>(
  send: (headers: KeyHeader) => Promise<Answer<T>>,
): Promise<Exclude<T, Pending> | null> {
  const headers = { "Idempotency-Key": newId() };
  const first = await withResponse(send(headers));
  if (first.response.status !== 202) return first.data as Exclude<T, Pending>;
  const { id, command_id } = first.data as Pending;
  if (!(await isDecided(command_id ?? id ?? ""))) return null;
  const again = await withResponse(send(headers));
  return again.response.status === 202 ? null : (again.data as Exclude<T, Pending>);
}

/** Watches a command. Whatever keeps its state from being read, the command itself is taken. */
async function isDecided(id: string): Promise<boolean> {
  const end = Date.now() + WATCH_MS;
  while (Date.now() < end) {
    await new Promise((done) => setTimeout(done, WATCH_EVERY_MS));
    const outcome = await ok(GET("/v1/commands/{id}", { params: { path: { id } } })).catch(() => null);
    if (outcome?.ok !== undefined) return true;
  }
  return false;
}
