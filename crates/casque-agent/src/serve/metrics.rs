//! What `/metrics` says: the facts of the status in Prometheus' text format, version 0.0.4.

use casque_format::control::{Overall, ServiceState, ServiceStatus};
use casque_format::status::{Details, Syslog, Volume};

const OVERALL: [(Overall, &str); 5] = [
    (Overall::Starting, "starting"),
    (Overall::Ready, "ready"),
    (Overall::Degraded, "degraded"),
    (Overall::Maintenance, "maintenance"),
    (Overall::Stopping, "stopping"),
];
const STATES: [(ServiceState, &str); 7] = [
    (ServiceState::Waiting, "waiting"),
    (ServiceState::Starting, "starting"),
    (ServiceState::Ready, "ready"),
    (ServiceState::Backoff, "backoff"),
    (ServiceState::Stopping, "stopping"),
    (ServiceState::Stopped, "stopped"),
    (ServiceState::Failed, "failed"),
];

/// Returns the document.
pub fn metrics(state: Overall, details: &Details) -> String {
    let mut page = Page(String::new());
    let product = [("product", details.product.as_str()), ("version", details.product_version.as_str())];
    page.family("casque_build_info", "gauge", "What runs here; always 1.");
    page.sample("casque_build_info", &product, "1");
    page.family("casque_uptime_seconds", "gauge", "Time since the container began.");
    page.sample("casque_uptime_seconds", &[], &seconds(details.uptime_ms));
    page.family("casque_state", "gauge", "The state of the whole: 1 for the one it is in.");
    for (known, name) in OVERALL {
        page.sample("casque_state", &[("state", name)], flag(known == state));
    }
    page.family("casque_warnings", "gauge", "Facts an operator should look at; /status has their words.");
    page.sample("casque_warnings", &[], &details.warnings.len().to_string());
    services(&mut page, details);
    if let Some(Volume { total_bytes, free_bytes }) = details.volume {
        page.family("casque_volume_size_bytes", "gauge", "Size of the file system that holds the data.");
        page.sample("casque_volume_size_bytes", &[], &total_bytes.to_string());
        page.family("casque_volume_free_bytes", "gauge", "What services can still write to it.");
        page.sample("casque_volume_free_bytes", &[], &free_bytes.to_string());
    }
    if !details.certificates.is_empty() {
        let name = "casque_certificate_expiry_timestamp_seconds";
        page.family(
            name,
            "gauge",
            "When the certificate of a setting ends, the first of its chain to do so.",
        );
        for certificate in &details.certificates {
            page.sample(name, &[("setting", &certificate.setting)], &certificate.not_after.to_string());
        }
        let name = "casque_certificate_days_left";
        page.family(name, "gauge", "Whole days until then.");
        for certificate in &details.certificates {
            let Some(days) = certificate.days_left else { continue };
            page.sample(name, &[("setting", &certificate.setting)], &days.to_string());
        }
    }
    if let Some(Syslog { connected, waiting_bytes, lost_lines, .. }) = &details.syslog {
        page.family("casque_syslog_connected", "gauge", "1 while the syslog receiver takes lines.");
        page.sample("casque_syslog_connected", &[], flag(*connected));
        page.family("casque_syslog_waiting_bytes", "gauge", "What waits in the volume for it.");
        page.sample("casque_syslog_waiting_bytes", &[], &waiting_bytes.to_string());
        let name = "casque_syslog_lost_lines_total";
        page.family(name, "counter", "Lines that had no room there until it took them.");
        page.sample(name, &[], &lost_lines.to_string());
    }
    page.0
}

fn services(page: &mut Page, details: &Details) {
    page.family("casque_service_state", "gauge", "The state of a service: 1 for the one it is in.");
    for service in &details.services {
        for (known, name) in STATES {
            let labels = [("service", service.name.as_str()), ("state", name)];
            page.sample("casque_service_state", &labels, flag(known == service.state));
        }
    }
    page.family("casque_service_state_seconds", "gauge", "Time in that state.");
    for service in &details.services {
        let labels = [("service", service.name.as_str())];
        page.sample("casque_service_state_seconds", &labels, &seconds(service.since_ms));
    }
    let mut counter = |name: &str, help: &str, count: fn(&ServiceStatus) -> u64| {
        page.family(name, "counter", help);
        for service in &details.services {
            page.sample(name, &[("service", service.name.as_str())], &count(service).to_string());
        }
    };
    counter("casque_service_restarts_total", "Starts after the first.", |service| service.restarts.into());
    counter("casque_service_oom_kills_total", "Kills for lack of memory.", |service| {
        service.oom_kills.into()
    });
    let (dropped, unfiled) = ("casque_service_dropped_lines_total", "casque_service_unfiled_lines_total");
    counter(dropped, "Lines that nobody read in time from standard output.", |service| service.dropped_lines);
    counter(unfiled, "Lines that its log file did not take.", |service| service.unfiled_lines);
}

fn flag(is: bool) -> &'static str {
    if is { "1" } else { "0" }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.0 += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        self.0 += name;
        if !labels.is_empty() {
            let labels: Vec<String> =
                labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect();
            self.0 += &format!("{{{}}}", labels.join(","));
        }
        self.0 += &format!(" {value}\n");
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use casque_format::status::Certificate;

    use super::*;

    #[test]
    fn every_fact_is_a_family_with_its_samples() {
        let web = ServiceStatus {
            name: "we\"b\\".to_owned(),
            state: ServiceState::Backoff,
            pid: None,
            restarts: 3,
            since_ms: 61_005,
            last_exit: None,
            message: None,
            oom_kills: 1,
            dropped_lines: 7,
            unfiled_lines: 9,
            log_problem: None,
        };
        let details = Details {
            product: "vendor/backend".to_owned(),
            product_version: "43.4.4".to_owned(),
            instance: String::new(),
            configuration: String::new(),
            uptime_ms: 3_600_000,
            services: vec![web],
            warnings: vec!["a".to_owned(), "b".to_owned()],
            volume: Some(Volume { total_bytes: 100, free_bytes: 40 }),
            certificates: vec![Certificate {
                setting: "tls-certificate".to_owned(),
                subject: "CN=a".to_owned(),
                not_after: 1_893_456_000,
                days_left: Some(-3),
            }],
            syslog: Some(Syslog {
                receiver: "tcp://a".to_owned(),
                connected: true,
                waiting_bytes: 17,
                lost_lines: 4,
                last_error: None,
            }),
        };
        let page = metrics(Overall::Degraded, &details);
        let samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        for expected in [
            "casque_build_info{product=\"vendor/backend\",version=\"43.4.4\"} 1",
            "casque_uptime_seconds 3600.000",
            "casque_state{state=\"ready\"} 0",
            "casque_state{state=\"degraded\"} 1",
            "casque_warnings 2",
            "casque_service_state{service=\"we\\\"b\\\\\",state=\"backoff\"} 1",
            "casque_service_state{service=\"we\\\"b\\\\\",state=\"ready\"} 0",
            "casque_service_state_seconds{service=\"we\\\"b\\\\\"} 61.005",
            "casque_service_restarts_total{service=\"we\\\"b\\\\\"} 3",
            "casque_service_oom_kills_total{service=\"we\\\"b\\\\\"} 1",
            "casque_service_dropped_lines_total{service=\"we\\\"b\\\\\"} 7",
            "casque_service_unfiled_lines_total{service=\"we\\\"b\\\\\"} 9",
            "casque_volume_size_bytes 100",
            "casque_volume_free_bytes 40",
            "casque_certificate_expiry_timestamp_seconds{setting=\"tls-certificate\"} 1893456000",
            "casque_certificate_days_left{setting=\"tls-certificate\"} -3",
            "casque_syslog_connected 1",
            "casque_syslog_waiting_bytes 17",
            "casque_syslog_lost_lines_total 4",
        ] {
            assert!(samples.contains(&expected), "{expected}\n{page}");
        }
        let families = page.lines().filter(|line| line.starts_with("# TYPE ")).count();
        assert_eq!((families, samples.len()), (17, 1 + 1 + 5 + 1 + 7 + 1 + 4 + 2 + 2 + 3));
    }
}
