/** Order and hold states, in the contract's own words. */
import { Badge } from "@mantine/core";
import type { HoldStatus, OrderStatus } from "../api/types";

const COLORS: Record<OrderStatus | HoldStatus, string> = {
  pending: "gray",
  accepted: "tide",
  rejected: "red",
  fulfilled: "blue",
  cancelled: "gray",
  returned: "violet",
  held: "blue",
  confirmed: "tide",
  released: "gray",
  expired: "orange",
};

export function StatusBadge({ status }: { status: OrderStatus | HoldStatus }) {
  return <Badge color={COLORS[status] ?? "gray"}>{status}</Badge>;
}
