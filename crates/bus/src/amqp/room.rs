//! Where commands gather while an envelope is on its way: bounded, and shut while the broker takes nothing.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::{Notify, oneshot};

use super::replies::{Parts, refuse};
use crate::{ENVELOPE_COMMANDS_MAX, NotTaken, Reply};

/// Commands that wait in one room at most.
const WAITING_COMMANDS_MAX: usize = 16_384;
/// Bytes that they take at most.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Bytes in one envelope at most, unless one caller alone brings more.
const ENVELOPE_BYTES_MAX: usize = 1 << 20;

/// Commands of one caller, already in the form in which they travel.
struct Group {
    text: Vec<u8>,
    routing_key: &'static str,
    count: usize,
    waiter: oneshot::Sender<Reply>,
}

struct Inside {
    groups: VecDeque<Group>,
    commands: usize,
    bytes: usize,
    shut: Option<NotTaken>,
}

/// The waiting room of one command queue.
pub(super) struct Room {
    inside: Mutex<Inside>,
    arrived: Notify,
}

/// An envelope ready to travel.
pub(super) struct Packed {
    pub body: Vec<u8>,
    pub routing_key: &'static str,
    pub parts: Parts,
}

impl Room {
    pub fn new() -> Self {
        let shut = Some(NotTaken::Unavailable("there is no connection to the broker yet".to_owned()));
        let inside = Inside { groups: VecDeque::new(), commands: 0, bytes: 0, shut };
        Self { inside: Mutex::new(inside), arrived: Notify::new() }
    }

    /// Lets commands in, or says at once why not.
    pub fn enter(
        &self,
        text: Vec<u8>,
        routing_key: &'static str,
        count: usize,
    ) -> Result<oneshot::Receiver<Reply>, NotTaken> {
        let (waiter, outcomes) = oneshot::channel();
        let mut inside = self.lock();
        if let Some(why) = &inside.shut {
            return Err(why.clone());
        }
        let (commands, bytes) = (inside.commands + count, inside.bytes + text.len());
        if commands > WAITING_COMMANDS_MAX || bytes > WAITING_BYTES_MAX {
            return Err(NotTaken::Overloaded);
        }
        (inside.commands, inside.bytes) = (commands, bytes);
        inside.groups.push_back(Group { text, routing_key, count, waiter });
        drop(inside);
        self.arrived.notify_one();
        Ok(outcomes)
    }

    /// Returns when somebody came in since it was last asked.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes as many as fit into one envelope, in their order.
    pub fn pack(&self) -> Option<Packed> {
        let mut inside = self.lock();
        let routing_key = inside.groups.front()?.routing_key;
        let mut packed = Packed { body: vec![b'['], routing_key, parts: Vec::new() };
        let mut commands = 0;
        while let Some(group) = inside.groups.front() {
            let fits = commands + group.count <= ENVELOPE_COMMANDS_MAX
                && packed.body.len() + group.text.len() <= ENVELOPE_BYTES_MAX;
            if commands > 0 && !fits {
                break;
            }
            let Some(group) = inside.groups.pop_front() else { break };
            inside.commands -= group.count;
            inside.bytes -= group.text.len();
            if commands > 0 {
                packed.body.push(b',');
            }
            commands += group.count;
            packed.body.extend_from_slice(&group.text);
            packed.parts.push((group.count, group.waiter));
        }
        packed.body.push(b']');
        Some(packed)
    }

    pub fn commands(&self) -> usize {
        self.lock().commands
    }

    pub fn groups(&self) -> usize {
        self.lock().groups.len()
    }

    pub fn open(&self) {
        self.lock().shut = None;
    }

    /// Lets nobody in any more, and sends away those who wait.
    pub fn shut(&self, why: &NotTaken) {
        let mut inside = self.lock();
        inside.shut = Some(why.clone());
        let groups = std::mem::take(&mut inside.groups);
        (inside.commands, inside.bytes) = (0, 0);
        drop(inside);
        refuse(groups.into_iter().map(|group| (group.count, group.waiter)).collect(), &why.clone().into());
    }

    /// Lets nobody in any more; those who wait still leave by envelope.
    pub fn last_call(&self) {
        self.lock().shut = Some(NotTaken::Stopping);
    }

    pub fn trouble(&self) -> Option<NotTaken> {
        self.lock().shut.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("nobody panics while holding it")
    }
}
