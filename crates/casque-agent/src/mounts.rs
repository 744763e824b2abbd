//! Tells from the kernel's mount table whether the data outlives the container.

use casque_format::paths;

use crate::root::Root;

const MOUNT_TABLE: &str = "/proc/self/mountinfo";

/// Returns what an operator must know about the volume, if anything.
pub fn warning(root: &Root) -> Option<String> {
    // Without a mount table nothing is known, and nothing is claimed.
    let table = fs_err::read_to_string(root.join(MOUNT_TABLE)).ok()?;
    let reason = reason(&table)?;
    Some(format!("data is not on a named volume: {reason}; start with `-v NAME:{}`", paths::DATA))
}

/// Returns what the volume is, such as its name and its file system.
pub fn description(root: &Root) -> Option<String> {
    let table = fs_err::read_to_string(root.join(MOUNT_TABLE)).ok()?;
    let mount = mount(&table)?;
    let what = match mount.root.strip_suffix("/_data").and_then(|rest| rest.rsplit_once("/volumes/")) {
        Some((_, name)) => format!("the volume `{name}`"),
        None if mount.root == "/" => "a file system of its own".to_owned(),
        None => format!("the directory `{}` of a file system", mount.root),
    };
    Some(format!("{what}, {}", mount.file_system))
}

/// The last mount on the path is the one that is seen.
fn mount(table: &str) -> Option<Mount<'_>> {
    table.lines().filter_map(Mount::parse).rfind(|mount| mount.point == paths::DATA)
}

fn reason(table: &str) -> Option<&'static str> {
    let Some(mount) = mount(table) else {
        return Some("it is part of this container and is lost with it");
    };
    if matches!(mount.file_system, "tmpfs" | "ramfs") {
        return Some("it is in memory and is lost when the container stops");
    }
    is_anonymous(mount.root).then_some("its volume has no name, and the next container will not find it")
}

struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    file_system: &'a str,
}

impl<'a> Mount<'a> {
    /// Reads a line of proc_pid_mountinfo(5): the file system follows a lone `-`.
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut fields = left.split(' ').skip(3);
        Some(Self { root: fields.next()?, point: fields.next()?, file_system: right.split(' ').next()? })
    }
}

/// Docker and Podman call a volume without a name by 64 hexadecimal digits: `.../volumes/NAME/_data`.
fn is_anonymous(root: &str) -> bool {
    let Some(name) = root.strip_suffix("/_data").and_then(|rest| rest.rsplit_once("/volumes/")) else {
        return false;
    };
    name.1.len() == 64 && name.1.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(root: &str, file_system: &str) -> String {
        format!(
            "600 500 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/a\n\
             601 600 8:1 {root} /data rw,relatime master:1 - {file_system} /dev/sda1 rw\n\
             602 600 0:51 / /data/cache rw - tmpfs tmpfs rw\n"
        )
    }

    #[test]
    fn what_is_mounted_is_described() {
        let described = |root: &str| {
            let directory = tempfile::tempdir().unwrap();
            fs_err::create_dir_all(directory.path().join("proc/self")).unwrap();
            fs_err::write(directory.path().join("proc/self/mountinfo"), table(root, "ext4")).unwrap();
            description(&Root::new(directory.path().to_owned())).unwrap()
        };
        let of_docker = "/var/lib/docker/volumes/backend-data/_data";
        assert_eq!(described(of_docker), "the volume `backend-data`, ext4");
        assert_eq!(described("/srv/backend"), "the directory `/srv/backend` of a file system, ext4");
        assert_eq!(described("/"), "a file system of its own, ext4");
    }

    #[test]
    fn only_a_volume_with_a_name_or_a_directory_of_the_host_is_good() {
        let name = "0123456789abcdef".repeat(4);
        assert_eq!(reason(&table("/var/lib/docker/volumes/backend-data/_data", "ext4")), None);
        assert_eq!(reason(&table("/srv/backend", "ext4")), None);
        let text = |root: &str, file_system: &str| reason(&table(root, file_system)).unwrap_or_default();
        assert!(text(&format!("/var/lib/docker/volumes/{name}/_data"), "ext4").contains("has no name"));
        assert!(text(&format!("/containers/storage/volumes/{name}/_data"), "xfs").contains("has no name"));
        assert!(text("/", "tmpfs").contains("in memory"));
        let none = "600 500 0:50 / / rw,relatime - overlay overlay rw\n";
        assert!(reason(none).is_some_and(|text| text.contains("part of this container")));
    }
}
