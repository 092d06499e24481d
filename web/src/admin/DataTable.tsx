/** A table of any length: only the rows in sight exist (TanStack Table and Virtual). More is asked for before the end comes near. */
import { Loader } from "@mantine/core";
import { IconArrowDown, IconArrowUp, IconSelector } from "@tabler/icons-react";
import { type ColumnDef, FlexRender, type Row, tableFeatures, useTable } from "@tanstack/react-table";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { memo, useEffect, useLayoutEffect, useRef, useState } from "react";
import classes from "./DataTable.module.css";

export type ColumnLooks = { width: string; align?: "right"; sort?: string; wideOnly?: boolean };
export const features = tableFeatures({ columnMeta: {} as ColumnLooks });
export type Column<R extends object> = ColumnDef<typeof features, R> & { meta: ColumnLooks };

type Props<R extends object> = {
  label: string;
  columns: Column<R>[];
  rows: R[];
  rowId: (row: R) => string;
  rowHeight: number;
  sort?: string;
  onSort?: (sort: string | undefined) => void;
  hasMore?: boolean;
  loadingMore?: boolean;
  loadMore?: () => void;
  stale?: boolean;
};

export function DataTable<R extends object>(props: Props<R>) {
  const { label, columns, rows, rowId, rowHeight, sort, onSort, hasMore, loadingMore, loadMore, stale } =
    props;
  const body = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => {
    const rect = body.current?.getBoundingClientRect();
    if (rect) setTop(rect.top + window.scrollY);
  }, []);
  const table = useTable({ features, columns, data: rows, getRowId: rowId });
  const modelRows = table.getRowModel().rows;
  const virtual = useWindowVirtualizer({
    count: modelRows.length,
    estimateSize: () => rowHeight,
    overscan: 8,
    scrollMargin: top,
    getItemKey: (index) => modelRows[index]?.id ?? index,
  });
  const shown = virtual.getVirtualItems();
  const last = shown[shown.length - 1]?.index ?? 0;
  useEffect(() => {
    if (hasMore && !loadingMore && last >= rows.length - 20) loadMore?.();
  }, [hasMore, loadingMore, loadMore, last, rows.length]);
  const template = columns.map((c) => c.meta.width).join(" ");

  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a narrow screen scrolls this frame sideways, and the keyboard must too
    <div className={classes.frame} role="region" aria-label={`${label}, scrollable`} tabIndex={0}>
      <div
        role="table"
        aria-label={label}
        aria-rowcount={hasMore ? -1 : rows.length + 1}
        className={classes.table}
        style={{ "--columns": template } as React.CSSProperties}
      >
        <div role="rowgroup" className={classes.head}>
          {table.getHeaderGroups().map((group) => (
            <div role="row" key={group.id} className={classes.row} aria-rowindex={1}>
              {group.headers.map((header) => {
                const looks = header.column.columnDef.meta as ColumnLooks;
                const key = looks.sort;
                const direction =
                  key && sort === key ? "ascending" : key && sort === `-${key}` ? "descending" : undefined;
                return (
                  <div
                    role="columnheader"
                    key={header.id}
                    className={classes.cell}
                    data-align={looks.align}
                    aria-sort={direction}
                  >
                    {key && onSort ? (
                      <button
                        type="button"
                        className={classes.sort}
                        onClick={() =>
                          onSort(
                            direction === undefined ? key : direction === "ascending" ? `-${key}` : undefined,
                          )
                        }
                      >
                        <table.FlexRender header={header} />
                        <SortIcon direction={direction} />
                      </button>
                    ) : (
                      <table.FlexRender header={header} />
                    )}
                  </div>
                );
              })}
            </div>
          ))}
        </div>
        <div
          role="rowgroup"
          ref={body}
          className={classes.body}
          style={{ height: virtual.getTotalSize() }}
          data-stale={stale || undefined}
        >
          {shown.map((place) => {
            const row = modelRows[place.index];
            if (!row) return null;
            return (
              <BodyRow
                key={row.id}
                row={row as unknown as Row<typeof features, object>}
                columns={columns as unknown as Column<object>[]}
                index={place.index}
                height={rowHeight}
                offset={place.start - top}
              />
            );
          })}
        </div>
      </div>
      {loadingMore && (
        <div className={classes.more}>
          <Loader size="sm" type="dots" aria-label="Loading more" role="status" />
        </div>
      )}
    </div>
  );
}

type BodyRowProps = {
  row: Row<typeof features, object>;
  /** Compared only: other columns are another row. */
  columns: Column<object>[];
  index: number;
  height: number;
  offset: number;
};

/** Rows that stay in sight while the page scrolls are not rendered again. */
const BodyRow = memo(function BodyRow({ row, index, height, offset }: BodyRowProps) {
  return (
    <div
      role="row"
      className={classes.row}
      data-row
      aria-rowindex={index + 2}
      style={{ height, transform: `translateY(${offset}px)` }}
    >
      {row.getAllCells().map((cell) => (
        <div
          role="cell"
          key={cell.id}
          className={classes.cell}
          data-align={(cell.column.columnDef.meta as ColumnLooks).align}
        >
          <FlexRender cell={cell} />
        </div>
      ))}
    </div>
  );
});

function SortIcon({ direction }: { direction: string | undefined }) {
  if (direction === "ascending") return <IconArrowUp size={14} aria-hidden />;
  if (direction === "descending") return <IconArrowDown size={14} aria-hidden />;
  return <IconSelector size={14} aria-hidden />;
}
