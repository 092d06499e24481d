//! Keeps the read model of this process at the end of the log.

use std::sync::Arc;

use holdfast_store::{Committed, Reads};
use tokio::sync::{broadcast, watch};

use super::read_model::ReadModel;
use super::tail::{Tail, patiently};

/// Loads the model, then applies what arrives until `shutdown` becomes true. What was missed is read from the log, a
/// second later at the latest.
pub async fn run(
    model: Arc<ReadModel>,
    reads: Arc<dyn Reads>,
    wake: broadcast::Receiver<Arc<Committed>>,
    mut shutdown: watch::Receiver<bool>,
) {
    let Some(snapshot) = patiently("the read model", &mut shutdown, || reads.snapshot()).await else {
        return;
    };
    let position = snapshot.position;
    model.load(snapshot);
    tracing::info!(%position, items = model.summary().items, "the read model is loaded");
    let mut tail = Tail::new("the read model", position, reads, wake, shutdown);
    while let Some(committed) = tail.next().await {
        model.apply(&committed);
    }
}
