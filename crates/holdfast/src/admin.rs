//! The commands that work on a database from the command line, beside a running server or without one.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use holdfast_domain::{Actor, Position, Role};
use holdfast_store::Database;
use holdfast_store::accounts::{Account, ApiKey, Change};
use uuid::Uuid;

use crate::config::{self, DataSettings, DatabaseUrl};
use crate::connect::{open_as_it_is, open_database};
use crate::gateway::auth;
use crate::{clock, import as csv_import, verify as books};

/// Opens a database for those who do not want a new one.
async fn open_existing(settings: &DataSettings) -> anyhow::Result<Database> {
    if let DatabaseUrl::Sqlite(path) = &settings.database
        && !path.exists()
    {
        bail!("database: there is none at {}", path.display());
    }
    open_as_it_is(settings).await
}

/// The file of an SQLite database; others have tools of their own.
fn sqlite_file(settings: &DataSettings) -> anyhow::Result<&Path> {
    match &settings.database {
        DatabaseUrl::Sqlite(path) => Ok(path),
        DatabaseUrl::Postgres { .. } => {
            bail!("database: back up and restore PostgreSQL with pg_dump, pg_basebackup or its replicas")
        }
    }
}

/// Proves the books and prints the figures.
pub async fn verify(settings: &DataSettings, expect: Option<&str>) -> anyhow::Result<()> {
    let expect = expect.map(parse_expected).transpose()?;
    let database = open_existing(settings).await?;
    let report = books::verify(&database, expect).await?;
    println!("{report}");
    Ok(())
}

fn parse_expected(text: &str) -> anyhow::Result<(Position, [u8; 32])> {
    let wrong = || anyhow::anyhow!("expect: {text:?} is not POSITION:HASH");
    let (position, hash) = text.split_once(':').ok_or_else(wrong)?;
    let position: Position = position.parse().map_err(|_| wrong())?;
    if hash.len() != 64 || !hash.is_ascii() {
        return Err(wrong());
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hash[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
    }
    Ok((position, bytes))
}

/// Loads a CSV file with a progress bar; every bad row is one line on standard error.
pub async fn import(settings: &DataSettings, file: &Path, dry_run: bool) -> anyhow::Result<()> {
    let database = open_as_it_is(settings).await?;
    let imported = csv_import::from_command_line(&database, file, dry_run, Actor::system()).await;
    database.store.close().await;
    imported
}

/// Writes everything as CSV to standard output.
pub async fn export(settings: &DataSettings) -> anyhow::Result<()> {
    let database = open_existing(settings).await?;
    let snapshot = database.reads.snapshot().await?;
    let out = std::io::BufWriter::new(std::io::stdout().lock());
    csv_import::export(out, snapshot.skus.into_iter())?;
    Ok(())
}

pub async fn backup(settings: &DataSettings, file: &Path) -> anyhow::Result<()> {
    if file.exists() {
        bail!("{} exists already; a backup goes into a new file", file.display());
    }
    sqlite_file(settings)?;
    let database = open_existing(settings).await?;
    database.store.backup(file).await?;
    let copy = Database::open_sqlite(file).await?;
    let head = copy.store.head().await?;
    copy.store.close().await;
    println!("{} holds everything up to position {}", file.display(), head.position);
    Ok(())
}

pub async fn restore(settings: &DataSettings, file: &Path) -> anyhow::Result<()> {
    if !file.exists() {
        bail!("there is no backup at {}", file.display());
    }
    let target = sqlite_file(settings)?;
    let _lock = crate::lock::take(&settings.data)?;
    if target.exists() {
        bail!("database: {} exists already; move it away before restoring", target.display());
    }
    // SQLite would take what they hold for the latest changes of the restored one.
    for beside in ["-wal", "-shm", "-journal"].map(|suffix| beside(target, suffix)) {
        if beside.exists() {
            bail!("database: {} belongs to another database; move it away, too", beside.display());
        }
    }
    let part = target.with_extension("restoring");
    if std::fs::canonicalize(file).ok() == std::fs::canonicalize(&part).ok() {
        bail!("{} is what an earlier restore left; name the backup itself", file.display());
    }
    remove_database(&part);
    std::fs::copy(file, &part).with_context(|| format!("{} cannot be copied", file.display()))?;
    let checked = async {
        let database = Database::open_sqlite(&part).await?;
        let report = books::verify(&database, None).await?;
        database.store.close().await;
        drop(database);
        anyhow::Ok(report)
    };
    let report = match checked.await {
        Ok(report) => report,
        Err(error) => {
            remove_database(&part);
            return Err(error.context("the backup does not verify; nothing was restored"));
        }
    };
    std::fs::File::open(&part)?.sync_all()?;
    std::fs::rename(&part, target)?;
    if let Some(folder) = target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::File::open(folder)?.sync_all()?;
    }
    println!("{report}");
    Ok(())
}

/// A file that SQLite keeps beside a database.
fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a database and what SQLite keeps beside it, as far as they are there.
fn remove_database(database: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        drop(std::fs::remove_file(beside(database, suffix)));
    }
}

pub async fn migrate(settings: &DataSettings) -> anyhow::Result<()> {
    let database = open_database(settings).await?;
    let head = database.store.head().await?;
    println!("the {} database is at this version; its log ends at position {}", database.name, head.position);
    Ok(())
}

pub async fn add_account(settings: &DataSettings, name: &str, role: Role) -> anyhow::Result<()> {
    auth::check_username(name).map_err(|why| anyhow::anyhow!("{why}"))?;
    let password = password()?;
    auth::check_password(&password, name).map_err(|why| anyhow::anyhow!("{why}"))?;
    let account = Account {
        id: Uuid::now_v7(),
        username: name.to_owned(),
        role,
        disabled: false,
        password_hash: auth::hash_password(password).await?,
        created_at: clock::now(),
    };
    let database = open_as_it_is(settings).await?;
    match database.accounts.add_account(account, None).await? {
        Change::Done(()) => println!("{name} may sign in as {}", role.as_str()),
        Change::NameTaken => bail!("the name {name} is taken"),
        Change::NotFound | Change::Replayed(_) => {
            unreachable!("a new account without a key is added or taken")
        }
    }
    Ok(())
}

pub async fn add_api_key(settings: &DataSettings, name: &str, role: Role) -> anyhow::Result<()> {
    auth::check_username(name).map_err(|why| anyhow::anyhow!("{why}"))?;
    let secret = auth::new_api_key();
    let key = ApiKey {
        id: Uuid::now_v7(),
        name: name.to_owned(),
        role,
        hash: auth::hash_secret(&secret),
        created_at: clock::now(),
    };
    let database = open_as_it_is(settings).await?;
    match database.accounts.add_api_key(key, None).await? {
        Change::Done(()) => println!("{secret}"),
        Change::NameTaken => bail!("there is an API key {name} already"),
        Change::NotFound | Change::Replayed(_) => unreachable!("a new key is added or taken"),
    }
    Ok(())
}

/// From the environment, the terminal (asked twice, not shown), or the first line of standard input.
fn password() -> anyhow::Result<String> {
    if let Some(password) = config::password_from_environment() {
        return Ok(password);
    }
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let first = ask("Password: ")?;
    if ask("Again: ")? != first {
        bail!("the two passwords differ");
    }
    Ok(first)
}

/// Asks on the terminal without showing what is typed.
fn ask(question: &str) -> anyhow::Result<String> {
    print!("{question}");
    std::io::stdout().flush()?;
    let echo = |word: &str| std::process::Command::new("stty").arg(word).status();
    drop(echo("-echo"));
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    drop(echo("echo"));
    println!();
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
