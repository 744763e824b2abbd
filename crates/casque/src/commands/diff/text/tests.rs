//! The whole text, once with everything in it.

use super::*;

const DIFFERENCE: &str = r#"{
  "version": 1,
  "old": { "names": ["vendor/app:v1"], "image_id": "sha256:aa", "created": 1, "size": 400000000, "unread_layers": 0 },
  "new": { "names": ["vendor/app:v2"], "image_id": "sha256:bb", "created": 2, "size": 398500000, "unread_layers": 3 },
  "download": 2500000,
  "settings": [
    { "name": "smtp", "how": "renamed", "was": "mail", "description": "Where mail goes.", "changes": [] },
    { "name": "workers", "how": "changed", "changes": [{ "what": "default", "old": "4", "new": "8" }] },
    { "name": "theme", "how": "added", "description": "Colours of the page.", "changes": [{ "what": "type", "new": "string" }] }
  ],
  "services": [
    { "name": "web", "how": "changed", "changes": [{ "what": "user.name", "new": "web" }, { "what": "when", "old": "on" }] },
    { "name": "worker", "how": "removed", "changes": [] }
  ],
  "ports": [{ "name": "81", "how": "added", "changes": [] }],
  "data": [],
  "templates": [],
  "product": [{ "what": "reference", "old": "vendor/app:v1", "new": "vendor/app:v2" }],
  "image": [],
  "packages": [
    { "name": "nginx", "how": "upgraded", "old": "1.22.1-9", "new": "1.22.1-10" },
    { "name": "old", "how": "removed", "old": "3" },
    { "name": "tzdata", "how": "downgraded", "old": "2", "new": "1" }
  ],
  "python": [{ "name": "flask", "place": "/opt/app", "how": "added", "new": "3.0" }],
  "users": [{ "name": "web", "how": "added", "changes": [] }],
  "groups": [],
  "files": [
    { "path": "/etc/motd", "how": "removed",
      "old": { "kind": "file", "size": 5, "mode": "0644", "uid": 0, "gid": 0, "time": 1, "layer": 0 } },
    { "path": "/etc/time", "how": "changed", "what": ["time"],
      "old": { "kind": "file", "size": 5, "mode": "0644", "uid": 0, "gid": 0, "time": 1, "layer": 0 },
      "new": { "kind": "file", "size": 5, "mode": "0644", "uid": 0, "gid": 0, "time": 2, "layer": 1 } },
    { "path": "/opt/app/link", "how": "changed", "what": ["content"],
      "old": { "kind": "link", "target": "a", "mode": "0777", "uid": 0, "gid": 0, "time": 1, "layer": 1 },
      "new": { "kind": "link", "target": "b", "mode": "0777", "uid": 0, "gid": 0, "time": 1, "layer": 1 } },
    { "path": "/opt/app/main.py", "how": "changed", "what": ["content", "mode", "owner", "attributes", "time"],
      "old": { "kind": "file", "size": 10, "mode": "0644", "uid": 0, "gid": 0, "time": 1, "layer": 1 },
      "new": { "kind": "file", "size": 12, "mode": "0755", "uid": 7, "gid": 7, "time": 2, "layer": 1 } },
    { "path": "/opt/app/new.py", "how": "added",
      "new": { "kind": "file", "size": 12, "mode": "0644", "uid": 0, "gid": 0, "time": 1, "layer": 1 } },
    { "path": "/usr/bin/sh", "how": "changed", "what": ["kind"], "owner": { "debian": "dash" },
      "old": { "kind": "file", "size": 9, "mode": "0644", "uid": 0, "gid": 0, "time": 1, "layer": 0 },
      "new": { "kind": "link", "target": "dash", "mode": "0777", "uid": 0, "gid": 0, "time": 1, "layer": 0 } },
    { "path": "/usr/sbin/nginx", "how": "changed", "what": ["content"], "owner": { "debian": "nginx" },
      "old": { "kind": "file", "size": 9, "mode": "0644", "uid": 0, "gid": 0, "time": 1, "layer": 0 },
      "new": { "kind": "file", "size": 9, "mode": "0644", "uid": 0, "gid": 0, "time": 1, "layer": 0 } },
    { "path": "/var/lib/dpkg/status", "how": "changed", "what": ["content"],
      "old": { "kind": "file", "size": 9, "mode": "0644", "uid": 0, "gid": 0, "time": 1, "layer": 0 },
      "new": { "kind": "file", "size": 8, "mode": "0644", "uid": 0, "gid": 0, "time": 1, "layer": 0 } }
  ],
  "layers": [
    { "diff_id": "sha256:11", "created_by": "casque: base", "size": 396000000, "shared": true },
    { "diff_id": "sha256:22", "created_by": "casque: app", "size": 2500000, "shared": false }
  ]
}"#;

fn difference() -> Difference {
    serde_json::from_str(DIFFERENCE).unwrap()
}

#[test]
fn what_to_act_on_comes_first_and_what_follows_from_packages_is_counted() {
    insta::assert_snapshot!(lines(&difference(), false).join("\n"), @r"
    - vendor/app:v1  sha256:aa
    + vendor/app:v2  sha256:bb
    size: 400.0 MB -> 398.5 MB (-1.5 MB)
    new for who has the old image: 2.5 MB
    the new image leaves out 3 layers; what is in them was not compared

    settings: 3
      > mail is now smtp
      ~ workers
          default: 4 -> 8
      + theme  Colours of the page.

    services: 2
      ~ web
          user.name: web (new)
          when: on (gone)
      - worker

    ports: 1
      + 81

    product: 1
      reference: vendor/app:v1 -> vendor/app:v2

    packages: 3
      ~ nginx 1.22.1-9 -> 1.22.1-10
      - old 3
      ~ tzdata 2 -> 1 (earlier)

    python: 1
      + flask 3.0

    users: 1
      + web

    files: 1 added, 1 removed, 6 changed
      2 of the packages above
      1 in their time alone
      casque: base
        ~ /usr/bin/sh  file -> link  (dash)
      casque: app
        ~ /opt/app/link  to a -> to b
        ~ /opt/app/main.py  10 -> 12 bytes, mode 0644 -> 0755, owner 0:0 -> 7:7, extended attributes, time
        + /opt/app/new.py  12 bytes
      gone
        - /etc/motd  5 bytes

    layers: 1 new, 2.5 MB; 1 in both, 396.0 MB
      +    2.5 MB  casque: app
    ");
}

#[test]
fn every_file_is_named_when_asked_for() {
    let lines = lines(&difference(), true);
    let begin = lines.iter().position(|line| line.starts_with("files:")).unwrap();
    insta::assert_snapshot!(lines[begin..].join("\n"), @r"
    files: 1 added, 1 removed, 6 changed
      casque: base
        ~ /usr/bin/sh  file -> link  (dash)
        ~ /usr/sbin/nginx  other content, 9 bytes  (nginx)
        ~ /var/lib/dpkg/status  9 -> 8 bytes
      casque: app
        ~ /etc/time  time
        ~ /opt/app/link  to a -> to b
        ~ /opt/app/main.py  10 -> 12 bytes, mode 0644 -> 0755, owner 0:0 -> 7:7, extended attributes, time
        + /opt/app/new.py  12 bytes
      gone
        - /etc/motd  5 bytes

    layers: 1 new, 2.5 MB; 1 in both, 396.0 MB
      +    2.5 MB  casque: app
    ");
}

#[test]
fn one_image_is_one_line() {
    let mut same = difference();
    same.new.image_id = same.old.image_id.clone();
    assert_eq!(lines(&same, true), ["both are sha256:aa"]);
}

#[test]
fn many_files_of_one_layer_are_cut() {
    let mut many = difference();
    let one = many.files.iter().find(|file| file.path == "/opt/app/new.py").unwrap().clone();
    let copies = (0..20).map(|number| File { path: format!("/opt/app/{number:02}"), ..one.clone() });
    many.files = copies.collect();
    let lines = lines(&many, false);
    assert!(lines.contains(&"    + /opt/app/07  12 bytes".to_owned()), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("/opt/app/08")), "{lines:#?}");
    assert!(lines.contains(&"    and 12 more: see `--files`".to_owned()), "{lines:#?}");
}
