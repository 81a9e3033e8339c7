//! The far end of the log: a thread of its own that writes the lines, so that nobody who logs waits for who reads them.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// How many lines may wait. With more the newest are lost.
const WAITING: usize = 8192;
/// How many bytes the lines that wait may have together. With more the newest are lost.
const WAITING_BYTES: usize = 8 * 1024 * 1024;
/// How long the first line waits for others, so that one write takes them all.
const GATHER: Duration = Duration::from_millis(5);
/// Bytes after which lines are written whether others wait or not.
const BATCH: usize = 64 * 1024;
/// How long [`Lines::flush`] waits.
const FLUSH: Duration = Duration::from_secs(1);

enum Message {
    Line(Box<[u8]>),
    /// What came before it has been written when its end is dropped.
    Flush(SyncSender<()>),
}

/// Where lines are put. What is given to one [`Write::write`] is one line.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    messages: SyncSender<Message>,
    waiting_bytes: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

impl Lines {
    /// Begins to write to `out`.
    ///
    /// # Errors
    ///
    /// When there is no thread to be had.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (messages, waiting) = sync_channel(WAITING);
        let (waiting_bytes, lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let writer =
            Writer { waiting, waiting_bytes: Arc::clone(&waiting_bytes), lost: Arc::clone(&lost), out };
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run())?;
        Ok(Self { messages, waiting_bytes, lost })
    }

    /// Waits until the lines that wait now are written, but no longer than a second.
    pub(super) fn flush(&self) {
        let (written, end) = sync_channel(0);
        if self.messages.try_send(Message::Flush(written)).is_ok() {
            // Either way there is nothing more to wait for.
            let _ = end.recv_timeout(FLUSH);
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Counted before it waits, so that many threads at once do not pass the bound together.
        let before = self.waiting_bytes.fetch_add(line.len(), Ordering::Relaxed);
        let fits = before + line.len() <= WAITING_BYTES;
        if !fits || self.messages.try_send(Message::Line(line.into())).is_err() {
            self.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Writer<W> {
    waiting: Receiver<Message>,
    waiting_bytes: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
    out: W,
}

impl<W: Write> Writer<W> {
    /// Writes until nobody is left who could log.
    fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Ok(first) = self.waiting.recv() {
            if matches!(first, Message::Line(_)) {
                thread::sleep(GATHER);
            }
            self.take(first, &mut batch);
            while let Ok(next) = self.waiting.try_recv() {
                self.take(next, &mut batch);
            }
            self.write(&mut batch);
            self.tell_of_lost();
        }
    }

    fn take(&mut self, message: Message, batch: &mut Vec<u8>) {
        match message {
            Message::Line(line) => {
                self.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                batch.extend_from_slice(&line);
                if batch.len() >= BATCH {
                    self.write(batch);
                }
            }
            Message::Flush(_written) => self.write(batch),
        }
    }

    fn write(&mut self, batch: &mut Vec<u8>) {
        // There is nowhere to tell that standard error is closed.
        let _ = self.out.write_all(batch).and_then(|()| self.out.flush());
        batch.clear();
    }

    fn tell_of_lost(&self) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            log::warn!("{lost} lines of the log are lost: standard error was not read as fast as they came");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Passes on what is written, when it may.
    struct Gate {
        open: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _closed = self.open.recv();
            self.written.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gate() -> (Gate, Sender<()>, Receiver<Vec<u8>>) {
        let (opener, open) = channel();
        let (written, writes) = channel();
        (Gate { open, written }, opener, writes)
    }

    #[test]
    fn whoever_logs_does_not_wait_for_who_reads() {
        let (gate, opener, writes) = gate();
        let mut lines = Lines::start(gate).unwrap();
        let sent = WAITING * 4;
        for number in 0..sent {
            lines.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        let lost = lines.lost.load(Ordering::Relaxed);
        assert!(lost > 0, "nothing was lost, so somebody waited or a queue has no bound");
        drop(opener);
        drop(lines);
        let written: Vec<u8> = writes.iter().flatten().collect();
        let written = String::from_utf8(written).unwrap();
        let numbers: Vec<usize> = written.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(numbers.len() as u64 + lost, sent as u64);
        assert!(numbers.is_sorted(), "lines changed places");
    }

    #[test]
    fn long_lines_wait_in_bounded_memory_and_are_taken_again_later() {
        let (gate, opener, writes) = gate();
        let mut lines = Lines::start(gate).unwrap();
        let line = vec![b'x'; 64 * 1024];
        let sent = 10 * WAITING_BYTES / line.len();
        assert!(sent < WAITING, "the number of lines would be what bounds them");
        for _ in 0..sent {
            lines.write_all(&line).unwrap();
        }
        // One batch is under way beside those that wait.
        let lost = usize::try_from(lines.lost.load(Ordering::Relaxed)).unwrap();
        assert!((sent - lost) * line.len() <= WAITING_BYTES + 2 * BATCH, "{lost} of {sent} are lost");
        drop(opener);
        Lines::flush(&lines);
        lines.write_all(b"last").unwrap();
        drop(lines);
        let written: Vec<u8> = writes.iter().flatten().collect();
        assert!(written.ends_with(b"last"), "nothing is taken any more");
        assert_eq!(written.len(), (sent - lost) * line.len() + b"last".len());
    }

    #[test]
    fn what_was_logged_before_a_flush_is_written_after_it() {
        let (gate, opener, writes) = gate();
        drop(opener);
        let mut lines = Lines::start(gate).unwrap();
        for number in 0..100 {
            lines.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        Lines::flush(&lines);
        let written: Vec<u8> = writes.try_iter().flatten().collect();
        assert_eq!(String::from_utf8(written).unwrap().lines().count(), 100);
    }
}
