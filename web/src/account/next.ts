/** The page to go to after signing in: a path of this site, never another one. */
export function safeNext(next: string | null): string | null {
  if (!next) return null;
  try {
    const url = new URL(next, window.location.origin);
    const inside = url.origin === window.location.origin && next.startsWith("/") && !next.startsWith("//");
    return inside ? `${url.pathname}${url.search}` : null;
  } catch {
    return null;
  }
}
