/** Stock as a grid: an item a row, a location a column; every cell can be worked on in place. */
import { Checkbox, CloseButton, Popover, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconSearch } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link } from "wouter";
import { GET, ok, POST } from "../api/client";
import { usePoll } from "../api/live";
import { useSession } from "../api/session";
import type { Stock, StockLocation } from "../api/types";
import { formatNumber } from "../format";
import { useTitle } from "../shell/hooks";
import { Empty, Failed, PageLoading } from "../shell/states";
import { whileShort } from "../shop/cache";
import { ItemName } from "../shop/ItemName";
import { PageHead } from "./AdminShell";
import { type Column, DataTable } from "./DataTable";
import { locationsQuery, stockListQuery } from "./queries";
import { StockSheet } from "./StockActions";
import { StockBar, StockLegend } from "./StockBar";
import classes from "./StockPage.module.css";

const ROW_PX = 64;
const FOUND_MAX = 100;

/** Stock of what the catalogue's own search finds. */
async function searchStock(query: string, signal: AbortSignal): Promise<Stock[]> {
  const page = await ok(GET("/v1/items", { params: { query: { query, limit: FOUND_MAX } }, signal }));
  if (page.items.length === 0) return [];
  const answer = await ok(
    POST("/v1/stock/query", { body: { skus: page.items.map((item) => item.sku) }, signal }),
  );
  return answer.items;
}

export default function StockPage() {
  useTitle("Stock");
  const [text, setText] = useState("");
  const [search] = useDebouncedValue(text.trim(), 200);
  const [low, setLow] = useState(false);
  const [shortage, setShortage] = useState(false);
  const poll = usePoll(5_000);
  const locations = useQuery(locationsQuery);
  const list = useInfiniteQuery({
    ...stockListQuery({ low: low || undefined, shortage: shortage || undefined }),
    refetchInterval: whileShort(poll),
    enabled: !search,
  });
  const found = useQuery({
    queryKey: ["stock", "search", search],
    queryFn: ({ signal }) => searchStock(search, signal),
    enabled: Boolean(search),
    refetchInterval: poll,
    placeholderData: (old) => old,
  });
  const query = search ? found : list;
  const rows = useMemo(() => {
    if (!search) return list.data?.pages.flatMap((page) => page.items) ?? [];
    const all = found.data ?? [];
    return all.filter(
      (s) =>
        (!shortage || s.shortage > 0) && (!low || s.locations.some((l) => l.available <= l.reorder_point)),
    );
  }, [search, list.data, found.data, low, shortage]);
  // New columns are new cells, which would close a sheet that somebody is filling in: only new locations make them.
  const codes = useMemo(() => locations.data?.map((l) => l.code) ?? [], [locations.data]);

  const columns = useMemo<Column<Stock>[]>(
    () => [
      {
        id: "item",
        header: "Item",
        cell: ({ row }) => <NameCell sku={row.original.sku} />,
        meta: { width: "minmax(200px, 1.5fr)" },
      },
      {
        id: "total",
        header: "All locations",
        cell: ({ row }) => <Cell stock={row.original} />,
        meta: { width: "minmax(150px, 1fr)" },
      },
      ...codes.map(
        (code): Column<Stock> => ({
          id: `at-${code}`,
          header: () => (
            <span className={classes.place}>
              {locations.data?.find((l) => l.code === code)?.name ?? code}
            </span>
          ),
          cell: ({ row }) => (
            <EditableCell
              sku={row.original.sku}
              at={row.original.locations.find((l) => l.location === code) ?? emptyAt(code)}
            />
          ),
          meta: { width: "minmax(160px, 1fr)" },
        }),
      ),
    ],
    [codes, locations.data],
  );

  return (
    <>
      <PageHead title="Stock" lead="Choose a cell to receive, adjust, count or transfer.">
        <StockLegend />
      </PageHead>
      <div className={classes.bar}>
        <TextInput
          type="search"
          aria-label="Search"
          placeholder="Search"
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          leftSection={<IconSearch size={16} aria-hidden />}
          rightSection={
            text ? <CloseButton size="sm" aria-label="Clear" onClick={() => setText("")} /> : null
          }
          className={classes.search}
        />
        <Checkbox label="Low only" checked={low} onChange={(e) => setLow(e.currentTarget.checked)} />
        <Checkbox
          label="Shortages only"
          checked={shortage}
          onChange={(e) => setShortage(e.currentTarget.checked)}
        />
      </div>
      {query.isPending || locations.isPending ? (
        <PageLoading />
      ) : (query.isError && rows.length === 0) || !locations.data ? (
        <Failed
          error={query.error ?? locations.error}
          retry={() => {
            void query.refetch();
            void locations.refetch();
          }}
        />
      ) : rows.length === 0 ? (
        <Empty title="Nothing here">
          {low || shortage || search
            ? "No item matches this view."
            : "Items appear here once they are added."}
        </Empty>
      ) : (
        <DataTable
          label="Stock by location"
          columns={columns}
          rows={rows}
          rowId={(stock) => stock.sku}
          rowHeight={ROW_PX}
          hasMore={!search && list.hasNextPage}
          loadingMore={list.isFetchingNextPage}
          loadMore={list.fetchNextPage}
        />
      )}
    </>
  );
}

function emptyAt(location: string): StockLocation {
  return {
    location,
    on_hand: 0,
    held: 0,
    allocated: 0,
    unavailable: 0,
    safety_stock: 0,
    available: 0,
    shortage: 0,
    incoming: 0,
    reorder_point: 0,
  };
}

function NameCell({ sku }: { sku: string }) {
  return (
    <Link href={`/admin/items/${encodeURIComponent(sku)}`} className={classes.name}>
      <span>
        <ItemName sku={sku} />
      </span>
      <small>{sku}</small>
    </Link>
  );
}

type Counted = Stock | StockLocation;

function Cell({ stock }: { stock: Counted }) {
  return (
    <span className={classes.cell}>
      <span className={classes.figures}>
        <b data-none={stock.available === 0 || undefined}>{formatNumber(stock.available)}</b>
        <small>of {formatNumber(stock.on_hand)}</small>
        {stock.shortage > 0 && <em>−{formatNumber(stock.shortage)}</em>}
      </span>
      <StockBar stock={stock} />
    </span>
  );
}

function EditableCell({ sku, at }: { sku: string; at: StockLocation }) {
  const [open, setOpen] = useState(false);
  const { ended } = useSession();
  const low = at.reorder_point > 0 && at.available <= at.reorder_point;
  return (
    <Popover
      opened={open}
      onChange={setOpen}
      closeOnClickOutside={!ended}
      position="bottom"
      shadow="lg"
      trapFocus
      returnFocus
      withArrow
    >
      <Popover.Target>
        <button
          type="button"
          className={classes.edit}
          data-low={low || undefined}
          onClick={() => setOpen(!open)}
          aria-label={`${sku} at ${at.location}: ${formatNumber(at.available)} available of ${formatNumber(at.on_hand)} on hand`}
        >
          <Cell stock={at} />
        </button>
      </Popover.Target>
      <Popover.Dropdown aria-label={`${sku} at ${at.location}`}>
        {open && <StockSheet sku={sku} stock={at} onDone={() => setOpen(false)} />}
      </Popover.Dropdown>
    </Popover>
  );
}
