//! The machine and what of it this container may use: kernel, processor, memory, limits.

use std::collections::{BTreeMap, BTreeSet};

use casque_format::capacity::{Capacity, memory};
use casque_format::image::ImagePlan;
use casque_format::preflight::Check;
use casque_format::run::Resource;
use fs_err as fs;
use rustix::thread::sched_getaffinity;

use super::{amount, list};
use crate::plan::is_on;
use crate::root::Root;
use crate::settings::Settings;

/// Programs of this decade were tried with none older.
const OLDEST_KERNEL: (u32, u32) = (4, 18);
/// What a service wants of files as soon as it has some connections.
const FEWEST_FILES: u64 = 1024;
/// Processes and threads of a few services together.
const FEWEST_PROCESSES: u64 = 256;

/// What services that run need of a host.
#[derive(Default)]
pub struct Needed<'a> {
    /// What of the processor, and by whom.
    cpu: BTreeMap<String, Vec<&'a str>>,
    /// Bytes of memory, all services together.
    memory: u64,
    /// Bytes in the volume, all services together.
    pub disk: u64,
    /// Who wants which limits.
    limits: Vec<(&'a str, Resource, u64)>,
}

impl<'a> Needed<'a> {
    /// Adds up the services that run; without settings, all of them.
    pub fn of(plan: &'a ImagePlan, settings: Option<&Settings>) -> Self {
        let mut needed = Self::default();
        let runs = |service| settings.is_none_or(|settings| is_on(service, settings));
        for (name, service) in plan.services.iter().filter(|(_, service)| runs(service)) {
            let needs = &service.needs;
            for feature in &needs.cpu {
                needed.cpu.entry(feature.to_string()).or_default().push(name);
            }
            needed.memory = needed.memory.saturating_add(needs.memory.unwrap_or(0));
            needed.disk = needed.disk.saturating_add(needs.disk.unwrap_or(0));
            let limits = service.service.limits.iter();
            needed.limits.extend(limits.map(|(resource, limit)| (name.as_str(), *resource, *limit)));
        }
        needed
    }
}

/// Looks at all of it. `running`: the services have their memory already.
pub fn checks(root: &Root, needed: &Needed, running: bool) -> Vec<Check> {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let processors = sched_getaffinity(None).map_or(1, |set| set.count());
    let capacity = Capacity::of(processors, read);
    let pids = ["/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"].into_iter().find_map(read);
    vec![
        kernel(read("/proc/sys/kernel/osrelease").as_deref()),
        cpu(read("/proc/cpuinfo").as_deref(), capacity.cpus, needed),
        room(read("/proc/meminfo").as_deref(), capacity.memory, needed.memory, running),
        limits(read("/proc/self/limits").as_deref(), pids.as_deref(), needed),
    ]
}

fn kernel(release: Option<&str>) -> Check {
    let Some(release) = release.map(str::trim) else {
        return Check::not_checked("kernel", "it does not say which it is");
    };
    let fact = format!("Linux {release}");
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let (major, minor) = OLDEST_KERNEL;
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor) {
        return Check::ok("kernel", fact);
    }
    Check::warning("kernel", fact)
        .so("programs may ask it for what it does not know")
        .remedy(format!("a kernel of {major}.{minor} or newer, as distributions have since 2019"))
}

fn cpu(cpuinfo: Option<&str>, cpus: u32, needed: &Needed) -> Check {
    let field = |name: &str| {
        let mut lines = cpuinfo?.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
    };
    let model = field("model name").unwrap_or("a processor");
    let all = cpuinfo.map_or(0, |text| text.lines().filter(|line| line.starts_with("processor")).count());
    let may = if all > cpus as usize { format!("{cpus} of {all} processors") } else { plural(cpus) };
    let fact = format!("{model}, {may}");
    let Some(flags) = field("flags") else {
        return match needed.cpu.is_empty() {
            true => Check::ok("cpu", fact),
            false => Check::not_checked("cpu", "it does not say what it can"),
        };
    };
    let flags: BTreeSet<&str> = flags.split_whitespace().collect();
    let lacking: Vec<_> = needed.cpu.iter().filter(|(name, _)| !flags.contains(name.as_str())).collect();
    if lacking.is_empty() {
        let what = list(needed.cpu.keys().map(String::as_str));
        return Check::ok("cpu", if what.is_empty() { fact } else { format!("{fact}, with {what}") });
    }
    let names = list(lacking.iter().map(|(name, _)| name.as_str()));
    let users: BTreeSet<&str> = lacking.iter().flat_map(|(_, users)| users.iter().copied()).collect();
    Check::failed("cpu", format!("{model} lacks {names}"))
        .so(format!("{} cannot run", list(users)))
        .remedy("another machine; of a virtual one, a processor type that passes on what the host's can, such as `host`")
}

fn plural(cpus: u32) -> String {
    if cpus == 1 { "1 processor".to_owned() } else { format!("{cpus} processors") }
}

fn room(meminfo: Option<&str>, may: u64, needed: u64, running: bool) -> Check {
    if may == 0 {
        return Check::not_checked("memory", "nobody says how much there is");
    }
    let total = meminfo.and_then(|text| memory(text, "MemTotal")).unwrap_or(may);
    let available = meminfo.and_then(|text| memory(text, "MemAvailable")).unwrap_or(may).min(may);
    let limit = match may < total {
        true => format!("{} of the machine's {} may be used", amount(may), amount(total)),
        false => amount(may),
    };
    let consequence = "the kernel kills services when it is used up";
    if may < needed {
        let fact = format!("{limit}, the services need {}", amount(needed));
        let more = if may < total { "`--memory` with more, or none" } else { "a machine with more" };
        return Check::warning("memory", fact).so(consequence).remedy(more);
    }
    if !running && available < needed {
        let fact = format!("{} are available now, the services need {}", amount(available), amount(needed));
        return Check::warning("memory", fact)
            .so(consequence)
            .remedy("end what else uses memory on this machine");
    }
    let asked = if needed > 0 { format!(", the services need {}", amount(needed)) } else { String::new() };
    Check::ok("memory", format!("{limit}, {} available now{asked}", amount(available)))
}

fn limits(limits: Option<&str>, pids: Option<&str>, needed: &Needed) -> Check {
    let Some(limits) = limits else {
        return Check::not_checked("limits", "nobody says what they are");
    };
    // An unlimited one counts as the greatest.
    let number = |text: &str| if text == "unlimited" { Some(u64::MAX) } else { text.parse::<u64>().ok() };
    let both = |name: &str| {
        let mut numbers = limits.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace();
        Some((number(numbers.next()?)?, number(numbers.next()?)?))
    };
    let pids = pids.and_then(|text| text.trim().parse::<u64>().ok());
    let shown = |limit: u64| if limit == u64::MAX { "any number of".to_owned() } else { limit.to_string() };
    let (files, most) = both("Max open files").unwrap_or((u64::MAX, u64::MAX));
    let may = if files == most { String::new() } else { format!(" (at most {})", shown(most)) };
    let processes = pids.map_or_else(String::new, |pids| format!(", {pids} processes"));
    let fact = format!("{} open files{may}{processes}", shown(files));
    let lesser = needed.limits.iter().find_map(|(service, resource, wanted)| {
        let (_, most) = both(line(*resource))?;
        (most < *wanted).then_some((service, resource, wanted, most))
    });
    if let Some((service, resource, wanted, most)) = lesser {
        return Check::warning("limits", fact)
            .so(format!("`{service}` gets {most} of `{resource}` in place of {wanted}"))
            .remedy(format!("`--ulimit {resource}={wanted}:{wanted}`"));
    }
    if most < FEWEST_FILES {
        return Check::warning("limits", fact)
            .so("services refuse connections as soon as they have some")
            .remedy("`--ulimit nofile=65536:65536`");
    }
    if pids.is_some_and(|pids| pids < FEWEST_PROCESSES) {
        return Check::warning("limits", fact)
            .so("services may find no room for their processes and threads")
            .remedy("`--pids-limit` with more, such as 4096");
    }
    Check::ok("limits", fact)
}

/// Returns what begins a resource's line in `/proc/self/limits`.
fn line(resource: Resource) -> &'static str {
    match resource {
        Resource::As => "Max address space",
        Resource::Core => "Max core file size",
        Resource::Cpu => "Max cpu time",
        Resource::Data => "Max data size",
        Resource::Fsize => "Max file size",
        Resource::Memlock => "Max locked memory",
        Resource::Nofile => "Max open files",
        Resource::Nproc => "Max processes",
        Resource::Stack => "Max stack size",
    }
}

#[cfg(test)]
mod tests;
