//! Where Debian puts the servers, and which package brings a missing one.

use std::path::{Path, PathBuf};

use crate::error::{Result, Trouble};

/// Folders that hold programs of administrators, which an ordinary user's PATH leaves out.
const MORE_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Finds `program` in PATH and the system folders.
///
/// # Errors
/// [`Trouble::MissingProgram`], which says how to install it.
pub fn find_program(program: &str, package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(MORE_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| Trouble::MissingProgram { program: program.to_owned(), package: package.to_owned() })
}

/// Finds `program` in the highest version below a folder such as `/usr/lib/postgresql` (`…/15/bin/initdb`); Debian keeps
/// versions side by side there, and wraps or hides them in PATH. `inner` is the path within a version's folder.
pub(crate) fn find_versioned(base: &str, prefix: &str, inner: &str, package: &str) -> Result<PathBuf> {
    let mut versions: Vec<(Vec<u32>, PathBuf)> = std::fs::read_dir(base)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let version = folder.file_name()?.to_str()?.strip_prefix(prefix)?;
            let version = version.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>()?;
            Some((version, folder.join(inner)))
        })
        .filter(|(_, file)| file.is_file())
        .collect();
    versions.sort();
    versions.pop().map(|(_, file)| file).ok_or_else(|| Trouble::MissingProgram {
        program: Path::new(inner).file_name().unwrap_or_default().to_string_lossy().into_owned(),
        package: package.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_says_how_to_install_it() {
        let trouble = find_program("no-such-server-at-all", "no-such-package").unwrap_err();
        assert!(trouble.to_string().contains("apt-get install"), "{trouble}");
        assert!(trouble.to_string().contains("no-such-package"), "{trouble}");
    }

    #[test]
    fn the_highest_version_wins_and_9_is_below_15() {
        let base = tempfile::tempdir().unwrap();
        for version in ["9.6", "15", "15.old", "notes"] {
            let bin = base.path().join(version).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            std::fs::write(bin.join("tool"), "").unwrap();
        }
        let found = find_versioned(&base.path().to_string_lossy(), "", "bin/tool", "p").unwrap();
        assert_eq!(found, base.path().join("15/bin/tool"));
    }
}
