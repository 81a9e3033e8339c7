//! Several parts of a blob in one answer: `multipart/byteranges` (RFC 9110 §14.6).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

use super::body::BlobBody;
use super::range::Part;
use super::readers::Opened;

/// The parts, each after a head that says which it is. What divides them is drawn anew for each answer, so that no blob
/// can have it among its bytes.
pub struct Byteranges {
    opened: Opened,
    content_type: String,
    /// What is still to come, the next last.
    left: Vec<(Bytes, Part)>,
    current: Option<BlobBody>,
    closing: Bytes,
    length: u64,
}

impl Byteranges {
    /// The `parts` of a `file` that has `size` bytes.
    pub fn new(opened: Opened, parts: &[Part], size: u64) -> Self {
        let boundary = uuid::Uuid::new_v4().simple().to_string();
        let mut left: Vec<(Bytes, Part)> =
            parts.iter().enumerate().map(|(at, part)| (head(&boundary, at, *part, size), *part)).collect();
        left.reverse();
        let closing = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        let length: u64 = left.iter().map(|(head, part)| head.len() as u64 + part.length()).sum();
        let length = length + closing.len() as u64;
        let content_type = format!("multipart/byteranges; boundary={boundary}");
        Self { opened, content_type, left, current: None, closing, length }
    }

    /// The answer's `Content-Type`, which names what divides the parts.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }
}

fn head(boundary: &str, at: usize, part: Part, size: u64) -> Bytes {
    let (line, Part { start, end }) = (if at == 0 { "" } else { "\r\n" }, part);
    let content =
        format!("Content-Type: application/octet-stream\r\nContent-Range: bytes {start}-{end}/{size}");
    Bytes::from(format!("{line}--{boundary}\r\n{content}\r\n\r\n"))
}

impl MessageBody for Byteranges {
    type Error = std::io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, std::io::Error>>> {
        if let Some(part) = &mut self.current {
            if let Some(piece) = ready!(Pin::new(part).poll_next(context)) {
                return Poll::Ready(Some(piece));
            }
            self.current = None;
        }
        if let Some((head, part)) = self.left.pop() {
            let opened = self.opened.clone();
            self.current = Some(BlobBody::new(opened, part.start, part.length(), self.left.is_empty()));
            return Poll::Ready(Some(Ok(head)));
        }
        let closing = std::mem::take(&mut self.closing);
        Poll::Ready(Some(Ok(closing)).filter(|closing| closing.as_ref().is_ok_and(|bytes| !bytes.is_empty())))
    }
}
