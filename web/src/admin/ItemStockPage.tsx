/** One item's stock: where it lies, to whom it is promised, and every movement with who and why. */
import { Anchor, Button, Popover, Text } from "@mantine/core";
import { IconArrowLeft } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link } from "wouter";
import { usePoll } from "../api/live";
import { useSession } from "../api/session";
import type { Movement, Stock, StockLocation } from "../api/types";
import { formatExactTime, formatMoney, formatNumber } from "../format";
import { useTitle } from "../shell/hooks";
import { Empty, Failed, PageLoading } from "../shell/states";
import { Picture } from "../shop/Picture";
import { itemQuery } from "../shop/queries";
import { PageHead } from "./AdminShell";
import { type Column, DataTable } from "./DataTable";
import classes from "./ItemStockPage.module.css";
import { locationsQuery, movementsQuery, stockQuery } from "./queries";
import { StockSheet } from "./StockActions";
import { StockBar, StockLegend } from "./StockBar";

const ROW_PX = 46;
const COUNTERS = [
  { key: "on_hand", name: "On hand" },
  { key: "available", name: "Available" },
  { key: "held", name: "Held" },
  { key: "allocated", name: "Allocated" },
  { key: "unavailable", name: "Unavailable" },
  { key: "safety_stock", name: "Safety stock" },
  { key: "incoming", name: "Incoming" },
  { key: "shortage", name: "Shortage" },
] as const;

export default function ItemStockPage({ sku }: { sku: string }) {
  const poll = usePoll(5_000, 20_000);
  const item = useQuery(itemQuery(sku));
  const stock = useQuery({ ...stockQuery(sku), refetchInterval: poll });
  const name = item.data ? `${item.data.brand} ${item.data.model}` : sku;
  useTitle(name);
  return (
    <>
      <Anchor component={Link} href="/admin/items" size="sm" className={classes.back}>
        <IconArrowLeft size={15} aria-hidden /> Back to the list
      </Anchor>
      <PageHead
        title={
          <span className={classes.title}>
            <span className={classes.picture}>
              <Picture src={item.data?.image_url} alt="" brand={item.data?.brand ?? ""} small eager />
            </span>
            {name}
          </span>
        }
        lead={item.data ? `${sku} · ${formatMoney(item.data.price)}` : sku}
      >
        <StockLegend />
      </PageHead>
      {stock.isPending ? (
        <PageLoading />
      ) : stock.data ? (
        <Locations stock={stock.data} />
      ) : (
        <Failed error={stock.error} retry={stock.refetch} />
      )}
      <h2 className={classes.section}>Movements</h2>
      <Movements sku={sku} />
    </>
  );
}

function Locations({ stock }: { stock: Stock }) {
  const locations = useQuery(locationsQuery);
  const missing = (locations.data ?? []).filter((l) => !stock.locations.some((s) => s.location === l.code));
  const rows: StockLocation[] = [
    ...stock.locations,
    ...missing.map((l) => ({
      location: l.code,
      on_hand: 0,
      held: 0,
      allocated: 0,
      unavailable: 0,
      safety_stock: 0,
      available: 0,
      shortage: 0,
      incoming: 0,
      reorder_point: 0,
    })),
  ];
  return (
    <section className={classes.frame} aria-label="Stock by location">
      <table className={classes.table}>
        <thead>
          <tr>
            <th scope="col">Location</th>
            <th scope="col" className={classes.barHead}>
              <span className="sr-only">Share</span>
            </th>
            {COUNTERS.map((c) => (
              <th key={c.key} scope="col" className={classes.num}>
                {c.name}
              </th>
            ))}
            <th scope="col">
              <span className="sr-only">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((at) => (
            <tr key={at.location}>
              <th scope="row">{locations.data?.find((l) => l.code === at.location)?.name ?? at.location}</th>
              <td>
                <StockBar stock={at} tall />
              </td>
              {COUNTERS.map((c) => (
                <td
                  key={c.key}
                  className={classes.num}
                  data-key={c.key}
                  data-zero={at[c.key] === 0 || undefined}
                >
                  {formatNumber(at[c.key])}
                </td>
              ))}
              <td>
                <Change sku={stock.sku} at={at} />
              </td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">All</th>
            <td>
              <StockBar stock={stock} tall />
            </td>
            {COUNTERS.map((c) => (
              <td
                key={c.key}
                className={classes.num}
                data-key={c.key}
                data-zero={stock[c.key] === 0 || undefined}
              >
                {formatNumber(stock[c.key])}
              </td>
            ))}
            <td />
          </tr>
        </tfoot>
      </table>
    </section>
  );
}

function Change({ sku, at }: { sku: string; at: StockLocation }) {
  const [open, setOpen] = useState(false);
  const { ended } = useSession();
  return (
    <Popover
      opened={open}
      onChange={setOpen}
      closeOnClickOutside={!ended}
      position="bottom-end"
      shadow="lg"
      trapFocus
      returnFocus
    >
      <Popover.Target>
        <Button
          size="compact-sm"
          variant="default"
          onClick={() => setOpen(!open)}
          aria-label={`Change stock at ${at.location}`}
        >
          Change
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label={`${sku} at ${at.location}`}>
        {open && <StockSheet sku={sku} stock={at} onDone={() => setOpen(false)} />}
      </Popover.Dropdown>
    </Popover>
  );
}

function Movements({ sku }: { sku: string }) {
  const poll = usePoll(5_000, 20_000);
  const query = useInfiniteQuery({ ...movementsQuery(sku), refetchInterval: poll });
  const rows = useMemo(() => query.data?.pages.flatMap((page) => page.items) ?? [], [query.data]);
  const columns = useMemo<Column<Movement>[]>(
    () => [
      {
        id: "at",
        header: "When",
        cell: ({ row }) => formatExactTime(row.original.at),
        meta: { width: "minmax(190px, 1.2fr)" },
      },
      {
        id: "kind",
        header: "What",
        cell: ({ row }) => <b className={classes.kind}>{row.original.kind.replaceAll("_", " ")}</b>,
        meta: { width: "minmax(110px, .9fr)" },
      },
      {
        id: "location",
        header: "Where",
        cell: ({ row }) => row.original.location,
        meta: { width: "minmax(90px, .7fr)" },
      },
      {
        id: "delta",
        header: "Change",
        cell: ({ row }) => <Delta units={row.original.delta} />,
        meta: { width: "90px", align: "right" },
      },
      {
        id: "after",
        header: "On hand after",
        cell: ({ row }) => formatNumber(row.original.on_hand_after),
        meta: { width: "110px", align: "right" },
      },
      {
        id: "actor",
        header: "Who",
        cell: ({ row }) => row.original.actor,
        meta: { width: "minmax(120px, 1fr)" },
      },
      {
        id: "why",
        header: "Why",
        cell: ({ row }) =>
          row.original.order_id ? (
            <Anchor
              component={Link}
              href={`/admin/orders?order=${row.original.order_id}`}
              size="sm"
              className={classes.code}
            >
              order {row.original.order_id.slice(0, 8)}…
            </Anchor>
          ) : (
            <Text size="sm" c="dimmed" truncate>
              {[row.original.reason, row.original.note].filter(Boolean).join(": ") || "–"}
            </Text>
          ),
        meta: { width: "minmax(140px, 1.3fr)" },
      },
    ],
    [],
  );
  if (query.isPending) return <PageLoading />;
  if (query.isError && rows.length === 0) return <Failed error={query.error} retry={query.refetch} />;
  if (rows.length === 0)
    return <Empty title="No movements yet">Everything that changes these figures is listed here.</Empty>;
  return (
    <DataTable
      label="Movements"
      columns={columns}
      rows={rows}
      rowId={(m) => `${m.position}-${m.location}-${m.kind}`}
      rowHeight={ROW_PX}
      hasMore={query.hasNextPage}
      loadingMore={query.isFetchingNextPage}
      loadMore={query.fetchNextPage}
    />
  );
}

function Delta({ units }: { units: number }) {
  const sign = units > 0 ? "+" : units < 0 ? "−" : "";
  return (
    <b
      style={{ color: units > 0 ? "var(--good)" : units < 0 ? "var(--bad)" : undefined }}
    >{`${sign}${formatNumber(Math.abs(units))}`}</b>
  );
}
