//! The operating system's lock on a data folder: one `serve` at a time, and the second one is told who has it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, bail};

const FILE: &str = "holdfast.lock";

/// Holds the folder until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock or says who holds it.
pub fn take(folder: &Path) -> anyhow::Result<Lock> {
    std::fs::create_dir_all(folder).with_context(|| format!("data: {} cannot be made", folder.display()))?;
    let path = folder.join(FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("data: {} cannot be opened", path.display()))?;
    match file.try_lock() {
        Ok(()) => {
            write(&mut file, &format!("process {}", std::process::id()))?;
            Ok(Lock { _file: file })
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            drop(file.read_to_string(&mut holder));
            let holder = if holder.trim().is_empty() { "another process" } else { holder.trim() };
            bail!("data: {} is already served by {holder}", folder.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("data: {} cannot be locked", path.display()))
        }
    }
}

/// Tells the next one who holds the lock.
pub fn note(folder: &Path, holder: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().write(true).open(folder.join(FILE))?;
    write(&mut file, holder)
}

fn write(file: &mut File, holder: &str) -> anyhow::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{holder}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_second_one_is_told_who_has_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = super::take(folder.path()).expect("it is free");
        super::note(folder.path(), "process 7 on http://here").expect("noted");
        let error = super::take(folder.path()).expect_err("it is taken").to_string();
        assert!(error.contains("process 7 on http://here"), "{error}");
        drop(first);
        super::take(folder.path()).expect("it is free again");
    }
}
