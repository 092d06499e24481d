/** The services as a map: who hands work to whom, and how much waits on the way. */
import type { Health } from "../api/types";
import { formatCompact, formatMs, formatNumber, formatRate } from "../format";
import classes from "./ServiceMap.module.css";
import { findRole, isAbandoned, LIGHT_WORDS, type Light, queuesOf, roleLight } from "./state";

const WIDTH = 1200;
const HEIGHT = 372;
const BOX = { w: 196, h: 92 };
const PILL = { w: 124, h: 50 };

type Place = { x: number; y: number };
const PLACES: Record<string, Place> = {
  gateway: { x: 6, y: 140 },
  orders: { x: 412, y: 6 },
  items: { x: 412, y: 140 },
  stock: { x: 412, y: 274 },
  database: { x: 705, y: 140 },
  relay: { x: 998, y: 6 },
  projector: { x: 998, y: 140 },
  monitor: { x: 998, y: 274 },
};

const WORKERS = ["orders", "items", "stock"];
const FOLLOWERS = ["relay", "projector", "monitor"];
/** A shop is whole without these: they are drawn where they run. */
const OPTIONAL = ["projector"];

export function ServiceMap({ health }: { health: Health }) {
  const followers = FOLLOWERS.filter((role) => !OPTIONAL.includes(role) || findRole(health, role));
  const store = health.stores.find((s) => /data|post|sql|store/i.test(s.name)) ?? health.stores[0];
  const storeLight: Light = store ? store.status : "none";
  const spoken = [...["gateway"], ...WORKERS, ...followers].map(
    (r) => `${r} ${LIGHT_WORDS[roleLight(findRole(health, r))]}`,
  );
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
    <div className={classes.scroll} tabIndex={0} role="group" aria-label="Map">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        className={classes.map}
        role="img"
        aria-label={`Services: ${spoken.join(", ")}`}
      >
        {WORKERS.map((role) => (
          <QueueEdge key={role} health={health} role={role} />
        ))}
        {WORKERS.map((role) => (
          <Edge
            key={role}
            from={right(role)}
            to={left("database")}
            light={roleLight(findRole(health, role))}
          />
        ))}
        {followers.map((role) => (
          <Edge
            key={role}
            from={right("database")}
            to={left(role)}
            light={roleLight(findRole(health, role))}
          />
        ))}
        {["gateway", ...WORKERS, ...followers].map((role) => (
          <RoleBox key={role} health={health} role={role} />
        ))}
        <Box
          place={PLACES.database as Place}
          light={storeLight}
          name={store?.name ?? "database"}
          note={store ? formatMs(store.latency_ms) : "–"}
          round
        />
      </svg>
    </div>
  );
}

function right(role: string): Place {
  const p = PLACES[role] as Place;
  return { x: p.x + BOX.w, y: p.y + BOX.h / 2 };
}

function left(role: string): Place {
  const p = PLACES[role] as Place;
  return { x: p.x, y: p.y + BOX.h / 2 };
}

function curve(from: Place, to: Place): string {
  const bend = (to.x - from.x) / 2;
  return `M${from.x} ${from.y}C${from.x + bend} ${from.y} ${to.x - bend} ${to.y} ${to.x} ${to.y}`;
}

function Edge({ from, to, light }: { from: Place; to: Place; light: Light }) {
  return <path d={curve(from, to)} className={classes.edge} data-light={light} />;
}

function QueueEdge({ health, role }: { health: Health; role: string }) {
  const queues = queuesOf(health, role);
  const from = right("gateway");
  const to = left(role);
  const ready = queues.reduce((sum, q) => sum + q.ready, 0);
  const counted = queues.some((q) => q.publish_rate !== null);
  const rate = queues.reduce((sum, q) => sum + (q.publish_rate ?? 0), 0);
  const own = roleLight(findRole(health, role));
  const abandoned = queues.some(isAbandoned);
  const light: Light = abandoned ? "down" : own;
  const pill = { x: to.x - PILL.w - 24, y: to.y - PILL.h / 2 };
  return (
    <>
      <path d={curve(from, to)} className={classes.edge} data-light={light} />
      {queues.length > 0 && (
        <g transform={`translate(${pill.x} ${pill.y})`}>
          <rect width={PILL.w} height={PILL.h} rx="12" className={classes.queue} data-light={light} />
          <text x={PILL.w / 2} y="22" className={classes.queueCount} textAnchor="middle">
            {formatCompact(ready)} waiting
          </text>
          <text
            x={PILL.w / 2}
            y="40"
            className={classes.queueRate}
            data-light={abandoned ? "down" : undefined}
            textAnchor="middle"
          >
            {abandoned ? "no consumer" : counted ? `${formatRate(rate)} / s` : "in this process"}
          </text>
        </g>
      )}
    </>
  );
}

function RoleBox({ health, role }: { health: Health; role: string }) {
  const found = findRole(health, role);
  const up = found?.instances.filter((i) => i.status === "up").length ?? 0;
  const all = found?.instances.length ?? 0;
  const light = roleLight(found);
  const behind = role === "relay" ? health.lag.relay_events : 0;
  const good = behind > 0 ? `${formatNumber(behind)} behind` : `${up} of ${all} up`;
  const note = all === 0 ? "not running" : light === "down" ? "DOWN" : good;
  return <Box place={PLACES[role] as Place} light={light} name={role} note={note} />;
}

function Box({
  place,
  light,
  name,
  note,
  round,
}: {
  place: Place;
  light: Light;
  name: string;
  note: string;
  round?: boolean;
}) {
  return (
    <g transform={`translate(${place.x} ${place.y})`}>
      <rect width={BOX.w} height={BOX.h} rx={round ? 46 : 18} className={classes.box} data-light={light} />
      <circle cx={round ? 36 : 30} cy={BOX.h / 2} r="10" className={classes.lamp} data-light={light} />
      <text x={round ? 58 : 52} y="43" className={classes.name} data-light={light}>
        {name}
      </text>
      <text x={round ? 58 : 52} y="68" className={classes.note} data-light={light}>
        {note}
      </text>
    </g>
  );
}
