//! The encoding of envelopes and replies, opened for the micro-benchmarks: the very functions that publishers and workers
//! call, and no others should.

use holdfast_domain::{Actor, Command, Outcome, Role};

use super::envelope::{self, SlotReply, Speaker};
use super::replies;

/// An envelope as gateways send it.
pub fn encode(commands: &[Command]) -> Vec<u8> {
    [b"[".as_slice(), &envelope::write_commands(commands), b"]"].concat()
}

/// What a worker reads from a gateway's envelope.
pub fn decode(envelope: &[u8]) -> Vec<Command> {
    let speaker = Speaker { actor: Actor::new("amqp:gateway", Role::Service), is_gateway: true };
    envelope::read(envelope, None, &speaker).commands
}

/// A worker's reply to an envelope whose commands were all read.
pub fn encode_reply(outcomes: Vec<Outcome>) -> Vec<u8> {
    let slots: Vec<SlotReply> = outcomes.iter().map(|_| SlotReply::Decided).collect();
    envelope::write_reply(&slots, false, outcomes)
}

/// What a gateway reads from it; `None` if it is no reply.
pub fn decode_reply(reply: &[u8]) -> Option<Vec<Outcome>> {
    replies::read(reply)
}
