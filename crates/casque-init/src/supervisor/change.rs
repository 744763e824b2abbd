//! Another plan, carried out by touching only what is different in it.

use std::collections::BTreeMap;
use std::time::Duration;

use casque_format::control::{Change, Touched};

use super::{Action, Phase, Supervisor};
use crate::plan::{Plan, Planned};
use crate::service::Service;

impl Supervisor {
    /// Carries out another plan from now on; what is the same in both goes on as if nothing had happened. Returns what
    /// was touched; nothing once the container stops.
    pub(crate) fn change(
        &mut self,
        now: Duration,
        plan: Plan,
        actions: &mut Vec<Action>,
    ) -> Option<Vec<Change>> {
        if !matches!(self.phase, Phase::Running) {
            return None;
        }
        let mut changes = Vec::new();
        let mut touch = |name: &str, touched| changes.push(Change { service: name.to_owned(), touched });
        self.stop_budget = plan.stop_budget;
        let mut known: BTreeMap<String, usize> = self
            .services
            .iter()
            .enumerate()
            .map(|(place, service)| (service.plan().name.clone(), place))
            .collect();
        let mut next = self.services.len();
        let places: Vec<usize> = plan
            .services
            .iter()
            .map(|planned| {
                *known.entry(planned.name.clone()).or_insert_with(|| {
                    next += 1;
                    next - 1
                })
            })
            .collect();
        for (place, service) in self.services.iter_mut().enumerate() {
            if !places.contains(&place) && service.retire(now, actions) {
                touch(&service.plan().name, Touched::Stopped);
            }
        }
        for (planned, &place) in plan.services.into_iter().zip(&places) {
            let planned = moved(planned, &places);
            match self.services.get_mut(place) {
                Some(service) => {
                    if let Some(touched) = service.replace(now, planned, actions) {
                        touch(&service.plan().name, touched);
                    }
                }
                None => {
                    touch(&planned.name, Touched::Started);
                    let chance = self.chance.split();
                    self.services.push(Service::new(place, planned, chance));
                    self.losses.push(0);
                }
            }
        }
        // Their own stop is no loss that others have to follow: who needs them is in the new plan.
        for (seen, service) in self.losses.iter_mut().zip(&self.services) {
            if service.is_retired() {
                *seen = service.losses();
            }
        }
        self.phases += 1;
        changes.sort();
        Some(changes)
    }
}

/// Names other services by the places that they have here.
fn moved(planned: Planned, places: &[usize]) -> Planned {
    let all = |ids: &[usize]| ids.iter().map(|&id| places[id]).collect();
    Planned {
        after: all(&planned.after),
        requires: all(&planned.requires),
        when_lost: planned.when_lost.iter().map(|&(id, policy)| (places[id], policy)).collect(),
        ..planned
    }
}
