//! Plans to make a handbook of.

use casque_format::image::ImagePlan;
use casque_format::settings::{built_in, of_https};
use serde_json::{Value, json};

fn service(user: Value) -> Value {
    json!({
        "kind": "simple", "command": ["/bin/x"], "user": user, "start_timeout_ms": 1000, "critical": true,
        "stop": {"signal": "TERM", "timeout_ms": 1000},
        "restart": {"policy": "always", "limit": 1, "delay_ms": 1, "max_delay_ms": 1, "stable_ms": 1},
    })
}

/// A product with everything that the handbook has a section for.
pub fn whole() -> ImagePlan {
    let mut plan: ImagePlan = serde_json::from_value(json!({
        "version": 1, "expose": [80, 443], "env_prefix": "", "templates": [], "https_port": 443,
        "product": {"name": "vendor/backend", "version": "43.4.4", "command": "backend"},
        "reference": "vendor/backend:v43.4.4", "verify_keys": ["RWQ"],
        "agent": {"name": "agent", "uid": 910, "gid": 911, "home": "/"},
        "stop_budget_ms": 9000, "status_path": "/status",
        "data": [{"path": "/data/mongodb", "uid": 900, "gid": 901, "mode": 0o750}],
        "persist": [{"path": "/var/lib/x", "uid": 0, "gid": 0, "mode": 0o755}],
        "services": {
            "mongodb": {
                "service": service(json!({"name": "mongodb", "uid": 900, "gid": 901, "groups": [4], "home": "/"})),
                "unless": "mongodb-url",
            },
            "web": {"service": service(Value::Null)},
        },
        "settings": {
            "admin-password": {"type": "password", "description": "First password of `admin`.", "generate": true},
            "fixed": {"type": "password", "description": "Is the same for all.", "default": "hunter2"},
            "mail-to": {"type": "string", "description": "Recipient.", "required-when": "smtp-url", "renamed-from": ["mail"]},
            "mongodb-url": {"type": "url", "description": "A MongoDB of your own.", "secret": true},
            "smtp-url": {"type": "url", "description": "Mail server.", "secret": true, "schemes": ["smtp"]},
            "web-workers": {"type": "integer", "description": "Processes.", "default": 2, "min": 1, "max": 64, "required": true, "deprecated": "Say less."},
        },
    }))
    .unwrap();
    let known = built_in().into_iter().chain(of_https());
    plan.settings.extend(known.map(|(name, setting)| (name.to_owned(), setting)));
    plan
}

/// A product with as little as there can be.
pub fn least() -> ImagePlan {
    let mut plan = whole();
    plan.product.name = "tool".to_owned();
    plan.reference = "tool:1".to_owned();
    plan.product.command = "tool".to_owned();
    (plan.expose, plan.https_port) = (Vec::new(), None);
    plan.services.clear();
    plan.settings.clear();
    plan.data.clear();
    plan.persist.clear();
    plan.verify_keys.clear();
    plan
}
