//! What strangers wrote, for people's eyes: nothing in it moves a terminal's cursor, forges a line, or changes the order in
//! which text is read. Pure.

use std::fmt::{self, Display, Write};

/// Text on one line, in the order in which it is read; what is more than a character is written as its escape.
#[derive(Debug)]
pub struct Escaped<T>(pub T);

impl<T: AsRef<str>> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_ref();
        while let Some(at) = rest.find(is_hostile) {
            f.write_str(&rest[..at])?;
            let hostile = rest[at..].chars().next().unwrap_or_default();
            write!(f, "{}", hostile.escape_default())?;
            rest = &rest[at + hostile.len_utf8()..];
        }
        f.write_str(rest)
    }
}

/// JSON that means the same and can be shown: what is hostile in its strings is written `\u202e` (RFC 8259 §7).
///
/// Outside of strings JSON has no such character but the end of a line, which stays; inside of them that is escaped already.
pub fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' || !is_hostile(character) {
            shown.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}

/// Whether a terminal or a reader of lines takes the character for more than a character: controls of both kinds, ends of
/// lines, what turns the direction of text (Unicode's `Bidi_Control`), and what is there and cannot be seen, so that two
/// names look like one.
pub fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_character_that_the_issue_names_is_escaped() {
        let c1 = '\u{80}'..='\u{9f}';
        let named = ('\0'..='\u{1f}').chain(c1).chain(['\u{7f}', '\u{61c}', '\u{200e}', '\u{200f}']);
        for character in named.chain('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}') {
            let text = Escaped(format!("a{character}b")).to_string();
            assert!(
                text.starts_with("a\\") && text.ends_with('b') && text.is_ascii(),
                "{character:?}: {text}"
            );
        }
        assert_eq!(
            Escaped("müde\u{202e}\n\u{1b}[31m 寿司 🦀").to_string(),
            "müde\\u{202e}\\n\\u{1b}[31m 寿司 🦀"
        );
        assert_eq!(json("\"\u{9b}\u{e0041}é\""), "\"\\u009b\\udb40\\udc41é\"");
    }

    proptest! {
        #[test]
        fn json_that_is_shown_means_what_it_meant(text in any::<String>(), hostile in "[\u{0}-\u{a0}\u{200b}-\u{206f}\u{e0000}-\u{e007f}]{0,20}") {
            let value = serde_json::json!({"a": [text, hostile], "b": {"c": hostile}});
            for written in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let shown = json(&written);
                prop_assert!(!shown.contains(|character| character != '\n' && is_hostile(character)));
                prop_assert_eq!(shown.lines().count(), written.lines().count());
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value.clone());
            }
        }

        #[test]
        fn text_that_is_shown_is_one_line(text in any::<String>()) {
            let shown = Escaped(&text).to_string();
            prop_assert!(!shown.contains(is_hostile));
            prop_assert_eq!(shown.contains('\\') || !text.contains(is_hostile), true);
        }
    }
}
