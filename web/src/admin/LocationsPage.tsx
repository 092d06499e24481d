/** The places that hold stock, and which of them is asked first. */
import { Alert, Button, Group, NumberInput, SimpleGrid, Stack, Table, TextInput } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { decided, POST, PUT } from "../api/client";
import { explain, fieldErrors } from "../api/problem";
import { queryClient } from "../api/query";
import type { Location } from "../api/types";
import { formatNumber } from "../format";
import { Dialog } from "../shell/Dialog";
import { useTitle } from "../shell/hooks";
import { Empty, Failed, PageLoading } from "../shell/states";
import { tellDecided } from "../shell/tell";
import { PageHead } from "./AdminShell";
import classes from "./ListCard.module.css";
import { locationsQuery } from "./queries";

export default function LocationsPage() {
  useTitle("Locations");
  const query = useQuery(locationsQuery);
  const [editing, setEditing] = useState<Location | "new" | null>(null);
  const rows = query.data ?? [];
  return (
    <>
      <PageHead title="Locations" lead="Orders are filled from the lowest priority number first.">
        <Button leftSection={<IconPlus size={17} aria-hidden />} onClick={() => setEditing("new")}>
          New location
        </Button>
      </PageHead>
      {query.isPending ? (
        <PageLoading />
      ) : query.isError && rows.length === 0 ? (
        <Failed error={query.error} retry={query.refetch} />
      ) : rows.length === 0 ? (
        <Empty title="No locations yet">Stock needs a place: add the first one.</Empty>
      ) : (
        <div className={classes.card}>
          <Table aria-label="Locations" verticalSpacing="sm" horizontalSpacing="md">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Name</Table.Th>
                <Table.Th>Code</Table.Th>
                <Table.Th>Priority</Table.Th>
                <Table.Th>Latitude, longitude</Table.Th>
                <Table.Th>
                  <span className="sr-only">Actions</span>
                </Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {rows.map((place) => (
                <Table.Tr key={place.code}>
                  <Table.Td fw={560}>{place.name}</Table.Td>
                  <Table.Td>{place.code}</Table.Td>
                  <Table.Td className="num">{formatNumber(place.priority)}</Table.Td>
                  <Table.Td className="num">{position(place)}</Table.Td>
                  <Table.Td ta="right">
                    <Button size="compact-sm" variant="default" onClick={() => setEditing(place)}>
                      Edit
                    </Button>
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
      <Dialog
        opened={editing !== null}
        onClose={() => setEditing(null)}
        title={editing === "new" ? "New location" : "Edit location"}
      >
        {editing !== null && (
          <Fields
            place={editing === "new" ? null : editing}
            next={rows.reduce((most, l) => Math.max(most, l.priority), 0) + 1}
            onClose={() => setEditing(null)}
          />
        )}
      </Dialog>
    </>
  );
}

function position(place: Location): string {
  if (typeof place.latitude !== "number" || typeof place.longitude !== "number") return "–";
  return `${place.latitude.toFixed(3)}, ${place.longitude.toFixed(3)}`;
}

function Fields({ place, next, onClose }: { place: Location | null; next: number; onClose: () => void }) {
  const [code, setCode] = useState(place?.code ?? "");
  const [name, setName] = useState(place?.name ?? "");
  const [priority, setPriority] = useState<number | string>(place?.priority ?? next);
  const [latitude, setLatitude] = useState<number | string>(place?.latitude ?? "");
  const [longitude, setLongitude] = useState<number | string>(place?.longitude ?? "");
  const sound = /^[A-Za-z0-9._-]{1,64}$/.test(code) && name.trim() !== "" && typeof priority === "number";
  const save = useMutation({
    mutationFn: () => {
      const where =
        typeof latitude === "number" && typeof longitude === "number" ? { latitude, longitude } : {};
      const body = { code, name: name.trim(), priority: Number(priority), ...where };
      return decided((headers) =>
        place
          ? PUT("/v1/locations/{code}", { headers, params: { path: { code } }, body })
          : POST("/v1/locations", { headers, body }),
      );
    },
    onSuccess: (answer) => {
      void queryClient.invalidateQueries({ queryKey: ["locations"] });
      onClose();
      tellDecided(answer, place ? "Location changed" : "Location added", name.trim());
    },
  });
  const errors = fieldErrors(save.error);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (sound) save.mutate();
      }}
    >
      <Stack gap="sm">
        {save.error && (
          <Alert color="red" role="alert">
            {explain(save.error)}
          </Alert>
        )}
        <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
          <TextInput
            label="Name"
            value={name}
            onChange={(e) => setName(e.currentTarget.value)}
            error={errors.name}
            maxLength={200}
            data-autofocus
          />
          <TextInput
            label="Code"
            value={code}
            onChange={(e) => setCode(e.currentTarget.value)}
            error={errors.code}
            disabled={place !== null}
            maxLength={64}
          />
          <NumberInput
            label="Priority"
            value={priority}
            onChange={setPriority}
            error={errors.priority}
            min={0}
            max={1_000_000}
          />
          <span />
          <NumberInput
            label="Latitude"
            value={latitude}
            onChange={setLatitude}
            error={errors.latitude}
            min={-90}
            max={90}
            allowDecimal
            hideControls
            placeholder="Optional"
          />
          <NumberInput
            label="Longitude"
            value={longitude}
            onChange={setLongitude}
            error={errors.longitude}
            min={-180}
            max={180}
            allowDecimal
            hideControls
            placeholder="Optional"
          />
        </SimpleGrid>
        <Group justify="flex-end" mt="xs">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" disabled={!sound} loading={save.isPending}>
            {place ? "Save" : "Add location"}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
