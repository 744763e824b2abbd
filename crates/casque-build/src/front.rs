//! The nginx that a vendor's scripts configured becomes the front: it answers the status path through the agent and
//! says on a socket of its own that it serves.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use casque_format::{paths, status};

/// Included in the `http` block.
const HTTP_INCLUDE: &str = "/usr/lib/casque/nginx/http.conf";
/// Included in every `server` block.
const SERVER_INCLUDE: &str = "/usr/lib/casque/nginx/server.conf";

/// Adds casque's two includes to the nginx configuration under `root`; returns the changed files, absolute in the image.
///
/// # Errors
/// A file that cannot be read or written.
pub(crate) fn add_includes(
    root: &Path,
    answered: &[&str],
    https_port: Option<u16>,
) -> io::Result<Vec<PathBuf>> {
    let mut changed = Vec::new();
    let mut own = BTreeSet::new();
    // Whoever listens there itself has certificates of its own, or names the one that the agent leaves.
    let mut https = https_port;
    for file in configuration_files(root)? {
        let text = fs_err::read_to_string(root.join(&file))?;
        own.extend(exact_locations(&text));
        https = https.filter(|port| !listens(&text, *port));
        if let Some(text) = with_includes(&text) {
            fs_err::write(root.join(&file), text)?;
            changed.push(Path::new("/").join(file));
        }
    }
    // The first is the status, which the manifest asks for; of the others the vendor's own go before casque's.
    let answered = answered.iter().enumerate().filter(|(index, path)| *index == 0 || !own.contains(**path));
    let mut in_http = http_include();
    let mut in_server: String = answered.map(|(_, path)| location(path)).collect();
    if https.is_some() {
        in_http += &include_if_there(paths::FRONT_HTTP);
        in_server += &include_if_there(paths::FRONT_SERVER);
    }
    write(root, HTTP_INCLUDE, &in_http)?;
    write(root, SERVER_INCLUDE, &in_server)?;
    Ok(changed)
}

/// A pattern may match nothing, as it does before the agent has written the file.
fn include_if_there(path: &str) -> String {
    format!("include {}*.conf;\n", path.trim_end_matches(".conf"))
}

/// Says whether the vendor's configuration listens on this port.
fn listens(text: &str, port: u16) -> bool {
    let (port, suffix) = (port.to_string(), format!(":{port}"));
    let tokens = tokens(text);
    let mut pairs = tokens.windows(2).filter(|words| words[0].text == "listen");
    pairs.any(|words| words[1].text == port || words[1].text.ends_with(&suffix))
}

fn write(root: &Path, path: &str, text: &str) -> io::Result<()> {
    let path = root.join(path.trim_start_matches('/'));
    fs_err::create_dir_all(path.parent().expect("the includes are in a directory"))?;
    fs_err::write(path, text)
}

fn http_include() -> String {
    format!(
        "server {{\n    listen unix:{};\n    access_log off;\n    location / {{\n        return 204;\n    }}\n}}\n",
        paths::FRONT_SOCKET
    )
}

/// The User-Agent carries the monitor's token, so these paths are not logged.
fn location(path: &str) -> String {
    format!(
        "location = {path} {{\n    access_log off;\n    proxy_pass http://unix:{};\n    proxy_http_version 1.1;\n    proxy_set_header Host $host;\n    proxy_set_header Connection \"\";\n    proxy_set_header {} $remote_addr;\n}}\n",
        paths::AGENT_SOCKET,
        status::PEER_HEADER
    )
}

/// Returns the paths for which the vendor's configuration has a `location = PATH` of its own.
fn exact_locations(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let found = tokens.windows(3).filter(|words| words[0].text == "location" && words[1].text == "=");
    found.map(|words| words[2].text.to_owned()).collect()
}

/// Returns nginx's own files, relative to `root`; links are followed inside the root only.
fn configuration_files(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = vec![PathBuf::from("etc/nginx/nginx.conf")];
    for directory in ["etc/nginx/conf.d", "etc/nginx/sites-enabled"] {
        let Ok(entries) = fs_err::read_dir(root.join(directory)) else { continue };
        for entry in entries {
            let path = Path::new(directory).join(entry?.file_name());
            files.push(resolve(root, &path)?);
        }
    }
    files.retain(|file| root.join(file).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

/// Follows one link inside the root.
fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let full = root.join(path);
    if !full.is_symlink() {
        return Ok(path.to_owned());
    }
    let target = fs_err::read_link(&full)?;
    let joined = match target.strip_prefix("/") {
        Ok(absolute) => absolute.to_owned(),
        Err(_) => path.parent().expect("the link is in a directory").join(&target),
    };
    let mut clean = PathBuf::new();
    for part in joined.components() {
        match part {
            std::path::Component::ParentDir => drop(clean.pop()),
            std::path::Component::Normal(name) => clean.push(name),
            _ => {}
        }
    }
    Ok(clean)
}

/// Returns `text` with an include right after the brace of each `http` and `server` block, or nothing when there is none
/// or they are there already.
fn with_includes(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 128);
    let mut copied = 0;
    let mut blocks: Vec<String> = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    for token in tokens(text) {
        match token.text {
            "{" => {
                let name = words.first().copied().unwrap_or_default().to_owned();
                let include = match name.as_str() {
                    "http" => Some(HTTP_INCLUDE),
                    "server" if !blocks.iter().any(|block| block == "stream") => Some(SERVER_INCLUDE),
                    _ => None,
                };
                if let Some(include) = include
                    && !text[token.end..].trim_start().starts_with(&format!("include {include};"))
                {
                    out += &text[copied..token.end];
                    out += &format!("\n    include {include};");
                    copied = token.end;
                }
                blocks.push(name);
                words.clear();
            }
            "}" => {
                blocks.pop();
                words.clear();
            }
            ";" => words.clear(),
            word => words.push(word),
        }
    }
    (copied > 0).then(|| out + &text[copied..])
}

struct Token<'a> {
    text: &'a str,
    end: usize,
}

/// Splits an nginx configuration into words, braces and semicolons; comments are left out, quoted text is one word.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'#' => {
                at = text[at..].find('\n').map_or(bytes.len(), |length| at + length);
                continue;
            }
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'{' | b'}' | b';' => at += 1,
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at = (at + 1).min(bytes.len());
            }
            _ => {
                while at < bytes.len() && !bytes[at].is_ascii_whitespace() && !b"{};".contains(&bytes[at]) {
                    // `${name}` is part of a word.
                    at = match text[at..].strip_prefix("${").and_then(|rest| rest.find('}')) {
                        Some(length) => at + length + 3,
                        None => at + 1,
                    };
                }
            }
        }
        tokens.push(Token { text: &text[start..at], end: at });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_and_server_blocks_get_their_include_once() {
        let before = "http {\n  # server {\n  log_format x '{ server';\n  upstream u { server 127.0.0.1:1; }\n  server {\n listen 80; location / { return 200 \"${host}{\"; } }\n}\nstream { server { listen 9; } }\n";
        let after = with_includes(before).unwrap();
        assert_eq!(after.matches(HTTP_INCLUDE).count(), 1);
        assert_eq!(after.matches(SERVER_INCLUDE).count(), 1);
        assert!(after.contains("server {\n    include /usr/lib/casque/nginx/server.conf;\n listen 80;"));
        assert_eq!(with_includes(&after), None);
    }

    #[test]
    fn a_site_reached_by_an_absolute_link_is_changed_inside_the_root() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs_err::create_dir_all(path("etc/nginx/sites-enabled")).unwrap();
        fs_err::create_dir_all(path("etc/nginx/sites-available")).unwrap();
        fs_err::write(path("etc/nginx/nginx.conf"), "events {}\nhttp { include sites-enabled/*; }\n")
            .unwrap();
        fs_err::write(path("etc/nginx/sites-available/app"), "server { listen 80; }\n").unwrap();
        std::os::unix::fs::symlink("/etc/nginx/sites-available/app", path("etc/nginx/sites-enabled/app"))
            .unwrap();
        let changed = add_includes(root.path(), &["/status"], None).unwrap();
        let expected = ["/etc/nginx/nginx.conf", "/etc/nginx/sites-available/app"];
        assert_eq!(changed, expected.map(PathBuf::from));
        let site = fs_err::read_to_string(path("etc/nginx/sites-available/app")).unwrap();
        assert_eq!(site, "server {\n    include /usr/lib/casque/nginx/server.conf; listen 80; }\n");
    }

    #[test]
    fn a_path_that_the_vendor_answers_stays_the_vendors_but_for_the_status() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(root.path().join("etc/nginx")).unwrap();
        let own =
            "http { server { location = /metrics { return 204; } location = /status { return 204; } } }";
        fs_err::write(root.path().join("etc/nginx/nginx.conf"), own).unwrap();
        add_includes(root.path(), &["/status", "/livez", "/metrics"], None).unwrap();
        let include = fs_err::read_to_string(root.path().join(&SERVER_INCLUDE[1..])).unwrap();
        let locations: Vec<&str> = include.lines().filter(|line| line.starts_with("location")).collect();
        assert_eq!(locations, ["location = /status {", "location = /livez {"]);
        assert!(include.contains("    proxy_set_header X-Casque-Peer $remote_addr;\n"));
    }

    #[test]
    fn https_comes_from_files_of_the_start_unless_the_vendor_listens_for_it() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name.trim_start_matches('/'));
        fs_err::create_dir_all(path("etc/nginx")).unwrap();
        let included = |own: &str, port: Option<u16>| {
            fs_err::write(path("etc/nginx/nginx.conf"), format!("http {{ server {{ {own} }} }}")).unwrap();
            add_includes(root.path(), &["/status"], port).unwrap();
            let has = |file, include| fs_err::read_to_string(path(file)).unwrap().contains(include);
            (
                has(HTTP_INCLUDE, "\ninclude /run/casque/tls/nginx-http*.conf;\n"),
                has(SERVER_INCLUDE, "\ninclude /run/casque/tls/nginx-server*.conf;\n"),
            )
        };
        assert_eq!(included("listen 80;", Some(443)), (true, true));
        assert_eq!(included("listen 80; listen 8443 ssl;", Some(443)), (true, true));
        assert_eq!(included("listen 80;", None), (false, false));
        assert_eq!(included("listen 443 ssl;", Some(443)), (false, false));
        assert_eq!(included("listen [::]:443 ssl;", Some(443)), (false, false));
    }
}
