/** Commands that nobody could understand: look at them, send them again, or drop them. */
import { Button, Code, Group, Stack, Text } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { DELETE, GET, ok, POST } from "../api/client";
import { every, queryClient } from "../api/query";
import { useSession } from "../api/session";
import type { DeadLetter } from "../api/types";
import { formatNumber, formatTime } from "../format";
import { ConfirmDialog } from "../shell/Dialog";
import { Failed } from "../shell/states";
import { tellDone, tellError } from "../shell/tell";
import classes from "./HealthBoard.module.css";

export function DeadLetters({ count }: { count: number }) {
  const { me } = useSession();
  const admin = me?.role === "admin";
  return (
    <section className={classes.panel} aria-labelledby="dead-title">
      <h2 id="dead-title" className={classes.title}>
        Dead letters
      </h2>
      {admin ? (
        <List />
      ) : (
        <p className={classes.none}>
          {count === 0 ? "None." : `${formatNumber(count)} waiting for an administrator.`}
        </p>
      )}
    </section>
  );
}

function refresh() {
  void queryClient.invalidateQueries({ queryKey: ["dead-letters"] });
  void queryClient.invalidateQueries({ queryKey: ["health"] });
}

function List() {
  const query = useQuery({
    queryKey: ["dead-letters"],
    queryFn: ({ signal }) => ok(GET("/v1/dead-letters", { params: { query: { limit: 50 } }, signal })),
    refetchInterval: every(4_000),
  });
  const [dropping, setDropping] = useState<DeadLetter | null>(null);
  const retry = useMutation({
    mutationFn: (letter: DeadLetter) =>
      ok(POST("/v1/dead-letters/{id}/retry", { params: { path: { id: letter.id } } })),
    onSuccess: () => {
      refresh();
      tellDone("Sent again");
    },
    onError: (error) => tellError("Not sent", error),
  });
  const letters = query.data?.items ?? [];
  if (query.isError && letters.length === 0) return <Failed error={query.error} retry={query.refetch} />;
  if (letters.length === 0) return <p className={classes.none}>{query.isPending ? "\u00a0" : "None."}</p>;
  return (
    <ul className={classes.letters}>
      {letters.map((letter) => (
        <li key={letter.id}>
          <Stack gap={4} className={classes.grow}>
            <Text fw={600} size="sm">
              {letter.error}
            </Text>
            <Text size="xs" c="dimmed">
              {letter.routing_key} · {formatTime(letter.at)}
            </Text>
            <Code block className={classes.body}>
              {letter.body}
            </Code>
          </Stack>
          <Group gap={6} wrap="nowrap">
            <Button
              size="xs"
              variant="default"
              onClick={() => retry.mutate(letter)}
              loading={retry.isPending && retry.variables?.id === letter.id}
            >
              Retry
            </Button>
            <Button size="xs" variant="subtle" color="red" onClick={() => setDropping(letter)}>
              Drop
            </Button>
          </Group>
        </li>
      ))}
      <ConfirmDialog
        opened={dropping !== null}
        title="Drop this command?"
        action="Drop"
        onClose={() => setDropping(null)}
        onConfirm={async () => {
          if (!dropping) return;
          await ok(DELETE("/v1/dead-letters/{id}", { params: { path: { id: dropping.id } } }));
          refresh();
          tellDone("Dropped");
        }}
      >
        It is deleted for good, without any effect.
      </ConfirmDialog>
    </ul>
  );
}
