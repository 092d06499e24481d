//! What the bus is told.

use std::collections::BTreeMap;
use std::fmt;

use holdfast_domain::Role;
use lapin::types::ShortString;
use lapin::uri::AMQPUri;
use uuid::Uuid;

use super::Trouble;

/// Envelopes that a worker may have without having settled them.
pub const PREFETCH: u16 = 32;
/// Seconds between signs of life, unless the URL says otherwise; after two to three times that long in silence a
/// connection is lost.
const HEARTBEAT_SECONDS: u16 = 4;
/// Characters of the instance's name that are shown on the broker.
const INSTANCE_CHARS_MAX: usize = 60;

#[derive(Clone)]
pub struct Settings {
    pub(super) uri: AMQPUri,
    gateway_user: Option<String>,
    /// What users of the broker may do beyond placing orders and holds.
    pub amqp_roles: BTreeMap<String, Role>,
    pub(super) instance: String,
    /// The instance, and something that no other process has.
    pub(super) unique_name: String,
    pub prefetch: u16,
}

impl Settings {
    /// Reads `amqp://USER:PASSWORD@HOST:PORT/VHOST` (or `amqps`); `instance` names this process on the broker.
    ///
    /// # Errors
    /// Says what is wrong with it, without the password.
    pub fn new(url: &str, instance: &str) -> Result<Self, Trouble> {
        let wrong = |why: &str| {
            Trouble::Fatal(format!("broker: {why}; a URL is amqp://USER:PASSWORD@HOST:PORT/VHOST"))
        };
        if !url.starts_with("amqp://") && !url.starts_with("amqps://") {
            return Err(wrong("its URL must begin with amqp:// or amqps://"));
        }
        let mut uri: AMQPUri = url.parse().map_err(|error: String| wrong(&error))?;
        if uri.authority.userinfo.username.len() > 255 || uri.vhost.len() > 255 {
            return Err(wrong("a user or a vhost has at most 255 bytes"));
        }
        // "amqp://host:5672" and "amqp://host:5672/" both mean the default vhost.
        if uri.vhost.is_empty() {
            uri.vhost = "/".to_owned();
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let instance: String =
            instance.chars().filter(|c| !c.is_control()).take(INSTANCE_CHARS_MAX).collect();
        let unique_name = format!("{instance}.{}", Uuid::new_v4().simple());
        Ok(Self {
            uri,
            gateway_user: None,
            amqp_roles: BTreeMap::new(),
            instance,
            unique_name,
            prefetch: PREFETCH,
        })
    }

    /// The one user that may speak for accounts; without, the URL's own.
    #[must_use]
    pub fn with_gateway_user(mut self, user: Option<String>) -> Self {
        self.gateway_user = user;
        self
    }

    #[must_use]
    pub fn with_amqp_roles(mut self, roles: BTreeMap<String, Role>) -> Self {
        self.amqp_roles = roles;
        self
    }

    pub(super) fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    pub(super) fn user_id(&self) -> ShortString {
        self.user().into()
    }

    pub(super) fn gateway_user(&self) -> &str {
        self.gateway_user.as_deref().unwrap_or(self.user())
    }

    /// Host and port.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("place", &self.place())
            .field("user", &self.user())
            .field("vhost", &self.uri.vhost)
            .finish_non_exhaustive()
    }
}
