//! Where things are inside an image, so that no two programs can disagree.

/// The entrypoint, `casque-init`.
pub const INIT: &str = "/usr/lib/casque/init";
/// The agent; the customer's command is a link to it.
pub const AGENT: &str = "/usr/lib/casque/agent";
/// The checked plan that the build wrote.
pub const IMAGE_PLAN: &str = "/usr/lib/casque/plan.json";
/// The bill of materials, SPDX 2.3 as JSON.
pub const BILL: &str = "/usr/lib/casque/sbom.spdx.json";
/// Marked files of the image, under their own absolute path.
pub const TEMPLATES: &str = "/usr/lib/casque/templates";
/// Everything that is made anew at each start.
pub const RUN: &str = "/run/casque";
/// The resolved plan that PID 1 carries out. Mode 0600: it names every secret to mask.
pub const RUN_PLAN: &str = "/run/casque/plan.json";
/// Rendered forms of the marked files, under their own absolute path.
pub const RENDERED: &str = "/run/casque/files";
/// PID 1's socket. Open to connect, each command judged by the peer's uid.
pub const CONTROL_SOCKET: &str = "/run/casque/control.sock";
/// What `casque-agent serve` needs to know; readable by the agent's own user.
pub const AGENT_CONFIG: &str = "/run/casque/agent/config.json";
/// Where the front sends the status path.
pub const AGENT_SOCKET: &str = "/run/casque/agent/http.sock";
/// The front's own answer that it serves: an HTTP server on a unix socket.
pub const FRONT_SOCKET: &str = "/run/casque/front/ready.sock";
/// The volume.
pub const DATA: &str = "/data";
/// Held by PID 1 as long as it uses the volume, and with the host name of its container in it.
pub const LOCK: &str = "/data/casque/lock";
/// Directories of unmodified software, under their own absolute path, where a link leads here.
pub const PERSISTED: &str = "/data/persist";
/// What such a directory held in the image: a tar under its own absolute path and `.tar`.
pub const SEEDS: &str = "/usr/lib/casque/seeds";
/// The customer's settings file.
pub const SETTINGS_FILE: &str = "/data/config/settings.toml";
/// Generated secrets, one file each, mode 0600.
pub const SECRETS: &str = "/data/casque/secrets";
/// The key by which names of secrets in support bundles are made. Mode 0600.
pub const PSEUDONYMS: &str = "/data/casque/pseudonyms.key";
/// Which product and instance the volume belongs to.
pub const STAMP: &str = "/data/casque/stamp.json";
/// What a restore has not finished; gone when it has.
pub const RESTORING: &str = "/data/.restore";
/// A log file for each service.
pub const LOGS: &str = "/data/logs";
/// Lines that wait for the customer's syslog: segments of [`crate::syslog::Record`]s.
pub const SYSLOG_BUFFER: &str = "/data/casque/syslog";
/// How far they were sent, [`crate::syslog::Cursor`]; its directory is the agent's.
pub const SYSLOG_CURSOR: &str = "/data/casque/syslog/sent/cursor.json";
/// What the sender last found out, [`crate::syslog::Link`].
pub const SYSLOG_LINK: &str = "/run/casque/agent/syslog.json";
/// What one-shots that run once have done, one file each.
pub const ONCE: &str = "/data/casque/once";
/// The certificate of the customer's own, the server's first, in PEM.
pub const TLS_CERTIFICATE: &str = "/data/tls/cert.pem";
/// Its private key, in PEM.
pub const TLS_KEY: &str = "/data/tls/key.pem";
/// Certificate authorities that services trust beside those of the image, in PEM.
pub const AUTHORITIES: &str = "/data/tls/ca";
/// The pair that HTTPS was last served with, chain and key in one file. Mode 0600.
pub const TLS_KEPT: &str = "/data/casque/tls/last.pem";
/// The pair that was made because none was given, chain and key in one file. Mode 0600.
pub const TLS_OWN: &str = "/data/casque/tls/self-signed.pem";
/// The pair that HTTPS is served with, chain and key in one file, so that they cannot differ. Mode 0600.
pub const TLS_SERVED: &str = "/run/casque/tls/server.pem";
/// All authorities that services trust. A name begins so, and goes on with a digest of the content.
pub const TRUSTED: &str = "/run/casque/tls/ca-";
/// What HTTPS adds to the `http` block of the front.
pub const FRONT_HTTP: &str = "/run/casque/tls/nginx-http.conf";
/// What HTTPS adds to each `server` block of the front.
pub const FRONT_SERVER: &str = "/run/casque/tls/nginx-server.conf";
