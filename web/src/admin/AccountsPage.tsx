/** Accounts and their roles (admins only). */
import { Badge, Button, NativeSelect, Switch, Table, Text } from "@mantine/core";
import { useInfiniteQuery, useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { GET, ok, PATCH } from "../api/client";
import { queryClient } from "../api/query";
import { useSession } from "../api/session";
import type { Account, Role } from "../api/types";
import { formatTime } from "../format";
import { ConfirmDialog } from "../shell/Dialog";
import { useTitle } from "../shell/hooks";
import { Empty, Failed, PageLoading } from "../shell/states";
import { tellDone, tellError } from "../shell/tell";
import { PageHead } from "./AdminShell";
import classes from "./ListCard.module.css";

const ROLES: Role[] = ["customer", "staff", "admin", "service"];
type Change = { account: Account; role?: Role; disabled?: boolean };

export default function AccountsPage() {
  useTitle("Accounts");
  const { me } = useSession();
  const [asking, setAsking] = useState<Change | null>(null);
  const query = useInfiniteQuery({
    queryKey: ["accounts"],
    queryFn: ({ pageParam, signal }) =>
      ok(GET("/v1/accounts", { params: { query: { limit: 100, cursor: pageParam ?? undefined } }, signal })),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
  const apply = async ({ account, role, disabled }: Change) => {
    await ok(PATCH("/v1/accounts/{id}", { params: { path: { id: account.id } }, body: { role, disabled } }));
    await queryClient.invalidateQueries({ queryKey: ["accounts"] });
    tellDone(
      role
        ? `${account.username} is ${role} now`
        : `${account.username} ${disabled ? "disabled" : "enabled"}`,
    );
  };
  const enable = useMutation({ mutationFn: apply, onError: (error) => tellError("Not changed", error) });
  const rows = query.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      <PageHead
        title="Accounts"
        lead="A changed role or a disabled account takes effect within two seconds, everywhere."
      />
      {query.isPending ? (
        <PageLoading />
      ) : query.isError && rows.length === 0 ? (
        <Failed error={query.error} retry={query.refetch} />
      ) : rows.length === 0 ? (
        <Empty title="No accounts" />
      ) : (
        <div className={classes.card}>
          <Table aria-label="Accounts" verticalSpacing="sm" horizontalSpacing="md">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Username</Table.Th>
                <Table.Th>Role</Table.Th>
                <Table.Th>Since</Table.Th>
                <Table.Th>May sign in</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {rows.map((account) => {
                const self = account.id === me?.id;
                return (
                  <Table.Tr key={account.id}>
                    <Table.Td fw={560}>
                      {account.username} {self && <Badge color="gray">you</Badge>}
                    </Table.Td>
                    <Table.Td>
                      <NativeSelect
                        size="xs"
                        w={130}
                        aria-label={`Role of ${account.username}`}
                        value={account.role}
                        disabled={self}
                        data={ROLES}
                        onChange={(e) => setAsking({ account, role: e.currentTarget.value as Role })}
                      />
                    </Table.Td>
                    <Table.Td>
                      <Text size="sm" c="dimmed">
                        {account.created_at ? formatTime(account.created_at) : "–"}
                      </Text>
                    </Table.Td>
                    <Table.Td>
                      <Switch
                        aria-label={`${account.username} may sign in`}
                        checked={!account.disabled}
                        disabled={self}
                        onChange={(e) =>
                          e.currentTarget.checked
                            ? enable.mutate({ account, disabled: false })
                            : setAsking({ account, disabled: true })
                        }
                      />
                    </Table.Td>
                  </Table.Tr>
                );
              })}
            </Table.Tbody>
          </Table>
        </div>
      )}
      {query.hasNextPage && (
        <Button
          mt="md"
          variant="default"
          onClick={() => query.fetchNextPage()}
          loading={query.isFetchingNextPage}
        >
          Show more
        </Button>
      )}
      <ConfirmDialog
        opened={asking !== null}
        title={asking?.role ? "Change the role?" : "Disable this account?"}
        action={asking?.role ? "Change" : "Disable"}
        onClose={() => setAsking(null)}
        onConfirm={async () => {
          if (asking) await apply(asking);
        }}
      >
        {asking?.role ? (
          <>
            <b>{asking.account.username}</b> goes from {asking.account.role} to {asking.role}.
          </>
        ) : (
          <>
            <b>{asking?.account.username}</b> is signed out everywhere and cannot come back until enabled
            again.
          </>
        )}
      </ConfirmDialog>
    </>
  );
}
