/** Asking for the catalogue. */
import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { GET, ok } from "../api/client";
import type { paths } from "../api/schema";

export type ItemSort = NonNullable<NonNullable<paths["/v1/items"]["get"]["parameters"]["query"]>["sort"]>;

export type ItemFilter = {
  query?: string;
  brand?: string;
  min_price?: number;
  max_price?: number;
  in_stock?: boolean;
  sort?: ItemSort;
};

/** A usual shop fits into one page; cards out of sight cost nothing to lay out. */
const SHOP_PAGE = 100;

export function itemsQuery(filter: ItemFilter, limit = SHOP_PAGE) {
  return infiniteQueryOptions({
    queryKey: ["items", filter, limit],
    queryFn: ({ pageParam, signal }) =>
      ok(
        GET("/v1/items", { params: { query: { ...filter, limit, cursor: pageParam ?? undefined } }, signal }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
  });
}

export function itemQuery(sku: string) {
  return queryOptions({
    queryKey: ["item", sku],
    queryFn: ({ signal }) => ok(GET("/v1/items/{sku}", { params: { path: { sku } }, signal })),
  });
}
