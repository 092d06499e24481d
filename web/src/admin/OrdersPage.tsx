/** All orders: filters, how they are split over locations, and what to do with them. */
import { Button, CloseButton, SegmentedControl, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconUserSearch } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useCallback, useMemo, useState } from "react";
import { useSearchParams } from "wouter";
import { usePoll } from "../api/live";
import type { Order, OrderStatus } from "../api/types";
import { formatMoney, formatNumber, formatTime } from "../format";
import { ordersQuery } from "../orders/queries";
import { StatusBadge } from "../orders/status";
import { useTitle } from "../shell/hooks";
import { Empty, Failed, PageLoading } from "../shell/states";
import { whileShort } from "../shop/cache";
import { ItemName } from "../shop/ItemName";
import { PageHead } from "./AdminShell";
import { type Column, DataTable } from "./DataTable";
import { OrderDrawer } from "./OrderDrawer";
import classes from "./OrdersPage.module.css";

const ROW_PX = 54;
const STATES = ["all", "pending", "accepted", "rejected", "fulfilled", "cancelled", "returned"];

export default function OrdersPage() {
  useTitle("Orders");
  const [params, setParams] = useSearchParams();
  const [status, setStatus] = useState("all");
  const [text, setText] = useState("");
  const [customer] = useDebouncedValue(text.trim(), 300);
  const poll = usePoll(4_000);
  const query = useInfiniteQuery({
    ...ordersQuery(
      { status: status === "all" ? undefined : (status as OrderStatus), customer: customer || undefined },
      100,
    ),
    refetchInterval: whileShort(poll),
    placeholderData: (old) => old,
  });
  const rows = useMemo(() => query.data?.pages.flatMap((page) => page.items) ?? [], [query.data]);
  const show = useCallback(
    (id: string | null) =>
      setParams((old) => {
        const next = new URLSearchParams(old);
        if (id) next.set("order", id);
        else next.delete("order");
        return next;
      }),
    [setParams],
  );
  const columns = useMemo<Column<Order>[]>(
    () => [
      {
        id: "placed",
        header: "Placed",
        cell: ({ row }) => formatTime(row.original.placed_at),
        meta: { width: "minmax(150px, 1fr)" },
      },
      {
        id: "status",
        header: "State",
        cell: ({ row }) => <StatusBadge status={row.original.status} />,
        meta: { width: "110px" },
      },
      {
        id: "lines",
        header: "Lines",
        cell: ({ row }) => <Lines order={row.original} />,
        meta: { width: "minmax(220px, 2fr)" },
      },
      {
        id: "split",
        header: "From",
        cell: ({ row }) => <Split order={row.original} />,
        meta: { width: "minmax(120px, .9fr)" },
      },
      {
        id: "customer",
        header: "Customer",
        cell: ({ row }) => (
          <span className={classes.code}>
            {row.original.customer === null ? "–" : short(row.original.customer)}
          </span>
        ),
        meta: { width: "minmax(110px, .8fr)" },
      },
      {
        id: "total",
        header: "Total",
        cell: ({ row }) => (row.original.total ? formatMoney(row.original.total) : "–"),
        meta: { width: "minmax(100px, .7fr)", align: "right" },
      },
      {
        id: "open",
        header: () => <span className="sr-only">Actions</span>,
        cell: ({ row }) => (
          <Button
            size="compact-sm"
            variant="default"
            onClick={() => show(row.original.id)}
            aria-label={`Open order ${row.original.id}`}
          >
            Open
          </Button>
        ),
        meta: { width: "72px" },
      },
    ],
    [show],
  );
  return (
    <>
      <PageHead title="Orders" lead="Newest first" />
      <div className={classes.bar}>
        <div className={classes.states}>
          <SegmentedControl size="xs" data={STATES} value={status} onChange={setStatus} aria-label="State" />
        </div>
        <TextInput
          aria-label="Customer"
          placeholder="Customer"
          value={text}
          maxLength={64}
          onChange={(e) => setText(e.currentTarget.value)}
          leftSection={<IconUserSearch size={16} aria-hidden />}
          rightSection={
            text ? <CloseButton size="sm" aria-label="Clear" onClick={() => setText("")} /> : null
          }
        />
      </div>
      {query.isPending ? (
        <PageLoading />
      ) : query.isError && rows.length === 0 ? (
        <Failed error={query.error} retry={query.refetch} />
      ) : rows.length === 0 ? (
        <Empty title="No orders in this view">Orders appear here the moment they are placed.</Empty>
      ) : (
        <DataTable
          label="Orders"
          columns={columns}
          rows={rows}
          rowId={(order) => order.id}
          rowHeight={ROW_PX}
          hasMore={query.hasNextPage}
          loadingMore={query.isFetchingNextPage}
          loadMore={query.fetchNextPage}
          stale={query.isPlaceholderData}
        />
      )}
      <OrderDrawer id={params.get("order")} onClose={() => show(null)} />
    </>
  );
}

function short(customer: string): string {
  return customer.length > 16 ? `${customer.slice(0, 8)}…${customer.slice(-4)}` : customer;
}

function Lines({ order }: { order: Order }) {
  const [first] = order.lines;
  if (!first) return "–";
  return (
    <span>
      {formatNumber(first.quantity)} × <ItemName sku={first.sku} />
      {order.lines.length > 1 && <small className={classes.more}> and {order.lines.length - 1} more</small>}
    </span>
  );
}

function Split({ order }: { order: Order }) {
  const units = new Map<string, number>();
  for (const line of order.lines) {
    for (const a of line.allocations) units.set(a.location, (units.get(a.location) ?? 0) + a.quantity);
  }
  if (units.size === 0) return <span className={classes.more}>–</span>;
  return (
    <span className="num">{[...units].map(([code, n]) => `${code} ${formatNumber(n)}`).join(" · ")}</span>
  );
}
