//! All of the audit log that is wanted, as a file: it is read and sent a few entries at a time.

use actix_web::HttpResponse;
use actix_web::http::header;
use bytes::Bytes;
use futures_util::stream;
use mcr_actors::db::queries::audit_pages::AuditEntry;
use mcr_actors::domain::Timestamp;

use super::csv;
use super::entry::model;
use crate::admin::audit::Export;
use crate::admin::refusal::Refusal;
use crate::http::readers::Streamed;

/// What an export holds while it waits for its reader: a few entries, and what its connection gathered of those before.
const HELD: usize = 96 * 1024;

/// As what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A table for spreadsheets.
    Csv,
    /// A JSON object on each line.
    Ndjson,
}

impl Form {
    fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
        }
    }

    /// What stands before the first entry.
    fn head(self) -> String {
        match self {
            Self::Csv => csv::line(COLUMNS),
            Self::Ndjson => String::new(),
        }
    }

    fn line(self, entry: AuditEntry) -> Result<String, serde_json::Error> {
        match self {
            Self::Csv => Ok(line(&entry)),
            Self::Ndjson => serde_json::to_string(&model(entry)).map(|line| line + "\n"),
        }
    }
}

const COLUMNS: [&str; 12] = [
    "id",
    "time",
    "event",
    "actor_id",
    "actor",
    "repository",
    "digest",
    "tag",
    "address",
    "request_id",
    "details",
    "count",
];

fn line(entry: &AuditEntry) -> String {
    let (id, time, count) = (entry.id.to_string(), entry.time.to_string(), entry.count.to_string());
    csv::line([
        &id,
        &time,
        &entry.event,
        &entry.actor_id,
        &entry.actor_name,
        &entry.repository,
        &entry.digest,
        &entry.tag,
        &entry.address,
        &entry.request_id,
        &entry.details,
        &count,
    ])
}

/// Why an export ends early. The connection ends with it, so that nobody takes it for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the export ended early: {0}")]
struct Broken(String);

/// The answer: a file to save, whose bytes come as they are read. It counts among the answers that wait for readers.
pub(super) fn answer(export: Export, form: Form, now: Timestamp) -> HttpResponse {
    let pieces = stream::try_unfold((export, Some(form.head())), move |(mut export, head)| async move {
        if let Some(head) = head.filter(|head| !head.is_empty()) {
            return Ok(Some((Bytes::from(head), (export, None))));
        }
        let broken = |refusal: Refusal| Broken(refusal.message);
        let Some(entries) = export.next().await.map_err(broken)? else { return Ok(None) };
        let written = entries.into_iter().map(|entry| form.line(entry)).collect::<Result<String, _>>();
        let written = written.map_err(|error| Broken(error.to_string()))?;
        Ok::<_, Broken>(Some((Bytes::from(written), (export, None))))
    });
    let name = format!("audit-{}.{}", now.to_string().replace(':', ""), form.ending());
    let mut response = HttpResponse::Ok()
        .content_type(form.media_type())
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::VARY, "Accept"))
        .streaming(Box::pin(pieces));
    response.extensions_mut().insert(Streamed(HELD));
    response
}
