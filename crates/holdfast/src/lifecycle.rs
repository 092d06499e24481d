//! Starting and stopping: shutdown follows the data. First nothing new is accepted, then what was accepted is
//! decided, then the followers end. A task that fails ends the process: whoever supervises it starts it again.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long each stage may take when stopping; together less than the 10 s that are promised.
const ACCEPT_STAGE_MAX: Duration = Duration::from_secs(5);
const WORK_STAGE_MAX: Duration = Duration::from_secs(3);
const FOLLOW_STAGE_MAX: Duration = Duration::from_secs(1);

/// Waits until it is told to stop (or nobody is left who could tell).
pub async fn told(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

type Ended = (&'static str, anyhow::Result<()>);

struct Stage {
    tasks: JoinSet<Ended>,
    stop: watch::Sender<bool>,
}

impl Stage {
    fn new() -> Self {
        Self { tasks: JoinSet::new(), stop: watch::Sender::new(false) }
    }

    fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.tasks.spawn(async move { (name, task.await) });
    }

    /// Tells its tasks to end and waits for them, but not for ever.
    async fn end(&mut self, what: &str, patience: Duration) {
        self.stop.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!(what, "some tasks did not end in time");
            self.tasks.abort_all();
        }
    }
}

/// The tasks of this process in the order in which they end.
pub struct Tasks {
    accept: Stage,
    work: Stage,
    follow: Stage,
    terminate: Signal,
    interrupt: Signal,
}

impl Tasks {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            accept: Stage::new(),
            work: Stage::new(),
            follow: Stage::new(),
            terminate: signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?,
        })
    }

    /// Becomes true when nothing new is to be accepted.
    pub fn accepting(&self) -> watch::Receiver<bool> {
        self.accept.stop.subscribe()
    }

    /// Becomes true when no more work will come: what waits is to be finished.
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.work.stop.subscribe()
    }

    /// Becomes true when all work is done.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.follow.stop.subscribe()
    }

    pub fn accept(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.accept.spawn(name, task);
    }

    pub fn work(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.work.spawn(name, task);
    }

    /// Followers have nothing to fail at: what they cannot read now they read later.
    pub fn follow(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.follow.spawn(name, async move {
            task.await;
            Ok(())
        });
    }

    /// Runs until a signal, or until a task ends by itself, which is a failure.
    pub async fn run_until_stopped(mut self) -> anyhow::Result<()> {
        let ended = tokio::select! {
            _ = self.terminate.recv() => None,
            _ = self.interrupt.recv() => None,
            Some(ended) = self.accept.tasks.join_next() => Some(ended),
            Some(ended) = self.work.tasks.join_next() => Some(ended),
            Some(ended) = self.follow.tasks.join_next() => Some(ended),
        };
        tracing::info!("stopping");
        self.accept.end("accept", ACCEPT_STAGE_MAX).await;
        self.work.end("work", WORK_STAGE_MAX).await;
        self.follow.end("follow", FOLLOW_STAGE_MAX).await;
        match ended {
            None => Ok(()),
            Some(Ok((name, Ok(())))) => Err(anyhow!("task {name} ended without being told to")),
            Some(Ok((name, Err(error)))) => Err(error.context(format!("task {name} failed"))),
            Some(Err(panicked)) => Err(anyhow!("a task panicked: {panicked}")),
        }
    }
}
