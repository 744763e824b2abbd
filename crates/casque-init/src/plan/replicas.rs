//! Services of which several run: each becomes a service of its own.

use std::collections::BTreeMap;

use casque_format::capacity::Capacity;
use casque_format::run::{Ready, Reload, Service};

/// What stands for the number of a replica.
const PLACEHOLDER: &str = "{replica}";
/// The variable that has it.
const VARIABLE: &str = "CASQUE_REPLICA";

/// Replaces each service that has replicas by so many, and its name wherever another waits for it; a name that is then
/// there twice is the error.
pub(super) fn expand(
    services: BTreeMap<String, Service>,
    capacity: Capacity,
) -> Result<BTreeMap<String, Service>, String> {
    let names: BTreeMap<String, Vec<String>> = services
        .iter()
        .filter_map(|(name, service)| {
            let count = service.replicas.as_ref()?.number(capacity.cpus, capacity.memory);
            Some((name.clone(), (1..=count).map(|number| format!("{name}-{number}")).collect()))
        })
        .collect();
    let mut expanded = BTreeMap::new();
    for (name, mut service) in services {
        service.after = all(service.after, &names);
        service.requires = all(service.requires, &names);
        let lost = std::mem::take(&mut service.when_lost).into_iter();
        service.when_lost = lost
            .flat_map(|(needed, policy)| {
                all(vec![needed], &names).into_iter().map(move |name| (name, policy))
            })
            .collect();
        let made = match names.get(&name) {
            None => vec![(name, service)],
            Some(names) => (1..)
                .zip(names)
                .map(|(number, name): (u32, _)| (name.clone(), replica(&service, number)))
                .collect(),
        };
        for (name, service) in made {
            if expanded.insert(name.clone(), service).is_some() {
                return Err(name);
            }
        }
    }
    Ok(expanded)
}

fn all(needed: Vec<String>, names: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    needed.into_iter().flat_map(|name| names.get(&name).cloned().unwrap_or_else(|| vec![name])).collect()
}

fn replica(service: &Service, number: u32) -> Service {
    let number = number.to_string();
    let fill = |text: &mut String| *text = text.replace(PLACEHOLDER, &number);
    let mut service = Service { replicas: None, ..service.clone() };
    service.command.iter_mut().for_each(fill);
    service.environment.values_mut().for_each(fill);
    service.remove.iter_mut().for_each(fill);
    service.directories.iter_mut().for_each(|directory| fill(&mut directory.path));
    for check in service.ready.iter_mut().chain(service.health.as_mut().map(|health| &mut health.check)) {
        match check {
            Ready::Exec(command) => command.iter_mut().for_each(fill),
            Ready::Tcp(text)
            | Ready::Unix(text)
            | Ready::Http(text)
            | Ready::Redis(text)
            | Ready::Mongodb(text) => fill(text),
            Ready::Notify => {}
        }
    }
    if let Some(Reload::Exec(command)) = &mut service.reload {
        command.iter_mut().for_each(fill);
    }
    service.environment.entry(VARIABLE.to_owned()).or_insert(number);
    service
}
