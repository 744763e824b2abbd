//! The serving part: `/status` always, and everything else while the front is not ready.

mod answer;
mod connections;
mod metrics;
mod page;
mod renewal;
mod watch;

use std::cell::RefCell;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;

use casque_format::paths;
use casque_format::run::AgentConfig;
use fs_err as fs;
use rustix::system::uname;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch as channel;
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use crate::env::Environment;
use crate::error::Error;
use crate::root::Root;
use crate::sys;
use crate::syslog::{self, Header, Order, Target};
use crate::tls::pair::server;
use crate::ui;

/// What is served: where it is, and who may see what of it.
struct Served {
    config: RefCell<Rc<Config>>,
    root: Root,
    clock: Clock,
}

/// What `prepare` left.
struct Config {
    agent: AgentConfig,
    /// What connections on its port are accepted with.
    tls: Option<(u16, TlsAcceptor)>,
}

impl Served {
    /// Returns what a connection on an exposed port is accepted with, where that is not plain HTTP.
    fn acceptor(&self, port: Option<u16>) -> Option<TlsAcceptor> {
        let config = self.config.borrow();
        let (of, acceptor) = config.tls.as_ref()?;
        (Some(*of) == port).then(|| acceptor.clone())
    }
}

/// Returns the time in seconds since 1970.
pub type Clock = fn() -> i64;

/// Serves until TERM or INT; on HUP it reads its configuration again.
pub fn serve(root: &Root, environment: &Environment, clock: Clock) -> Result<(), Error> {
    let count = environment.number("LISTEN_FDS").unwrap_or(0);
    let inherited = sys::inherited_listeners(count)
        .map_err(|source| Error::Serve { place: "the inherited sockets".to_owned(), source })?;
    let config = read(root)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failed = |source| Error::Serve { place: paths::AGENT_SOCKET.to_owned(), source };
    let runtime = runtime.map_err(failed)?;
    LocalSet::new().block_on(&runtime, async {
        let unix = bind(root).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut changed = signal(SignalKind::hangup()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let state = watch::follow(root.join(paths::CONTROL_SOCKET));
        let served = Rc::new(Served { config: RefCell::new(Rc::new(config)), root: root.clone(), clock });
        for listener in inherited {
            tokio::task::spawn_local(connections::accept_while_needed(
                listener,
                Rc::clone(&served),
                state.clone(),
            ));
        }
        tokio::task::spawn_local(connections::accept_always(unix, Rc::clone(&served), state));
        tokio::task::spawn_local(renewal::follow(root.clone()));
        let (orders, ordered) = channel::channel(order(&served.config.borrow().agent));
        let sender = tokio::task::spawn_local(syslog::run(root.clone(), ordered));
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = changed.recv() => match read(root) {
                    Ok(config) => {
                        let next = order(&config.agent);
                        // Whatever else changed, a connection stays.
                        orders.send_if_modified(|order| std::mem::replace(order, next.clone()) != next);
                        drop(served.config.replace(Rc::new(config)));
                    }
                    Err(error) => ui::error(&error.to_string()),
                },
            }
        }
        orders.send_replace(Order::End);
        // It takes a moment at most, and its end changes nothing about ours.
        let _ = sender.await;
        Ok(())
    })
}

/// Returns what the sender of logs is to do.
fn order(config: &AgentConfig) -> Order {
    let Some(receiver) = &config.syslog else { return Order::Rest };
    let host = uname();
    let host = host.nodename().to_string_lossy();
    let product = &config.product;
    let header = Header::new(receiver, &host, &product.name, &product.version, &config.instance);
    Order::Send(Box::new(Target { receiver: receiver.clone(), header }))
}

fn read(root: &Root) -> Result<Config, Error> {
    let content = fs::read(root.join(paths::AGENT_CONFIG)).map_err(Error::Config)?;
    let agent: AgentConfig = serde_json::from_slice(&content).map_err(Error::ConfigSyntax)?;
    let acceptor = |pair: &str| {
        let server = server(pair).map_err(|error| Error::Certificate { reason: error.to_string() });
        server.map(TlsAcceptor::from)
    };
    let tls = match &agent.tls {
        Some(tls) => Some((tls.port, acceptor(&tls.pair)?)),
        None => None,
    };
    Ok(Config { agent, tls })
}

/// Opens the socket to which the front sends the status path. Whoever may connect to the front may
/// ask for the status, so everybody may connect here.
fn bind(root: &Root) -> io::Result<UnixListener> {
    let path = root.join(paths::AGENT_SOCKET);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}
