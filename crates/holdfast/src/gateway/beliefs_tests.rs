use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::yield_now;
use tokio::time::advance;

use super::*;

const KEY: Hash = [7; 32];
const MILLI: Duration = Duration::from_millis(1);

/// A database that answers when it is let, with the number of the question.
struct Slow {
    beliefs: Beliefs<u32>,
    asked: AtomicU32,
    let_go: Semaphore,
}

impl Slow {
    fn new() -> Arc<Self> {
        Arc::new(Self { beliefs: Beliefs::new(), asked: AtomicU32::new(0), let_go: Semaphore::new(0) })
    }

    async fn who(self: &Arc<Self>) -> Option<u32> {
        let here = self.clone();
        let ask = || async move {
            let number = here.asked.fetch_add(1, Ordering::Relaxed) + 1;
            here.let_go.acquire().await.expect("open").forget();
            Ok(Some(number))
        };
        self.beliefs.of(KEY, ask).await.expect("an answer")
    }

    fn begin(self: &Arc<Self>) -> tokio::task::JoinHandle<Option<u32>> {
        let here = self.clone();
        tokio::spawn(async move { here.who().await })
    }

    fn answer(&self) {
        self.let_go.add_permits(1);
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Everything that can go on has gone on.
    async fn settle(&self) {
        for _ in 0..100 {
            yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_asks_once_and_all_hear_the_answer() {
    let slow = Slow::new();
    let crowd: Vec<_> = (0..1_000).map(|_| slow.begin()).collect();
    slow.settle().await;
    slow.answer();
    for told in join_all(crowd).await {
        assert_eq!(told.expect("no panic"), Some(1));
    }
    assert_eq!(slow.asked(), 1);
    // And again when the answer has become too old.
    advance(BELIEVED).await;
    let crowd: Vec<_> = (0..1_000).map(|_| slow.begin()).collect();
    slow.settle().await;
    slow.answer();
    for told in join_all(crowd).await {
        assert_eq!(told.expect("no panic"), Some(2));
    }
    assert_eq!(slow.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_is_busy_never_waits_again() {
    let slow = Slow::new();
    slow.answer();
    assert_eq!(slow.who().await, Some(1));
    advance(FRESH - MILLI).await;
    assert_eq!((slow.who().await, slow.asked()), (Some(1), 1));
    advance(MILLI).await;
    // Asked again, and told at once what is still believed.
    assert_eq!(slow.who().await, Some(1));
    assert_eq!(slow.who().await, Some(1));
    slow.settle().await;
    assert_eq!(slow.asked(), 2);
    slow.answer();
    slow.settle().await;
    assert_eq!((slow.who().await, slow.asked()), (Some(2), 2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_counts_from_when_the_database_was_asked() {
    let slow = Slow::new();
    let first = slow.begin();
    slow.settle().await;
    advance(BELIEVED - MILLI).await;
    slow.answer();
    assert_eq!(first.await.expect("no panic"), Some(1));
    assert_eq!(slow.who().await, Some(1), "for one more millisecond");
    advance(MILLI).await;
    slow.answer();
    slow.answer();
    assert_eq!(slow.who().await.map(|number| number > 1), Some(true), "no longer");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_too_old_is_not_joined() {
    let slow = Slow::new();
    let first = slow.begin();
    slow.settle().await;
    advance(BELIEVED).await;
    let second = slow.begin();
    slow.settle().await;
    assert_eq!(slow.asked(), 2);
    slow.answer();
    slow.answer();
    assert_eq!((first.await.expect("no panic"), second.await.expect("no panic")), (Some(1), Some(2)));
    assert_eq!(
        (slow.who().await, slow.asked()),
        (Some(2), 2),
        "the newer answer is the one that is believed"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_before_it_was_forgotten_is_not_believed_after() {
    for all in [false, true] {
        let slow = Slow::new();
        let first = slow.begin();
        slow.settle().await;
        if all {
            slow.beliefs.forget_all(|_| false)
        } else {
            slow.beliefs.forget(&KEY)
        }
        slow.answer();
        assert_eq!(first.await.expect("no panic"), Some(1));
        slow.answer();
        assert_eq!(slow.who().await, Some(2));
        slow.beliefs.forget_all(|number| *number == 1);
        assert_eq!((slow.who().await, slow.asked()), (Some(2), 2), "somebody else stays");
        slow.beliefs.forget_all(|number| *number == 2);
        slow.answer();
        assert_eq!(slow.who().await, Some(3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_goes_on_without_the_one_who_began_it() {
    let slow = Slow::new();
    let first = slow.begin();
    slow.settle().await;
    let second = slow.begin();
    slow.settle().await;
    first.abort();
    assert!(first.await.is_err());
    slow.answer();
    assert_eq!(second.await.expect("no panic"), Some(1));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_not_believed_and_a_failure_changes_nothing() {
    let beliefs = Beliefs::new();
    let trouble = || Problem::unavailable("database_unavailable", "It is away.");
    assert!(beliefs.of(KEY, || async move { Err::<Option<u32>, _>(trouble()) }).await.is_err());
    assert_eq!(beliefs.of(KEY, || async { Ok(None) }).await.expect("an answer"), None);
    assert!(locked(&beliefs.entries).is_empty(), "nothing is left of either");
    assert_eq!(beliefs.of(KEY, || async { Ok(Some(5)) }).await.expect("an answer"), Some(5));
    advance(FRESH).await;
    let (told, hears) = oneshot::channel();
    let failing = || async move {
        told.send(()).expect("heard");
        Err(trouble())
    };
    assert_eq!(beliefs.of(KEY, failing).await.expect("believed"), Some(5));
    hears.await.expect("it was asked");
    yield_now().await;
    let again = beliefs.of(KEY, || async { Ok(Some(6)) }).await.expect("believed");
    assert_eq!(again, 5.into(), "what was believed is");
    yield_now().await;
    assert_eq!(beliefs.of(KEY, || async { Ok(None) }).await.expect("believed"), Some(6));
    advance(FRESH).await;
    // A revocation: told at once what is believed, and from then on that there is nobody.
    assert_eq!(beliefs.of(KEY, || async { Ok(None) }).await.expect("believed"), Some(6));
    yield_now().await;
    assert_eq!(beliefs.of(KEY, || async { Ok(None) }).await.expect("an answer"), None);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_remembered_than_there_is_room_for() {
    let beliefs = Beliefs::new();
    let key = |number: usize| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    };
    for number in 0..ENTRIES_MAX + 10 {
        assert_eq!(
            beliefs.of(key(number), || async move { Ok(Some(number)) }).await.expect("told"),
            Some(number)
        );
        assert!(locked(&beliefs.entries).len() <= ENTRIES_MAX);
    }
}
