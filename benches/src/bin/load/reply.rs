//! An answer as it comes off the wire, in pieces of any size. It knows no connection.

use anyhow::{Context, bail};

/// Most headers that an answer may have.
const HEADERS: usize = 64;

/// What the head of an answer says.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// The status.
    pub(crate) status: u16,
    /// The Location header.
    pub(crate) location: Option<String>,
    /// The connection is over after this answer.
    pub(crate) close: bool,
    /// The Content-Length header.
    pub(crate) length: Option<u64>,
    chunked: bool,
}

impl Head {
    /// The head and its length in bytes, when all of it is there.
    pub(crate) fn parse(bytes: &[u8]) -> anyhow::Result<Option<(Self, usize)>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let size = match response.parse(bytes).context("the answer is no HTTP")? {
            httparse::Status::Complete(size) => size,
            httparse::Status::Partial => return Ok(None),
        };
        let status = response.code.context("an answer without a status")?;
        let mut head = Self { status, location: None, close: false, length: None, chunked: false };
        for header in response.headers.iter() {
            let value = || String::from_utf8_lossy(header.value);
            match header.name.len() {
                8 if header.name.eq_ignore_ascii_case("location") => {
                    head.location = Some(value().into_owned());
                }
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    head.close = header.value.eq_ignore_ascii_case(b"close");
                }
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    head.length = Some(value().trim().parse().context("a bad Content-Length")?);
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => head.chunked = true,
                _ => {}
            }
        }
        Ok(Some((head, size)))
    }
}

/// Where in the answer the next byte belongs.
#[derive(Debug, Clone, Copy)]
enum At {
    Head,
    /// So many bytes of the body are left.
    Body(u64),
    /// In the line that says how long the next chunk is, `true` once only its end is of interest.
    ChunkSize(u64, bool),
    /// So many bytes of a chunk, and of the two after it, are left.
    Chunk(u64, bool),
    /// In a line after the last chunk that is so long.
    Trailer(usize),
    End,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Reply {
    at: At,
    /// The answer to a HEAD: a length, and no body.
    bodiless: bool,
    /// A head that came in pieces.
    partial: Vec<u8>,
    head: Option<Head>,
    /// The body, where somebody wants it.
    body: Option<Vec<u8>>,
}

impl Reply {
    /// Nothing has come yet.
    pub(crate) fn new(bodiless: bool, keep_body: bool) -> Self {
        Self { at: At::Head, bodiless, partial: Vec::new(), head: None, body: keep_body.then(Vec::new) }
    }

    /// Takes the next bytes; says whether the answer is complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> anyhow::Result<bool> {
        let mut rest = bytes;
        if matches!(self.at, At::Head) {
            match self.feed_head(bytes)? {
                Some(used) => rest = &bytes[used..],
                None => return Ok(false),
            }
        }
        while !rest.is_empty() && !matches!(self.at, At::End) {
            rest = self.feed_body(rest)?;
        }
        if !rest.is_empty() {
            bail!("{} bytes after the end of an answer", rest.len());
        }
        Ok(matches!(self.at, At::End))
    }

    /// How many of these bytes were the head's, once it is complete.
    fn feed_head(&mut self, bytes: &[u8]) -> anyhow::Result<Option<usize>> {
        let before = self.partial.len();
        let parsed = if before == 0 {
            Head::parse(bytes)?
        } else {
            self.partial.extend_from_slice(bytes);
            Head::parse(&self.partial)?
        };
        let Some((head, size)) = parsed else {
            if before == 0 {
                self.partial.extend_from_slice(bytes);
            }
            return Ok(None);
        };
        self.at = match head.length {
            _ if self.bodiless || head.status == 204 || head.status == 304 => At::End,
            _ if head.chunked => At::ChunkSize(0, false),
            Some(0) => At::End,
            Some(length) => At::Body(length),
            None => bail!("an answer without a length"),
        };
        self.head = Some(head);
        Ok(Some(size - before))
    }

    fn feed_body<'a>(&mut self, bytes: &'a [u8]) -> anyhow::Result<&'a [u8]> {
        let (now, rest) = (bytes[0], &bytes[1..]);
        self.at = match self.at {
            At::Head | At::End => return Ok(bytes),
            At::Body(left) => {
                let used = self.take(bytes, left);
                let left = left - used as u64;
                self.at = if left == 0 { At::End } else { At::Body(left) };
                return Ok(&bytes[used..]);
            }
            At::Chunk(2, last) if last => At::Trailer(0),
            At::Chunk(left, _) if left > 2 => {
                let used = self.take(bytes, left - 2);
                self.at = At::Chunk(left - used as u64, false);
                return Ok(&bytes[used..]);
            }
            At::Chunk(1, _) => At::ChunkSize(0, false),
            At::Chunk(left, last) => At::Chunk(left - 1, last),
            At::ChunkSize(0, true) if now == b'\n' => At::Trailer(0),
            At::ChunkSize(size, true) if now == b'\n' => At::Chunk(size + 2, false),
            At::ChunkSize(size, true) => At::ChunkSize(size, true),
            At::ChunkSize(size, false) => match char::from(now).to_digit(16) {
                Some(digit) => At::ChunkSize(size * 16 + u64::from(digit), false),
                None => At::ChunkSize(size, true),
            },
            At::Trailer(length) if now == b'\n' => {
                if length == 0 {
                    At::End
                } else {
                    At::Trailer(0)
                }
            }
            At::Trailer(length) => At::Trailer(length + usize::from(now != b'\r')),
        };
        Ok(rest)
    }

    fn take(&mut self, bytes: &[u8], most: u64) -> usize {
        let used = bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        if let Some(body) = &mut self.body {
            body.extend_from_slice(&bytes[..used]);
        }
        used
    }

    /// The head, once it has come.
    pub(crate) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The head and what was kept of the body.
    pub(crate) fn into_parts(self) -> anyhow::Result<(Head, Vec<u8>)> {
        Ok((self.head.context("no answer")?, self.body.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(wire: &str, piece: usize, bodiless: bool) -> (Head, String) {
        let mut reply = Reply::new(bodiless, true);
        let pieces: Vec<&[u8]> = wire.as_bytes().chunks(piece).collect();
        for (index, bytes) in pieces.iter().enumerate() {
            assert_eq!(reply.feed(bytes).unwrap(), index + 1 == pieces.len(), "{index} of {}", pieces.len());
        }
        let (head, body) = reply.into_parts().unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    #[test]
    fn answers_come_in_pieces_of_any_size() {
        let sized = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n";
        let empty = "HTTP/1.1 202 Accepted\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n";
        for piece in 1..80 {
            let (head, body) = fed(sized, piece, false);
            assert_eq!((body.as_str(), head.close), ("hello", true));
            assert_eq!(fed(chunked, piece, false).1, "hello0123456789");
            assert_eq!(fed(empty, piece, false).0.location.as_deref(), Some("/there"));
            assert_eq!(fed("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", piece, true).0.status, 200);
        }
    }
}
