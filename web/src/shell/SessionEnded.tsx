/** Over a page whose session has ended. The page itself stays: signing in again goes on where it was. */
import { Button, getDefaultZIndex, Text } from "@mantine/core";
import { SignInForm } from "../account/SignInForm";
import { becomeAccount, useSession, useSignIn } from "../api/session";
import { Dialog } from "./Dialog";

export function SessionEnded() {
  const { me, ended } = useSession();
  const signIn = useSignIn();
  const leave = () => {
    signIn.reset();
    becomeAccount(null);
  };
  return (
    <Dialog
      opened={ended}
      onClose={leave}
      title="Your session has ended"
      size="sm"
      // Above whatever is being filled in.
      zIndex={getDefaultZIndex("overlay")}
      withCloseButton={false}
      closeOnClickOutside={false}
      closeOnEscape={false}
    >
      <Text size="sm" c="dimmed" mb="md">
        Sign in again to continue where you were. What you have filled in is still there.
      </Text>
      <SignInForm signIn={signIn} username={me?.username} />
      <Button variant="subtle" fullWidth mt="xs" onClick={leave}>
        Continue signed out
      </Button>
    </Dialog>
  );
}
