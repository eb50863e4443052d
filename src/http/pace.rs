//! Bodies that arrive: however they are read, none holds a place for ever (T-29).

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::Instant;

/// What a body must bring in a second on average, in bytes: the slowest lines bring more.
const LEAST: u64 = 1024;
/// How much longer than usual a body that was fast may pause.
const PAUSE: u32 = 4;

/// The same body, which ends with an error once it is too slow: it has `patience` and another second for each
/// [`LEAST`] bytes, and never pauses for longer than four times `patience`.
pub fn paced(payload: Payload, patience: Duration) -> Payload {
    if matches!(payload, Payload::None) {
        return payload;
    }
    let body: std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(pace(payload, patience));
    Payload::from(body)
}

fn pace<S>(body: S, patience: Duration) -> impl Stream<Item = Result<Bytes, PayloadError>>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let begun = Instant::now();
    stream::unfold(Some((body, 0)), move |state| async move {
        let (mut body, received): (S, u64) = state?;
        let due = begun + patience + Duration::from_secs(received / LEAST);
        let until = due.min(Instant::now() + patience * PAUSE);
        match tokio::time::timeout_at(until, body.next()).await {
            Ok(Some(Ok(chunk))) => {
                let received = received + chunk.len() as u64;
                Some((Ok(chunk), Some((body, received))))
            }
            Ok(Some(Err(cause))) => Some((Err(cause), None)),
            Ok(None) => None,
            Err(_) => {
                let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "the body came too slowly");
                Some((Err(PayloadError::Io(late)), None))
            }
        }
    })
    .fuse()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes of a body arrive that brings `size` of them every `every`, and whether it came to its end.
    async fn arrived(size: usize, every: Duration, parts: usize) -> (usize, bool) {
        let body = stream::iter(0..parts).then(move |_| async move {
            tokio::time::sleep(every).await;
            Ok(Bytes::from(vec![b'x'; size]))
        });
        let mut body = Box::pin(pace(Box::pin(body), Duration::from_secs(10)));
        let mut bytes = 0;
        while let Some(part) = body.next().await {
            match part {
                Ok(part) => bytes += part.len(),
                Err(_) => return (bytes, false),
            }
        }
        (bytes, true)
    }

    // The runtime's clock stands still, and moves on when all wait for it.
    #[tokio::test(start_paused = true)]
    async fn t29_a_body_that_drips_is_cut_off_and_one_that_is_slow_is_not() {
        let seconds = Duration::from_secs;
        assert_eq!(arrived(1, seconds(6), 1000).await, (1, false));
        assert_eq!(arrived(1, seconds(11), 1).await, (0, false));
        assert_eq!(arrived(2048, seconds(1), 600).await, (2048 * 600, true));
        // The first part is late already; what began well may pause, but not for ever.
        assert_eq!(arrived(1 << 20, seconds(39), 3).await, (0, false));
        assert_eq!(arrived(1 << 20, seconds(9), 3).await, (3 << 20, true));
    }
}
