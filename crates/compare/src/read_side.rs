//! The read model and its search, compiled from the binary's own sources: a binary has no library to import.

#[path = "../../holdfast/src/follow/paging.rs"]
pub mod paging;
#[path = "../../holdfast/src/follow/read_model.rs"]
pub mod read_model;
#[expect(clippy::len_without_is_empty, reason = "in the binary nobody outside sees it, and nobody asks")]
#[path = "../../holdfast/src/follow/search.rs"]
pub mod search;
#[path = "../../holdfast/src/follow/words.rs"]
mod words;
