/** What happened, said once, at the edge of the screen and to screen readers. */
import { notifications } from "@mantine/notifications";
import { IconAlertTriangle, IconCheck, IconInfoCircle } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { explain, PendingError } from "../api/problem";

export function tellDone(title: string, message?: ReactNode) {
  notifications.show({
    title,
    message: message ?? "",
    color: "tide",
    icon: <IconCheck size={18} />,
    role: "status",
  });
}

export function tellInfo(title: string, message?: ReactNode) {
  notifications.show({
    title,
    message: message ?? "",
    color: "gray",
    icon: <IconInfoCircle size={18} />,
    role: "status",
  });
}

/** What became of a command: done, or (`null`) taken and not decided yet. */
export function tellDecided(
  answer: unknown,
  title: string,
  message?: ReactNode,
  meanwhile = "It shows here as soon as it is done.",
) {
  if (answer === null) tellInfo("Received; it is being decided", meanwhile);
  else tellDone(title, message);
}

export function tellError(title: string, error: unknown) {
  if (error instanceof PendingError) return tellInfo(title, error.message);
  notifications.show({
    title,
    message: explain(error),
    color: "red",
    icon: <IconAlertTriangle size={18} />,
    autoClose: 10_000,
    role: "alert",
  });
}
