//! The walk through a document: every text is seen once, and no value is kept that is not asked for.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::document::{Document, Expected, Fields, Glimpse, Position};

/// The keys of a document that mean something.
const KEYS: [&str; 9] = [
    "schemaVersion",
    "mediaType",
    "artifactType",
    "annotations",
    "subject",
    "config",
    "layers",
    "manifests",
    "blobs",
];

/// What is to be made of an object or a list.
enum Ask<'b, 'de> {
    /// Only its texts.
    Texts,
    /// What it is as a descriptor.
    Fields(&'b mut Fields<'de>),
    /// It stands where there is a descriptor or a list of them, or may be.
    Place(Position),
    /// The document's annotations.
    Annotations,
    /// It is the document.
    Document,
}

struct Walk<'a, 'b, 'de> {
    document: &'a mut Document,
    ask: Ask<'b, 'de>,
}

/// Reads a document, which is an object.
pub(super) fn object(document: &mut Document, body: &[u8]) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    json.deserialize_map(Walk { document, ask: Ask::Document })?;
    json.end()
}

/// Reads anything for its texts.
pub(super) fn anything(document: &mut Document, body: &[u8]) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    Walk { document, ask: Ask::Texts }.deserialize(&mut json)?;
    json.end()
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, 'de> {
    type Value = Glimpse<'de>;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Glimpse<'de>, D::Error> {
        value.deserialize_any(self)
    }
}

/// A key of an object.
struct Key<'a>(&'a mut Document);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Cow<'de, str>, D::Error> {
        match key.deserialize_str(Walk { document: self.0, ask: Ask::Texts })? {
            Glimpse::Text(text) => Ok(text),
            _ => Err(D::Error::custom("a key is no text")),
        }
    }
}

impl<'de> Walk<'_, '_, 'de> {
    fn text<E: Error>(self, text: Cow<'de, str>) -> Result<Glimpse<'de>, E> {
        self.document.text(&text).map_err(E::custom)?;
        Ok(Glimpse::Text(text))
    }

    /// One value of the document itself.
    fn head<A: MapAccess<'de>>(document: &mut Document, key: &str, map: &mut A) -> Result<(), A::Error> {
        let known = KEYS.into_iter().find(|known| *known == key);
        let ask = match known {
            Some("annotations") => Ask::Annotations,
            Some(key @ ("subject" | "config" | "layers" | "manifests" | "blobs")) => {
                match document.form.expects(key) {
                    Expected::Nothing => Ask::Texts,
                    expected => Ask::Place(Position { key, index: None, expected }),
                }
            }
            _ => Ask::Texts,
        };
        let value = map.next_value_seed(Walk { document: &mut *document, ask })?;
        known.map_or(Ok(()), |key| document.head(key, value).map_err(A::Error::custom))
    }

    /// A list of descriptors, or what may be one.
    fn descriptors<A: SeqAccess<'de>>(
        document: &mut Document,
        at: Position,
        mut list: A,
    ) -> Result<usize, A::Error> {
        let mut items = 0;
        loop {
            let mut fields = Fields::default();
            let walk = Walk { document: &mut *document, ask: Ask::Fields(&mut fields) };
            let Some(value) = list.next_element_seed(walk)? else { return Ok(items) };
            let at = Position { index: Some(items), ..at };
            document.value(at, &value, fields).map_err(A::Error::custom)?;
            items += 1;
        }
    }

    /// Says of what is neither object nor list whether it may stand there.
    fn scalar<E: Error>(self, value: Glimpse<'de>) -> Result<Glimpse<'de>, E> {
        match self.ask {
            Ask::Place(at) if !matches!(value, Glimpse::Null) => {
                self.document.value(at, &value, Fields::default()).map_err(E::custom)?;
            }
            _ => {}
        }
        Ok(value)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, 'de> {
    type Value = Glimpse<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self.ask, Ask::Document) { "a JSON object" } else { "a JSON value" })
    }

    fn visit_unit<E: Error>(self) -> Result<Glimpse<'de>, E> {
        self.scalar(Glimpse::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Glimpse<'de>, E> {
        self.scalar(Glimpse::Other)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Glimpse<'de>, E> {
        self.scalar(Glimpse::Whole(number))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Glimpse<'de>, E> {
        self.scalar(Glimpse::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Glimpse<'de>, E> {
        self.scalar(Glimpse::Other)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Glimpse<'de>, E> {
        let Self { document, ask } = self;
        let seen = Walk { document: &mut *document, ask: Ask::Texts }.text(Cow::Owned(text.to_owned()))?;
        Walk { document, ask }.scalar(seen)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Glimpse<'de>, E> {
        let Self { document, ask } = self;
        let seen = Walk { document: &mut *document, ask: Ask::Texts }.text(Cow::Borrowed(text))?;
        Walk { document, ask }.scalar(seen)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Glimpse<'de>, A::Error> {
        let document = self.document;
        if let Ask::Place(at) = self.ask {
            if at.expected == Expected::Descriptor {
                return Err(A::Error::custom(format_args!("{at} is no descriptor")));
            }
            let items = Self::descriptors(document, at, list)?;
            return Ok(Glimpse::List { items, texts: false });
        }
        let (mut items, mut texts) = (0, true);
        while let Some(item) = list.next_element_seed(Walk { document: &mut *document, ask: Ask::Texts })? {
            items += 1;
            texts &= matches!(item, Glimpse::Text(_));
        }
        Ok(Glimpse::List { items, texts })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Glimpse<'de>, A::Error> {
        let Self { document, mut ask } = self;
        let mut fields = Fields::default();
        while let Some(key) = map.next_key_seed(Key(document))? {
            if matches!(ask, Ask::Document) {
                Self::head(document, &key, &mut map)?;
                continue;
            }
            let value = map.next_value_seed(Walk { document: &mut *document, ask: Ask::Texts })?;
            match &mut ask {
                Ask::Fields(fields) => fields.note(&key, value),
                Ask::Place(_) => fields.note(&key, value),
                Ask::Annotations => document.annotation(key, value),
                Ask::Texts | Ask::Document => {}
            }
        }
        if let Ask::Place(at) = ask {
            if at.expected == Expected::Descriptors {
                return Err(A::Error::custom(format_args!("{at} is no list")));
            }
            document.value(at, &Glimpse::Object, fields).map_err(A::Error::custom)?;
        }
        Ok(Glimpse::Object)
    }
}
