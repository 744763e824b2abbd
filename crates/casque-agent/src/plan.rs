//! From the image's plan and the resolved settings to the plan PID 1 carries out; no I/O.

use std::collections::{BTreeMap, BTreeSet};

use casque_format::image::{ImagePlan, ImageService, Needs};
use casque_format::paths;
use casque_format::run::{
    self, AgentConfig, Logs, Once, Ready, Restart, RestartPolicy, RunPlan, Service, Tls,
};
use casque_format::settings::{Kind, OUTGOING_PROXY, OUTGOING_PROXY_EXCEPTIONS, TIME_ZONE};

use crate::certificates;
use crate::env::Environment;
use crate::settings::Settings;
use crate::settings::hidden::{has_urls, passwords};
use crate::tls::Https;
use crate::tls::authorities::Bundle;

/// Where a program that waits for an external service finds its URL.
pub const EXTERNAL_URL: &str = "CASQUE_EXTERNAL_URL";
/// Ten years.
const LONGEST_WAIT_MS: u64 = 10 * 365 * 86_400_000;

/// What a start found beside the settings.
pub struct Found<'a> {
    /// The container's variables.
    pub environment: &'a Environment,
    /// What becomes of what services write.
    pub logs: Logs,
    /// What HTTPS is served with; none is that it is off.
    pub https: Option<&'a Https>,
    /// Certificate authorities of the customer's own, with those of the image.
    pub authorities: Option<&'a Bundle>,
}

/// Decides every condition: which services run, and with what in their environment.
pub fn run_plan(plan: &ImagePlan, settings: &Settings, found: Found) -> RunPlan {
    let mut running: BTreeMap<&String, ImageService> = BTreeMap::new();
    for (name, service) in &plan.services {
        if is_on(service, settings) {
            running.insert(name, service.clone());
        } else if let Some(external) = external(service, plan, settings) {
            running.insert(name, external);
        }
    }
    let names: BTreeSet<&str> = running.keys().map(|name| name.as_str()).collect();
    let mut surroundings = surroundings(settings);
    surroundings.extend(found.authorities.map(Bundle::environment).unwrap_or_default());
    let start = Start { settings, environment: found.environment, running: names, surroundings };
    let services = running.iter().map(|(name, service)| ((*name).clone(), start.resolved(service))).collect();
    RunPlan {
        version: run::VERSION,
        product: plan.product.clone(),
        listen: listen(plan, found.https),
        services,
        stop_budget_ms: plan.stop_budget_ms,
        mask: mask(settings),
        agent_uid: plan.agent.uid,
        logs: found.logs,
    }
}

/// Returns the ports to open: where HTTPS is off, nobody waits on its port.
pub fn listen(plan: &ImagePlan, https: Option<&Https>) -> Vec<u16> {
    let off = plan.https_port.filter(|_| https.is_none());
    plan.expose.iter().copied().filter(|port| Some(*port) != off).collect()
}

/// Returns what the serving agent needs to know of `plan` and `settings`; what only a start knows is empty.
pub fn agent_config(plan: &ImagePlan, settings: &Settings, https: Option<&Https>) -> AgentConfig {
    let text = |name: &str| settings.get(name).and_then(|one| one.text()).unwrap_or_default().to_owned();
    AgentConfig {
        product: plan.product.clone(),
        status_path: plan.status_path.clone(),
        status_agent: text("status-agent"),
        status_token: text("status-token"),
        warnings: Vec::new(),
        probes: plan.probes.clone(),
        instance: String::new(),
        configuration: String::new(),
        certificates: certificates::of(settings, https.map(|https| &https.pair)),
        tls: https.map(|https| Tls { port: https.port, pair: https.pair.pem.clone() }),
        syslog: None,
    }
}

/// Says whether a service itself runs, and not what stands in for it.
pub fn is_on(service: &ImageService, settings: &Settings) -> bool {
    let on = |name: &String| settings.get(name).is_some_and(|setting| setting.is_on());
    service.when.as_ref().is_none_or(on) && !service.unless.as_ref().is_some_and(on)
}

/// Returns what runs in place of a service that the customer has elsewhere: it waits until that lets this product in.
fn external(service: &ImageService, plan: &ImagePlan, settings: &Settings) -> Option<ImageService> {
    let name = service.unless.as_ref()?;
    let setting = settings.get(name).filter(|one| one.setting.kind == Kind::Url)?;
    let url = setting.text()?;
    let word = |more: &[&str]| {
        [paths::AGENT, "external", name].into_iter().chain(more.iter().copied()).map(str::to_owned).collect()
    };
    let restart = Restart { policy: RestartPolicy::Never, ..Restart::default() };
    let service = Service {
        user: Some(plan.agent.clone()),
        environment: BTreeMap::from([(EXTERNAL_URL.to_owned(), url.to_owned())]),
        files: Some(Vec::new()),
        check: Some(word(&["--once"])),
        // It says over that socket what it waits for, and is ready when it has ended.
        ready: Some(Ready::Notify),
        // A database that is away for the night is no reason to end.
        start_timeout_ms: LONGEST_WAIT_MS,
        restart,
        critical: service.service.critical,
        ..Service::new(run::Kind::Oneshot, word(&[]))
    };
    Some(ImageService {
        service,
        when: None,
        unless: None,
        inherit: Vec::new(),
        environment_settings: BTreeMap::new(),
        needs: Needs::default(),
    })
}

/// Returns the one-shots that run once for each version of the product, sorted.
pub fn migrations(plan: &ImagePlan, settings: &Settings) -> Vec<String> {
    let is_one = |service: &ImageService| service.service.once == Some(Once::Version);
    let all = plan.services.iter().filter(|(_, service)| is_one(service) && is_on(service, settings));
    all.map(|(name, _)| name.clone()).collect()
}

/// Returns what every service has in its environment, unless the vendor says otherwise.
fn surroundings(settings: &Settings) -> BTreeMap<String, String> {
    let given = |name: &str| {
        settings.get(name).and_then(|one| one.text()).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let mut variables = BTreeMap::new();
    if let Some(zone) = given(TIME_ZONE) {
        variables.insert("TZ".to_owned(), zone);
    }
    if let Some(proxy) = given(OUTGOING_PROXY) {
        // Services of one container reach each other without it.
        let own = "localhost,127.0.0.1,::1".to_owned();
        let exceptions = given(OUTGOING_PROXY_EXCEPTIONS).map_or(own.clone(), |more| format!("{own},{more}"));
        let all = [("http_proxy", &proxy), ("https_proxy", &proxy), ("no_proxy", &exceptions)];
        for (variable, value) in all {
            // Programs differ in which of the two they read.
            variables.insert(variable.to_owned(), value.clone());
            variables.insert(variable.to_uppercase(), value.clone());
        }
    }
    variables
}

/// What services are resolved against.
struct Start<'a> {
    settings: &'a Settings,
    environment: &'a Environment,
    running: BTreeSet<&'a str>,
    surroundings: BTreeMap<String, String>,
}

impl Start<'_> {
    fn resolved(&self, service: &ImageService) -> Service {
        let mut resolved = service.service.clone();
        resolved.after.retain(|name| self.running.contains(name.as_str()));
        resolved.requires.retain(|name| self.running.contains(name.as_str()));
        resolved.when_lost.retain(|name, _| self.running.contains(name.as_str()));
        for (variable, value) in &self.surroundings {
            resolved.environment.entry(variable.clone()).or_insert_with(|| value.clone());
        }
        for variable in &service.inherit {
            if let Some(text) = self.environment.get(variable).and_then(|value| value.to_str()) {
                resolved.environment.insert(variable.clone(), text.to_owned());
            }
        }
        for (variable, name) in &service.environment_settings {
            if let Some(text) = self.settings.get(name).and_then(|setting| setting.text()) {
                resolved.environment.insert(variable.clone(), text.to_owned());
            }
        }
        resolved
    }
}

/// Returns every secret, every line of one that has several, for PID 1 masks line by line, and the password of each URL: services
/// write of that what they have trouble with.
fn mask(settings: &Settings) -> Vec<String> {
    let mut parts = BTreeSet::new();
    for (one, text) in settings.values().filter_map(|one| Some((one, one.text()?))) {
        let own = if one.is_secret() { text.lines().chain([text]).collect() } else { Vec::new() };
        parts.extend(own.into_iter().map(str::to_owned));
        if has_urls(&one.setting) {
            parts.extend(
                passwords(text.as_bytes()).into_iter().filter_map(|part| String::from_utf8(part).ok()),
            );
        }
    }
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

#[cfg(test)]
pub mod tests {
    use casque_format::settings::Setting;
    use serde_json::json;

    use super::*;
    use crate::settings::{Origin, Resolved, Text, Value};

    /// Returns a plan of three services, two of which a setting switches.
    pub fn plan() -> ImagePlan {
        let service = |after: &[&str]| {
            json!({
                "kind": "simple", "command": ["/bin/x"], "environment": {"STATIC": "1"}, "after": after,
                "start_timeout_ms": 1000, "critical": true, "stop": {"signal": "TERM", "timeout_ms": 1000},
                "restart": {"policy": "always", "limit": 1, "delay_ms": 1, "max_delay_ms": 1, "stable_ms": 1},
            })
        };
        let mut web = service(&["mail", "mongodb"]);
        web["requires"] = json!(["mail", "mongodb"]);
        web["when_lost"] = json!({ "mail": "restart", "mongodb": "stop" });
        serde_json::from_value(json!({
            "version": 1, "expose": [80], "settings": {}, "env_prefix": "", "templates": [], "data": [],
            "product": {"name": "vendor/backend", "version": "1", "command": "backend"},
            "reference": "vendor/backend:v43.4.4",
            "agent": {"name": "agent", "uid": 7, "gid": 7, "home": "/"},
            "stop_budget_ms": 9000, "status_path": "/status",
            "services": {
                "mongodb": {"service": service(&[]), "unless": "mongodb-url"},
                "mail": {"service": service(&[]), "when": "smtp-url"},
                "web": {
                    "service": web, "inherit": ["TZ", "HTTP_PROXY"],
                    "environment_settings": {"MONGODB_URL": "mongodb-url", "SMTP_URL": "smtp-url"},
                },
            },
        }))
        .unwrap()
    }

    fn settings(given: &[(&str, &str)]) -> Settings {
        let one = |name: &str| {
            let value = given.iter().find(|(given, _)| *given == name);
            let setting = Setting { secret: true, ..Setting::default() };
            let value = value.map_or(Value::Unset, |(_, text)| Value::Known(Text::new((*text).to_owned())));
            (name.to_owned(), Resolved { setting, value, origin: Origin::Unset, warnings: Vec::new() })
        };
        let names = ["mongodb-url", "smtp-url", "status-token"];
        let built_in = [TIME_ZONE, OUTGOING_PROXY, OUTGOING_PROXY_EXCEPTIONS];
        names.into_iter().chain(built_in).map(one).collect()
    }

    fn run_plan(plan: &ImagePlan, settings: &Settings, environment: &Environment) -> RunPlan {
        let found = Found { environment, logs: Logs::default(), https: None, authorities: None };
        super::run_plan(plan, settings, found)
    }

    #[test]
    fn settings_switch_services_and_what_waited_for_one_that_is_off_waits_no_longer() {
        let without = run_plan(&plan(), &settings(&[]), &Environment::default());
        assert_eq!(without.services.keys().collect::<Vec<_>>(), ["mongodb", "web"]);
        assert_eq!(without.services["web"].after, ["mongodb"]);
        assert_eq!(without.services["web"].requires, ["mongodb"]);
        assert_eq!(without.services["web"].when_lost.keys().collect::<Vec<_>>(), ["mongodb"]);
        let with = &settings(&[("mongodb-url", "mongodb://db"), ("smtp-url", "smtp://mail")]);
        let with = run_plan(&plan(), with, &Environment::default());
        assert_eq!(with.services.keys().collect::<Vec<_>>(), ["mail", "web"]);
        assert_eq!(with.services["web"].after, ["mail"]);
    }

    #[test]
    fn what_the_customer_has_elsewhere_is_waited_for_in_the_place_of_the_service() {
        let url = [("mongodb-url", "mongodb://u:p@db/x")];
        let mut settings = settings(&url);
        settings.get_mut("mongodb-url").unwrap().setting.kind = Kind::Url;
        let plan = run_plan(&plan(), &settings, &Environment::default());
        assert_eq!(plan.services["web"].after, ["mongodb"]);
        assert_eq!(plan.services["web"].requires, ["mongodb"]);
        let external = &plan.services["mongodb"];
        assert_eq!(external.kind, run::Kind::Oneshot);
        assert_eq!(external.command, ["/usr/lib/casque/agent", "external", "mongodb-url"]);
        assert_eq!(external.check.as_ref().unwrap().last().unwrap(), "--once");
        assert_eq!(external.environment["CASQUE_EXTERNAL_URL"], "mongodb://u:p@db/x");
        assert_eq!(external.user.as_ref().unwrap().uid, 7);
        // Another try of PID 1 would be refused like the first.
        assert_eq!(external.restart.policy, RestartPolicy::Never);
        assert_eq!(plan.mask, ["mongodb://u:p@db/x", "p"]);
    }

    #[test]
    fn a_setting_reaches_the_environment_of_its_service_only_when_it_has_a_value() {
        let environment = Environment::from([("TZ", "Europe/Berlin"), ("HTTP_PROXY", ""), ("OTHER", "x")]);
        let resolved = run_plan(&plan(), &settings(&[("smtp-url", "smtp://mail")]), &environment);
        let environment = &resolved.services["web"].environment;
        assert_eq!(
            environment.iter().map(|(a, b)| format!("{a}={b}")).collect::<Vec<_>>(),
            ["SMTP_URL=smtp://mail", "STATIC=1", "TZ=Europe/Berlin"]
        );
        assert_eq!(resolved.services["mail"].environment.len(), 1);
    }

    #[test]
    fn time_zone_and_proxy_reach_every_service_that_does_not_say_otherwise() {
        let mut plan = plan();
        let mail = plan.services.get_mut("mail").unwrap();
        mail.service.environment.insert("HTTPS_PROXY".to_owned(), String::new());
        let given = [
            ("smtp-url", "smtp://mail"),
            (TIME_ZONE, "Europe/Berlin"),
            (OUTGOING_PROXY, "http://proxy:3128"),
            (OUTGOING_PROXY_EXCEPTIONS, "example.com"),
        ];
        let resolved = run_plan(&plan, &settings(&given), &Environment::default());
        let environment = &resolved.services["mongodb"].environment;
        let written = environment.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        assert_eq!(
            written,
            [
                "HTTPS_PROXY=http://proxy:3128",
                "HTTP_PROXY=http://proxy:3128",
                "NO_PROXY=localhost,127.0.0.1,::1,example.com",
                "STATIC=1",
                "TZ=Europe/Berlin",
                "http_proxy=http://proxy:3128",
                "https_proxy=http://proxy:3128",
                "no_proxy=localhost,127.0.0.1,::1,example.com",
            ]
        );
        assert_eq!(resolved.services["mail"].environment["HTTPS_PROXY"], "");
        let without = run_plan(&plan, &settings(&[]), &Environment::default());
        assert!(!without.services["mongodb"].environment.contains_key("NO_PROXY"));
    }

    #[test]
    fn every_secret_and_each_line_of_it_is_masked() {
        let settings = settings(&[("smtp-url", "one\n\ntwo"), ("status-token", "one")]);
        let resolved = run_plan(&plan(), &settings, &Environment::default());
        assert_eq!(resolved.mask, ["one", "one\n\ntwo", "two"]);
        assert_eq!((resolved.listen, resolved.agent_uid), (vec![80], 7));
    }

    #[test]
    fn the_agent_learns_who_may_see_the_details() {
        let config = agent_config(&plan(), &settings(&[("status-token", "t")]), None);
        assert_eq!((config.status_token.as_str(), config.status_path.as_str()), ("t", "/status"));
        assert_eq!(config.probes.paths().collect::<Vec<_>>(), ["/livez", "/readyz", "/metrics"]);
    }
}
