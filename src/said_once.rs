//! How the programs tell an error to whoever started them: in one line, each thing once.

/// An error and its causes, each said once: many errors say their cause themselves, and libraries repeat it in other words.
pub fn said_once(error: &anyhow::Error) -> String {
    let (mut said, mut last) = (String::new(), String::new());
    for cause in error.chain().map(ToString::to_string) {
        // A cause that is the one before it and a number more says nothing new either, nor does what SQLite calls its code.
        let words =
            cause.strip_prefix("Error code ").and_then(|code| code.split_once(": ")).map(|(_, words)| words);
        let is_said = said.contains(words.unwrap_or(&cause)) || (!last.is_empty() && cause.contains(&last));
        if !is_said {
            let colon = if said.is_empty() { "" } else { ": " };
            said = format!("{said}{colon}{cause}");
        }
        last = cause;
    }
    said
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn an_error_is_said_once() {
        let disk = anyhow!("Error code 4874: disk I/O error");
        let error = disk.context("disk I/O error").context("the database failed: disk I/O error");
        assert_eq!(
            said_once(&error.context("the registry cannot start")),
            "the registry cannot start: the database failed: disk I/O error"
        );
        let code =
            anyhow!("Error code 14: unable to open database file").context("unable to open database file");
        assert_eq!(
            said_once(&code.context("no snapshot was taken")),
            "no snapshot was taken: unable to open database file"
        );
        let code = anyhow!("Error code 14: unable to open database file")
            .context("unable to open database file: /a");
        assert_eq!(said_once(&code), "unable to open database file: /a");
        let io = anyhow!("No space left on device (os error 28)").context("cannot write /a");
        assert_eq!(said_once(&io), "cannot write /a: No space left on device (os error 28)");
    }
}
