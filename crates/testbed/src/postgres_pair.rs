//! A primary with a synchronous streaming standby: a commit is answered when both have it on disk, so that the standby can
//! be promoted without losing any.

use std::time::Duration;

use crate::error::Result;
use crate::eventually;
use crate::postgres::{OWNER, Postgres, PostgresBuilder, Site};

const STANDBY_NAME: &str = "standby";
const STREAM_WAIT_MAX: Duration = Duration::from_secs(60);
const PROMOTE_WAIT_MAX: Duration = Duration::from_secs(60);

pub struct PostgresPair {
    primary: Postgres,
    standby: Postgres,
}

impl PostgresPair {
    /// # Errors
    /// When one of them does not start, or they do not reach synchronous streaming.
    pub async fn start() -> Result<Self> {
        Self::start_with(Postgres::builder()).await
    }

    /// With settings that both get.
    ///
    /// # Errors
    /// As [`PostgresPair::start`].
    pub async fn start_with(builder: PostgresBuilder) -> Result<Self> {
        let primary = builder.clone().start().await?;
        let standby = standby_of(&primary, builder).await?;
        let pair = Self { primary, standby };
        pair.synchronize().await?;
        Ok(pair)
    }

    /// The one that was the primary at the start, also after [`PostgresPair::promote`].
    pub fn primary(&self) -> &Postgres {
        &self.primary
    }

    pub fn standby(&self) -> &Postgres {
        &self.standby
    }

    /// Both hosts in one URL; a client that asks for `read-write` finds the primary, whichever it is.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://{OWNER}@127.0.0.1:{},127.0.0.1:{}/{database}?target_session_attrs=read-write",
            self.primary.port(),
            self.standby.port()
        )
    }

    /// Makes the standby the primary; returns when it takes writes. The old primary is left as it is: kill it first, as
    /// two of them would accept writes.
    ///
    /// # Errors
    /// When the standby is not running, or has not taken over after a minute.
    pub async fn promote(&self) -> Result<()> {
        let seconds = PROMOTE_WAIT_MAX.as_secs();
        self.standby.sql("postgres", &format!("SELECT pg_promote(true, {seconds})")).await?;
        eventually("the standby to take writes", PROMOTE_WAIT_MAX, || async {
            self.standby.sql("postgres", "SELECT pg_is_in_recovery()").await.is_ok_and(|answer| answer == "f")
        })
        .await
    }

    /// After a promotion: throws the old primary away and makes a new synchronous standby from the new primary.
    ///
    /// # Errors
    /// As [`PostgresPair::start`].
    pub async fn renew(self) -> Result<Self> {
        self.renew_with(Postgres::builder()).await
    }

    /// As [`PostgresPair::renew`], with settings for the new standby.
    ///
    /// # Errors
    /// As [`PostgresPair::start`].
    pub async fn renew_with(self, builder: PostgresBuilder) -> Result<Self> {
        let Self { primary, standby } = self;
        drop(primary);
        let pair = Self { standby: standby_of(&standby, builder).await?, primary: standby };
        pair.synchronize().await?;
        Ok(pair)
    }

    /// Only now, with a standby there, may the primary wait for it; the standby's own settings do not ask for one, so that
    /// it can be promoted alone.
    async fn synchronize(&self) -> Result<()> {
        for statement in [
            &format!("ALTER SYSTEM SET synchronous_standby_names = '{STANDBY_NAME}'"),
            "SELECT pg_reload_conf()",
        ] {
            self.primary.sql("postgres", statement).await?;
        }
        let state = "SELECT state || ' ' || sync_state FROM pg_stat_replication";
        eventually("synchronous streaming to the standby", STREAM_WAIT_MAX, || async {
            self.primary.sql("postgres", state).await.is_ok_and(|rows| rows == "streaming sync")
        })
        .await
    }
}

async fn standby_of(primary: &Postgres, builder: PostgresBuilder) -> Result<Postgres> {
    let site = Site::new("standby")?;
    let source =
        format!("host=127.0.0.1 port={} user={OWNER} application_name={STANDBY_NAME}", primary.port());
    let data = site.data();
    // -R makes it a standby of that source; without a sync of the copy, which the server's own recovery does not need.
    site.run("pg_basebackup", &["-D", &data, "-d", &source, "-R", "-X", "stream", "-c", "fast", "--no-sync"])
        .await?;
    builder.start_on(site, "ready to accept read-only connections").await
}
