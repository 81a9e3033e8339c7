//! A repository's manifests, for whoever may pull from it.

use mcr_actors::db::queries::manifest_details::{DescribeManifest, ManifestDetails};
use mcr_actors::db::queries::manifest_pages::{ManifestPage, ManifestPlace, ManifestState, PageManifests};
use mcr_actors::domain::{Digest, RepositoryName};

use super::call::Call;
use super::page::{MAX_PAGE, PAGE};
use super::refusal::Refusal;
use super::sight::{Sight, unknown};

/// Which manifests.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Only those that are held so; all when nothing is said.
    pub state: Option<ManifestState>,
    /// Where the page begins: what comes after this.
    pub after: Option<ManifestPlace>,
    /// How many at most; no more than [`MAX_PAGE`] are given.
    pub n: Option<usize>,
}

/// A manifest with what is around it, as far as its reader is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// What is known.
    pub details: ManifestDetails,
    /// Whether its reader is told in how many repositories a blob is.
    pub tells_of_others: bool,
}

/// Reads the name of a state.
///
/// # Errors
/// When there is no such state.
pub fn state(word: &str) -> Result<ManifestState, Refusal> {
    let words = ManifestState::ALL.map(ManifestState::as_str).join(", ");
    word.parse().map_err(|_| Refusal::invalid("state", format!("state is one of {words}")))
}

/// Lists manifests, those that were pushed last first.
///
/// # Errors
/// When there is no such repository, or none that the caller may pull from.
pub async fn list(call: &Call, name: RepositoryName, wanted: Wanted) -> Result<ManifestPage, Refusal> {
    Sight::of(call).await?.look_at(&name)?;
    let Wanted { state, after, n } = wanted;
    let limit = n.unwrap_or(PAGE).min(MAX_PAGE);
    let query = PageManifests { repository: name.clone(), state, after, limit };
    call.worker.db.read(query).await?.ok_or_else(|| unknown(&name))
}

/// Shows a manifest with what is around it.
///
/// # Errors
/// When it is not there, or the caller may not pull from its repository.
pub async fn show(call: &Call, name: RepositoryName, digest: Digest) -> Result<Described, Refusal> {
    let sight = Sight::of(call).await?;
    sight.look_at(&name)?;
    let query = DescribeManifest { repository: name.clone(), digest };
    let found = call.worker.db.read(query).await?;
    let details = found.ok_or_else(|| Refusal::not_found(format_args!("manifest {digest} in {name}")))?;
    Ok(Described { details, tells_of_others: sight.is_administrators() })
}
