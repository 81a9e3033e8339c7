//! The names of files of uploads: an upload's id, and an id more for a second name. Whatever is called otherwise is
//! somebody else's.

use std::path::Path;

use uuid::Uuid;

/// Whether an upload's file can be called so.
pub(crate) fn is_own(name: &Path) -> bool {
    let Some(name) = name.to_str() else { return false };
    match name.split_once('.') {
        Some((upload, second)) => is_id(upload) && is_id(second),
        None => is_id(name),
    }
}

/// An id as it is written here; other spellings are none.
fn is_id(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|id| id.to_string() == text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::blob_store::durable::spare_name;

    #[test]
    fn files_of_uploads_are_told_from_all_others() {
        let path = Path::new("/uploads").join(Uuid::new_v4().to_string());
        for own in [path.clone(), spare_name(&path)] {
            assert!(is_own(Path::new(own.file_name().unwrap())), "{}", own.display());
        }
        let id = Uuid::new_v4();
        for stranger in [
            String::new(),
            "mcr.db".to_owned(),
            "mcr.db-wal".to_owned(),
            id.simple().to_string(),
            id.braced().to_string(),
            id.urn().to_string(),
            id.to_string().to_uppercase(),
            format!("{id}."),
            format!("{id}.tmp"),
            format!("{id}.{id}.{id}"),
            format!(".{id}"),
        ] {
            assert!(!is_own(Path::new(&stranger)), "{stranger}");
        }
    }

    proptest! {
        #[test]
        fn no_other_name_is_taken_for_one(name in "[ -~]{0,40}|[0-9a-f]{32}|\\PC{0,20}") {
            prop_assert!(!is_own(Path::new(&name)));
        }
    }
}
