/** Small habits of every page. */
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { useLocation, useSearch } from "wouter";
import { serverNow } from "../api/client";
import { isDefinite } from "../api/problem";
import { newId } from "../id";

/** Sets the window's title while the page is shown. */
export function useTitle(title: string) {
  useEffect(() => {
    document.title = title ? `${title} · Holdfast` : "Holdfast";
  }, [title]);
}

/** The whole address of this page, to come back to it. */
export function useHere(): string {
  useLocation();
  useSearch();
  // These two tell of changes, and decode what they give.
  return `${window.location.pathname}${window.location.search}`;
}

/** The server's time, ticking. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    const timer = setInterval(() => setNow(serverNow()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

export function useOnline(): boolean {
  return useSyncExternalStore(
    (watcher) => {
      window.addEventListener("online", watcher);
      window.addEventListener("offline", watcher);
      return () => {
        window.removeEventListener("online", watcher);
        window.removeEventListener("offline", watcher);
      };
    },
    () => navigator.onLine,
  );
}

/**
 * An idempotency key, or an order's id, that stays while the content does: trying again after a lost answer is the same
 * command. Once the server has decided, trying again is another one: `answered` is told how it went, with null for well.
 */
export function useKeyFor(content: unknown): { key: string; answered: (error: unknown) => void } {
  const text = JSON.stringify(content);
  const kept = useRef({ text, key: newId() });
  if (kept.current.text !== text) kept.current = { text, key: newId() };
  const answered = useCallback((error: unknown) => {
    if (error === null || isDefinite(error)) kept.current = { ...kept.current, key: newId() };
  }, []);
  return { key: kept.current.key, answered };
}
