/** Items with stock from a CSV file: first a dry run, then the real one, with one clear line per bad row. */
import { Alert, Button, Card, FileInput, Group, Progress, Stack, Table, Text } from "@mantine/core";
import { IconFileTypeCsv } from "@tabler/icons-react";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { GET, ok, POST } from "../api/client";
import { explain } from "../api/problem";
import type { ImportJob } from "../api/types";
import { afterChange } from "../cart/holds";
import { formatNumber } from "../format";
import { useTitle } from "../shell/hooks";
import { Failed } from "../shell/states";
import { tellDone, tellError } from "../shell/tell";
import { PageHead } from "./AdminShell";

const SHOWN_ERRORS_MAX = 200;

export default function ImportPage() {
  useTitle("Import");
  const [file, setFile] = useState<File | null>(null);
  const [id, setId] = useState<string | null>(null);
  const start = useMutation({
    mutationFn: (dryRun: boolean) =>
      ok(
        POST("/v1/imports", {
          params: { query: { dry_run: dryRun } },
          // The file goes out as it is, streamed by the browser: openapi-fetch would otherwise make JSON of it.
          body: file as unknown as string,
          bodySerializer: (body) => body as unknown as BodyInit,
          headers: { "Content-Type": "text/csv" },
        }),
      ),
    onSuccess: (job) => setId(job.id),
  });
  const job = useQuery({
    queryKey: ["import", id],
    queryFn: ({ signal }) => ok(GET("/v1/imports/{id}", { params: { path: { id: id ?? "" } }, signal })),
    enabled: id !== null,
    refetchInterval: (query) => (query.state.data && query.state.data.status !== "running" ? false : 500),
  });
  const state = job.data;
  // Of a job that has ended nothing changes any more.
  const ended = state && state.status !== "running" ? state : null;
  useEffect(() => {
    if (!ended || ended.dry_run) return;
    afterChange();
    const applied = `${formatNumber(ended.rows_applied)} rows applied`;
    if (ended.status === "done") tellDone("Import finished", applied);
    else tellError("Import failed", new Error(`${ended.detail ?? "It was stopped"} (${applied})`));
  }, [ended]);

  return (
    <>
      <PageHead title="Import" lead="A bad row never half-applies, and never stops its neighbours." />
      <Stack maw={820}>
        <Card p="lg">
          <Stack>
            <FileInput
              label="CSV file"
              description="One row an item, with a header line. Prices in major units, such as 1299.00."
              placeholder="Choose a file"
              accept=".csv,text/csv"
              leftSection={<IconFileTypeCsv size={18} aria-hidden />}
              value={file}
              onChange={(next) => {
                setFile(next);
                setId(null);
                start.reset();
              }}
              clearable
              clearButtonProps={{ "aria-label": "Clear" }}
            />
            <Group>
              <Button
                variant="default"
                disabled={!file}
                loading={start.isPending && start.variables === true}
                onClick={() => start.mutate(true)}
              >
                Dry run
              </Button>
              <Button
                disabled={!file}
                loading={start.isPending && start.variables === false}
                onClick={() => start.mutate(false)}
              >
                Import
              </Button>
            </Group>
          </Stack>
        </Card>
        {start.error && <Failed error={start.error} />}
        {job.error && !state && <Alert color="red">{explain(job.error)}</Alert>}
        {state && <JobCard job={state} size={file?.size} />}
      </Stack>
    </>
  );
}

function JobCard({ job, size }: { job: ImportJob; size: number | undefined }) {
  const running = job.status === "running";
  const share = !running ? 100 : size && job.bytes_read ? (100 * job.bytes_read) / size : 0;
  return (
    <Card p="lg">
      <Stack>
        <Group justify="space-between" role="status">
          <Text fw={620}>
            {running
              ? job.dry_run
                ? "Checking…"
                : "Importing…"
              : job.status === "failed"
                ? "Failed"
                : job.dry_run
                  ? "Dry run: nothing was changed"
                  : "Done"}
          </Text>
          <Text size="sm" c="dimmed" className="num">
            {formatNumber(job.rows_read)} rows read · {formatNumber(job.rows_applied)}{" "}
            {job.dry_run ? "good" : "applied"} · {formatNumber(job.rows_failed)} bad
          </Text>
        </Group>
        <Progress
          value={share}
          animated={running}
          striped={running && share === 0}
          aria-label="Progress"
          color={job.status === "failed" ? "red" : "tide"}
        />
        {job.detail && <Text size="sm">{job.detail}</Text>}
        {job.errors.length > 0 && (
          <Table.ScrollContainer minWidth={420}>
            <Table aria-label="Bad rows">
              <Table.Thead>
                <Table.Tr>
                  <Table.Th w={90}>Line</Table.Th>
                  <Table.Th w={140}>Column</Table.Th>
                  <Table.Th>Why</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {job.errors.slice(0, SHOWN_ERRORS_MAX).map((error) => (
                  <Table.Tr key={`${error.line}-${error.column}-${error.message}`}>
                    <Table.Td className="num">{formatNumber(error.line)}</Table.Td>
                    <Table.Td>{error.column ?? "–"}</Table.Td>
                    <Table.Td>{error.message}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        )}
      </Stack>
    </Card>
  );
}
