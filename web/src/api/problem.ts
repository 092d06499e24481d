/** What a refused call becomes (RFC 9457 problem details), and the words the pages show for it. */
import type { FieldError, Problem, Shortage } from "./types";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Partial<Problem>,
    readonly retryAfterSeconds: number | null,
  ) {
    super(problem.detail || problem.title || `The server answered ${status}`);
    this.name = "ApiError";
  }

  static from(response: Response, body: unknown): ApiError {
    const problem = typeof body === "object" && body !== null ? (body as Partial<Problem>) : {};
    const after = Number(response.headers.get("Retry-After"));
    return new ApiError(response.status, problem, Number.isFinite(after) && after > 0 ? after : null);
  }

  get code(): string {
    return this.problem.code ?? "";
  }

  get fields(): FieldError[] {
    return this.problem.errors ?? [];
  }

  get shortages(): Shortage[] {
    return this.problem.shortages ?? [];
  }
}

/** No answer came: the network or the server is away. */
export class OfflineError extends Error {
  constructor() {
    super("The server cannot be reached");
    this.name = "OfflineError";
  }
}

/** The server has taken it and not decided it yet. */
export class PendingError extends Error {
  constructor() {
    super("Received; it is being decided. Asking again is safe: nothing is ever done twice.");
    this.name = "PendingError";
  }
}

/** Refused before anything was decided: who is it, may they, and not so fast. */
const UNDECIDED = [401, 403, 429];

/**
 * Whether the server has said no to the command itself. Asking again is then a new wish, with a new key; after silence,
 * trouble on the server or a session that had ended it is the same one again, which may have been taken.
 */
export function isDefinite(error: unknown): boolean {
  return error instanceof ApiError && error.status < 500 && !UNDECIDED.includes(error.status);
}

/** The call exists in the contract, and not in this server yet. */
export function isNotThereYet(error: unknown): boolean {
  return error instanceof ApiError && error.status === 501;
}

const BY_CODE: Record<string, string> = {
  bad_credentials: "That username and password do not belong together.",
  username_taken: "That username is taken. Please choose another one.",
  hold_expired: "The time for these units has run out, so they are no longer kept.",
  sku_exists: "An item with this SKU exists already.",
  item_in_use: "Units of this item are held or promised to orders, so it cannot be removed now.",
  negative_stock: "There are not that many units at this location.",
  outcome_unknown: "The answer got lost on the way. Trying again is safe: nothing is ever done twice.",
};

const BY_STATUS: Record<number, string> = {
  401: "Please sign in first.",
  403: "Your account is not allowed to do this.",
  404: "This does not exist, or not any more.",
  412: "Somebody else changed this in the meantime. Look at the newest version and try again.",
  413: "That is too large.",
  429: "That was a lot in a short time. Please wait a moment.",
  501: "This server does not offer this yet.",
  503: "The shop is very busy right now. Nothing was taken; please try again.",
};

/** A sentence for people. */
export function explain(error: unknown): string {
  if (error instanceof OfflineError)
    return "The server cannot be reached. Check the connection and try again.";
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : "Something went wrong.";
  const known = BY_CODE[error.code];
  if (known) return known;
  if (error.status === 429 && error.retryAfterSeconds) {
    return `That was a lot in a short time. Please wait ${error.retryAfterSeconds} seconds.`;
  }
  if ([409, 422, 400].includes(error.status) && (error.problem.detail || error.fields.length)) {
    const first = error.fields[0];
    return first ? `${error.problem.detail ?? ""} ${first.message}`.trim() : error.message;
  }
  return BY_STATUS[error.status] ?? error.message;
}

/** Field errors by field, for forms. */
export function fieldErrors(error: unknown): Record<string, string> {
  if (!(error instanceof ApiError)) return {};
  return Object.fromEntries(error.fields.map((e) => [e.field, e.message]));
}
