use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{advance, timeout};

use super::*;

const KEY: Hash = [7; 32];
const MILLI: Duration = Duration::from_millis(1);
/// On the paused clock.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A database that answers each question when it is let, with the question's number.
struct Slow {
    beliefs: Beliefs<u32>,
    asked: AtomicU32,
    gates: [Semaphore; 5],
}

impl Slow {
    fn new() -> Arc<Self> {
        let gates = std::array::from_fn(|_| Semaphore::new(0));
        Arc::new(Self { beliefs: Beliefs::new(), asked: AtomicU32::new(0), gates })
    }

    async fn who(self: &Arc<Self>) -> Option<u32> {
        let here = self.clone();
        let ask = || async move {
            let number = here.asked.fetch_add(1, Ordering::Relaxed) + 1;
            let gate = here.gates.get(number as usize).expect("no test asks so often");
            gate.acquire().await.expect("open").forget();
            Ok(Some(number))
        };
        timeout(WAIT_MAX, self.beliefs.of(KEY, ask)).await.expect("nobody waits for ever").expect("an answer")
    }

    fn begin(self: &Arc<Self>) -> JoinHandle<Option<u32>> {
        let here = self.clone();
        tokio::spawn(async move { here.who().await })
    }

    fn answer(&self, number: usize) {
        self.gates[number].add_permits(1);
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Everything that can go on has gone on.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

async fn told(waiting: JoinHandle<Option<u32>>) -> Option<u32> {
    waiting.await.expect("no panic")
}

#[tokio::test(start_paused = true)]
async fn a_crowd_asks_once_and_all_hear_the_answer() {
    let slow = Slow::new();
    for number in 1..=2 {
        let crowd: Vec<_> = (0..1_000).map(|_| slow.begin()).collect();
        settle().await;
        slow.answer(number as usize);
        for waiting in crowd {
            assert_eq!(told(waiting).await, Some(number));
        }
        assert_eq!(slow.asked(), number);
        // And again when the answer has become too old.
        advance(BELIEVED).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_busy_never_waits_again() {
    let slow = Slow::new();
    slow.answer(1);
    assert_eq!(slow.who().await, Some(1));
    advance(FRESH - MILLI).await;
    assert_eq!((slow.who().await, slow.asked()), (Some(1), 1));
    advance(MILLI).await;
    // Asked again, and told at once what is still believed.
    assert_eq!(slow.who().await, Some(1));
    assert_eq!(slow.who().await, Some(1));
    settle().await;
    assert_eq!(slow.asked(), 2);
    slow.answer(2);
    settle().await;
    assert_eq!((slow.who().await, slow.asked()), (Some(2), 2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_counts_from_when_the_database_was_asked() {
    let slow = Slow::new();
    let first = slow.begin();
    settle().await;
    advance(BELIEVED - MILLI).await;
    slow.answer(1);
    assert_eq!(told(first).await, Some(1));
    assert_eq!((slow.who().await, slow.asked()), (Some(1), 1), "for one more millisecond");
    slow.answer(2);
    advance(MILLI).await;
    assert_eq!((slow.who().await, slow.asked()), (Some(2), 2), "no longer");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_too_old_is_not_joined() {
    for in_order in [true, false] {
        let slow = Slow::new();
        let first = slow.begin();
        settle().await;
        advance(BELIEVED).await;
        let second = slow.begin();
        settle().await;
        assert_eq!(slow.asked(), 2);
        for number in if in_order { [1, 2] } else { [2, 1] } {
            slow.answer(number);
            settle().await;
        }
        assert_eq!((told(first).await, told(second).await), (Some(1), Some(2)));
        assert_eq!((slow.who().await, slow.asked()), (Some(2), 2), "the newer question's answer is believed");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_before_it_was_forgotten_is_not_believed_after() {
    for (all, in_order) in [(false, true), (false, false), (true, true), (true, false)] {
        let slow = Slow::new();
        let first = slow.begin();
        settle().await;
        if all {
            slow.beliefs.forget_all(|_| false)
        } else {
            slow.beliefs.forget(&KEY)
        }
        let second = slow.begin();
        settle().await;
        for number in if in_order { [1, 2] } else { [2, 1] } {
            slow.answer(number);
            settle().await;
        }
        assert_eq!((told(first).await, told(second).await), (Some(1), Some(2)));
        slow.beliefs.forget_all(|number| *number == 1);
        assert_eq!((slow.who().await, slow.asked()), (Some(2), 2), "somebody else stays");
        slow.beliefs.forget_all(|number| *number == 2);
        slow.answer(3);
        assert_eq!(slow.who().await, Some(3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_goes_on_without_the_one_who_began_it() {
    let slow = Slow::new();
    let first = slow.begin();
    settle().await;
    first.abort();
    assert!(first.await.is_err());
    slow.answer(1);
    settle().await;
    assert_eq!((slow.who().await, slow.asked()), (Some(1), 1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_for_all_who_wait() {
    let beliefs = Arc::new(Beliefs::<u32>::new());
    let ask = || async {
        yield_now().await;
        panic!("on purpose")
    };
    let crowd = join_all((0..10).map(|_| beliefs.of(KEY, ask)));
    for said in timeout(WAIT_MAX, crowd).await.expect("nobody waits for ever") {
        assert_eq!(said.expect_err("a problem").code, "internal_error");
    }
    assert_eq!(beliefs.of(KEY, || async { Ok(Some(3)) }).await.expect("an answer"), Some(3));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_not_believed_and_a_failure_changes_nothing() {
    let beliefs = Beliefs::new();
    let trouble = || Problem::unavailable("database_unavailable", "It is away.");
    assert!(beliefs.of(KEY, || async move { Err::<Option<u32>, _>(trouble()) }).await.is_err());
    assert_eq!(beliefs.of(KEY, || async { Ok(None) }).await.expect("an answer"), None);
    assert!(locked(&beliefs.all).entries.is_empty(), "nothing is left of either");
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
    let room = || locked(&beliefs.all).entries.len();
    // Anybody can have any number of questions asked; they do not drive out who is known.
    assert_eq!(beliefs.of(key(0), || async { Ok(Some(0)) }).await.expect("told"), Some(0));
    for number in 1..ENTRIES_MAX + 10 {
        assert!(beliefs.of(key(number), pending).now_or_never().is_none());
        assert!(room() <= ENTRIES_MAX);
    }
    assert_eq!(beliefs.of(key(0), || async { Ok(None) }).await.expect("believed"), Some(0));
    // Too many who are known.
    advance(BELIEVED).await;
    for number in 0..ENTRIES_MAX + 10 {
        let said = beliefs.of(key(number), || async move { Ok(Some(number)) }).await;
        assert_eq!(said.expect("told"), Some(number));
        assert!(room() <= ENTRIES_MAX);
    }
}
