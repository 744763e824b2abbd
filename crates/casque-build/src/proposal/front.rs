//! nginx in the project: its files, the ports it listens on and where it passes requests to.

use super::Project;
use super::files::{file_name, rendered};

/// What a project's nginx configuration says.
#[derive(Debug, Default)]
pub(super) struct Nginx {
    /// Files of the project, sorted, with what is in them, variables put in.
    pub(super) files: Vec<(String, String)>,
    /// Ports that were found, sorted.
    pub(super) ports: Vec<u16>,
    /// The first address that requests are passed to: with a port, or `unix:` with a path.
    pub(super) upstream: Option<String>,
}

pub(super) fn read(project: &Project) -> Nginx {
    let mut nginx = Nginx::default();
    for (path, text) in project.files.iter() {
        let name = file_name(rendered(path));
        let is_named = name.ends_with(".conf") || path.contains("nginx");
        let is_it =
            text.contains("listen ") && text.contains("server {") && is_named && !name.ends_with(".yml");
        if is_it || (name == "nginx.conf" && text.contains("http {")) {
            nginx.files.push((path.to_owned(), project.ansible.variables.fill(text)));
        }
    }
    for (_, text) in &nginx.files {
        let values = |word: &'static str| {
            text.split([';', '{', '}', '\n'])
                .filter_map(move |part| Some(part.trim().strip_prefix(word)?.trim()))
        };
        for value in values("listen ") {
            let address = value.split_whitespace().next().unwrap_or_default();
            if let Some(port) = address.rsplit(':').next().and_then(|port| port.parse().ok())
                && !nginx.ports.contains(&port)
            {
                nginx.ports.push(port);
            }
        }
        for target in values("proxy_pass ").chain(values("uwsgi_pass ")).chain(values("fastcgi_pass ")) {
            let target = target.trim_start_matches("http://").trim_end_matches('/');
            let upstream = || {
                let block = text.split(&format!("upstream {target} ")).nth(1)?.split('}').next()?;
                let server = block.split([';', '{']).find_map(|part| part.trim().strip_prefix("server "))?;
                server.split_whitespace().next()
            };
            let address = if is_address(target) {
                Some(target)
            } else {
                upstream().filter(|address| is_address(address))
            };
            nginx.upstream = nginx
                .upstream
                .take()
                .or_else(|| address.map(|address| address.replace("localhost", "127.0.0.1")));
        }
    }
    nginx.ports.sort_unstable();
    nginx
}

/// Whether PID 1 can ask there.
fn is_address(text: &str) -> bool {
    let with_port = |host: &str| text.strip_prefix(host).is_some_and(|port| port.parse::<u16>().is_ok());
    text.starts_with("unix:/") || with_port("127.0.0.1:") || with_port("localhost:")
}

/// Returns a site that passes every request to `address`.
pub(super) fn site(address: &str, port: u16) -> String {
    format!(
        "server {{\n    listen {port} default_server;\n    access_log /dev/stdout;\n    error_log stderr;\n    client_max_body_size 32m;\n    location / {{\n        proxy_pass http://{address};\n        proxy_set_header Host $http_host;\n        proxy_set_header X-Forwarded-For $remote_addr;\n        proxy_set_header X-Forwarded-Proto $scheme;\n    }}\n}}\n"
    )
}
