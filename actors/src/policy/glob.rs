//! Patterns of repository names: `*` and `?` stay within a path component, `**` crosses them.

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    text: String,
    /// The length of what comes before the first wildcard: most names differ there already.
    literal: usize,
    /// What comes after it.
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// This character.
    Literal(char),
    /// Any one character but `/`.
    One,
    /// Any characters but `/`.
    Component,
    /// Any characters.
    Everything,
}

/// Why a pattern is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// It has no characters.
    #[error("a pattern of repositories is not empty; ** matches all")]
    Empty,
    /// It is longer than any name could need.
    #[error("a pattern of repositories has at most {MAX_LEN} characters")]
    TooLong,
    /// It has a character that no name has.
    #[error(
        "a pattern of repositories has lower-case letters, digits, '.', '_', '-', '/', '*' and '?', not {0:?}"
    )]
    Character(char),
    /// It has an empty component, which no name has.
    #[error("a pattern of repositories neither begins nor ends with '/', and has no two of them in a row")]
    Slash,
}

/// Twice the longest name.
const MAX_LEN: usize = 512;
const WILDCARDS: [char; 2] = ['*', '?'];

impl Glob {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// When it is empty, too long, or could match no name.
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        if text.len() > MAX_LEN {
            return Err(GlobError::TooLong);
        }
        let literal = text.find(WILDCARDS).unwrap_or(text.len());
        let mut tokens: Vec<Token> = Vec::new();
        for (at, character) in text.char_indices() {
            let token = match character {
                '*' if tokens.last() == Some(&Token::Component) => {
                    tokens.pop();
                    Token::Everything
                }
                '*' if tokens.last() == Some(&Token::Everything) => continue,
                '*' => Token::Component,
                '?' => Token::One,
                'a'..='z' | '0'..='9' | '.' | '_' | '-' | '/' if at < literal => continue,
                'a'..='z' | '0'..='9' | '.' | '_' | '-' | '/' => Token::Literal(character),
                other => return Err(GlobError::Character(other)),
            };
            tokens.push(token);
        }
        // It would match nothing, and as a deny it would look as if it protected something.
        if text.split('/').any(str::is_empty) {
            return Err(GlobError::Slash);
        }
        Ok(Self { text: text.to_owned(), literal, tokens })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `name` matches. Takes time in proportion to pattern times name, never more.
    pub fn matches(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(&self.text[..self.literal]) else { return false };
        match self.tokens[..] {
            [] => rest.is_empty(),
            [Token::Everything] => true,
            _ => self.wildcards_match(rest),
        }
    }

    /// Follows every way to match at once, so that no pattern makes it try them one after another.
    fn wildcards_match(&self, name: &str) -> bool {
        // reached[i]: the first i tokens match what was read so far.
        let mut reached = vec![false; self.tokens.len() + 1];
        let mut next = reached.clone();
        reached[0] = true;
        self.skip_empty(&mut reached);
        for character in name.chars() {
            next.fill(false);
            for (index, token) in self.tokens.iter().enumerate().filter(|(index, _)| reached[*index]) {
                match token {
                    Token::Literal(literal) => next[index + 1] |= *literal == character,
                    Token::One => next[index + 1] |= character != '/',
                    Token::Component => next[index] |= character != '/',
                    Token::Everything => next[index] = true,
                }
            }
            self.skip_empty(&mut next);
            std::mem::swap(&mut reached, &mut next);
        }
        reached[self.tokens.len()]
    }

    /// A star may also match nothing.
    fn skip_empty(&self, reached: &mut [bool]) {
        for (index, token) in self.tokens.iter().enumerate() {
            if reached[index] && matches!(token, Token::Component | Token::Everything) {
                reached[index + 1] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::RepositoryName;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn stars_stay_within_a_component_unless_doubled() {
        assert!(matches("ci/*", "ci/app") && !matches("ci/*", "ci/app/web") && !matches("ci/*", "ci"));
        assert!(matches("ci/**", "ci/app/web") && !matches("ci/**", "ci"));
        assert!(matches("**", "a/b/c") && matches("**/app", "a/b/app") && !matches("**/app", "app"));
        assert!(matches("a?c", "abc") && !matches("a?c", "a/c") && !matches("a?c", "ac"));
        assert!(matches("team-*/app", "team-1/app") && !matches("team-*/app", "team-1/x/app"));
        assert!(!matches("app", "app2") && !matches("app", "my/app"));
    }

    #[test]
    fn bad_patterns_are_refused() {
        assert_eq!(Glob::parse(""), Err(GlobError::Empty));
        assert_eq!(Glob::parse("A"), Err(GlobError::Character('A')));
        assert_eq!(Glob::parse("[a]"), Err(GlobError::Character('[')));
        assert_eq!(Glob::parse("a*/B"), Err(GlobError::Character('B')));
        for never in ["/", "/a", "secret/", "a//b", "/**", "**/", "a*//b"] {
            assert_eq!(Glob::parse(never), Err(GlobError::Slash), "{never}");
        }
        assert_eq!(Glob::parse(&"a".repeat(513)), Err(GlobError::TooLong));
    }

    #[test]
    fn no_pattern_takes_long() {
        let name = "a".repeat(255);
        for pattern in ["a*".repeat(255), "a**".repeat(170), "**/".repeat(170), "?*".repeat(255)] {
            let pattern = format!("{}b", pattern.trim_end_matches('/'));
            assert!(!matches(&pattern, &name));
        }
    }

    /// The obvious definition, exponential and right.
    fn naive(pattern: &[char], name: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['*', '*', rest @ ..] => (0..=name.len()).any(|at| naive(rest, &name[at..])),
            ['*', rest @ ..] => {
                let component = name.iter().take_while(|character| **character != '/').count();
                (0..=component).any(|at| naive(rest, &name[at..]))
            }
            ['?', rest @ ..] => name.first().is_some_and(|first| *first != '/') && naive(rest, &name[1..]),
            [literal, rest @ ..] => name.first() == Some(literal) && naive(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_obvious_definition(pattern in "[ab/*?]{1,8}", name in "[ab/]{0,8}") {
            let (pattern_chars, name_chars) = (pattern.chars().collect::<Vec<_>>(), name.chars().collect::<Vec<_>>());
            match Glob::parse(&pattern) {
                Ok(glob) => prop_assert_eq!(glob.matches(&name), naive(&pattern_chars, &name_chars)),
                // What is refused could have matched no name.
                Err(_) => prop_assert!(name.parse::<RepositoryName>().is_err() || !naive(&pattern_chars, &name_chars)),
            }
        }

        #[test]
        fn any_pattern_is_compiled_or_refused(pattern in "\\PC{0,40}", name in "\\PC{0,40}") {
            if let Ok(glob) = Glob::parse(&pattern) {
                let _ = glob.matches(&name);
            }
        }
    }
}
