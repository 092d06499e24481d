//! Where commands gather while envelopes are on their way: bounded, and shut while the broker takes nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::replies::{Parts, refuse};
use crate::{ENVELOPE_COMMANDS_MAX, NotTaken, Reply};

/// Commands that wait in one room at most.
const WAITING_COMMANDS_MAX: usize = 16_384;
/// Bytes that they take at most.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Bytes in one envelope at most, unless one caller alone brings more.
const ENVELOPE_BYTES_MAX: usize = 1 << 20;

/// This part of the commands that are under way has to gather before another envelope leaves: each envelope is one of a
/// few that the broker, the database and the callers work on at the same time. With few under way nobody waits.
const SHARE_OF_UNDER_WAY: usize = 3;
/// So many commands are worth an envelope whatever is under way.
const WORTHWHILE_COMMANDS: usize = 256;
/// No command waits longer for others: those that are under way may not be decided for a long time.
const GATHERING_WAIT_MAX: Duration = Duration::from_millis(5);

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
    /// When the first of those who wait came in, or was left behind by an envelope.
    since: Instant,
    shut: Option<NotTaken>,
}

/// Whether an envelope is to leave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gathered {
    Nothing,
    Enough,
    /// At this time, if not enough come before it.
    EnoughAt(Instant),
}

/// The waiting room of one command queue.
pub(super) struct Room {
    inside: Mutex<Inside>,
    /// Commands that have left and are not decided yet.
    under_way: AtomicUsize,
    arrived: Notify,
}

/// Commands of one envelope between leaving and being decided, or given up.
pub(super) struct UnderWay {
    room: Arc<Room>,
    commands: usize,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.room.under_way.fetch_sub(self.commands, Ordering::Relaxed);
        self.room.arrived.notify_one();
    }
}

/// An envelope ready to travel.
pub(super) struct Packed {
    pub body: Vec<u8>,
    pub routing_key: &'static str,
    pub parts: Parts,
    pub under_way: UnderWay,
}

impl Room {
    pub fn new() -> Self {
        let shut = Some(NotTaken::Unavailable("there is no connection to the broker yet".to_owned()));
        let inside = Inside { groups: VecDeque::new(), commands: 0, bytes: 0, since: Instant::now(), shut };
        Self { inside: Mutex::new(inside), under_way: AtomicUsize::new(0), arrived: Notify::new() }
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
        let is_first = inside.groups.is_empty();
        if is_first {
            inside.since = Instant::now();
        }
        (inside.commands, inside.bytes) = (commands, bytes);
        inside.groups.push_back(Group { text, routing_key, count, waiter });
        drop(inside);
        // Whoever sends is only woken when there is something to do: for the first, to look at the time.
        if is_first || self.is_enough(commands) {
            self.arrived.notify_one();
        }
        Ok(outcomes)
    }

    fn is_enough(&self, commands: usize) -> bool {
        commands >= WORTHWHILE_COMMANDS
            || commands * SHARE_OF_UNDER_WAY >= self.under_way.load(Ordering::Relaxed)
    }

    /// Whether it is time for an envelope.
    pub fn gathered(&self) -> Gathered {
        let inside = self.lock();
        let is_shut = inside.shut.is_some();
        let enough_at = inside.since + GATHERING_WAIT_MAX;
        match inside.commands {
            0 => Gathered::Nothing,
            commands if is_shut || self.is_enough(commands) || enough_at <= Instant::now() => {
                Gathered::Enough
            }
            _few => Gathered::EnoughAt(enough_at),
        }
    }

    /// Returns when it may be time for an envelope that was not before.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes as many as fit into one envelope, in their order.
    pub fn pack(self: &Arc<Self>) -> Option<Packed> {
        let mut inside = self.lock();
        let routing_key = inside.groups.front()?.routing_key;
        let (mut body, mut parts) = (vec![b'['], Vec::new());
        let mut commands = 0;
        while let Some(group) = inside.groups.front() {
            let fits = commands + group.count <= ENVELOPE_COMMANDS_MAX
                && body.len() + group.text.len() <= ENVELOPE_BYTES_MAX;
            if commands > 0 && !fits {
                break;
            }
            let Some(group) = inside.groups.pop_front() else { break };
            inside.commands -= group.count;
            inside.bytes -= group.text.len();
            if commands > 0 {
                body.push(b',');
            }
            commands += group.count;
            body.extend_from_slice(&group.text);
            parts.push((group.count, group.waiter));
        }
        body.push(b']');
        inside.since = Instant::now();
        self.under_way.fetch_add(commands, Ordering::Relaxed);
        Some(Packed { body, routing_key, parts, under_way: UnderWay { room: Arc::clone(self), commands } })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn open_room() -> Arc<Room> {
        let room = Arc::new(Room::new());
        room.open();
        room
    }

    fn enter(room: &Room, commands: usize) -> oneshot::Receiver<Reply> {
        room.enter(b"{}".to_vec(), "order.place", commands).expect("it is let in")
    }

    #[test]
    fn an_envelope_is_a_third_of_what_is_under_way_and_nobody_waits_for_nothing() {
        let room = open_room();
        assert_eq!(room.gathered(), Gathered::Nothing);
        let _first = enter(&room, 90);
        assert_eq!(room.gathered(), Gathered::Enough, "nothing is under way");
        let ninety = room.pack().expect("one envelope");
        assert_eq!(room.gathered(), Gathered::Nothing);

        let _second = enter(&room, 29);
        assert!(matches!(room.gathered(), Gathered::EnoughAt(_)));
        let _third = enter(&room, 1);
        assert_eq!(room.gathered(), Gathered::Enough);
        let thirty = room.pack().expect("one envelope");

        let _fourth = enter(&room, 10);
        assert!(matches!(room.gathered(), Gathered::EnoughAt(_)), "120 are under way");
        drop(ninety);
        assert_eq!(room.gathered(), Gathered::Enough, "30 are under way");
        drop((thirty, room.pack()));
        assert_eq!(room.under_way.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn many_leave_whatever_is_under_way_and_few_after_a_while() {
        let room = open_room();
        let _first = enter(&room, 10_000);
        let _under_way = room.pack();
        let _second = enter(&room, WORTHWHILE_COMMANDS);
        assert_eq!(room.gathered(), Gathered::Enough);
        let _under_way_too = room.pack();
        let _third = enter(&room, 1);
        let Gathered::EnoughAt(time) = room.gathered() else { panic!("one is few") };
        std::thread::sleep(time.saturating_duration_since(Instant::now()));
        assert_eq!(room.gathered(), Gathered::Enough);
    }

    #[test]
    fn what_waits_at_the_last_call_leaves_at_once() {
        let room = open_room();
        let _first = enter(&room, 100);
        let _under_way = room.pack();
        let _second = enter(&room, 1);
        room.last_call();
        assert_eq!(room.gathered(), Gathered::Enough);
        assert!(room.enter(b"{}".to_vec(), "order.place", 1).is_err());
    }
}
