/** The health board: is everything there, and if not, what is missing. Readable from across the room. */
import { useQuery } from "@tanstack/react-query";
import { AdminShell } from "../admin/AdminShell";
import { ProofBadge } from "../admin/HomePage";
import { healthQuery, statsQuery } from "../admin/queries";
import { every } from "../api/query";
import type { Health } from "../api/types";
import { formatMs, formatNumber, formatRate, formatSpan } from "../format";
import { useNow, useTitle } from "../shell/hooks";
import { Failed, PageLoading } from "../shell/states";
import { DeadLetters } from "./DeadLetters";
import classes from "./HealthBoard.module.css";
import { Incidents } from "./Incidents";
import { Queues } from "./Queues";
import { Roles } from "./Roles";
import { ServiceMap } from "./ServiceMap";
import { type Light, troubles } from "./state";

const POLL_MS = 2_000;
/** After this long without an answer the board says so instead of showing old news as new. */
const STALE_MS = 9_000;

export default function HealthBoardPage() {
  const query = useQuery({
    ...healthQuery,
    refetchInterval: POLL_MS,
    refetchIntervalInBackground: true,
    retry: false,
  });
  const health = query.data;
  const now = useNow();
  const silentMs = query.dataUpdatedAt > 0 ? Date.now() - query.dataUpdatedAt : 0;
  const silent = silentMs > STALE_MS;
  useTitle(health ? `${silent ? "No answer" : health.status}: health` : "Health");
  return (
    <AdminShell>
      {query.isPending ? (
        <PageLoading />
      ) : !health ? (
        <Failed error={query.error} retry={query.refetch} />
      ) : (
        <div className={classes.board} data-silent={silent || undefined}>
          <Banner health={health} silentMs={silent ? silentMs : 0} />
          <Figures health={health} />
          <section className={classes.panel} aria-label="Map of the services">
            <ServiceMap health={health} />
          </section>
          <Roles health={health} now={now} />
          <div className={classes.two}>
            <Queues queues={health.queues} />
            <Incidents incidents={health.incidents} now={now} />
          </div>
          <DeadLetters count={health.dead_letters} />
        </div>
      )}
    </AdminShell>
  );
}

function Banner({ health, silentMs }: { health: Health; silentMs: number }) {
  const found = troubles(health);
  const light: Light = silentMs > 0 ? "none" : health.status;
  const words =
    silentMs > 0
      ? `No answer for ${formatSpan(silentMs)}`
      : health.status === "up"
        ? "Everything is up"
        : health.status === "down"
          ? "Down"
          : "Degraded";
  return (
    <div className={classes.banner} data-light={light} role="status">
      <h1 className={classes.words}>{words}</h1>
      <div className={classes.why}>
        {found.slice(0, 4).map((what) => (
          <span key={what}>{what}</span>
        ))}
        {found.length === 0 && <ProofBadge />}
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
      <Figure name="Relay lag" value={`${formatNumber(health.lag.relay_events)} events`} />
      <Figure name="Read model lag" value={`${formatNumber(health.lag.read_model_events)} events`} />
      <Figure name="Dead letters" value={formatNumber(health.dead_letters)} bad={health.dead_letters > 0} />
      <Figure name="Oversold" value={formatNumber(health.audit.oversold)} bad={health.audit.oversold > 0} />
    </dl>
  );
}

function Figure({ name, value, bad }: { name: string; value: string; bad?: boolean }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd data-bad={bad || undefined}>{value}</dd>
    </div>
  );
}
