//! Accepts connections, speaks HTTP on them, and lets what runs finish when it is to stop.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::app::{Depot, Peer, router};
use crate::error::DepotError;
use crate::line::{self, Line};
use crate::tls::Certificate;

/// Headers of a request.
const HEADERS: usize = 64;
/// Bytes of a request's head.
const HEAD: usize = 32 << 10;
/// Bytes that wait encrypted; a connection has as much of a file besides.
const ENCRYPTED: usize = 32 << 10;
/// After a failure to accept, such as too many open files, until the next try.
const BREATH: Duration = Duration::from_millis(100);

/// Serves until `stop` is ready, and then until downloads have finished or their time is over.
pub async fn serve(
    depot: Arc<Depot>,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> Result<(), DepotError> {
    let certificate = Certificate::read(&depot.config)?.map(Arc::new);
    let mut renew = signal(SignalKind::hangup()).map_err(DepotError::File)?;
    let application = router(Arc::clone(&depot));
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(depot.config.connections));
    tokio::pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut stop => break,
            _ = renew.recv() => {
                renew_certificate(certificate.as_deref(), &depot);
                continue;
            }
            accepted = accept(&listener, &room) => accepted,
        };
        let front = Front { inner: TowerToHyperService::new(application.clone()), peer: Peer(peer) };
        let connection = Connection { depot: Arc::clone(&depot), certificate: certificate.clone(), front };
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            let _open = Open::count(&connection.depot);
            connection.answer(stream.0, watcher).await;
            drop(stream.1);
        });
    }
    drop(listener);
    tracing::info!("stopping: waiting for downloads that run");
    let limit = Duration::from_secs(depot.config.drain_seconds);
    if tokio::time::timeout(limit, graceful.shutdown()).await.is_err() {
        tracing::warn!("stopping although downloads run: their time is over");
    }
    Ok(())
}

fn renew_certificate(certificate: Option<&Certificate>, depot: &Depot) {
    let Some(certificate) = certificate else { return };
    match certificate.renew(&depot.config) {
        Ok(()) => tracing::info!("the certificate was read anew"),
        Err(error) => {
            let reason = error.text("cannot read the certificate anew").replace('\n', " ");
            tracing::error!(reason, "the old certificate stays");
        }
    }
}

type Accepted = (TcpStream, tokio::sync::OwnedSemaphorePermit);

/// Accepts the next connection for which there is room.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> (Accepted, IpAddr) {
    loop {
        let Ok(permit) = Arc::clone(room).acquire_owned().await else { continue };
        match listener.accept().await {
            Ok((stream, peer)) => return ((stream, permit), peer.ip()),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// Everything one connection needs.
struct Connection {
    depot: Arc<Depot>,
    certificate: Option<Arc<Certificate>>,
    front: Front,
}

impl Connection {
    async fn answer(self, stream: TcpStream, watcher: hyper_util::server::graceful::Watcher) {
        if line::prepare(&stream).is_err() {
            return;
        }
        let (idle, head) = (self.depot.config.idle(), Duration::from_secs(self.depot.config.head_seconds));
        let line = Line::new(stream, idle);
        let served = match &self.certificate {
            None => speak(line, self.front, head, watcher).await,
            Some(certificate) => {
                match tokio::time::timeout(head, certificate.acceptor().accept(line)).await {
                    Ok(Ok(mut stream)) => {
                        stream.get_mut().1.set_buffer_limit(Some(ENCRYPTED));
                        speak(stream, self.front, head, watcher).await
                    }
                    // Whoever knocks at the door of TLS with something else is no event.
                    Ok(Err(_)) | Err(_) => return,
                }
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended");
        }
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    front: Front,
    head: Duration,
    watcher: hyper_util::server::graceful::Watcher,
) -> Result<(), hyper::Error> {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Who has asked may say that nothing more will come; who is gone is noticed when the answer is written.
        .half_close(true)
        .header_read_timeout(head)
        .max_headers(HEADERS)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), front);
    watcher.watch(connection).await
}

/// Says to the router who is at the other end.
struct Front {
    inner: TowerToHyperService<Router>,
    peer: Peer,
}

impl Service<Request<Incoming>> for Front {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        self.inner.call(request)
    }
}

/// A connection that is counted as long as it is open.
struct Open(Arc<Depot>);

impl Open {
    fn count(depot: &Arc<Depot>) -> Self {
        depot.metrics.connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(depot))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Opens the socket.
pub async fn listen(depot: &Depot) -> Result<TcpListener, DepotError> {
    let address = depot.config.listen;
    TcpListener::bind(address).await.map_err(|error| {
        DepotError::File(io::Error::new(error.kind(), format!("cannot listen on `{address}`: {error}")))
    })
}
