//! YAML as plain values, every scalar being text: what a number or a truth value is for, its reader knows.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value};

/// Returns the documents of a text; nothing when it is no YAML, as a template may be.
pub(super) fn documents(text: &str) -> Vec<Value> {
    Yaml::load_from_str(text).unwrap_or_default().into_iter().map(plain).collect()
}

fn plain(node: Yaml<'_>) -> Value {
    match node {
        Yaml::Representation(text, ..) | Yaml::Value(Scalar::String(text)) => {
            Value::String(text.into_owned())
        }
        Yaml::Value(Scalar::Integer(number)) => Value::String(number.to_string()),
        Yaml::Value(Scalar::FloatingPoint(number)) => Value::String(number.to_string()),
        Yaml::Value(Scalar::Boolean(truth)) => Value::String(truth.to_string()),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(plain).collect()),
        Yaml::Mapping(entries) => {
            let entries = entries.into_iter().filter_map(|(key, value)| match plain(key) {
                Value::String(key) => Some((key, plain(value))),
                _ => None,
            });
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Yaml::Tagged(_, node) => plain(*node),
        Yaml::Value(Scalar::Null) | Yaml::Alias(_) | Yaml::BadValue => Value::Null,
    }
}

/// Returns the texts of a value: of a scalar, or of a list, one written with commas included.
pub(super) fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scalar_is_text() {
        let text = "- path: /data\n  mode: '0750'\n  port: 80\n  on: yes\n- !vault x\n- &a [1, 'b']\n- *a\n";
        assert_eq!(
            documents(text),
            [
                serde_json::json!([{"path": "/data", "mode": "0750", "port": "80", "on": "yes"}, "x", ["1", "b"], ["1", "b"]])
            ]
        );
        assert_eq!(documents("{% if x %}\na: [\n"), [Value::Null; 0]);
    }
}
