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

pub async fn of_two_who_replace_the_same_note_one_does(lab: &dyn Lab) {
    let notes = furnished(lab).await.notes;
    let replace = |body, was| notes.replace_note(note("instance/a", body, 1), was);
    assert!(!replace("1", Some("0")).await.expect("read"), "there is none");
    let both = futures_util::future::join(replace("1", None), replace("2", None)).await;
    let (one, other) = (both.0.expect("written"), both.1.expect("written"));
    assert_ne!(one, other, "a place that is free is taken once");
    let first = if one { "1" } else { "2" };
    assert!(!replace("3", Some("0")).await.expect("read"));
    assert!(replace("3", Some(first)).await.expect("written"));
    assert!(!replace("4", Some(first)).await.expect("read"));
    assert_eq!(notes.note("instance/a").await.expect("read"), Some(note("instance/a", "3", 1)));
}

pub async fn old_notes_under_a_prefix_are_pruned(lab: &dyn Lab) {
    let notes = furnished(lab).await.notes;
    let written = [("import/a", 1), ("import/b", 3), ("import/ä", 1), ("imports", 1), ("health", 1)];
    notes.put_notes(written.iter().map(|(name, at)| note(name, "0", *at)).collect()).await.expect("written");
    notes.prune_notes("import/", at(3)).await.expect("pruned");
    let left = notes.notes("", None, 9).await.expect("read");
    let left: Vec<&str> = left.iter().map(|note| note.name.as_str()).collect();
    assert_eq!(left, ["health", "import/b", "imports"]);
}
