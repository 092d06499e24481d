//! One fixed piece of work for each part of the order lane, to be counted by callgrind: fixed seeds, one thread, no time.
//! `workload SECTION` does what the section needs first, and then calls a function whose name begins with `counted_`
//! once: only what happens inside that is counted. `workload` alone names the sections.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use holdfast_bus::amqp::measure;
use holdfast_compare::fixture;
use holdfast_compare::read_side::read_model::ReadModel;
use holdfast_compare::read_side::search::ItemQuery;
use holdfast_domain::{Command, Decided, Ledger, Outcome, Position, Recorded, decide_batch};
use holdfast_store::plan::{self, Plan};
use holdfast_store::{Committed, decode_events, encode_events};

/// The product's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SKUS: usize = 1_000;
const ORDERS: usize = 1_000;
const LINES: usize = 2;
const SEARCHES: usize = 50;

type Section = (&'static str, fn());

const SECTIONS: [Section; 9] = [
    ("decide_batch", decide),
    ("plan", plan),
    ("encode_events", encode_log),
    ("decode_events", decode_log),
    ("encode_envelope", encode_envelope),
    ("decode_envelope", decode_envelope),
    ("encode_and_decode_reply", reply),
    ("read_model_apply", apply),
    ("read_model_search", search),
];

fn main() -> ExitCode {
    let Some(wanted) = std::env::args().nth(1) else {
        SECTIONS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    match SECTIONS.iter().find(|(name, _)| *name == wanted) {
        Some((_, run)) => {
            run();
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("there is no section {wanted}");
            ExitCode::FAILURE
        }
    }
}

fn orders() -> Vec<Command> {
    fixture::orders(7, ORDERS, LINES, SKUS)
}

fn decided() -> (Vec<Recorded>, Vec<Outcome>, Position) {
    fixture::decided(SKUS, &orders())
}

fn decide() {
    let (mut ledger, head) = fixture::shop(SKUS);
    let commands = orders();
    fixture::load(&mut ledger, &commands);
    black_box(counted_decide(&mut ledger, head, &commands));
}

#[inline(never)]
fn counted_decide(ledger: &mut Ledger, head: Position, commands: &[Command]) -> Decided {
    decide_batch(ledger, head, commands)
}

fn plan() {
    let (mut ledger, head) = fixture::shop(SKUS);
    let commands = orders();
    fixture::load(&mut ledger, &commands);
    black_box(counted_plan(&mut ledger, head, &commands));
}

#[inline(never)]
fn counted_plan(ledger: &mut Ledger, head: Position, commands: &[Command]) -> Plan {
    black_box((plan::keys(commands), plan::outcome_keys(commands)));
    plan::plan(ledger, head, commands, Vec::new())
}

fn encode_log() {
    let (events, _, _) = decided();
    black_box(counted_encode_log(&events));
}

#[inline(never)]
fn counted_encode_log(events: &[Recorded]) -> Vec<u8> {
    encode_events(events)
}

fn decode_log() {
    let (events, _, _) = decided();
    let payload = encode_events(&events);
    assert_eq!(counted_decode_log(&payload), events, "what was written is read");
}

#[inline(never)]
fn counted_decode_log(payload: &[u8]) -> Vec<Recorded> {
    decode_events(payload).expect("it was just encoded")
}

fn encode_envelope() {
    let commands = orders();
    black_box(counted_encode_envelope(&commands));
}

#[inline(never)]
fn counted_encode_envelope(commands: &[Command]) -> Vec<u8> {
    measure::encode(commands)
}

fn decode_envelope() {
    let commands = orders();
    let envelope = measure::encode(&commands);
    assert_eq!(counted_decode_envelope(&envelope), commands, "what was written is read");
}

#[inline(never)]
fn counted_decode_envelope(envelope: &[u8]) -> Vec<Command> {
    measure::decode(envelope)
}

fn reply() {
    let (_, outcomes, _) = decided();
    assert_eq!(counted_reply(outcomes).len(), ORDERS, "each order has its outcome");
}

#[inline(never)]
fn counted_reply(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let reply = measure::encode_reply(outcomes);
    measure::decode_reply(&reply).expect("it was just encoded")
}

fn read_model() -> Arc<ReadModel> {
    let model = ReadModel::new();
    model.load(fixture::snapshot(SKUS));
    model
}

fn apply() {
    let model = read_model();
    let (events, _, head) = decided();
    let batch = fixture::committed(head, events);
    counted_apply(&model, &batch);
    assert_eq!(model.position(), batch.last);
}

#[inline(never)]
fn counted_apply(model: &ReadModel, batch: &Committed) {
    model.apply(batch);
}

fn search() {
    let model = read_model();
    let queries = fixture::queries(11, SEARCHES);
    assert!(counted_search(&model, &queries) > 0, "something is found");
}

#[inline(never)]
fn counted_search(model: &ReadModel, queries: &[ItemQuery]) -> usize {
    let mut found = 0;
    for query in queries {
        found += model.search(query).total;
    }
    found
}
