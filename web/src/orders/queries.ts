/** Asking for orders. */
import { infiniteQueryOptions } from "@tanstack/react-query";
import { decided, GET, ok, POST } from "../api/client";
import { queryClient } from "../api/query";
import type { Order, OrderStatus } from "../api/types";
import { afterChange } from "../cart/holds";

export type OrderFilter = { status?: OrderStatus; customer?: string };

export function ordersQuery(filter: OrderFilter = {}, limit = 50) {
  return infiniteQueryOptions({
    queryKey: ["orders", filter, limit],
    queryFn: ({ pageParam, signal }) =>
      ok(
        GET("/v1/orders", {
          params: { query: { ...filter, limit, cursor: pageParam ?? undefined } },
          signal,
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
}

/** The order as it is then; null while that is not decided. */
export async function cancelOrder(id: string): Promise<Order | null> {
  const params = { path: { id } };
  const order = await decided((headers) => POST("/v1/orders/{id}/cancel", { headers, params }));
  afterChange();
  void queryClient.invalidateQueries({ queryKey: ["order", id] });
  return order;
}
