//! A disk of a few megabytes that can be filled to the last byte and emptied again. Mounting needs root.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Doing, Result, Trouble};
use crate::folder::Folder;
use crate::postgres::give_to_server;

/// A file system of its own; unmounted when dropped. Servers that write to it have to end before.
pub struct TinyDisk {
    folder: Folder,
}

impl TinyDisk {
    /// A tmpfs that PostgreSQL's account may write to.
    ///
    /// # Errors
    /// When this process may not mount: it is not root, or its container forbids it.
    pub fn mount(megabytes: u32) -> Result<Self> {
        let disk = Self { folder: Folder::new("disk")? };
        fs::create_dir(disk.mount_point()).doing(|| "creating a mount point".to_owned())?;
        let options = format!("size={megabytes}m,mode=700");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "holdfast"]).arg(disk.mount_point()))?;
        fs::create_dir(disk.path()).doing(|| "creating a folder on the disk".to_owned())?;
        for path in [disk.mount_point(), disk.path()] {
            give_to_server(&path)?;
        }
        Ok(disk)
    }

    fn mount_point(&self) -> PathBuf {
        // The name is known to watchdog.sh.
        self.folder.path().join("mount")
    }

    /// An empty folder on it.
    pub fn path(&self) -> PathBuf {
        self.mount_point().join("data")
    }

    fn filler(&self) -> PathBuf {
        self.mount_point().join("filler")
    }

    /// Leaves no byte free.
    ///
    /// # Errors
    /// When it cannot be written for another reason than that it is full.
    pub fn fill(&self) -> Result<()> {
        let mut file = File::create(self.filler()).doing(|| "creating the filler".to_owned())?;
        // In pages, as the file system counts them.
        let page = [0_u8; 4096];
        loop {
            match file.write_all(&page) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                error => return error.doing(|| "filling the disk".to_owned()),
            }
        }
    }

    /// Makes room again.
    ///
    /// # Errors
    /// When it was not filled.
    pub fn free(&self) -> Result<()> {
        fs::remove_file(self.filler()).doing(|| "removing the filler".to_owned())
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        unmount(&self.mount_point());
    }
}

fn unmount(at: &Path) {
    // One that was never mounted is as good. Lazily, should somebody still have a file open.
    let _ = Command::new("umount").arg("--lazy").arg(at).output();
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().doing(|| "running mount".to_owned())?;
    if output.status.success() {
        return Ok(());
    }
    Err(Trouble::Command {
        command: format!("{command:?}"),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
