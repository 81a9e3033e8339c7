//! An entry of the audit log, in the words of the API.

use mcr_actors::db::queries::audit_pages::AuditEntry;

use crate::model::AuditModel;

/// The entry as it goes over the wire.
pub(super) fn model(entry: AuditEntry) -> AuditModel {
    AuditModel {
        id: entry.id,
        time: entry.time.to_string(),
        event: entry.event,
        actor_id: entry.actor_id,
        actor: entry.actor_name,
        repository: entry.repository,
        digest: entry.digest,
        tag: entry.tag,
        address: entry.address,
        request_id: entry.request_id,
        details: serde_json::from_str(&entry.details).unwrap_or_default(),
        count: entry.count,
    }
}
