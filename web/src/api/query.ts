/** The cache of what the server said, and when to ask again. */
import { type Query, QueryClient } from "@tanstack/react-query";
import { ApiError, isNotThereYet, OfflineError } from "./problem";

const RETRIES_MAX = 3;

/** Under this key stands who is signed in. */
export const SESSION_KEY = ["me"];

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      gcTime: 5 * 60_000,
      // Loopback and LAN servers answer while the machine itself is "offline": let the calls decide.
      networkMode: "always",
      retry: (failures, error) => {
        if (failures >= RETRIES_MAX) return false;
        if (error instanceof ApiError)
          return error.status === 503 || error.status === 502 || error.status === 504;
        return error instanceof OfflineError && failures < 1;
      },
      retryDelay: (failures, error) =>
        error instanceof ApiError && error.retryAfterSeconds
          ? Math.min(error.retryAfterSeconds, 10) * 1000
          : Math.min(400 * 2 ** failures, 5000),
    },
    mutations: { networkMode: "always", retry: false },
  },
});

/** A refetch interval that does not keep asking for what this server does not offer. */
export function every(ms: number) {
  // biome-ignore lint/suspicious/noExplicitAny: the interval looks at the error only
  return (query: Query<any, any, any, any>): number | false =>
    isNotThereYet(query.state.error) ? false : ms;
}
