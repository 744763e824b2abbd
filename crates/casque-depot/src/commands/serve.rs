//! `casque-depot serve`.

use std::sync::Arc;
use std::time::SystemTime;

use casque_depot::app::Depot;
use casque_depot::config::Config;
use casque_depot::error::DepotError;
use casque_depot::{serve, upkeep};
use tokio::signal::unix::{SignalKind, signal};

use crate::ui;

pub(crate) fn run(config: Config, clock: fn() -> SystemTime) -> Result<(), DepotError> {
    ui::log(config.log);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(DepotError::File)?;
    let (depot, writer) = Depot::open(config, clock)?;
    let result = runtime.block_on(serve(depot, clock));
    // Whatever still runs has had its time; with the last of it goes the last who writes things down.
    drop(runtime);
    writer.finish();
    result
}

async fn serve(depot: Arc<Depot>, clock: fn() -> SystemTime) -> Result<(), DepotError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(DepotError::File)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DepotError::File)?;
    let swept = upkeep::sweep(depot.records(), depot.storage(), clock())?;
    let listener = serve::listen(&depot).await?;
    let address = listener.local_addr().map_err(DepotError::File)?;
    tracing::info!(%address, swept = swept.partial_uploads + swept.files, "serving on {address}");
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve::serve(depot, listener, stop).await
}
