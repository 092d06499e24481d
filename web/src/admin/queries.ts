/** What the staff's pages ask for. */
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { GET, ok } from "../api/client";

export const healthQuery = queryOptions({
  queryKey: ["health"],
  queryFn: ({ signal }) => ok(GET("/v1/health", { signal })),
});

export function statsQuery(window: string) {
  return queryOptions({
    queryKey: ["stats", window],
    queryFn: ({ signal }) => ok(GET("/v1/stats", { params: { query: { window } }, signal })),
  });
}

export const locationsQuery = queryOptions({
  queryKey: ["locations"],
  queryFn: async ({ signal }) => {
    const page = await ok(GET("/v1/locations", { params: { query: { limit: 200 } }, signal }));
    return [...page.items].sort((a, b) => a.priority - b.priority || a.code.localeCompare(b.code));
  },
  staleTime: 60_000,
});

export type StockFilter = { low?: boolean; shortage?: boolean; location?: string };

export function stockListQuery(filter: StockFilter, limit = 100) {
  return infiniteQueryOptions({
    queryKey: ["stock", "list", filter, limit],
    queryFn: ({ pageParam, signal }) =>
      ok(
        GET("/v1/stock", { params: { query: { ...filter, limit, cursor: pageParam ?? undefined } }, signal }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
}

export function stockQuery(sku: string) {
  return queryOptions({
    queryKey: ["stock", "one", sku],
    queryFn: ({ signal }) => ok(GET("/v1/stock/{sku}", { params: { path: { sku } }, signal })),
  });
}

export function movementsQuery(sku: string) {
  return infiniteQueryOptions({
    queryKey: ["movements", sku],
    queryFn: ({ pageParam, signal }) =>
      ok(
        GET("/v1/stock/{sku}/movements", {
          params: { path: { sku }, query: { limit: 100, cursor: pageParam ?? undefined } },
          signal,
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
}

export const holdsQuery = queryOptions({
  queryKey: ["holds", "held"],
  queryFn: ({ signal }) => ok(GET("/v1/holds", { params: { query: { status: "held", limit: 50 } }, signal })),
});
