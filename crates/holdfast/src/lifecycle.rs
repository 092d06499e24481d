//! Starting and stopping: shutdown follows the data. First nothing new is accepted, then what was accepted is
//! decided, then the followers end. A task that fails ends the process: whoever supervises it starts it again.

use std::future::Future;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long a process may take to stop, of the 10 s that are promised, and each of its stages.
const STOP_MAX: Duration = Duration::from_millis(9_500);
const ACCEPT_STAGE_MAX: Duration = Duration::from_secs(5);
const WORK_STAGE_MAX: Duration = Duration::from_secs(3);
const FOLLOW_STAGE_MAX: Duration = Duration::from_secs(1);

/// Waits until it is told to stop (or nobody is left who could tell).
pub async fn told(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// How a process came to stop, and by when it has to be gone.
pub struct Stopped {
    pub ended: anyhow::Result<()>,
    pub deadline: Instant,
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

    /// On a thread of its own: it does not queue with thousands of requests for its turn.
    fn spawn_apart(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) -> anyhow::Result<()> {
        let (mut end, ended) = oneshot::channel();
        let runtime = Handle::current();
        let body = move || {
            runtime.block_on(async move {
                let result = tokio::select! {
                    result = task => result,
                    // Nobody waits for it any more.
                    () = end.closed() => return,
                };
                drop(end.send(result));
            });
        };
        thread::Builder::new().name(name.to_owned()).spawn(body).context("a thread cannot be started")?;
        self.spawn(name, async move { ended.await.unwrap_or_else(|_| Err(anyhow!("it panicked"))) });
        Ok(())
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

    /// Work that many requests wait for.
    pub fn work_apart(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) -> anyhow::Result<()> {
        self.work.spawn_apart(name, task)
    }

    /// Followers have nothing to fail at: what they cannot read now they read later.
    pub fn follow(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.follow.spawn(name, async move {
            task.await;
            Ok(())
        });
    }

    /// A follower that requests wait for: what they read shall not be old because there are many of them.
    pub fn follow_apart(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        self.follow.spawn_apart(name, async move {
            task.await;
            Ok(())
        })
    }

    /// For what takes its time at the start; `None`: the process was told to stop meanwhile.
    pub async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            _ = self.terminate.recv() => None,
            _ = self.interrupt.recv() => None,
        }
    }

    /// Runs until a signal, or until a task ends by itself, which is a failure.
    pub async fn run_until_stopped(mut self) -> Stopped {
        let ended = tokio::select! {
            _ = self.terminate.recv() => None,
            _ = self.interrupt.recv() => None,
            Some(ended) = self.accept.tasks.join_next() => Some(ended),
            Some(ended) = self.work.tasks.join_next() => Some(ended),
            Some(ended) = self.follow.tasks.join_next() => Some(ended),
        };
        tracing::info!("stopping");
        let deadline = Instant::now() + STOP_MAX;
        self.accept.end("accept", ACCEPT_STAGE_MAX).await;
        self.work.end("work", WORK_STAGE_MAX).await;
        self.follow.end("follow", FOLLOW_STAGE_MAX).await;
        let ended = match ended {
            None => Ok(()),
            Some(Ok((name, Ok(())))) => Err(anyhow!("task {name} ended without being told to")),
            Some(Ok((name, Err(error)))) => Err(error.context(format!("task {name} failed"))),
            Some(Err(panicked)) => Err(anyhow!("a task panicked: {panicked}")),
        };
        Stopped { ended, deadline }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_on_a_thread_of_its_own_ends_the_process() {
        let mut tasks = Tasks::new().expect("signals can be caught");
        tasks.work_apart("orders", async { panic!("on purpose") }).expect("it starts");
        let error = tasks.run_until_stopped().await.ended.expect_err("it failed");
        assert_eq!(format!("{error:#}"), "task orders failed: it panicked");
    }

    #[tokio::test]
    async fn what_does_not_end_in_time_is_dropped_also_on_a_thread_of_its_own() {
        let mut stage = Stage::new();
        let (held, dropped) = oneshot::channel::<()>();
        let stuck = async move {
            let _held = held;
            std::future::pending().await
        };
        stage.spawn_apart("stuck", stuck).expect("it starts");
        stage.end("test", Duration::from_millis(20)).await;
        let gone = tokio::time::timeout(Duration::from_secs(10), dropped).await;
        gone.expect("the task is dropped").expect_err("and nothing was sent");
    }
}
