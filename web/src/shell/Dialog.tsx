/** A dialog: while it is open, nothing behind it can be reached, by mouse, keyboard or screen reader. */
import { Button, Group, Modal, type ModalProps, Text } from "@mantine/core";
import { type ReactNode, useEffect, useState } from "react";
import { explain } from "../api/problem";
import { useSession } from "../api/session";

let openDialogs = 0;

function useInertPage(opened: boolean) {
  useEffect(() => {
    if (!opened) return;
    const page = document.getElementById("root");
    openDialogs += 1;
    page?.setAttribute("inert", "");
    page?.setAttribute("aria-hidden", "true");
    return () => {
      openDialogs -= 1;
      if (openDialogs > 0) return;
      page?.removeAttribute("inert");
      page?.removeAttribute("aria-hidden");
    };
  }, [opened]);
}

export function Dialog(props: ModalProps) {
  useInertPage(props.opened);
  const { ended } = useSession();
  // The Escape key is not for what lies below the question who is there.
  return <Modal closeOnEscape={!ended} {...props} />;
}

type ConfirmProps = {
  opened: boolean;
  title: string;
  children: ReactNode;
  /** What the button that does it says. */
  action: string;
  keep?: string;
  onConfirm: () => Promise<unknown>;
  onClose: () => void;
};

/** Asks before something is taken away, and stays open with the reason if it cannot be done. */
export function ConfirmDialog({
  opened,
  title,
  children,
  action,
  keep = "Cancel",
  onConfirm,
  onClose,
}: ConfirmProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const close = () => {
    setError(null);
    onClose();
  };
  const confirm = async () => {
    setBusy(true);
    setError(null);
    try {
      await onConfirm();
      close();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog opened={opened} onClose={close} title={title} size="sm">
      <Text component="div" size="sm">
        {children}
      </Text>
      {error !== null && (
        <Text role="alert" size="sm" c="var(--bad)" mt="sm">
          {explain(error)}
        </Text>
      )}
      <Group justify="flex-end" mt="lg">
        <Button variant="default" onClick={close}>
          {keep}
        </Button>
        <Button color="red.9" onClick={confirm} loading={busy} data-autofocus>
          {action}
        </Button>
      </Group>
    </Dialog>
  );
}
