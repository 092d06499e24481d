/** The health board: is everything there, and if not, what is missing. Readable from across the room. */
import { Button } from "@mantine/core";
import { useFullscreenElement } from "@mantine/hooks";
import { IconMaximize, IconMinimize } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { AdminShell } from "../admin/AdminShell";
import { ProofBadge } from "../admin/HomePage";
import { healthQuery, statsQuery } from "../admin/queries";
import { every } from "../api/query";
import type { Health } from "../api/types";
import { formatClock, formatMs, formatNumber, formatRate, formatSpan } from "../format";
import { useNow, useTitle } from "../shell/hooks";
import { Failed, PageLoading } from "../shell/states";
import { DeadLetters } from "./DeadLetters";
import classes from "./HealthBoard.module.css";
import { Incidents } from "./Incidents";
import { Queues } from "./Queues";
import { Roles } from "./Roles";
import { ServiceMap } from "./ServiceMap";
import { type Light, overall, troubles } from "./state";

/** A role that died is to be shown within 10 s, of which the monitor may need eight. */
const POLL_MS = 1_000;
/** After this long without an answer the board says so instead of showing old news as new. */
const STALE_MS = 9_000;
const REASONS_MAX = 4;

export default function HealthBoardPage() {
  const query = useQuery({
    ...healthQuery,
    refetchInterval: POLL_MS,
    refetchIntervalInBackground: true,
    retry: false,
  });
  const screen = useFullscreenElement<HTMLDivElement>();
  const health = query.data;
  const now = useNow();
  const silentMs = query.dataUpdatedAt > 0 ? Date.now() - query.dataUpdatedAt : 0;
  const silent = silentMs > STALE_MS;
  useTitle(health ? `${silent ? "No answer" : overall(health)}: health` : "Health");
  return (
    <AdminShell>
      {query.isPending ? (
        <PageLoading />
      ) : !health ? (
        <Failed error={query.error} retry={query.refetch} />
      ) : (
        <div ref={screen.ref} className={classes.board} data-silent={silent || undefined}>
          <Banner health={health} silentMs={silent ? silentMs : 0} now={now} />
          <Figures health={health} />
          <section className={`${classes.panel} ${classes.map}`} aria-label="Map of the services">
            <ServiceMap health={health} />
          </section>
          <Roles health={health} now={now} />
          <div className={classes.two}>
            <Queues health={health} />
            <Incidents incidents={health.incidents} now={now} />
          </div>
          <DeadLetters count={health.dead_letters} />
          {document.fullscreenEnabled && (
            <Button
              className={classes.whole}
              variant="default"
              leftSection={screen.fullscreen ? <IconMinimize size={16} /> : <IconMaximize size={16} />}
              onClick={screen.toggle}
            >
              {screen.fullscreen ? "Leave full screen" : "Full screen"}
            </Button>
          )}
        </div>
      )}
    </AdminShell>
  );
}

function Banner({ health, silentMs, now }: { health: Health; silentMs: number; now: number }) {
  const found = troubles(health);
  const status = overall(health);
  const worst: Light = found.some((trouble) => trouble.grave) ? "down" : status;
  const light: Light = silentMs > 0 ? "none" : worst;
  const words =
    silentMs > 0
      ? `No answer for ${formatSpan(silentMs)}`
      : status === "up"
        ? "Everything is up"
        : status === "down"
          ? "Down"
          : "Degraded";
  const began = health.incidents.filter((incident) => !incident.to).map((incident) => incident.from);
  const since = began.sort()[0];
  return (
    <div className={classes.banner} data-light={light}>
      {/* Only what changes with the state is read aloud, not the seconds. */}
      <div className={classes.state} role="status">
        <h1 className={classes.words}>{words}</h1>
        {found.length > 0 && (
          <ul className={classes.why}>
            {found.slice(0, REASONS_MAX).map(({ what }) => (
              <li key={what}>{what}</li>
            ))}
            {found.length > REASONS_MAX && <li>and {found.length - REASONS_MAX} more</li>}
          </ul>
        )}
      </div>
      <div className={classes.proof}>
        {since && status !== "up" && (
          <span className="num">
            since {formatClock(since)}, {formatSpan(now - Date.parse(since))}
          </span>
        )}
        <ProofBadge />
      </div>
    </div>
  );
}

function Figures({ health }: { health: Health }) {
  const stats = useQuery({ ...statsQuery("15m"), refetchInterval: every(3_000), retry: false });
  const s = stats.data;
  const waiting = health.queues.reduce((sum, q) => sum + q.ready, 0);
  const last = s?.series.at(-1);
  return (
    <dl className={classes.figures}>
      <Figure
        name="Orders per second"
        value={s ? formatRate(last?.orders_per_second ?? s.orders_per_second) : "–"}
      />
      <Figure name="p50" value={formatMs(s?.latency.p50_ms)} />
      <Figure name="p99" value={formatMs(s?.latency.p99_ms)} />
      <Figure name="Waiting in queues" value={formatNumber(waiting)} />
      <Figure name="Relay lag" value={formatNumber(health.lag.relay_events)} />
      <Figure name="Read model lag" value={formatNumber(health.lag.read_model_events)} />
      <Figure name="Dead letters" value={formatNumber(health.dead_letters)} bad={health.dead_letters > 0} />
      <Figure name="Oversold" value={formatNumber(health.audit.oversold)} bad={health.audit.oversold > 0} />
    </dl>
  );
}

function Figure({ name, value, bad }: { name: string; value: string; bad?: boolean }) {
  return (
    <div data-bad={bad || undefined}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
