/** The services as a map: who hands work to whom, and how much waits on the way. */
import type { Health } from "../api/types";
import { formatMs, formatNumber, formatRate } from "../format";
import classes from "./ServiceMap.module.css";
import { findRole, LIGHT_WORDS, type Light, queuesOf, roleLight } from "./state";

const WIDTH = 1120;
const HEIGHT = 342;
const BOX = { w: 156, h: 62 };

type Place = { x: number; y: number };
const PLACES: Record<string, Place> = {
  gateway: { x: 20, y: 140 },
  orders: { x: 380, y: 20 },
  items: { x: 380, y: 140 },
  stock: { x: 380, y: 260 },
  database: { x: 668, y: 140 },
  relay: { x: 944, y: 20 },
  projector: { x: 944, y: 140 },
  monitor: { x: 944, y: 260 },
};

const WORKERS = ["orders", "items", "stock"];
const FOLLOWERS = ["relay", "projector", "monitor"];

export function ServiceMap({ health }: { health: Health }) {
  const store = health.stores.find((s) => /data|post|sql|store/i.test(s.name)) ?? health.stores[0];
  const storeLight: Light = store ? store.status : "none";
  const spoken = [...["gateway"], ...WORKERS, ...FOLLOWERS].map(
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
        {FOLLOWERS.map((role) => (
          <Edge
            key={role}
            from={right("database")}
            to={left(role)}
            light={roleLight(findRole(health, role))}
          />
        ))}
        {["gateway", ...WORKERS, ...FOLLOWERS].map((role) => (
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
  const consumers = queues.reduce((sum, q) => sum + q.consumers, 0);
  const rate = queues.reduce((sum, q) => sum + (q.publish_rate ?? 0), 0);
  const own = roleLight(findRole(health, role));
  const light: Light = queues.length > 0 && consumers === 0 ? "down" : own;
  const x = to.x - 74;
  return (
    <>
      <path d={curve(from, to)} className={classes.edge} data-light={light} />
      {queues.length > 0 && (
        <g transform={`translate(${x - 44} ${to.y - 17})`}>
          <rect width="88" height="34" rx="9" className={classes.queue} data-light={light} />
          <text x="44" y="15" className={classes.queueCount} textAnchor="middle">
            {formatNumber(ready)} waiting
          </text>
          <text x="44" y="28" className={classes.queueRate} textAnchor="middle">
            {formatRate(rate)}/s
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
  const note = all === 0 ? "not running" : light === "down" ? "down" : good;
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
      <rect width={BOX.w} height={BOX.h} rx={round ? 31 : 14} className={classes.box} data-light={light} />
      <circle cx={round ? 28 : 22} cy={BOX.h / 2} r="7" className={classes.lamp} data-light={light} />
      <text x={round ? 46 : 40} y="27" className={classes.name}>
        {name}
      </text>
      <text x={round ? 46 : 40} y="46" className={classes.note} data-light={light}>
        {note}
      </text>
    </g>
  );
}
