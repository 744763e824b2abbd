//! Accepts connections and bounds what each may cost.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use casque_format::status::{Syslog, Volume};
use casque_format::syslog::Receiver;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};

use super::Served;
use super::answer::{Asked, answer, wants_volume};
use super::watch::View;
use crate::root::Root;
use crate::syslog;
use crate::volume::volume;

/// Open connections per listening socket; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 128;
const LONGEST_HEADER: Duration = Duration::from_secs(5);
const LONGEST_CONNECTION: Duration = Duration::from_secs(20);
/// What a dead network file system costs at most.
const LONGEST_QUESTION: Duration = Duration::from_millis(500);
const WAIT_AFTER_ERROR: Duration = Duration::from_millis(100);
/// What is read of a request's body, so that its sender gets to see the answer.
const MOST_BODY: usize = 1 << 20;

/// Serves a socket that the front serves too, only while the front does not.
pub async fn accept_while_needed(
    listener: std::net::TcpListener,
    served: Rc<Served>,
    mut state: watch::Receiver<View>,
) {
    let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let port = listener.local_addr().ok().map(|address| address.port());
    while state.wait_for(|view| !view.front_ready()).await.is_ok() {
        // Registered anew each time: while the front serves, its connections must not wake this process.
        let registered = listener.try_clone().and_then(|socket| {
            // The front shares this flag, and may have changed it.
            socket.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(socket)
        });
        let Ok(socket) = registered else {
            tokio::time::sleep(WAIT_AFTER_ERROR).await;
            continue;
        };
        let mut front = state.clone();
        tokio::select! {
            biased;
            _ = front.wait_for(View::front_ready) => {}
            () = accept(async || socket.accept().await.map(|(stream, peer)| (stream, Some(peer.ip()))), port, &permits, &served, &state) => {}
        }
    }
}

/// Serves the socket to which the front sends the status path.
pub async fn accept_always(listener: UnixListener, served: Rc<Served>, state: watch::Receiver<View>) {
    let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let next = async || listener.accept().await.map(|(stream, _)| (stream, None));
    accept(next, None, &permits, &served, &state).await;
}

async fn accept<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    next: impl AsyncFn() -> io::Result<(S, Option<IpAddr>)>,
    port: Option<u16>,
    permits: &Arc<Semaphore>,
    served: &Rc<Served>,
    state: &watch::Receiver<View>,
) {
    loop {
        let Ok(permit) = Arc::clone(permits).acquire_owned().await else { return };
        let Ok((stream, peer)) = next().await else {
            // Such as no descriptors left: the connection stays in the queue, and at once would spin.
            tokio::time::sleep(WAIT_AFTER_ERROR).await;
            continue;
        };
        let (served, state) = (Rc::clone(served), state.clone());
        tokio::task::spawn_local(async move {
            // A peer that hangs up or is too slow concerns nobody but itself.
            let _ = tokio::time::timeout(LONGEST_CONNECTION, async {
                match served.acceptor(port) {
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(stream) => connection(stream, peer, served, state).await,
                        Err(_) => Ok(()),
                    },
                    None => connection(stream, peer, served, state).await,
                }
            })
            .await;
            drop(permit);
        });
    }
}

/// Answers one request. Connections are not kept: those on the exposed ports are to be the front's soon.
async fn connection<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: Option<IpAddr>,
    served: Rc<Served>,
    state: watch::Receiver<View>,
) -> hyper::Result<()> {
    let service = service_fn(|request: Request<Incoming>| async {
        let (head, body) = request.into_parts();
        drain(body).await;
        let config = Rc::clone(&served.config.borrow());
        let (volume, syslog) = match wants_volume(head.uri.path(), &config.agent) {
            true => about_data(served.root.clone(), config.agent.syslog.clone()).await,
            false => (None, None),
        };
        let view = state.borrow().clone();
        let asked = Asked { head: &head, peer, volume, syslog, now: Instant::now(), time: (served.clock)() };
        Ok::<Response<String>, Infallible>(answer(&asked, &config.agent, &view))
    });
    http1::Builder::new()
        .keep_alive(false)
        // Who has asked may say that nothing more will come, as `nc` does.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(LONGEST_HEADER)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

/// Asks for what is in the volume; a file system that does not answer does not hold up the rest.
async fn about_data(root: Root, receiver: Option<Receiver>) -> (Option<Volume>, Option<Syslog>) {
    let asked = tokio::task::spawn_blocking(move || {
        (volume(&root), receiver.map(|receiver| syslog::status(&root, &receiver)))
    });
    let answer = tokio::time::timeout(LONGEST_QUESTION, asked).await;
    answer.ok().and_then(Result::ok).unwrap_or_default()
}

async fn drain(mut body: Incoming) {
    let mut read = 0;
    while read < MOST_BODY {
        let Some(Ok(frame)) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
        else {
            return;
        };
        read += frame.data_ref().map_or(0, |data| data.len());
    }
}

#[cfg(test)]
mod tests;
