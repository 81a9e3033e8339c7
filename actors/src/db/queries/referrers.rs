//! Referrers: the manifests that say which manifest they are about.

use rusqlite::{Connection, Row};

use super::repositories;
use crate::db::{DbError, ReadQuery};
use crate::domain::{Digest, Page, RepositoryName};

/// Most bytes of the entries of one page: it is held in memory, and clients read no more than 4 MiB of an index.
const MAX_BYTES: usize = 3 * 1024 * 1024;
/// What an entry has beside its texts: digest, size and the names of its keys.
const ENTRY: usize = 256;

/// One entry of a referrers list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// The referring manifest's digest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its artifact type, or its config's media type.
    pub artifact_type: Option<String>,
    /// Its annotations, a JSON object.
    pub annotations: Option<String>,
}

impl Referrer {
    /// Roughly how many bytes it has in an index.
    fn weight(&self) -> usize {
        let texts = [self.artifact_type.as_ref(), self.annotations.as_ref()];
        ENTRY + self.media_type.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// The manifests of a repository whose subject is `subject`, by digest. The subject itself need not be there.
///
/// A page ends before `limit` when its entries would have more than 3 MiB; one entry comes in any case.
#[derive(Debug)]
pub struct ListReferrers {
    /// Where.
    pub repository: RepositoryName,
    /// What they are about.
    pub subject: Digest,
    /// Only those of this artifact type.
    pub artifact_type: Option<String>,
    /// Where the page begins: digests greater than this; empty for the first page.
    pub after: String,
    /// Most entries on the page.
    pub limit: usize,
}

fn referrer(row: &Row<'_>) -> rusqlite::Result<Referrer> {
    Ok(Referrer {
        digest: row.get(0)?,
        media_type: row.get(1)?,
        size: row.get(2)?,
        artifact_type: row.get(3)?,
        annotations: row.get(4)?,
    })
}

/// Reads no further than the page goes, so that no more than its bytes and one row are ever in memory.
fn page(
    rows: impl Iterator<Item = rusqlite::Result<Referrer>>,
    limit: usize,
) -> Result<Page<Referrer>, DbError> {
    let mut bytes = 0;
    let mut items = Vec::new();
    for referrer in rows {
        let referrer = referrer?;
        bytes += referrer.weight();
        if items.len() == limit || bytes > MAX_BYTES && !items.is_empty() {
            return Ok(Page { items, more: true });
        }
        items.push(referrer);
    }
    Ok(Page { items, more: false })
}

/// Those of one type, which is the same in any letter case (RFC 6838 §4.2).
const OF_A_TYPE: &str = "SELECT digest, media_type, size, artifact_type, annotations FROM manifests
  WHERE repository_id = ?1 AND subject = ?2 AND artifact_type = ?3 COLLATE NOCASE AND digest > ?4
  ORDER BY digest LIMIT ?5";

impl ReadQuery for ListReferrers {
    type Output = Page<Referrer>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let Some(repository) = repositories::find(db, &self.repository)? else {
            return Ok(Page { items: Vec::new(), more: false });
        };
        let (subject, limit) = (self.subject.to_string(), self.limit.saturating_add(1));
        match self.artifact_type {
            Some(artifact_type) => {
                let mut query = db.prepare_cached(OF_A_TYPE)?;
                let of = (repository.0, subject, artifact_type, self.after, limit);
                page(query.query_map(of, referrer)?, self.limit)
            }
            None => {
                let mut query = db.prepare_cached(
                    "SELECT digest, media_type, size, artifact_type, annotations FROM manifests
                      WHERE repository_id = ?1 AND subject = ?2 AND digest > ?3
                      ORDER BY digest LIMIT ?4",
                )?;
                page(query.query_map((repository.0, subject, self.after, limit), referrer)?, self.limit)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::queries::testing::{database, name};
    use crate::domain::Algorithm;

    const TYPE: &str = "test/type";

    fn subject() -> Digest {
        Digest::of(Algorithm::Sha256, b"subject")
    }

    /// A repository with referrers whose annotations have these numbers of bytes, in the order of their digests.
    fn with_referrers(annotations: &[usize]) -> Connection {
        let db = database();
        db.execute("INSERT INTO repositories (id, name, created_at) VALUES (1, 'a', 0)", []).unwrap();
        for (number, bytes) in annotations.iter().enumerate() {
            let of = (format!("{number:04}"), TYPE, subject().to_string(), "x".repeat(*bytes));
            db.execute(
                "INSERT INTO manifests
                        (repository_id, digest, media_type, artifact_type, subject, size, pushed_at, annotations, body)
                 VALUES (1, ?1, 'a/b', ?2, ?3, 1, 0, ?4, x'')",
                of,
            )
            .unwrap();
        }
        db
    }

    fn list(artifact_type: Option<&str>, after: String, limit: usize) -> ListReferrers {
        let artifact_type = artifact_type.map(str::to_owned);
        ListReferrers { repository: name("a"), subject: subject(), artifact_type, after, limit }
    }

    /// The sizes of all pages, one after another, each of which must say rightly whether there is another.
    fn pages(db: &Connection, artifact_type: Option<&str>, limit: usize) -> Vec<usize> {
        let (mut sizes, mut after) = (Vec::new(), String::new());
        loop {
            let page = list(artifact_type, after, limit).run(db).unwrap();
            sizes.push(page.items.len());
            match page.items.last() {
                Some(last) if page.more => after = last.digest.clone(),
                _ => return sizes,
            }
        }
    }

    #[test]
    fn a_page_has_no_more_bytes_than_an_answer_and_paging_goes_on() {
        let db = with_referrers(&[1 << 20, 1 << 20, 1 << 20, 4 << 20, 4 << 20, 10, 10]);
        for artifact_type in [None, Some(TYPE)] {
            // With what is beside the annotations the third is too much, and the large ones come alone.
            assert_eq!(pages(&db, artifact_type, 1000), [2, 1, 1, 1, 2], "{artifact_type:?}");
        }
    }

    #[test]
    fn a_type_is_found_in_any_letter_case_by_the_index() {
        let db = with_referrers(&[1, 1]);
        assert_eq!(pages(&db, Some("Test/TYPE"), 1000), [2]);
        assert_eq!(pages(&db, Some("test/types"), 1000), [0]);
        let plan: Vec<String> = db
            .prepare(&format!("EXPLAIN QUERY PLAN {OF_A_TYPE}"))
            .unwrap()
            .query_map((1, "", "", "", 9), |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert!(
            plan.len() == 1
                && plan[0].contains(
                    "manifests_by_subject_and_type (repository_id=? AND subject=? AND artifact_type=?"
                ),
            "{plan:?}"
        );
    }

    #[test]
    fn a_page_has_no_more_entries_than_asked_for() {
        let db = with_referrers(&[1, 1, 1, 1]);
        assert_eq!(pages(&db, None, 3), [3, 1]);
        assert_eq!(pages(&db, None, 2), [2, 2]);
        assert_eq!(pages(&db, None, 4), [4]);
        let none = list(None, String::new(), 0).run(&db).unwrap();
        assert_eq!(none, Page { items: Vec::new(), more: true });
    }
}
