/** API keys for other programs (admins only). A key is shown once. */
import {
  Alert,
  Badge,
  Button,
  CopyButton,
  Group,
  NativeSelect,
  Stack,
  Table,
  Text,
  TextInput,
} from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { DELETE, GET, ok, POST } from "../api/client";
import { explain } from "../api/problem";
import { queryClient } from "../api/query";
import type { ApiKey, Role } from "../api/types";
import { formatTime } from "../format";
import { ConfirmDialog, Dialog } from "../shell/Dialog";
import { useTitle } from "../shell/hooks";
import { Empty, Failed, PageLoading } from "../shell/states";
import { tellDone } from "../shell/tell";
import { PageHead } from "./AdminShell";
import classes from "./ListCard.module.css";

export default function ApiKeysPage() {
  useTitle("API keys");
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  const query = useQuery({
    queryKey: ["api-keys"],
    queryFn: ({ signal }) => ok(GET("/v1/api-keys", { params: { query: { limit: 200 } }, signal })),
  });
  const rows = query.data?.items ?? [];
  return (
    <>
      <PageHead title="API keys" lead="For programs that speak to Holdfast over HTTP.">
        <Button leftSection={<IconPlus size={17} aria-hidden />} onClick={() => setMaking(true)}>
          New key
        </Button>
      </PageHead>
      {query.isPending ? (
        <PageLoading />
      ) : query.isError ? (
        <Failed error={query.error} retry={query.refetch} />
      ) : rows.length === 0 ? (
        <Empty title="No keys yet">Make one for each program, so that each can be revoked alone.</Empty>
      ) : (
        <div className={classes.card}>
          <Table aria-label="API keys" verticalSpacing="sm" horizontalSpacing="md">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Name</Table.Th>
                <Table.Th>Role</Table.Th>
                <Table.Th>Since</Table.Th>
                <Table.Th>
                  <span className="sr-only">Actions</span>
                </Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {rows.map((key) => (
                <Table.Tr key={key.id}>
                  <Table.Td fw={560}>{key.name}</Table.Td>
                  <Table.Td>
                    <Badge color="gray">{key.role}</Badge>
                  </Table.Td>
                  <Table.Td>
                    <Text size="sm" c="dimmed">
                      {key.created_at ? formatTime(key.created_at) : "–"}
                    </Text>
                  </Table.Td>
                  <Table.Td ta="right">
                    <Button size="compact-sm" variant="subtle" color="red" onClick={() => setRevoking(key)}>
                      Revoke
                    </Button>
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
      <Dialog opened={making} onClose={() => setMaking(false)} title="New API key">
        {making && <NewKey onClose={() => setMaking(false)} />}
      </Dialog>
      <ConfirmDialog
        opened={revoking !== null}
        title="Revoke this key?"
        action="Revoke"
        onClose={() => setRevoking(null)}
        onConfirm={async () => {
          if (!revoking) return;
          await ok(DELETE("/v1/api-keys/{id}", { params: { path: { id: revoking.id } } }));
          await queryClient.invalidateQueries({ queryKey: ["api-keys"] });
          tellDone("Key revoked", revoking.name);
        }}
      >
        Whatever uses <b>{revoking?.name}</b> is shut out within two seconds.
      </ConfirmDialog>
    </>
  );
}

function NewKey({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("service");
  const make = useMutation({
    mutationFn: () => ok(POST("/v1/api-keys", { body: { name: name.trim(), role } })),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: ["api-keys"] }),
  });
  if (make.data) {
    const key = make.data.key ?? "";
    return (
      <Stack>
        <Text size="sm">This is the only time that the key is shown. Keep it somewhere safe.</Text>
        <code className={classes.key}>{key}</code>
        <Group justify="flex-end">
          <CopyButton value={key}>
            {({ copied, copy }) => (
              <Button variant="default" onClick={copy}>
                {copied ? "Copied" : "Copy"}
              </Button>
            )}
          </CopyButton>
          <Button onClick={onClose}>Done</Button>
        </Group>
      </Stack>
    );
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim()) make.mutate();
      }}
    >
      <Stack>
        {make.error && (
          <Alert color="red" role="alert">
            {explain(make.error)}
          </Alert>
        )}
        <TextInput
          label="Name"
          placeholder="checkout-service"
          value={name}
          maxLength={64}
          onChange={(e) => setName(e.currentTarget.value)}
          data-autofocus
        />
        <NativeSelect
          label="Role"
          value={role}
          onChange={(e) => setRole(e.currentTarget.value as Role)}
          data={["service", "staff", "admin"]}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" disabled={!name.trim()} loading={make.isPending}>
            Make key
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
