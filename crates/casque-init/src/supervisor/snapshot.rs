//! The supervisor's state as others see it.

use std::collections::BTreeMap;
use std::time::Duration;

use casque_format::control::{Overall, ServiceStatus, Snapshot, VERSION};

use super::{Phase, Supervisor};
use crate::service::{Service, State};

impl Supervisor {
    /// Returns the state of everything; `pids` are the main processes by place.
    pub(crate) fn snapshot(&self, now: Duration, pids: &BTreeMap<usize, i32>) -> Snapshot {
        let services = self.services.iter().enumerate();
        let mut services: Vec<ServiceStatus> = services
            .filter(|(_, service)| !service.is_retired() || service.is_up())
            .map(|(id, service)| self.status(now, service, pids.get(&id)))
            .collect();
        services.sort_by(|one, other| one.name.cmp(&other.name));
        Snapshot {
            version: VERSION,
            state: self.overall(),
            uptime_ms: millis(now),
            front_ready: self.front_ready(),
            services,
        }
    }

    fn overall(&self) -> Overall {
        match self.phase {
            Phase::Running if self.maintainer().is_some() => Overall::Maintenance,
            Phase::Running if !self.was_ready => Overall::Starting,
            Phase::Running if self.all_ready() => Overall::Ready,
            Phase::Running => Overall::Degraded,
            Phase::Stopping(_) | Phase::Strays { .. } | Phase::Over => Overall::Stopping,
        }
    }

    fn status(&self, now: Duration, service: &Service, pid: Option<&i32>) -> ServiceStatus {
        let waits_for = || {
            let needed = service.plan().after.iter().map(|&needed| &self.services[needed]);
            let names: Vec<&str> = needed
                .filter(|needed| !needed.is_settled())
                .map(|needed| needed.plan().name.as_str())
                .collect();
            (!names.is_empty()).then(|| format!("waits for `{}`", names.join("`, `")))
        };
        ServiceStatus {
            name: service.plan().name.clone(),
            state: service.public_state(),
            pid: pid.and_then(|pid| u32::try_from(*pid).ok()),
            restarts: service.restarts(),
            since_ms: millis(now.saturating_sub(service.since())),
            last_exit: service.last_exit().map(str::to_owned),
            message: match service.state() {
                State::Waiting => waits_for(),
                _ => service.message().map(str::to_owned),
            },
            // The engine knows these.
            oom_kills: 0,
            dropped_lines: 0,
            unfiled_lines: 0,
            log_problem: None,
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
