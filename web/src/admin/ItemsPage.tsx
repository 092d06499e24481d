/** The catalogue: search, sort, filter, add, change, remove; thousands of rows without a stutter. */
import { Badge, Button, Checkbox, CloseButton, Popover, Stack, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconAdjustmentsHorizontal, IconPlus, IconSearch } from "@tabler/icons-react";
import { useInfiniteQuery, useQueries } from "@tanstack/react-query";
import { useCallback, useMemo, useState } from "react";
import { Link } from "wouter";
import { DELETE, decided } from "../api/client";
import { usePoll } from "../api/live";
import type { Item } from "../api/types";
import { afterChange } from "../cart/holds";
import { formatMoney, formatNumber } from "../format";
import { ConfirmDialog } from "../shell/Dialog";
import { useTitle } from "../shell/hooks";
import { Empty, Failed, PageLoading } from "../shell/states";
import { tellDecided } from "../shell/tell";
import { hideItem, whileShort } from "../shop/cache";
import { Picture } from "../shop/Picture";
import { type ItemFilter, type ItemSort, itemQuery, itemsQuery } from "../shop/queries";
import { StockLabel } from "../shop/StockLabel";
import { PageHead } from "./AdminShell";
import { type Column, DataTable } from "./DataTable";
import { ItemForm } from "./ItemForm";
import classes from "./ItemsPage.module.css";

const ROW_PX = 60;

export default function ItemsPage() {
  useTitle("Items");
  const [text, setText] = useState("");
  const [search] = useDebouncedValue(text.trim(), 200);
  const [brands, setBrands] = useState<string[]>([]);
  const [inStock, setInStock] = useState(false);
  const [sort, setSort] = useState<ItemSort | undefined>();
  const [added, setAdded] = useState<string[]>([]);
  const [editing, setEditing] = useState<Item | "new" | null>(null);
  const [removing, setRemoving] = useState<Item | null>(null);
  const poll = usePoll(5_000);
  const filter: ItemFilter = {
    query: search || undefined,
    brand: brands.join(",") || undefined,
    in_stock: inStock || undefined,
    sort,
  };
  const plain = !search && brands.length === 0 && !inStock && !sort;
  const query = useInfiniteQuery({ ...itemsQuery(filter, 200), refetchInterval: whileShort(poll) });
  // What was just added stands first until the view is changed: its place in the order may be far away.
  const fresh = useQueries({ queries: plain ? added.map((sku) => itemQuery(sku)) : [] });
  const freshRows = fresh.flatMap((q) => (q.data ? [q.data] : []));
  const rows = useMemo(() => {
    const listed = query.data?.pages.flatMap((page) => page.items) ?? [];
    const first = new Set(freshRows.map((item) => item.sku));
    return first.size === 0 ? listed : [...freshRows, ...listed.filter((item) => !first.has(item.sku))];
  }, [query.data, freshRows]);
  const facets = query.data?.pages[0]?.facets.brand ?? [];
  const total = query.data?.pages[0]?.total;

  const columns = useMemo<Column<Item>[]>(
    () => [
      {
        id: "model",
        header: "Item",
        cell: ({ row }) => <NameCell item={row.original} fresh={added.includes(row.original.sku)} />,
        meta: { width: "minmax(230px, 2.2fr)", sort: "model" },
      },
      {
        id: "brand",
        header: "Brand",
        cell: ({ row }) => row.original.brand,
        meta: { width: "minmax(110px, 1fr)", sort: "brand" },
      },
      {
        id: "sku",
        header: "SKU",
        cell: ({ row }) => <span className={classes.code}>{row.original.sku}</span>,
        meta: { width: "minmax(130px, 1.2fr)", sort: "sku" },
      },
      {
        id: "price",
        header: "Price",
        cell: ({ row }) => formatMoney(row.original.price),
        meta: { width: "minmax(100px, .8fr)", align: "right", sort: "price" },
      },
      {
        id: "available",
        header: "Available",
        cell: ({ row }) => <StockLabel available={row.original.available} />,
        meta: { width: "minmax(120px, .9fr)", sort: "available" },
      },
      {
        id: "actions",
        header: () => <span className="sr-only">Actions</span>,
        cell: ({ row }) => (
          <div className={classes.actions}>
            <Button size="compact-sm" variant="default" onClick={() => setEditing(row.original)}>
              Edit
            </Button>
            <Button size="compact-sm" variant="subtle" color="red" onClick={() => setRemoving(row.original)}>
              Remove
            </Button>
          </div>
        ),
        meta: { width: "150px" },
      },
    ],
    [added],
  );
  const onSort = useCallback((next: string | undefined) => setSort(next as ItemSort | undefined), []);

  return (
    <>
      <PageHead title="Items" lead={total === undefined ? "\u00a0" : `${formatNumber(total)} in this view`}>
        <Button leftSection={<IconPlus size={17} aria-hidden />} onClick={() => setEditing("new")}>
          Add item
        </Button>
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
        <Popover position="bottom-end" shadow="md" trapFocus>
          <Popover.Target>
            <Button variant="default" leftSection={<IconAdjustmentsHorizontal size={16} aria-hidden />}>
              Filters{brands.length + Number(inStock) > 0 ? ` (${brands.length + Number(inStock)})` : ""}
            </Button>
          </Popover.Target>
          <Popover.Dropdown>
            <Stack gap="xs" mah={360} className={classes.filters}>
              <Checkbox
                label="In stock only"
                checked={inStock}
                onChange={(e) => setInStock(e.currentTarget.checked)}
              />
              <Text size="xs" fw={600} mt={6}>
                Brand
              </Text>
              {facets.map(({ value, count }) => (
                <Checkbox
                  key={value}
                  label={`${value} (${formatNumber(count)})`}
                  checked={brands.includes(value)}
                  onChange={(e) =>
                    setBrands(
                      e.currentTarget.checked ? [...brands, value] : brands.filter((b) => b !== value),
                    )
                  }
                />
              ))}
            </Stack>
          </Popover.Dropdown>
        </Popover>
      </div>
      {query.isPending ? (
        <PageLoading />
      ) : query.isError && rows.length === 0 ? (
        <Failed error={query.error} retry={query.refetch} />
      ) : rows.length === 0 ? (
        <Empty title={plain ? "No items yet" : "Nothing matches"}>
          {plain ? "Add the first one, or import a CSV file." : "Try another word or fewer filters."}
        </Empty>
      ) : (
        <DataTable
          label="Items"
          columns={columns}
          rows={rows}
          rowId={(item) => item.sku}
          rowHeight={ROW_PX}
          sort={sort}
          onSort={onSort}
          hasMore={query.hasNextPage}
          loadingMore={query.isFetchingNextPage}
          loadMore={query.fetchNextPage}
          stale={query.isPlaceholderData}
        />
      )}
      <ItemForm
        target={editing}
        currency={rows[0]?.price.currency}
        brands={facets.map((f) => f.value)}
        onClose={() => setEditing(null)}
        onAdded={(item) => setAdded((old) => [item.sku, ...old])}
      />
      <ConfirmDialog
        opened={removing !== null}
        title="Remove this item?"
        action="Remove"
        onClose={() => setRemoving(null)}
        onConfirm={async () => {
          if (!removing) return;
          const params = { path: { sku: removing.sku } };
          const answer = await decided((headers) => DELETE("/v1/items/{sku}", { headers, params }));
          if (answer !== null) {
            setAdded((old) => old.filter((sku) => sku !== removing.sku));
            hideItem(removing.sku);
          }
          afterChange();
          tellDecided(answer, "Item removed", `${removing.brand} ${removing.model}`);
        }}
      >
        {removing && (
          <>
            <b>
              {removing.brand} {removing.model}
            </b>{" "}
            leaves the shop. Its orders and movements stay in the books.
          </>
        )}
      </ConfirmDialog>
    </>
  );
}

function NameCell({ item, fresh }: { item: Item; fresh: boolean }) {
  return (
    <div className={classes.name}>
      <div className={classes.picture}>
        <Picture src={item.image_url} alt="" brand={item.brand} small />
      </div>
      <Link href={`/admin/items/${encodeURIComponent(item.sku)}`} className={classes.link}>
        {item.model}
      </Link>
      {fresh && <Badge size="sm">new</Badge>}
    </div>
  );
}
