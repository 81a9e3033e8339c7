//! The time of day, for saying how long ago something was. The only file that reads it.

use time::OffsetDateTime;

/// Now.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::from(std::time::SystemTime::now())
}
