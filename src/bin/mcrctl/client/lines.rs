//! An answer that comes line by line, for as long as it likes.

use std::io::{BufRead, BufReader, Read};

use anyhow::{Context, bail};
use ureq::{Body, BodyReader};

/// The longest line in bytes.
const LONGEST: u64 = 16 * 1024 * 1024;

/// The lines of an answer, without their ends.
pub(crate) struct Lines(BufReader<BodyReader<'static>>);

impl Lines {
    pub(super) fn new(body: Body) -> Self {
        Self(BufReader::new(body.into_with_config().limit(u64::MAX).reader()))
    }
}

impl Iterator for Lines {
    type Item = anyhow::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        let mut read = || {
            let read = self.0.by_ref().take(LONGEST).read_until(b'\n', &mut line);
            read.context("the answer did not come whole")?;
            match line.pop() {
                None => return Ok(None),
                Some(b'\n') => {}
                Some(_) => bail!("the answer did not come whole"),
            }
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            Ok(Some(String::from_utf8_lossy(&line).into_owned()))
        };
        read().transpose()
    }
}
