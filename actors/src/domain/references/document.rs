//! What a document says, gathered as its values are seen.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::domain::{Digest, MediaType};

/// A digest that a manifest has in it, and what that asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Referenced {
    /// The digest.
    pub digest: Digest,
    /// Whether a manifest or a blob of that digest must be there when the manifest is pushed.
    pub required: bool,
    /// Whether it holds a manifest of that digest. One that is its subject and nothing else it does not hold: that one holds
    /// it. A blob is held in any case.
    pub holds: bool,
}

/// What a media type says of a document's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Image,
    Index,
    Artifact,
    Unknown,
}

impl Form {
    pub(super) fn of(media_type: &MediaType) -> Self {
        match media_type.as_str() {
            MediaType::OCI_MANIFEST | MediaType::DOCKER_MANIFEST => Self::Image,
            MediaType::OCI_INDEX | MediaType::DOCKER_LIST => Self::Index,
            MediaType::OCI_ARTIFACT => Self::Artifact,
            _ => Self::Unknown,
        }
    }

    /// What stands under a key of the document itself.
    pub(super) fn expects(self, key: &'static str) -> Expected {
        match (self, key) {
            (_, "subject") | (Self::Image, "config") => Expected::Descriptor,
            (Self::Image, "layers") | (Self::Index, "manifests") | (Self::Artifact, "blobs") => {
                Expected::Descriptors
            }
            (Self::Unknown, _) => Expected::Perhaps,
            _ => Expected::Nothing,
        }
    }
}

/// What a place of the document has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// A descriptor, or null.
    Descriptor,
    /// A list of descriptors, or null: Go writes that for a list that it never filled.
    Descriptors,
    /// Either, or anything else.
    Perhaps,
    /// Nothing that is known of.
    Nothing,
}

/// Where a descriptor stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) key: &'static str,
    pub(super) index: Option<usize>,
    pub(super) expected: Expected,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{}[{index}]", self.key),
            None => f.write_str(self.key),
        }
    }
}

/// A well-formed reference to content.
struct Descriptor {
    digest: Digest,
    media_type: Option<String>,
    /// Whether the content may be missing here: a non-distributable layer with `urls`.
    may_be_missing: bool,
}

impl Descriptor {
    /// What the fields say; an error names the field that does not.
    fn read(fields: Fields<'_>) -> Result<Self, String> {
        if let Some(field) = fields.twice {
            return Err(format!(".{field} is there twice"));
        }
        let digest = match fields.digest {
            Some(Glimpse::Text(text)) => {
                text.parse::<Digest>().map_err(|error| format!(".digest {text:?}: {error}"))?
            }
            Some(_) => return Err(".digest is no text".to_owned()),
            None => return Err(".digest is missing".to_owned()),
        };
        match fields.size {
            Some(Glimpse::Whole(size)) if i64::try_from(size).is_ok() => {}
            Some(Glimpse::Whole(_)) => return Err(".size is out of range".to_owned()),
            Some(_) => return Err(".size is no whole number of bytes".to_owned()),
            None => return Err(".size is missing".to_owned()),
        }
        let media_type = match fields.media_type {
            Some(Glimpse::Text(text)) => Some(text.into_owned()),
            None | Some(Glimpse::Null) => None,
            Some(_) => return Err(".mediaType is no text".to_owned()),
        };
        let urls = match fields.urls {
            Some(Glimpse::List { items, texts: true }) => items,
            None | Some(Glimpse::Null) => 0,
            Some(_) => return Err(".urls is no list of texts".to_owned()),
        };
        let may_be_missing = urls > 0 && media_type.as_deref().is_some_and(MediaType::is_non_distributable);
        Ok(Self { digest, media_type, may_be_missing })
    }
}

/// The annotations of a document.
#[derive(Debug, Default)]
pub(in crate::domain) struct Annotations {
    /// Those that are texts.
    pub(in crate::domain) texts: BTreeMap<String, String>,
    /// The first key whose value is none.
    pub(in crate::domain) no_text: Option<String>,
}

/// What a document says.
#[derive(Debug)]
pub(in crate::domain) struct Document {
    pub(super) form: Form,
    most: usize,
    pub(in crate::domain) schema_version: Option<u64>,
    pub(in crate::domain) media_type: Option<String>,
    pub(in crate::domain) artifact_type: Option<String>,
    pub(in crate::domain) config_type: Option<String>,
    pub(in crate::domain) annotations: Annotations,
    pub(in crate::domain) subject: Option<Digest>,
    /// The keys that mean something, each with whether its value is something else than null.
    present: BTreeMap<&'static str, bool>,
    pub(super) found: Vec<Found>,
    places: HashMap<Digest, usize>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) digest: Digest,
    required: bool,
    /// Whether a descriptor other than the subject names it.
    described: bool,
}

impl Document {
    pub(super) fn new(form: Form, most: usize) -> Self {
        Self {
            form,
            most,
            schema_version: None,
            media_type: None,
            artifact_type: None,
            config_type: None,
            annotations: Annotations::default(),
            subject: None,
            present: BTreeMap::new(),
            found: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// Holds the document against what its media type asks for.
    ///
    /// # Errors
    /// When a key is missing, or there is one that makes it something else too (CVE-2021-41190).
    pub(in crate::domain) fn check(&self) -> Result<(), &'static str> {
        let has = |key: &str| self.present.get(key) == Some(&true);
        match self.form {
            Form::Image if has("manifests") => Err("an image manifest has no \"manifests\""),
            Form::Index if has("layers") || has("config") => {
                Err("an image index has no \"layers\" and no \"config\"")
            }
            Form::Image if !has("config") => Err("config is missing"),
            Form::Index if !self.present.contains_key("manifests") => Err("manifests is missing"),
            _ => Ok(()),
        }
    }

    /// Its references, in the order of the document, each digest once.
    pub(in crate::domain) fn references(&self) -> Vec<Referenced> {
        let of = |found: &Found| Referenced {
            digest: found.digest,
            required: found.required,
            holds: found.described || Some(found.digest) != self.subject,
        };
        self.found.iter().map(of).collect()
    }

    /// A text of the document: what it names is found.
    pub(super) fn text(&mut self, text: &str) -> Result<(), String> {
        // Most texts are none, and need not be looked at.
        if !text.starts_with("sha") {
            return Ok(());
        }
        text.parse().map_or(Ok(()), |digest| self.find(digest).map(drop))
    }

    fn find(&mut self, digest: Digest) -> Result<&mut Found, String> {
        let next = self.found.len();
        let at = *self.places.entry(digest).or_insert(next);
        if at == next {
            if next == self.most {
                return Err(format!("it refers to more than {} things", self.most));
            }
            self.found.push(Found { digest, required: false, described: false });
        }
        self.found.get_mut(at).ok_or_else(|| "it cannot be read".to_owned())
    }

    /// A value where there is a descriptor, or may be one.
    pub(super) fn value(
        &mut self,
        at: Position,
        value: &Glimpse<'_>,
        fields: Fields<'_>,
    ) -> Result<(), String> {
        let read = match value {
            Glimpse::Null if at.index.is_none() => return Ok(()),
            Glimpse::Object => Descriptor::read(fields),
            _ if at.index.is_none() && at.expected == Expected::Descriptors => Err(" is no list".to_owned()),
            _ => Err(" is no descriptor".to_owned()),
        };
        let descriptor = match read {
            Ok(descriptor) => descriptor,
            Err(_) if at.expected == Expected::Perhaps => return Ok(()),
            Err(why) => return Err(format!("{at}{why}")),
        };
        if at.key == "subject" {
            self.subject = Some(descriptor.digest);
            return self.find(descriptor.digest).map(drop);
        }
        let found = self.find(descriptor.digest)?;
        found.described = true;
        found.required |= !descriptor.may_be_missing;
        if at.key == "config" && self.form == Form::Image {
            self.config_type = descriptor.media_type;
        }
        Ok(())
    }

    /// A key of the document itself that means something, with its value.
    pub(super) fn head(&mut self, key: &'static str, value: Glimpse<'_>) -> Result<(), String> {
        let something = !matches!(value, Glimpse::Null);
        if self.present.insert(key, something).is_some() {
            // Two readers could take it for two different things.
            return Err(format!("{key} is there twice"));
        }
        let text = |value: Glimpse<'_>| match value {
            Glimpse::Null => Ok(None),
            Glimpse::Text(text) => Ok(Some(text.into_owned())),
            _ => Err(format!("{key} is no text")),
        };
        match (key, value) {
            ("schemaVersion", Glimpse::Null) => {}
            ("schemaVersion", Glimpse::Whole(version)) => self.schema_version = Some(version),
            ("schemaVersion", _) => return Err("schemaVersion is no whole number".to_owned()),
            ("mediaType", value) => self.media_type = text(value)?,
            ("artifactType", value) => self.artifact_type = text(value)?,
            ("annotations", Glimpse::Null | Glimpse::Object) => {}
            ("annotations", _) => return Err("annotations is no object".to_owned()),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn annotation(&mut self, key: Cow<'_, str>, value: Glimpse<'_>) {
        match value {
            Glimpse::Text(text) => {
                self.annotations.texts.insert(key.into_owned(), text.into_owned());
            }
            // Go reads it as an annotation without a value.
            Glimpse::Null => {}
            _ => self.annotations.no_text = self.annotations.no_text.take().or(Some(key.into_owned())),
        }
    }
}

/// What is seen of a value.
#[derive(Debug)]
pub(super) enum Glimpse<'de> {
    Null,
    Whole(u64),
    Text(Cow<'de, str>),
    /// How many items it has, and whether all are texts.
    List {
        items: usize,
        texts: bool,
    },
    Object,
    /// Any other number, true or false.
    Other,
}

/// What is seen of an object as far as it can be a descriptor.
#[derive(Debug, Default)]
pub(super) struct Fields<'de> {
    pub(super) digest: Option<Glimpse<'de>>,
    pub(super) size: Option<Glimpse<'de>>,
    pub(super) media_type: Option<Glimpse<'de>>,
    pub(super) urls: Option<Glimpse<'de>>,
    /// A field that is there more than once.
    pub(super) twice: Option<&'static str>,
}

impl<'de> Fields<'de> {
    pub(super) fn note(&mut self, key: &str, value: Glimpse<'de>) {
        let (field, name) = match key {
            "digest" => (&mut self.digest, "digest"),
            "size" => (&mut self.size, "size"),
            "mediaType" => (&mut self.media_type, "mediaType"),
            "urls" => (&mut self.urls, "urls"),
            _ => return,
        };
        if field.replace(value).is_some() {
            self.twice = Some(name);
        }
    }
}
