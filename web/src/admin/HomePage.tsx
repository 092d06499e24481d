/** How is the shop doing, and what needs a hand. */
import { SegmentedControl, Skeleton } from "@mantine/core";
import { IconShieldCheck, IconShieldX } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { Link } from "wouter";
import { usePoll } from "../api/live";
import { explain } from "../api/problem";
import { every } from "../api/query";
import type { Stock } from "../api/types";
import { formatAgo, formatCompact, formatCountdown, formatMs, formatNumber, formatRate } from "../format";
import { useNow, useTitle } from "../shell/hooks";
import { ItemName } from "../shop/ItemName";
import { stockWords } from "../shop/StockLabel";
import { PageHead } from "./AdminShell";
import { Chart } from "./Chart";
import classes from "./HomePage.module.css";
import { healthQuery, holdsQuery, statsQuery, stockListQuery } from "./queries";

const WINDOWS = [
  { value: "15m", label: "15 min" },
  { value: "1h", label: "1 h" },
  { value: "24h", label: "24 h" },
];

export function HomePage() {
  useTitle("Admin");
  const [window, setWindow] = useState("15m");
  const stats = useQuery({ ...statsQuery(window), refetchInterval: every(3_000) });
  const poll = usePoll(5_000, 15_000);
  const low = useInfiniteQuery({ ...stockListQuery({ low: true }, 50), refetchInterval: every(poll) });
  const short = useInfiniteQuery({ ...stockListQuery({ shortage: true }, 50), refetchInterval: every(poll) });
  const holds = useQuery({ ...holdsQuery, refetchInterval: every(poll) });
  const lowItems = [...(low.data?.pages[0]?.items ?? [])].sort((a, b) => a.available - b.available);
  const soldOut = lowItems.filter((s) => s.available === 0).length;
  const more = low.data?.pages[0]?.next_cursor ? "+" : "";
  const shortUnits = (short.data?.pages[0]?.items ?? []).reduce((sum, s) => sum + s.shortage, 0);
  const s = stats.data;
  const seconds = s?.series.map((p) => Date.parse(p.at) / 1000) ?? [];
  return (
    <>
      <PageHead title="Overview" lead={<ProofBadge />}>
        <SegmentedControl
          data={WINDOWS}
          value={window}
          onChange={setWindow}
          size="xs"
          aria-label="Stretch of time"
        />
      </PageHead>
      <section className={classes.tiles} aria-label="Key figures">
        <Tile
          name="Orders per second"
          value={s && formatRate(s.orders_per_second)}
          note={s && `${formatCompact(s.orders)} orders`}
          error={stats.error}
        />
        <Tile
          name="Units sold"
          value={s && formatCompact(s.units)}
          note={s && `${formatCompact(s.rejected)} orders rejected`}
          error={stats.error}
        />
        <Tile
          name="Decided within"
          value={s && formatMs(s.latency.p50_ms)}
          note={s && `p99 ${formatMs(s.latency.p99_ms)}`}
          error={stats.error}
        />
        <Tile
          name="Low or sold out"
          value={low.data && `${formatNumber(lowItems.length)}${more}`}
          note={low.data && `${formatNumber(soldOut)} sold out`}
          tone={soldOut > 0 ? "warn" : undefined}
          error={low.error}
        />
        <Tile
          name="Holds running"
          value={holds.data && `${formatNumber(holds.data.items.length)}${holds.data.next_cursor ? "+" : ""}`}
          note="kept for customers"
          error={holds.error}
        />
        <Tile
          name="Shortages"
          value={short.data && formatNumber(shortUnits)}
          note="units promised, not there"
          tone={shortUnits > 0 ? "bad" : undefined}
          error={short.error}
        />
      </section>
      <section className={classes.charts} aria-label="Over time">
        <div className={classes.card}>
          <Chart
            title="Orders and units a second"
            seconds={seconds}
            unit={formatRate}
            series={[
              { label: "Units", color: "--seg-held", values: s?.series.map((p) => p.units_per_second) ?? [] },
              {
                label: "Orders",
                color: "--seg-available",
                fill: true,
                values: s?.series.map((p) => p.orders_per_second) ?? [],
              },
            ]}
          />
        </div>
        <div className={classes.card}>
          <Chart
            title="Time to a decision"
            seconds={seconds}
            unit={(v) => `${formatRate(v)} ms`}
            series={[
              {
                label: "p99",
                color: "--seg-unavailable",
                values: s?.series.map((p) => p.p99_ms ?? null) ?? [],
              },
              {
                label: "p50",
                color: "--seg-allocated",
                fill: true,
                values: s?.series.map((p) => p.p50_ms ?? null) ?? [],
              },
            ]}
          />
        </div>
      </section>
      <div className={classes.lists}>
        <List title="Hottest SKUs" empty="Nothing was sold in this stretch of time." query={stats}>
          {s?.hottest.slice(0, 8).map((hot, _, all) => (
            <li key={hot.sku}>
              <SkuLink sku={hot.sku} />
              <span className={classes.share} aria-hidden>
                <i style={{ width: `${(100 * hot.units) / Math.max(1, all[0]?.units ?? 1)}%` }} />
              </span>
              <b className="num">{formatNumber(hot.units)}</b>
            </li>
          ))}
        </List>
        <List title="Low and sold out" empty="Everything is above its reorder point." query={low}>
          {lowItems.slice(0, 8).map((stock) => (
            <li key={stock.sku}>
              <SkuLink sku={stock.sku} />
              <b data-tone={stock.available === 0 ? "bad" : "warn"}>{lowWords(stock)}</b>
            </li>
          ))}
        </List>
        <List title="Holds about to expire" empty="No holds are running." query={holds}>
          {holds.data?.items.slice(0, 8).map((hold) => (
            <li key={hold.id}>
              <span className={classes.grow}>
                {hold.lines[0] && <ItemName sku={hold.lines[0].sku} />}
                {hold.lines.length > 1 && ` and ${hold.lines.length - 1} more`}
              </span>
              <Countdown to={hold.expires_at} />
            </li>
          ))}
        </List>
      </div>
    </>
  );
}

/** A SKU may be low in one place and plentiful in another: then the place is named. */
function lowWords(stock: Stock): string {
  const places = stock.locations.filter((l) => l.available <= l.reorder_point).map((l) => l.location);
  if (stock.available === 0 || places.length === 0 || places.length === stock.locations.length) {
    return stockWords(stock.available);
  }
  return `low in ${places.join(", ")}`;
}

/** "0 oversold, verified up to N, 3 s ago": a measured, dated fact, never a claim. What stopped the audit comes first. */
export function ProofBadge() {
  const { data } = useQuery({ ...healthQuery, refetchInterval: every(3_000) });
  const now = useNow();
  const audit = data?.audit;
  if (!audit) return <span className={classes.proof}>&nbsp;</span>;
  const clean = audit.oversold === 0 && !audit.finding;
  return (
    <span className={classes.proof} data-clean={clean || undefined}>
      {clean ? <IconShieldCheck size={17} aria-hidden /> : <IconShieldX size={17} aria-hidden />}
      <span>
        {audit.finding && `Audit stopped: ${audit.finding} · `}
        {formatNumber(audit.oversold)} oversold
        {audit.verified_at
          ? `, verified up to ${audit.verified_position}, ${formatAgo(audit.verified_at, now)}`
          : ", not verified yet"}
      </span>
    </span>
  );
}

type TileProps = { name: string; value?: string; note?: string; tone?: "warn" | "bad"; error?: unknown };

function Tile({ name, value, note, tone, error }: TileProps) {
  return (
    <dl className={classes.tile}>
      <dt>{name}</dt>
      <dd data-tone={tone}>{value ?? (error ? "–" : <Skeleton h={26} w={80} mt={6} />)}</dd>
      <dd className={classes.note}>{value === undefined && error ? explain(error) : (note ?? "\u00a0")}</dd>
    </dl>
  );
}

type ListProps = {
  title: string;
  empty: string;
  query: { isPending: boolean; data: unknown; error: unknown };
  children: ReactNode;
};

function List({ title, empty, query, children }: ListProps) {
  const none = !children || (Array.isArray(children) && children.length === 0);
  // "None" is said only when the server said it.
  const silent = query.data === undefined && query.error ? explain(query.error) : null;
  const busy = query.isPending;
  return (
    <section className={classes.card}>
      <h2 className={classes.listTitle}>{title}</h2>
      {busy ? (
        <Skeleton h={220} />
      ) : none ? (
        <p className={classes.empty}>{silent ?? empty}</p>
      ) : (
        <ul className={classes.list}>{children}</ul>
      )}
    </section>
  );
}

function SkuLink({ sku }: { sku: string }) {
  return (
    <Link href={`/admin/items/${encodeURIComponent(sku)}`} className={classes.grow}>
      <ItemName sku={sku} />
    </Link>
  );
}

function Countdown({ to }: { to: string }) {
  const now = useNow();
  return <b className="num">{formatCountdown(Date.parse(to) - now)}</b>;
}
