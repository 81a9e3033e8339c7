//! The values that everything else is made of. Each is parsed once, where it comes in; one that exists is valid.

mod digest;
mod event;
mod manifest;
mod media_type;
mod name;
mod network;
mod page;
mod principal;
mod reference;
mod timestamp;

pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use event::{Event, EventName, Origin};
pub use manifest::{Descriptor, Manifest, ManifestError};
pub use media_type::MediaType;
pub use name::{NameError, RepositoryName};
pub use network::network;
pub use page::Page;
pub use principal::{AccountType, Action, Principal};
pub use reference::{Reference, ReferenceError, Tag};
pub use timestamp::Timestamp;
