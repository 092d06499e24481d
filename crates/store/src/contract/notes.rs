//! Notes: the newest under a name counts, and lists go by prefix.

use super::{Lab, at, furnished};
use crate::notes::Note;

fn note(name: &str, body: &str, seconds: i64) -> Note {
    Note { name: name.to_owned(), body: body.to_owned(), at: at(seconds) }
}

pub async fn the_newest_note_under_a_name_counts(lab: &dyn Lab) {
    let notes = furnished(lab).await.notes;
    notes.put_notes(vec![note("health", "{}", 1), note("instance/a", "1", 1)]).await.expect("written");
    notes.put_notes(vec![note("health", "[]", 2)]).await.expect("written");
    assert_eq!(notes.note("health").await.expect("read"), Some(note("health", "[]", 2)));
    assert_eq!(notes.note("wealth").await.expect("read"), None);
    assert!(notes.delete_note("health").await.expect("deleted"));
    assert!(!notes.delete_note("health").await.expect("it was gone"));
    assert_eq!(notes.note("health").await.expect("read"), None);
}

pub async fn notes_are_listed_by_prefix_in_pages(lab: &dyn Lab) {
    let notes = furnished(lab).await.notes;
    let names = ["dead/1", "instance/a", "instance/b", "instance/ä", "instances", "other"];
    notes.put_notes(names.iter().map(|name| note(name, "0", 1)).collect()).await.expect("written");
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = notes.notes("instance/", after.as_deref(), 2).await.expect("read");
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        found.extend(page.into_iter().map(|note| note.name));
    }
    assert_eq!(found, ["instance/a", "instance/b", "instance/ä"]);
}
