//! From a request to a decision: hands commands to the bus, waits for their outcomes, and knows what to say when
//! they do not come in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_bus::{NotTaken, Publisher, Reply, Undecided};
use holdfast_domain::{Command, CommandQueue, Outcome, Position};
use holdfast_store::{Database, Pending, StoreError};
use tokio::sync::oneshot;

use crate::clock;
use crate::gateway::alarm::Alarm;
use crate::gateway::answer::location_of;
use crate::gateway::problem::Problem;

/// How long a write waits for its decision before it is answered 202.
pub const DECISION_WAIT: Duration = Duration::from_secs(5);

/// The publishing ends of the command queues.
#[derive(Clone)]
pub struct Publishers {
    pub orders: Publisher,
    pub items: Publisher,
    pub stock: Publisher,
}

impl Publishers {
    pub fn of(&self, queue: CommandQueue) -> &Publisher {
        match queue {
            CommandQueue::Orders => &self.orders,
            CommandQueue::Items => &self.items,
            CommandQueue::Stock => &self.stock,
        }
    }
}

/// What came of a command within the time that a caller waits.
#[derive(Debug)]
pub enum Decision {
    Decided(Box<Outcome>),
    /// Durable, readable as pending, and will be decided.
    Pending,
}

#[derive(Clone)]
pub struct Dispatcher {
    publishers: Publishers,
    database: Database,
    /// The highest position that this gateway has answered with.
    answered: Arc<AtomicU64>,
}

impl Dispatcher {
    pub fn new(publishers: Publishers, database: Database) -> Self {
        Self { publishers, database, answered: Arc::default() }
    }

    /// The highest position that this gateway has answered a write with: reads through it had better show that.
    pub fn answered(&self) -> Position {
        Position(self.answered.load(Ordering::Relaxed))
    }

    pub fn publishers(&self) -> &Publishers {
        &self.publishers
    }

    /// Sends a command and waits for its decision; with `respond_async` only until it is durable, if it is new.
    pub async fn submit(
        &self,
        command: Command,
        respond_async: bool,
        alarm: &Alarm,
    ) -> Result<Decision, Problem> {
        let mut outcomes = self.submit_envelope(vec![command], respond_async, alarm).await?;
        Ok(match outcomes.as_mut().and_then(Vec::pop) {
            Some(outcome) => Decision::Decided(Box::new(outcome)),
            None => Decision::Pending,
        })
    }

    /// Sends commands of one queue together; `None`: all are pending.
    pub async fn submit_envelope(
        &self,
        commands: Vec<Command>,
        respond_async: bool,
        alarm: &Alarm,
    ) -> Result<Option<Vec<Outcome>>, Problem> {
        let queue = commands.first().map_or(CommandQueue::Orders, |command| command.body.queue());
        // What came before under one of these ids or keys has its answer already, or gets it now: that one is waited for.
        let may_leave = respond_async
            && match self.record_pending(&commands).await {
                Ok(new) => new == commands.len(),
                Err(trouble) if trouble.is_in_doubt() => {
                    tracing::warn!(%trouble, "nobody knows whether commands were recorded as pending");
                    return Err(in_doubt("the database did not answer", &commands));
                }
                Err(trouble) => return Err(trouble.into()),
            };
        let commands = Arc::new(commands);
        let published = self.publishers.of(queue).publish(commands.clone());
        let waiting = match (published, may_leave) {
            (Ok(waiting), false) => waiting,
            // It is durable: whether the queue took it now or the sweeper brings it again, it will be decided.
            (Ok(_) | Err(_), true) => return Ok(None),
            (Err(not_taken), false) => return self.not_taken(not_taken, respond_async, &commands).await,
        };
        match alarm.within(DECISION_WAIT, waiting).await {
            Some(Ok(Err(Undecided::NotTaken(not_taken)))) => {
                self.not_taken(not_taken, respond_async, &commands).await
            }
            Some(reply) => {
                let outcomes = settled(reply, &commands)?;
                if let Some(last) = outcomes.iter().map(|outcome| outcome.position.0).max() {
                    self.answered.fetch_max(last, Ordering::Relaxed);
                }
                Ok(Some(outcomes))
            }
            // The queue has it by now: if it cannot be recorded as pending, nobody here knows what becomes of it.
            None => match self.record_pending(&commands).await {
                Ok(_) => Ok(None),
                Err(trouble) => {
                    tracing::warn!(%trouble, "a command that waits for its decision could not be recorded as pending");
                    Err(in_doubt("it waits for its decision, and the database is out of reach", &commands))
                }
            },
        }
    }

    /// What is recorded as pending will be decided, whatever the queue says now.
    async fn not_taken(
        &self,
        why: NotTaken,
        may_be_pending: bool,
        commands: &[Command],
    ) -> Result<Option<Vec<Outcome>>, Problem> {
        let mut pending = 0;
        if may_be_pending {
            for command in commands {
                match self.database.reads.pending(command.id).await {
                    Ok(found) => pending += usize::from(found.is_some()),
                    Err(_trouble) => return Err(in_doubt("the database is out of reach", commands)),
                }
            }
        }
        match pending {
            0 => Err(why.into()),
            all if all == commands.len() => Ok(None),
            _some => Err(in_doubt("some of it is pending", commands)),
        }
    }

    /// Says how many are new.
    async fn record_pending(&self, commands: &[Command]) -> Result<usize, StoreError> {
        let since = clock::now();
        let pending = commands.iter().map(|command| Pending { command: command.clone(), since }).collect();
        self.database.store.add_pending(pending).await
    }
}

fn settled(
    reply: Result<Reply, oneshot::error::RecvError>,
    commands: &[Command],
) -> Result<Vec<Outcome>, Problem> {
    match reply {
        Ok(Ok(outcomes)) => Ok(outcomes),
        Ok(Err(Undecided::NotTaken(not_taken))) => Err(not_taken.into()),
        Ok(Err(Undecided::InDoubt(why))) => Err(in_doubt(&why, commands)),
        Err(_) => Err(in_doubt("its worker went away with it in its hands", commands)),
    }
}

fn in_doubt(why: &str, commands: &[Command]) -> Problem {
    match commands {
        [command] => Problem::outcome_unknown(why, Some((command.id, &location_of(command)))),
        _several => Problem::outcome_unknown(why, None),
    }
}
