/** Who is signed in. The session itself is an HttpOnly cookie that no script can read. */
import { type Query, useMutation, useQuery } from "@tanstack/react-query";
import { DELETE, GET, ok, POST } from "./client";
import { ApiError } from "./problem";
import { queryClient, SESSION_KEY } from "./query";
import type { Account } from "./types";

/** `ended`: the server no longer knows the session of this account, and nobody has signed in since. */
type Session = { account: Account | null; ended: boolean };

function known(): Session | undefined {
  return queryClient.getQueryData<Session>(SESSION_KEY);
}

async function fetchSession(): Promise<Session> {
  const before = known()?.account ?? null;
  try {
    const account = await ok(GET("/v1/me"));
    // Somebody else has signed in elsewhere in this browser.
    if (before && before.id !== account.id) window.location.reload();
    return { account, ended: false };
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 401)) throw error;
    // The page of whoever was there stays as it is, for them to sign in again.
    return { account: before, ended: before !== null };
  }
}

/** `me` is undefined while unknown, null when signed out; of a session that has `ended`, whose it was. */
export function useSession() {
  const query = useQuery({ queryKey: SESSION_KEY, queryFn: fetchSession, staleTime: 60_000 });
  return {
    me: query.data?.account,
    ended: query.data?.ended ?? false,
    isLoading: query.isPending,
    error: query.error,
    retry: query.refetch,
  };
}

export function isStaff(me: Account | null | undefined): boolean {
  return me?.role === "staff" || me?.role === "admin";
}

/** Forgets everything that belongs to another account; for the same one, everything is asked for again. */
export function becomeAccount(account: Account | null) {
  const before = known();
  // What one account has filled in when its session ends is not for the next one: it starts with a fresh page.
  if (before?.ended && account && account.id !== before.account?.id) return window.location.reload();
  // An answer that is still under way is about the session before.
  void queryClient.cancelQueries({ queryKey: SESSION_KEY });
  queryClient.setQueryData<Session>(SESSION_KEY, { account, ended: false });
  const own = (query: Query) => !["me", "items", "item"].includes(String(query.queryKey[0]));
  if (before?.account?.id === account?.id) void queryClient.invalidateQueries({ predicate: own });
  else queryClient.removeQueries({ predicate: own });
}

export function useSignIn() {
  return useMutation({
    mutationFn: (body: { username: string; password: string }) => ok(POST("/v1/sessions", { body })),
    onSuccess: (session) => becomeAccount(session.account),
  });
}

export function useSignOut() {
  return useMutation({
    mutationFn: async () => {
      try {
        await ok(DELETE("/v1/sessions/current"));
      } catch (error) {
        // A session that is already over is what was asked for.
        if (!(error instanceof ApiError && error.status === 401)) throw error;
      }
    },
    onSuccess: () => becomeAccount(null),
  });
}
