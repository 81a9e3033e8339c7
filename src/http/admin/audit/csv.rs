//! Lines of a table as spreadsheets read them (RFC 4180). Pure.
//!
//! Strangers choose what stands in a cell: it is on one line, and nothing in it is a formula.

use crate::escape::Escaped;

/// What a spreadsheet takes for the begin of a formula, in the letters of the East, too.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// A cell. One that could be a formula begins with an apostrophe, and one that could be read as several is in quotes.
fn cell(text: &str) -> String {
    let shown = Escaped(text).to_string();
    let apostrophe = if shown.trim_start().starts_with(FORMULA) { "'" } else { "" };
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_.:/".contains(character);
    match shown.chars().all(is_plain) {
        true => format!("{apostrophe}{shown}"),
        false => format!("\"{apostrophe}{}\"", shown.replace('"', "\"\"")),
    }
}

/// A line with its end.
pub(super) fn line<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|text| cell(text.as_ref())).collect();
    cells.join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cells_are_written_as_spreadsheets_read_them() {
        for (text, expected) in [
            ("", ""),
            ("team/app:v1.0-rc_1", "team/app:v1.0-rc_1"),
            ("two words", "\"two words\""),
            ("a,b", "\"a,b\""),
            ("a;=1", "\"a;=1\""),
            ("{\"a\":1}", "\"{\"\"a\"\":1}\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("+1", "\"'+1\""),
            ("-1", "'-1"),
            ("@a", "\"'@a\""),
            (" =1", "\"' =1\""),
            ("＝1", "\"'＝1\""),
            ("a\r\n=1", "\"a\\r\\n=1\""),
            ("\t=1", "\"\\t=1\""),
            ("müde\u{202e}", "\"müde\\u{202e}\""),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
        assert_eq!(line(["a", "b c", ""]), "a,\"b c\",\r\n");
    }

    proptest! {
        #[test]
        fn no_text_is_a_formula_or_more_than_one_cell(text in "\\PC{0,20}|[=+@,;\"'\r\n\t -]{0,8}") {
            let written = cell(&text);
            prop_assert!(!written.contains(['\r', '\n', '\t']));
            let inner = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let read = inner.map_or_else(|| written.clone(), |inner| inner.replace("\"\"", "\""));
            prop_assert!(!read.trim_start().starts_with(FORMULA));
            match inner {
                Some(inner) => prop_assert!(!inner.replace("\"\"", "").contains('"')),
                None => prop_assert!(!written.contains([',', ';', '"', ' '])),
            }
        }
    }
}
