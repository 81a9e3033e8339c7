//! Housekeeping by the clock: expired uploads, stray files of uploads, tokens that are long over, old audit entries.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use crate::ask::{AskError, Handle};
use crate::auth_cache::{AuthCache, Purge};
use crate::beginning;
use crate::clock::Clock;
use crate::db::Db;
use crate::db::queries::audit::PurgeAudit;
use crate::domain::Timestamp;
use crate::gc::Pace;
use crate::upload::{Sweep, Swept, UploadError, Uploads};

/// How often it looks.
pub(super) const INTERVAL: Duration = Duration::from_secs(60);
/// Audit entries forgotten in one write.
const PURGE: usize = 100;
/// How often it says how far that is.
const PROGRESS: Duration = Duration::from_secs(10);

/// What it looks after.
#[derive(Debug, Clone)]
pub struct Housekeeping {
    /// Who owns uploads and their files.
    pub uploads: Handle<Uploads>,
    /// Who knows tokens.
    pub auth: Handle<AuthCache>,
    /// The time.
    pub clock: Clock,
    /// How long an upload may rest.
    pub upload_expiry: Duration,
    /// The database.
    pub db: Db,
    /// By how much longer content is kept than was promised.
    pub spare: Duration,
    /// How long audit entries are kept; for ever when there is none.
    pub audit_keep: Option<Duration>,
}

impl Housekeeping {
    pub(super) fn clean(&self) -> BoxFuture<'static, Result<Swept, AskError<UploadError>>> {
        let idle_since = self.clock.now().before(self.upload_expiry).before(self.db.lag().longest());
        let (swept, purged) =
            (self.uploads.ask(Sweep { idle_since, take_strays: false }), self.auth.ask(Purge));
        let (db, clock, spare) = (self.db.clone(), self.clock.clone(), self.spare);
        Box::pin(async move {
            beginning::note(&db, &clock, spare).await;
            if let Err(error) = purged.await {
                log::warn!("lapsed tokens stay for now: {error}");
            }
            let swept = swept.await?;
            if swept.expired + swept.strays > 0 {
                log::info!(
                    "removed {} expired uploads and {} stray upload files",
                    swept.expired,
                    swept.strays
                );
            }
            Ok(swept)
        })
    }

    /// Forgets old audit entries, beside everything else: there may be millions when somebody has just set how long they
    /// are kept. `None` where they are kept for ever.
    pub(super) fn forget(&self) -> Option<BoxFuture<'static, ()>> {
        let before = self.clock.now().before(self.audit_keep?);
        let db = self.db.clone();
        Some(Box::pin(async move {
            let forgotten = forget_old_entries(&db, before).await;
            if forgotten > 0 {
                log::info!("forgot {forgotten} audit entries from before {before}");
            }
        }))
    }
}

/// Forgets them in small writes, and rests between them, so that none holds the others up.
async fn forget_old_entries(db: &Db, before: Timestamp) -> usize {
    let (mut pace, mut forgotten, mut told) = (Pace::Polite.walk(), 0, Instant::now());
    loop {
        pace.turn().await;
        match db.write(PurgeAudit { before, limit: PURGE }).await {
            Ok(PURGE) => forgotten += PURGE,
            Ok(last) => return forgotten + last,
            Err(error) => {
                log::warn!("old audit entries stay for now: {error}");
                return forgotten;
            }
        }
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            log::info!("forgetting audit entries from before {before}: {forgotten} so far");
        }
    }
}
