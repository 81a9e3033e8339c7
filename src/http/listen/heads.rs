//! What the HTTP/1.1 library must not hear of a request's head, taken out of the bytes before it reads them.
//!
//! It ends a connection whose request offers an upgrade, and waits for ever for the body of one that offers a WebSocket; a
//! server that takes no offer shall answer as if there had been none (RFC 9110 §7.8). And it promises `100 Continue` before
//! anybody has looked at the request. So in the head of a request that is read while no other is in flight the names and
//! the word are written over by others of their length, which mean nothing. Heads of pipelined requests pass as they are.
//!
//! No byte is added or left out: whatever this takes for a head, the bodies that the library sees are as long as they were.
//! Pure: it knows no stream.

use super::Body100;

/// The names that begin a line of interest, in lower case, with what is put in their place.
const NAMES: [(&[u8], &[u8]); 3] =
    [(b"connection:", b""), (b"upgrade:", b"x-offer:"), (b"expect:", b"x-told:")];
/// The word among the options of a connection, and what is put in its place.
const UPGRADE: (&[u8], &[u8]) = (b"upgrade", b"x-offer");
/// The longest line of interest that is waited for, in bytes; a longer one passes as it is.
const LONGEST: usize = 1024;

/// Where the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// At the beginning of a line of a head, of which some were read if so.
    Line { later: bool },
    /// In a line that is of no interest.
    Rest,
    /// After the head.
    Body,
}

/// Reads heads, and holds back a line of interest until it is whole.
#[derive(Debug)]
pub(super) struct Heads {
    at: At,
    held: Vec<u8>,
}

impl Default for Heads {
    fn default() -> Self {
        Self { at: At::Line { later: false }, held: Vec::new() }
    }
}

impl Heads {
    /// The next bytes begin a head, unless bytes of one are held back.
    pub(super) fn begin(&mut self) {
        if self.held.is_empty() {
            self.at = At::Line { later: false };
        }
    }

    /// Holds these bytes back again, since nothing came after them.
    pub(super) fn hold(&mut self, held: Vec<u8>) {
        self.held = held;
    }

    /// What was held back, to stand before the bytes that are read next.
    pub(super) fn held(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Writes over what the library must not hear. Answers how many of the bytes may be passed on now; the others are held
    /// back. `told` hears when the client waits for `100 Continue`.
    pub(super) fn filter(&mut self, bytes: &mut [u8], told: &mut Body100) -> usize {
        let mut done = 0;
        while done < bytes.len() && self.at != At::Body {
            let rest = &mut bytes[done..];
            let end = rest.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            match (self.at, end) {
                (At::Rest, Some(end)) => {
                    self.at = At::Line { later: true };
                    done += end;
                }
                (At::Line { later }, Some(end)) => {
                    let line = &mut rest[..end];
                    self.at = match &*line {
                        // Empty lines before a head are passed over (RFC 9112 §2.2).
                        b"\r\n" | b"\n" if later => At::Body,
                        b"\r\n" | b"\n" => At::Line { later: false },
                        _ => At::Line { later: true },
                    };
                    rewrite(line, told);
                    done += end;
                }
                (At::Line { .. }, None) if rest.len() <= LONGEST && may_be_of_interest(rest) => {
                    self.held = rest.to_vec();
                    return done;
                }
                (_, None) => {
                    self.at = At::Rest;
                    return bytes.len();
                }
                (At::Body, _) => break,
            }
        }
        bytes.len()
    }
}

/// Whether the beginning of a line may be one of the names, or a line that is empty.
fn may_be_of_interest(begun: &[u8]) -> bool {
    begun == b"\r"
        || NAMES.iter().any(|(name, _)| {
            let length = begun.len().min(name.len());
            begun[..length].eq_ignore_ascii_case(&name[..length])
        })
}

/// Writes over a line's name or word.
fn rewrite(line: &mut [u8], told: &mut Body100) {
    let begins =
        |line: &[u8], name: &[u8]| line.len() >= name.len() && line[..name.len()].eq_ignore_ascii_case(name);
    let Some((name, instead)) = NAMES.into_iter().find(|(name, _)| begins(line, name)) else { return };
    let value = &mut line[name.len()..];
    match name {
        b"connection:" => options(value),
        b"upgrade:" => line[..name.len()].copy_from_slice(instead),
        _ => {
            if value.trim_ascii().eq_ignore_ascii_case(b"100-continue") {
                told.is_awaited();
                line[..name.len()].copy_from_slice(instead);
            }
        }
    }
}

/// Writes over the word among a connection's options.
fn options(value: &mut [u8]) {
    let (word, instead) = UPGRADE;
    for option in value.split_mut(|byte| *byte == b',') {
        let from = option.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let length = option.trim_ascii().len();
        let option = &mut option[from..from + length];
        if option.eq_ignore_ascii_case(word) {
            option.copy_from_slice(instead);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is passed on when the bytes come in pieces that end here, and whether `100 Continue` is awaited.
    fn pass(bytes: &[u8], ends: &[usize]) -> (Vec<u8>, bool) {
        let (mut heads, mut told, mut passed) = (Heads::default(), Body100::default(), Vec::new());
        let mut ends: Vec<usize> = ends.iter().map(|end| end % (bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let mut from = 0;
        for end in ends {
            let mut piece = heads.held();
            piece.extend_from_slice(&bytes[from..end]);
            let done = heads.filter(&mut piece, &mut told);
            passed.extend_from_slice(&piece[..done]);
            from = end;
        }
        passed.extend(heads.held());
        (passed, told.is_wanted())
    }

    #[test]
    fn offers_and_expectations_are_not_heard_however_they_are_written() {
        let cases = [
            (
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n",
                "Connection: x-offer, HTTP2-Settings\r\nx-offer: h2c\r\n",
            ),
            ("connection:upgrade\r\n", "connection:x-offer\r\n"),
            ("CONNECTION: keep-alive ,\tUPGRADE \r\n", "CONNECTION: keep-alive ,\tx-offer \r\n"),
            ("Connection: close, upgrade\r\n", "Connection: close, x-offer\r\n"),
            ("Connection: upgrades\r\n", "Connection: upgrades\r\n"),
            ("X-Upgrade: websocket\r\n", "X-Upgrade: websocket\r\n"),
            ("Upgrade:\twebsocket\n", "x-offer:\twebsocket\n"),
            ("Expect: 200-ok\r\n", "Expect: 200-ok\r\n"),
        ];
        for (head, expected) in cases {
            let whole = |head: &str| {
                format!("GET /upgrade:/ HTTP/1.1\r\nHost: x\r\n{head}\r\nConnection: upgrade\r\n")
            };
            let (passed, told) = pass(whole(head).as_bytes(), &[]);
            assert_eq!(String::from_utf8(passed).unwrap(), whole(expected));
            assert!(!told, "{head}");
        }
        let (passed, told) =
            pass(b"PUT / HTTP/1.1\r\nEXPECT: 100-Continue \r\n\r\nExpect: 100-continue\r\n", &[]);
        assert_eq!(passed, b"PUT / HTTP/1.1\r\nx-told: 100-Continue \r\n\r\nExpect: 100-continue\r\n");
        assert!(told);
    }

    #[test]
    fn a_long_line_passes_as_it_is_and_ends_nothing() {
        let long = format!("GET / HTTP/1.1\r\nConnection: {}", "a".repeat(LONGEST));
        let bytes = format!("{long}, upgrade\r\nUpgrade: h2c\r\n\r\n");
        let (passed, _) = pass(bytes.as_bytes(), &[long.len()]);
        assert_eq!(passed.len(), bytes.len());
        assert!(passed.ends_with(b", upgrade\r\nx-offer: h2c\r\n\r\n"), "the next line is filtered again");
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            lines in prop::collection::vec("(Connection|upgrade|Expect|Host|X): ?(upgrade|close, upgrade|100-continue|h2c|[ -~]{0,12})\r?\n", 0..6),
            body in prop::collection::vec(any::<u8>(), 0..40),
            ends in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let head = format!("POST /v2/ HTTP/1.1\r\n{}\r\n", lines.concat());
            let bytes = [head.as_bytes(), &body].concat();
            prop_assert_eq!(pass(&bytes, &ends), pass(&bytes, &[]));
            prop_assert!(pass(&bytes, &ends).0.ends_with(&body));
        }

        #[test]
        fn nothing_is_added_or_left_out(bytes in prop::collection::vec(any::<u8>(), 0..200), ends in prop::collection::vec(any::<usize>(), 0..8)) {
            prop_assert_eq!(pass(&bytes, &ends).0.len(), bytes.len());
        }
    }
}
