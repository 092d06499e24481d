/** Where to go after signing in. */
import { useSearch } from "wouter";

/** The page to go to after signing in, as the address says. */
export function useNext(): string | null {
  useSearch();
  // The hook tells of changes, and decodes what it gives: a query within the query would be decoded twice.
  return safeNext(new URLSearchParams(window.location.search).get("next"));
}

/** A path of this site, never another one. */
function safeNext(next: string | null): string | null {
  if (!next) return null;
  try {
    const url = new URL(next, window.location.origin);
    const inside = url.origin === window.location.origin && next.startsWith("/") && !next.startsWith("//");
    return inside ? `${url.pathname}${url.search}` : null;
  } catch {
    return null;
  }
}
