//! One timer for the deadlines of a connection. A timer of its own for each deadline of each request is put into the
//! runtime's wheel and taken out again, under a lock and for nothing, since nearly every request ends long before. This
//! one is left where it is when a deadline has become another: when it goes off too early it is set anew.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep};

/// Longer than anybody waits.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Wakes whoever asked last: the parts of a connection, which are one task and wait for one thing at a time.
#[derive(Debug)]
pub struct Alarm(Mutex<Pin<Box<Sleep>>>);

impl Alarm {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Box::pin(sleep(NEVER)))))
    }

    fn poll_until(&self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let mut sleep = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            // Whatever is waited for may have used up the task's turn: the deadline counts all the same.
            ready!(pin!(unconstrained(sleep.as_mut())).poll(context));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }

    /// What `future` comes to, if it does within that time.
    pub async fn within<F: Future>(&self, length: Duration, future: F) -> Option<F::Output> {
        let deadline = Instant::now() + length;
        let mut future = pin!(future);
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll_until(deadline, context).map(|()| None),
        })
        .await
    }
}

/// The alarm as the timer of a connection's heads.
pub struct HeadTimer(pub Arc<Alarm>);

impl hyper::rt::Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Until { alarm: self.0.clone(), deadline: deadline.into() })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }
}

struct Until {
    alarm: Arc<Alarm>,
    deadline: Instant,
}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll_until(self.deadline, context)
    }
}

impl hyper::rt::Sleep for Until {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::time::timeout;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long something takes on the paused clock.
    async fn took(future: impl Future) -> Duration {
        let started = Instant::now();
        future.await;
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_time_is_given_back() {
        let alarm = Alarm::new();
        assert_eq!(alarm.within(SECOND, async { 7 }).await, Some(7));
        let slow = async {
            sleep(SECOND / 2).await;
            8
        };
        assert_eq!(alarm.within(SECOND, slow).await, Some(8));
    }

    #[tokio::test(start_paused = true)]
    async fn each_deadline_is_kept_whatever_was_set_before() {
        let alarm = Alarm::new();
        for seconds in [10, 30, 1, 60, 2] {
            let waited =
                took(async { assert_eq!(alarm.within(SECOND * seconds, pending::<()>()).await, None) });
            let waited = waited.await.as_millis() as i64 - i64::from(seconds) * 1_000;
            assert!((0..=2).contains(&waited), "{seconds} s and {waited} ms");
        }
    }

    #[tokio::test]
    async fn who_is_always_busy_is_ended_too() {
        let alarm = Alarm::new();
        let started = Instant::now();
        let busy = async {
            while started.elapsed() < SECOND * 5 {
                tokio::task::coop::consume_budget().await;
            }
        };
        assert_eq!(alarm.within(SECOND / 20, busy).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_was_given_up_does_not_end_a_later_one() {
        let alarm = Alarm::new();
        for _ in 0..5 {
            // Sets the alarm to a second from now, and leaves.
            assert!(timeout(SECOND / 10, alarm.within(SECOND, pending::<()>())).await.is_err());
        }
        let waited = took(alarm.within(SECOND * 3, pending::<()>())).await;
        assert!(waited >= SECOND * 3 && waited < SECOND * 3 + SECOND / 100, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_within_another_ends_at_its_own_deadline() {
        let alarm = Alarm::new();
        let inner = async {
            let inner = took(alarm.within(SECOND, pending::<()>())).await;
            assert!(inner < SECOND * 2, "{inner:?}");
            pending::<()>().await;
        };
        let outer = took(alarm.within(SECOND * 5, inner)).await;
        assert!(outer >= SECOND * 5 && outer < SECOND * 6, "{outer:?}");
    }
}
