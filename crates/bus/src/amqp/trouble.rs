//! Trouble with the broker, in one clear line that names the setting; and whether it may heal by itself.

use lapin::{Error, ErrorKind};

use super::Settings;

/// Why the broker cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// A wrong setting: trying again does not help.
    #[error("{0}")]
    Fatal(String),
    /// The broker is away, starting, or not set up yet: trying again may help.
    #[error("{0}")]
    MayHeal(String),
}

// Reply codes of AMQP 0-9-1, section 1.2 of its XML, and of RabbitMQ.
const CONNECTION_FORCED: u16 = 320;
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const RESOURCE_LOCKED: u16 = 405;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

impl Trouble {
    pub fn may_heal(&self) -> bool {
        match self {
            Trouble::Fatal(_) => false,
            Trouble::MayHeal(_) => true,
        }
    }

    pub(super) fn connecting(settings: &Settings, error: &Error) -> Self {
        let place = settings.place();
        let Some((code, text)) = protocol_error(error) else {
            return Trouble::MayHeal(format!("broker: {place} cannot be reached: {}", plain(error)));
        };
        match code {
            ACCESS_REFUSED => Trouble::Fatal(format!(
                "broker: {place} refuses the user {:?}: the name or the password in the URL is wrong",
                settings.user()
            )),
            NOT_ALLOWED if text.contains("not found") => Trouble::Fatal(format!(
                "broker: {place} has no vhost {:?}; the part of the URL behind the port names it",
                settings.uri.vhost
            )),
            NOT_ALLOWED => Trouble::Fatal(format!(
                "broker: the user {:?} has no permissions for the vhost {:?} of {place}",
                settings.user(),
                settings.uri.vhost
            )),
            _ => Trouble::MayHeal(format!("broker: {place} ends the connection: {text}")),
        }
    }

    /// Trouble with declaring `what`.
    pub(super) fn declaring(settings: &Settings, what: &str, error: &Error) -> Self {
        let place = settings.place();
        match protocol_error(error) {
            Some((PRECONDITION_FAILED, text)) => Trouble::Fatal(format!(
                "broker: {what} exists on {place} with other properties: delete it there, or use another vhost ({text})"
            )),
            Some((ACCESS_REFUSED, text)) => Trouble::Fatal(format!(
                "broker: the user {:?} lacks a permission on {place} for {what} ({text})",
                settings.user()
            )),
            Some((NOT_FOUND, _)) => Trouble::MayHeal(format!(
                "broker: {what} does not exist on {place} yet, and the user {:?} may not create it: start a worker first",
                settings.user()
            )),
            Some((_, text)) => Trouble::MayHeal(format!("broker: {place} cannot declare {what} now: {text}")),
            None => {
                Trouble::MayHeal(format!("broker: {what} could not be declared on {place}: {}", plain(error)))
            }
        }
    }
}

/// Code and text of what the broker itself said.
pub(super) fn protocol_error(error: &Error) -> Option<(u16, String)> {
    match error.kind() {
        ErrorKind::ProtocolError(said) => Some((said.get_id(), said.get_message().to_string())),
        _ => None,
    }
}

pub(super) fn is_refused(error: &Error) -> bool {
    protocol_error(error).is_some_and(|(code, _)| code == ACCESS_REFUSED)
}

/// Whether another connection has the queue for itself.
pub(super) fn is_locked(error: &Error) -> bool {
    protocol_error(error).is_some_and(|(code, _)| code == RESOURCE_LOCKED)
}

/// The error without the client library's words around it.
pub(super) fn plain(error: &Error) -> String {
    match error.kind() {
        ErrorKind::IOError(io) => io.to_string(),
        ErrorKind::ProtocolError(said) if said.get_id() == CONNECTION_FORCED => {
            "the broker is stopping".to_owned()
        }
        ErrorKind::ProtocolError(said) => said.get_message().to_string(),
        ErrorKind::MissingHeartbeatError => "the connection went silent".to_owned(),
        _ => error.to_string(),
    }
}
