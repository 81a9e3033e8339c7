//! Plain HTTP on a port that speaks TLS: it gets an answer that it can read, and not the alert of another protocol.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

const SENTENCE: &str = "this port speaks TLS: use https://\n";

/// Passes the stream on unless its first byte begins a request in plain HTTP: a handshake begins with 22 (RFC 8446 §5.1), and a
/// method with a letter.
///
/// # Errors
/// When it is plain HTTP, when nothing comes in time, or when the stream fails.
pub(super) async fn refuse(mut io: TcpStream, patience: Duration) -> io::Result<TcpStream> {
    let mut first = [0];
    match timeout(patience, io.peek(&mut first)).await? {
        Ok(1) if first[0].is_ascii_uppercase() => {
            let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n";
            let answer = format!("{head}Content-Length: {}\r\n\r\n{SENTENCE}", SENTENCE.len());
            timeout(patience, answer_and_end(&mut io, answer.as_bytes())).await??;
            Err(io::Error::new(io::ErrorKind::InvalidData, "plain HTTP on a port that speaks TLS"))
        }
        Ok(_) => Ok(io),
        Err(error) => Err(error),
    }
}

/// Answers, and reads on for a moment, so that a client that is still sending hears it.
async fn answer_and_end(io: &mut TcpStream, answer: &[u8]) -> io::Result<()> {
    /// How long, and how much, is read on.
    const LINGER: (Duration, usize) = (Duration::from_secs(1), 64 * 1024);
    io.write_all(answer).await?;
    io.shutdown().await?;
    let mut left = LINGER.1;
    let rest = async {
        let mut buffer = [0; 4096];
        while left > 0 {
            match tokio::io::AsyncReadExt::read(io, &mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
    };
    // Whoever sends more does without the answer.
    let _bounded = timeout(LINGER.0, rest).await;
    Ok(())
}
