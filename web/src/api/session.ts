/** Who is signed in. The session itself is an HttpOnly cookie that no script can read. */
import { useMutation, useQuery } from "@tanstack/react-query";
import { DELETE, GET, ok, POST } from "./client";
import { ApiError } from "./problem";
import { queryClient } from "./query";
import type { Account } from "./types";

const ME = ["me"];

export async function fetchMe(): Promise<Account | null> {
  try {
    return await ok(GET("/v1/me"));
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return null;
    throw error;
  }
}

/** `me` is undefined while unknown, null when signed out. */
export function useSession() {
  const query = useQuery({ queryKey: ME, queryFn: fetchMe, staleTime: 60_000 });
  const me = query.data;
  return { me, isLoading: query.isPending, error: query.error, retry: query.refetch };
}

export function isStaff(me: Account | null | undefined): boolean {
  return me?.role === "staff" || me?.role === "admin";
}

/** Forgets everything that belongs to one account. */
export function becomeAccount(account: Account | null) {
  const before = queryClient.getQueryData<Account | null>(ME);
  queryClient.setQueryData(ME, account);
  if (before?.id === account?.id) return;
  queryClient.removeQueries({
    predicate: (query) => !["me", "items", "item"].includes(String(query.queryKey[0])),
  });
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
