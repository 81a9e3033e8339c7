//! What people look for in manifests: stored when they are pushed, and for what was stored before and for configs, in the
//! background.

use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::Value;

use super::repositories::RepositoryId;
use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
use crate::domain::{ConfigFacts, Digest, Facts, Kind, MediaType, Timestamp, looked_for};

/// Most manifests whose facts are read at once.
const PAGE: usize = 200;
/// Bytes of manifests read at once, unless one alone has more.
const PAGE_BYTES: usize = 1024 * 1024;

/// Stores what was found in a manifest. What its config says stays, unless it is another kind of thing now.
pub(super) fn insert(
    tx: &Connection,
    manifest_id: i64,
    facts: &Facts,
    pushed_by: Option<&str>,
) -> Result<(), DbError> {
    let platforms = (!facts.platforms.is_empty()).then(|| {
        let pairs = facts.platforms.iter().map(|(digest, platform)| [digest.to_string(), platform.clone()]);
        Value::from_iter(pairs.map(Value::from_iter)).to_string()
    });
    tx.prepare_cached(
        "INSERT INTO manifest_facts (manifest_id, kind, config_type, pull_bytes, platforms, pushed_by, config)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE
            SET kind = excluded.kind, config_type = excluded.config_type, pull_bytes = excluded.pull_bytes,
                platforms = excluded.platforms, pushed_by = coalesce(excluded.pushed_by, pushed_by),
                config = CASE WHEN platform IS NOT NULL AND kind = excluded.kind THEN config ELSE excluded.config END",
    )?
    .execute((
        manifest_id,
        facts.kind.as_str(),
        &facts.config_type,
        facts.pull_bytes,
        platforms,
        pushed_by.filter(|name| !name.is_empty()),
        facts.config.as_ref().map(Digest::to_string),
    ))?;
    Ok(())
}

/// Finds the facts of some manifests that were stored before there were any; none when all have them.
#[derive(Debug)]
pub struct ReadFactless;

impl ReadQuery for ReadFactless {
    type Output = Vec<(i64, Facts)>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let mut statement = db.prepare_cached(
            "SELECT manifests.id, manifests.media_type, manifests.body FROM manifests_without_facts
              CROSS JOIN manifests ON manifests.id = manifests_without_facts.manifest_id ORDER BY manifest_id",
        )?;
        let mut rows = statement.query([])?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        while found.len() < PAGE && bytes < PAGE_BYTES {
            let Some(row) = rows.next()? else { break };
            let (id, media_type, body): (i64, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            bytes += body.len();
            // One that cannot be read any more keeps nobody else waiting.
            let facts = MediaType::parse(&media_type).map(|media_type| Facts::of(&media_type, &body));
            found.push((id, facts.unwrap_or_default()));
        }
        Ok(found)
    }
}

/// Stores the facts of manifests that had none.
#[derive(Debug, Clone)]
pub struct NoteFacts(pub Vec<(i64, Facts)>);

impl WriteQuery for NoteFacts {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Adds
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        // The manifest may be gone by now, or pushed again, which says who pushed it.
        let mut found = tx.prepare_cached("DELETE FROM manifests_without_facts WHERE manifest_id = ?1")?;
        for (manifest, facts) in self.0 {
            if found.execute([manifest])? == 1 {
                insert(tx, manifest, &facts, None)?;
            }
        }
        Ok(())
    }
}

/// A config that was not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadConfig {
    /// The row of the manifest that has it.
    pub manifest: i64,
    /// Its digest, as it is stored.
    pub digest: String,
    /// Its size in bytes; nothing when the manifest's repository does not show it.
    pub size: Option<u64>,
}

/// Some of the configs that were not read yet, in the order of their manifests' rows.
#[derive(Debug)]
pub struct ListUnreadConfigs {
    /// Those of later rows.
    pub after: i64,
    /// Most of them.
    pub limit: usize,
}

const UNREAD: &str = "SELECT manifest_id, config,
        (SELECT size FROM blobs CROSS JOIN repository_blobs ON blob_id = blobs.id
          WHERE blobs.digest = config AND state = 0
            AND repository_id = (SELECT repository_id FROM manifests WHERE id = manifest_id))
   FROM manifest_facts WHERE config IS NOT NULL AND manifest_id > ?1 ORDER BY manifest_id LIMIT ?2";

impl ReadQuery for ListUnreadConfigs {
    type Output = Vec<UnreadConfig>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let of = |row: &Row<'_>| {
            Ok(UnreadConfig { manifest: row.get(0)?, digest: row.get(1)?, size: row.get(2)? })
        };
        let mut statement = db.prepare_cached(UNREAD)?;
        Ok(statement.query_map((self.after, self.limit), of)?.collect::<Result<_, _>>()?)
    }
}

/// Stores what configs say; they need not be read again.
#[derive(Debug, Clone)]
pub struct NoteConfigs(pub Vec<(UnreadConfig, ConfigFacts)>);

impl WriteQuery for NoteConfigs {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Adds
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        // The row may be another manifest's by now.
        let mut note = tx.prepare_cached(
            "UPDATE manifest_facts SET platform = ?3, created_at = ?4, labels = ?5, config = NULL
              WHERE manifest_id = ?1 AND config = ?2",
        )?;
        for (UnreadConfig { manifest, digest, .. }, ConfigFacts { platform, created, labels }) in self.0 {
            let labels = (!labels.is_empty()).then(|| Value::from_iter(labels).to_string());
            note.execute((manifest, digest, platform, created.map(Timestamp::as_millis), labels))?;
        }
        Ok(())
    }
}

/// A platform that a tag can be pulled for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformSummary {
    /// `os/architecture`, and the variant where there is one.
    pub platform: String,
    /// The image for it.
    pub digest: String,
    /// The bytes of its config and layers; nothing when it is not here.
    pub pull_bytes: Option<u64>,
}

/// What people look for in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What it is.
    pub kind: Kind,
    /// The media type of its config.
    pub config_type: Option<String>,
    /// The bytes of its config and layers; none of an index.
    pub pull_bytes: Option<u64>,
    /// What it can be pulled for: of an image one platform at most.
    pub platforms: Vec<PlatformSummary>,
    /// When it was made, as its builder says.
    pub created_at: Option<Timestamp>,
    /// Who pushed it last, where that was noted.
    pub pushed_by: Option<String>,
    /// The annotations that people look for, without their common prefix, and for those that it has not, the config's labels.
    pub annotations: Vec<(String, String)>,
}

/// `?1`: the repository. `?2`: digests with platforms, as they are stored.
const CHILDREN: &str = "SELECT pairs.value ->> 0, pairs.value ->> 1, pull_bytes
       FROM json_each(CASE WHEN json_valid(?2) THEN ?2 ELSE '[]' END) AS pairs
       LEFT JOIN manifests ON repository_id = ?1 AND digest = pairs.value ->> 0
       LEFT JOIN manifest_facts ON manifest_id = manifests.id
      ORDER BY pairs.key";

type Columns =
    (String, Option<String>, Option<u64>, Option<String>, Option<String>, Option<i64>, [Option<String>; 3]);

/// What is known of a manifest of the repository; nothing until it was read.
pub(super) fn summary(
    db: &Connection,
    repository: RepositoryId,
    (manifest_id, digest): (i64, &str),
) -> Result<Option<Summary>, DbError> {
    let found: Option<Columns> = db
        .prepare_cached(
            "SELECT kind, config_type, pull_bytes, platforms, platform, created_at, pushed_by, labels,
                    (SELECT annotations FROM manifests WHERE id = manifest_id)
               FROM manifest_facts WHERE manifest_id = ?1",
        )?
        .query_row([manifest_id], |row| {
            let texts = [row.get(6)?, row.get(7)?, row.get(8)?];
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, texts))
        })
        .optional()?;
    let Some((kind, config_type, pull_bytes, platforms, platform, created_at, texts)) = found else {
        return Ok(None);
    };
    let [pushed_by, labels, annotations] = texts;
    let platforms = match (platforms, platform) {
        (Some(pairs), _) => children(db, repository, &pairs)?,
        (None, Some(platform)) => {
            vec![PlatformSummary { platform, digest: digest.to_owned(), pull_bytes }]
        }
        (None, None) => Vec::new(),
    };
    Ok(Some(Summary {
        kind: kind.parse().unwrap_or(Kind::Artifact),
        config_type,
        pull_bytes,
        platforms,
        created_at: created_at.map(Timestamp::from_millis),
        pushed_by,
        annotations: merged(labels.as_deref(), annotations.as_deref()),
    }))
}

/// The children of an index by platform, each with what is pulled for it.
fn children(db: &Connection, repository: RepositoryId, pairs: &str) -> Result<Vec<PlatformSummary>, DbError> {
    let mut children = db.prepare_cached(CHILDREN)?;
    let of = |row: &Row<'_>| {
        Ok(PlatformSummary { digest: row.get(0)?, platform: row.get(1)?, pull_bytes: row.get(2)? })
    };
    Ok(children.query_map((repository.0, pairs), of)?.collect::<Result<_, _>>()?)
}

/// A config's labels, and over them the manifest's annotations.
fn merged(labels: Option<&str>, annotations: Option<&str>) -> Vec<(String, String)> {
    let read = |text: Option<&str>| -> std::collections::BTreeMap<String, String> {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    let mut merged = read(labels);
    let annotations = read(annotations);
    merged.extend(looked_for(annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()))));
    merged.into_iter().collect()
}

#[cfg(test)]
mod tests;
