//! Everything that a page shows is text: what every template writes goes through here, whoever wrote it.
//!
//! Markup is escaped as HTML has it; characters that turn the direction of text, or are there and cannot be seen, are shown as
//! their escapes.

use std::fmt::{self, Write};

use askama::filters::Escaper;

/// Writes text that cannot be more than text. Ends of lines stay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inert;

impl Escaper for Inert {
    fn write_escaped_str<W: Write>(&self, mut to: W, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_special) {
            to.write_str(&rest[..at])?;
            let special = rest[at..].chars().next().unwrap_or_default();
            self.write_escaped_char(&mut to, special)?;
            rest = &rest[at + special.len_utf8()..];
        }
        to.write_str(rest)
    }

    fn write_escaped_char<W: Write>(&self, mut to: W, character: char) -> fmt::Result {
        match character {
            '<' => to.write_str("&lt;"),
            '>' => to.write_str("&gt;"),
            '&' => to.write_str("&amp;"),
            '"' => to.write_str("&quot;"),
            '\'' => to.write_str("&#39;"),
            other if is_special(other) => write!(to, "{}", other.escape_default()),
            other => to.write_char(other),
        }
    }
}

fn is_special(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '<' | '>' | '&' | '"' | '\'' => true,
        other => mcr_api::escape::is_hostile(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let mut to = String::new();
        Inert.write_escaped_str(&mut to, text).unwrap();
        to
    }

    #[test]
    fn markup_and_directions_are_text() {
        assert_eq!(
            written("<a href=\"x\">'&\u{202e}b\u{0}\n"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;\\u{202e}b\\u{0}\n"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_text(text in any::<String>()) {
            let to = written(&text);
            prop_assert!(!to.contains(['<', '>', '"', '\'']));
            prop_assert!(!to.chars().any(|character| !matches!(character, '\n' | '\t') && mcr_api::escape::is_hostile(character)));
            let mut one_by_one = String::new();
            text.chars().for_each(|character| Inert.write_escaped_char(&mut one_by_one, character).unwrap());
            prop_assert_eq!(one_by_one, to);
        }
    }
}
