//! What HTTPS adds to the configuration of nginx.

use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_format::settings::{HSTS, HTTPS_REDIRECT};

use crate::settings::Settings;
use crate::tls::host;

/// Forward secrecy and authenticated encryption; TLS 1.3 has nothing else.
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20";

/// Texts for the `http` block and for each `server` block; empty ones while HTTPS is off.
pub fn includes(plan: &ImagePlan, settings: &Settings, port: Option<u16>) -> (String, String) {
    let Some(port) = port else { return (String::new(), String::new()) };
    let text = |name: &str| settings.get(name).and_then(|one| one.text());
    let served = paths::TLS_SERVED;
    let mut server = format!(
        "listen {port} ssl;\n\
         ssl_certificate {served};\n\
         ssl_certificate_key {served};\n\
         ssl_protocols TLSv1.2 TLSv1.3;\n\
         ssl_ciphers {CIPHERS};\n\
         ssl_prefer_server_ciphers off;\n\
         ssl_session_cache shared:casque:2m;\n\
         ssl_session_timeout 1h;\n\
         ssl_session_tickets off;\n"
    );
    let mut http = String::new();
    if let Some(seconds) = text(HSTS).filter(|seconds| *seconds != "0") {
        // Over HTTP it must not be said (RFC 6797); an empty header is not sent.
        http += &format!(
            "map $scheme $casque_hsts {{\n    default \"\";\n    https \"max-age={seconds}\";\n}}\n"
        );
        server += "add_header Strict-Transport-Security $casque_hsts always;\n";
    }
    if text(HTTPS_REDIRECT) == Some("true") {
        // Probes and monitors ask by HTTP and follow nobody.
        let answered = std::iter::once(plan.status_path.as_str()).chain(plan.probes.paths());
        let answered: Vec<String> = answered.map(|path| path.replace('.', "\\.")).collect();
        http += &format!(
            "map $scheme$uri $casque_to_https {{\n    default \"\";\n    \"~^http({})$\" \"\";\n    \"~^http/\" 1;\n}}\n",
            answered.join("|")
        );
        server += &format!(
            "if ($casque_to_https) {{\n    return 308 https://{}$request_uri;\n}}\n",
            address(text("base-url"), port)
        );
    }
    (http, server)
}

/// Returns where browsers are sent: to the address that the operator gave, where that is one of HTTPS.
fn address(base: Option<&str>, port: u16) -> String {
    let given = base.filter(|base| base.starts_with("https://"));
    let plain =
        |host: &&str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte));
    match given.and_then(host::with_port).filter(plain) {
        Some(host) => host.to_owned(),
        None if port == 443 => "$host".to_owned(),
        None => format!("$host:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_sent_where_the_operator_says() {
        assert_eq!(address(None, 443), "$host");
        assert_eq!(address(Some("http://a.example"), 443), "$host");
        assert_eq!(address(None, 8443), "$host:8443");
        assert_eq!(address(Some("https://a.example/path"), 8443), "a.example");
        assert_eq!(address(Some("https://user@a.example:444"), 443), "a.example:444");
        assert_eq!(address(Some("https://[2001:db8::1]:444/"), 443), "[2001:db8::1]:444");
        // Would be a variable to nginx.
        assert_eq!(address(Some("https://a%24b.example"), 443), "$host");
    }
}
