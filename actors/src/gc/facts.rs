//! Reads manifests and configs for what people look for, beside everything else: nobody waits for it, and what it does not get to
//! now it finds the next time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::pace::Pace;
use crate::ask::AskError;
use crate::blob_store::Layout;
use crate::db::queries::facts::{ListUnreadConfigs, NoteConfigs, NoteFacts, ReadFactless, UnreadConfig};
use crate::db::{Db, DbError};
use crate::domain::{ConfigFacts, Digest};
use crate::fs::Fs;
use crate::upload::read_start;

/// How often it looks.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);
/// How long it waits after a failure, which is told each time.
const AGAIN: Duration = Duration::from_secs(60);
/// Configs whose facts are stored in one write.
const CONFIGS: usize = 100;

/// Where blobs are.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// Their file system.
    pub(super) fs: Arc<dyn Fs>,
    /// Their places on it.
    pub(super) layout: Layout,
}

/// Why something is found out later.
#[derive(Debug, thiserror::Error)]
enum Postponed {
    /// The database did not do what it was asked for, or has no room for it.
    #[error(transparent)]
    Db(#[from] AskError<DbError>),
    /// A file cannot be read now.
    #[error("a config cannot be read: {0}")]
    File(io::Error),
}

/// Reads all that was not read yet.
pub(super) async fn describe(db: Db, files: Files) {
    let described = async {
        describe_manifests(&db).await?;
        describe_images(&db, &files).await
    };
    if let Err(error) = described.await {
        log::warn!("what manifests are is found out later: {error}");
        tokio::time::sleep(AGAIN).await;
    }
}

/// Those that were stored before there were facts.
async fn describe_manifests(db: &Db) -> Result<(), Postponed> {
    let (mut pace, mut described) = (Pace::Polite.walk(), 0);
    loop {
        pace.turn().await;
        let facts = db.read(ReadFactless).await?;
        if facts.is_empty() {
            break;
        }
        described += facts.len();
        pace.turn().await;
        db.write(NoteFacts(facts)).await?;
    }
    if described > 0 {
        log::info!("found out what {described} manifests are that were stored before");
    }
    Ok(())
}

/// Those whose config was not read yet. One that cannot be read now stays for the next time.
async fn describe_images(db: &Db, files: &Files) -> Result<(), Postponed> {
    let (mut pace, mut after, mut failed) = (Pace::Polite.walk(), 0, None);
    loop {
        pace.turn().await;
        let unread = db.read(ListUnreadConfigs { after, limit: CONFIGS }).await?;
        let Some(last) = unread.last() else { break };
        after = last.manifest;
        let files = files.clone();
        let read = actix_rt::task::spawn_blocking(move || read_all(&files, unread));
        // The thread ends with the program only.
        let Ok((read, error)) = read.await else { return Ok(()) };
        failed = failed.or(error);
        pace.turn().await;
        db.write(NoteConfigs(read)).await?;
    }
    failed.map_or(Ok(()), |error| Err(Postponed::File(error)))
}

/// What configs say, and why one of them could not be read.
fn read_all(
    files: &Files,
    unread: Vec<UnreadConfig>,
) -> (Vec<(UnreadConfig, ConfigFacts)>, Option<io::Error>) {
    let (mut read, mut failed) = (Vec::with_capacity(unread.len()), None);
    for config in unread {
        match facts(files, &config) {
            Ok(facts) => read.push((config, facts)),
            Err(error) => failed = Some(error),
        }
    }
    (read, failed)
}

/// What a config says; nothing when it is not here, or too long to be one.
fn facts(files: &Files, config: &UnreadConfig) -> io::Result<ConfigFacts> {
    let size = config.size.filter(|size| *size <= ConfigFacts::MAX_BYTES);
    let (Ok(digest), Some(size)) = (config.digest.parse(), size) else { return Ok(ConfigFacts::default()) };
    match read(files, digest, size) {
        Ok(body) => Ok(ConfigFacts::of(&body)),
        // It went with its last manifest, or is no longer what it was.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
            Ok(ConfigFacts::default())
        }
        Err(error) => Err(error),
    }
}

/// All bytes of a blob that has so many.
fn read(files: &Files, digest: Digest, size: u64) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    read_start(files.fs.as_ref(), &files.layout.path(&digest), size, |piece| {
        body.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(body)
}
