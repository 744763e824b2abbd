//! Reads the body of a request, piece by piece, from clients that may be slow but not silent.

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use http_body::Body as _;

use crate::answer::Answer;

/// Returns the next piece, or none at the end.
pub(crate) async fn next(body: &mut Body, idle: Duration) -> Result<Option<Bytes>, Answer> {
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
        let cut = |_| Answer::new(StatusCode::BAD_REQUEST, "the request ended before its body did");
        match tokio::time::timeout(idle, frame).await {
            Err(_) => {
                let text = format!("nothing came for {} seconds", idle.as_secs());
                return Err(Answer::new(StatusCode::REQUEST_TIMEOUT, text));
            }
            Ok(None) => return Ok(None),
            Ok(Some(frame)) => match frame.map_err(cut)?.into_data() {
                Ok(piece) => return Ok(Some(piece)),
                // Trailers say nothing that we know.
                Err(_) => continue,
            },
        }
    }
}

/// Returns the whole body, if it is no longer than `most`.
pub(crate) async fn whole(mut body: Body, most: usize, idle: Duration) -> Result<Vec<u8>, Answer> {
    let mut bytes = Vec::new();
    while let Some(piece) = next(&mut body, idle).await? {
        if bytes.len() + piece.len() > most {
            let text = format!("the body has more than {most} bytes");
            return Err(Answer::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
