//! The sender of the serving agent: does what it is ordered, for as long as the agent runs.

use casque_format::paths;
use fs_err as fs;
use tokio::sync::watch;

use super::delivery::{Delivery, Order};
use crate::root::Root;

/// Carries out the newest order until that is to end.
pub async fn run(root: Root, mut orders: watch::Receiver<Order>) {
    loop {
        let order = orders.borrow_and_update().clone();
        match order {
            Order::End => return,
            Order::Rest => {
                // What an earlier receiver was like. Without one nobody asks.
                let _ = fs::remove_file(root.join(paths::SYSLOG_LINK));
                if orders.changed().await.is_err() {
                    return;
                }
            }
            Order::Send(target) => {
                let mut delivery = Delivery::new(&root, *target);
                let is_over = tokio::select! {
                    changed = orders.changed() => changed.is_err(),
                    () = delivery.go() => true,
                };
                delivery.end().await;
                if is_over {
                    return;
                }
            }
        }
    }
}
