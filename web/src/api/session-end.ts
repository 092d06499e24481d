/** Tells the page that the server no longer knows this session. */
import type { ApiError } from "./problem";

type Listener = (error: ApiError) => void;
const listeners = new Set<Listener>();

export function announceSessionEnd(error: ApiError) {
  for (const listener of listeners) listener(error);
}

export function onSessionEnd(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
