//! The values that everything else is made of. Each is parsed once, where it comes in; one that exists is valid.

mod account;
mod digest;
mod event;
mod facts;
mod manifest;
mod media_type;
mod name;
mod network;
mod page;
mod precondition;
mod principal;
mod reference;
mod references;
mod timestamp;

pub use account::{ANONYMOUS, AccountName, AccountNameError, COLLECTOR, OPERATOR};
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use event::{Event, EventName, Origin};
pub(crate) use facts::looked_for;
pub use facts::{ConfigFacts, Contents, Facts, Kind, NoKind, Part};
pub use manifest::{Manifest, ManifestError};
pub use media_type::MediaType;
pub use name::{NameError, RepositoryName};
pub use network::network;
pub use page::Page;
pub use precondition::Precondition;
pub use principal::{ADMIN, AccountType, Action, Principal};
pub use reference::{Reference, ReferenceError, Tag};
pub use references::{Referenced, digests_in};
pub use timestamp::Timestamp;
