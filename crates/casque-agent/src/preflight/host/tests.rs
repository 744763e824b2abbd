//! What machines and containers say of themselves, and what becomes of it.

use casque_format::image::{CpuFeature, Needs};
use casque_format::preflight::Verdict;
use serde_json::json;

use super::*;
use crate::settings::{Origin, Resolved, Text, Value};

const GIB: u64 = 1 << 30;

fn texts<'a>(check: &'a Check) -> (Verdict, &'a str, &'a str, &'a str) {
    let text = |text: &'a Option<String>| text.as_deref().unwrap_or_default();
    (check.verdict, &check.fact, text(&check.consequence), text(&check.remedy))
}

#[test]
fn an_old_kernel_is_warned_of() {
    assert_eq!(kernel(Some("4.18.0-513.el8\n")), Check::ok("kernel", "Linux 4.18.0-513.el8"));
    assert_eq!(kernel(Some("6.1.0-18-amd64")).verdict, Verdict::Ok);
    assert_eq!(
        texts(&kernel(Some("3.10.0-1160.el7"))),
        (
            Verdict::Warning,
            "Linux 3.10.0-1160.el7",
            "programs may ask it for what it does not know",
            "a kernel of 4.18 or newer, as distributions have since 2019"
        )
    );
    assert_eq!(kernel(None).verdict, Verdict::NotChecked);
}

const CPUINFO: &str = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu sse4_2 avx\n\n\
    processor\t: 1\nmodel name\t: Some CPU\nflags\t\t: fpu sse4_2 avx\n";

#[test]
fn what_a_processor_lacks_is_named_with_who_asks_for_it() {
    let mut needed = Needed::default();
    assert_eq!(cpu(Some(CPUINFO), 2, &needed), Check::ok("cpu", "Some CPU, 2 processors"));
    needed.cpu.insert("avx".to_owned(), vec!["mongodb"]);
    assert_eq!(cpu(Some(CPUINFO), 1, &needed), Check::ok("cpu", "Some CPU, 1 of 2 processors, with `avx`"));
    needed.cpu.insert("avx2".to_owned(), vec!["mongodb", "search"]);
    assert_eq!(
        texts(&cpu(Some(CPUINFO), 2, &needed)),
        (
            Verdict::Failed,
            "Some CPU lacks `avx2`",
            "`mongodb` and `search` cannot run",
            "another machine; of a virtual one, a processor type that passes on what the host's can, such as `host`"
        )
    );
    needed.cpu.remove("avx2");
    assert_eq!(cpu(Some(&CPUINFO.replace("avx", "avx2")), 1, &needed).verdict, Verdict::Failed);
    assert_eq!(cpu(Some("processor : 0\n"), 1, &needed).verdict, Verdict::NotChecked);
    assert_eq!(cpu(None, 1, &needed).verdict, Verdict::NotChecked);
}

#[test]
fn memory_is_what_the_container_may_use_and_what_is_left() {
    let meminfo = "MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 3145728 kB\n";
    let of = |may, needed, running| room(Some(meminfo), may, needed, running);
    assert_eq!(of(8 * GIB, 0, false), Check::ok("memory", "8 GiB, 3 GiB available now"));
    let fact = "2 GiB of the machine's 8 GiB may be used, 2 GiB available now, the services need 2 GiB";
    assert_eq!(of(2 * GIB, 2 * GIB, false), Check::ok("memory", fact));
    let killed = "the kernel kills services when it is used up";
    assert_eq!(
        texts(&of(2 * GIB, 2 * GIB + 1, false)),
        (
            Verdict::Warning,
            "2 GiB of the machine's 8 GiB may be used, the services need 2 GiB",
            killed,
            "`--memory` with more, or none"
        )
    );
    assert_eq!(
        texts(&of(8 * GIB, 9 * GIB, false)),
        (Verdict::Warning, "8 GiB, the services need 9 GiB", killed, "a machine with more")
    );
    assert_eq!(
        texts(&of(8 * GIB, 4 * GIB, false)),
        (
            Verdict::Warning,
            "3 GiB are available now, the services need 4 GiB",
            killed,
            "end what else uses memory on this machine"
        )
    );
    assert_eq!(of(8 * GIB, 4 * GIB, true).verdict, Verdict::Ok, "they have it already");
    assert_eq!(room(None, 0, 0, false).verdict, Verdict::NotChecked);
}

fn with_files(soft: &str, hard: &str) -> String {
    format!(
        "Limit                     Soft Limit           Hard Limit           Units     \n\
         Max locked memory         8388608              8388608              bytes     \n\
         Max open files            {soft}               {hard}               files     \n"
    )
}

#[test]
fn limits_are_compared_with_what_services_ask_for() {
    let mut needed = Needed::default();
    let of = |soft, hard, pids, needed: &Needed| limits(Some(&with_files(soft, hard)), pids, needed);
    let fact = "1024 open files (at most 524288), 4096 processes";
    assert_eq!(of("1024", "524288", Some("4096\n"), &needed), Check::ok("limits", fact));
    let unlimited = of("unlimited", "unlimited", Some("max\n"), &needed);
    assert_eq!(unlimited, Check::ok("limits", "any number of open files"));
    needed.limits.push(("mongodb", Resource::Nofile, 64000));
    assert_eq!(of("1024", "64000", None, &needed).verdict, Verdict::Ok);
    assert_eq!(
        texts(&of("1024", "4096", None, &needed)),
        (
            Verdict::Warning,
            "1024 open files (at most 4096)",
            "`mongodb` gets 4096 of `nofile` in place of 64000",
            "`--ulimit nofile=64000:64000`"
        )
    );
    needed.limits[0] = ("redis", Resource::Memlock, 8_388_609);
    assert_eq!(
        of("1024", "4096", None, &needed).remedy.as_deref(),
        Some("`--ulimit memlock=8388609:8388609`")
    );
    needed.limits.clear();
    assert_eq!(of("512", "512", None, &needed).remedy.as_deref(), Some("`--ulimit nofile=65536:65536`"));
    let few = of("1024", "4096", Some("100"), &needed);
    assert_eq!(few.remedy.as_deref(), Some("`--pids-limit` with more, such as 4096"));
    assert_eq!(limits(None, None, &needed).verdict, Verdict::NotChecked);
}

#[test]
fn only_services_that_run_need_anything() {
    let mut plan = crate::plan::tests::plan();
    let needs = |memory| Needs { cpu: vec![CpuFeature::Avx], memory: Some(memory), disk: Some(7) };
    plan.services.get_mut("mongodb").unwrap().needs = needs(1);
    plan.services.get_mut("web").unwrap().needs = needs(2);
    let web = &mut plan.services.get_mut("web").unwrap().service;
    web.limits = serde_json::from_value(json!({ "nofile": 9 })).unwrap();
    let of = |settings: Option<&Settings>| {
        let needed = Needed::of(&plan, settings);
        (needed.cpu["avx"].clone(), needed.memory, needed.disk, needed.limits)
    };
    let limits = vec![("web", Resource::Nofile, 9)];
    let all = (vec!["mongodb", "web"], 3, 14, limits.clone());
    assert_eq!(of(None), all);
    let value = Value::Known(Text::new("mongodb://elsewhere".to_owned()));
    let given =
        Resolved { setting: Default::default(), value, origin: Origin::SettingsFile, warnings: vec![] };
    assert_eq!(of(Some(&Settings::new())), all);
    let elsewhere = Settings::from([("mongodb-url".to_owned(), given)]);
    assert_eq!(of(Some(&elsewhere)), (vec!["web"], 2, 7, limits));
}
