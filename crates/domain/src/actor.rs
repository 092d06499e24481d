//! Who asks: an account, a program on the broker, or Holdfast itself; and what each role may command.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::command::CommandBody;
use crate::outcome::Rejection;
use crate::values::Customer;

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Places and sees its own orders and holds.
    Customer,
    /// Places and reads orders and holds for any customer; reads stock.
    Service,
    /// Items, stock and order operations.
    Staff,
    /// Everything.
    Admin,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Customer, Role::Service, Role::Staff, Role::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Customer => "customer",
            Role::Service => "service",
            Role::Staff => "staff",
            Role::Admin => "admin",
        }
    }

    /// Staff, or more.
    pub fn is_staff(self) -> bool {
        matches!(self, Role::Staff | Role::Admin)
    }
}

impl std::str::FromStr for Role {
    type Err = crate::ValueError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Role::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| crate::ValueError("role must be admin, staff, customer or service".to_owned()))
    }
}

/// Who sent a command. `name` is the account's id, `amqp:USER`, or `system`; it appears in movements and events.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    pub name: SmolStr,
    pub role: Role,
}

impl Actor {
    pub fn new(name: impl AsRef<str>, role: Role) -> Self {
        Self { name: SmolStr::new(name), role }
    }

    /// Holdfast itself: expiry, demo data, imports from the command line.
    pub fn system() -> Self {
        Self::new("system", Role::Admin)
    }

    /// Whether this actor may see or cancel what belongs to `customer`: its own, or anybody's for the other roles.
    pub fn may_act_for(&self, customer: Option<&Customer>) -> bool {
        match self.role {
            Role::Customer => customer.is_some_and(|c| c.as_str() == self.name),
            Role::Service | Role::Staff | Role::Admin => true,
        }
    }

    /// Whether the role allows this kind of command at all; ownership is checked where the order or hold is known.
    pub fn may_command(&self, body: &CommandBody) -> Result<(), Rejection> {
        let allowed: &[Role] = match body {
            CommandBody::PlaceOrder(_)
            | CommandBody::PlaceHold(_)
            | CommandBody::ConfirmHold(_)
            | CommandBody::ExtendHold(_)
            | CommandBody::ReleaseHold(_) => &[Role::Customer, Role::Service, Role::Admin],
            CommandBody::CancelOrder(_) => &[Role::Customer, Role::Service, Role::Staff, Role::Admin],
            CommandBody::FulfilOrder(_)
            | CommandBody::ReturnOrder(_)
            | CommandBody::AddItem(_)
            | CommandBody::UpdateItem(_)
            | CommandBody::RemoveItem(_)
            | CommandBody::PutLocation(_)
            | CommandBody::ReceiveStock(_)
            | CommandBody::AdjustStock(_)
            | CommandBody::CountStock(_)
            | CommandBody::TransferStock(_)
            | CommandBody::MoveUnavailable(_)
            | CommandBody::ChangeIncoming(_)
            | CommandBody::SetLevels(_) => &[Role::Staff, Role::Admin],
            CommandBody::Sweep => &[Role::Admin],
        };
        if allowed.contains(&self.role) { Ok(()) } else { Err(Rejection::Forbidden) }
    }
}
