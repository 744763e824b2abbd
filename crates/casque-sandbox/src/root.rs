//! The file system of a sandbox: what the first process mounts before it executes the command.
//!
//! Paths inside are resolved with `RESOLVE_IN_ROOT`: a link in an image, `/data -> /etc` for
//! example, leads to the image's own `/etc` and never to the host's.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, symlinkat};
use rustix::mount::{
    MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_bind_recursive, move_mount,
    open_tree, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};
use rustix::thread::UnshareFlags;

use crate::error::{Doing, Failure};
use crate::mounts::{descriptor_path, make_private, open_directory, restrict_mount};
use crate::spec::{Bind, Network, Privileges, Spec, Tmpfs};
use crate::sys;
use crate::user::in_user_namespace;

/// Devices of the host that every program may use.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Links every program expects in `/dev`.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Parts of `/proc` that change the host's kernel.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Parts of `/proc` and `/sys` that tell of the host.
const HIDDEN: [&str; 8] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/firmware",
];

/// Mounts everything and makes it `/`. The calling process is in its other namespaces already.
pub(crate) fn enter(spec: &Spec) -> Result<(), Failure> {
    sys::unshare(UnshareFlags::NEWNS).doing("make a mount namespace")?;
    make_private()?;
    // Only a mount can become the root.
    mount_bind_recursive(&spec.root, &spec.root).doing_to("mount", &spec.root)?;
    let root = open_directory(&spec.root)?;
    mount_kernel_files(&root, spec.network)?;
    for tmpfs in &spec.tmpfs {
        mount_tmpfs(&root, tmpfs)?;
    }
    for bind in &spec.binds {
        mount_from_host(&root, bind)?;
    }
    change_root(&root)?;
    restrict_root(spec)?;
    if spec.privileges != Privileges::Full {
        restrict_kernel_files(spec.network)?;
    }
    Ok(())
}

/// Mounts `/proc`, `/sys` and `/dev`.
fn mount_kernel_files(root: &OwnedFd, network: Network) -> Result<(), Failure> {
    let plain = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_fresh(root, "/proc", "proc", plain, c"")?;
    if network == Network::Host && in_user_namespace() {
        // The kernel shows a network's devices to its owner alone, which is root of the host.
        make_directory(root, "/sys")?;
        mount_from_host(root, &Bind { from: "/sys".into(), to: "/sys".into(), read_only: true })?;
    } else {
        mount_fresh(root, "/sys", "sysfs", plain | MountFlags::RDONLY, c"")?;
    }
    let dev = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount_fresh(root, "/dev", "tmpfs", dev, c"mode=755,size=65536k")?;
    for name in DEVICES {
        let to = Path::new("/dev").join(name);
        let inside = to.strip_prefix("/").expect("the path was just made absolute");
        let file = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        openat(root, inside, file, Mode::from_raw_mode(0o666)).doing_to("make", &to)?;
        mount_from_host(root, &Bind { from: to.clone(), to, read_only: false })?;
    }
    for (name, target) in LINKS {
        let path = Path::new("dev").join(name);
        symlinkat(target, root, &path).doing_to("make link", &path)?;
    }
    mount_fresh(
        root,
        "/dev/pts",
        "devpts",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        c"newinstance,ptmxmode=0666,mode=0620,gid=5",
    )?;
    mount_fresh(root, "/dev/shm", "tmpfs", plain, c"mode=1777,size=65536k")?;
    mount_fresh(root, "/dev/mqueue", "mqueue", plain, c"").or_else(|failure| {
        // A kernel may be built without message queues.
        if failure.errno == libc::ENODEV { Ok(()) } else { Err(failure) }
    })
}

/// Mounts a new file system, making its directory when it is missing.
fn mount_fresh(
    root: &OwnedFd,
    at: &str,
    kind: &str,
    flags: MountFlags,
    options: &std::ffi::CStr,
) -> Result<(), Failure> {
    let target = make_directory(root, at)?;
    mount(kind, descriptor_path(&target), kind, flags, options).doing_to("mount", Path::new(at))
}

/// Opens a directory inside, making it when it is missing.
fn make_directory(root: &OwnedFd, at: &str) -> Result<OwnedFd, Failure> {
    let path = Path::new(at);
    match open_inside(root, path) {
        Err(failure) if failure.errno == libc::ENOENT => {
            let inside = at.trim_start_matches('/');
            mkdirat(root, inside, Mode::from_raw_mode(0o755)).doing_to("make directory", path)?;
            open_inside(root, path)
        }
        other => other,
    }
}

fn mount_tmpfs(root: &OwnedFd, tmpfs: &Tmpfs) -> Result<(), Failure> {
    let target = open_inside(root, &tmpfs.at)?;
    let mut options = format!("mode={:o}", tmpfs.mode);
    if let Some(size) = tmpfs.size {
        options.push_str(&format!(",size={size}"));
    }
    let options = std::ffi::CString::new(options).expect("the options hold no zero byte");
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", descriptor_path(&target), "tmpfs", flags, options.as_c_str()).doing_to("mount", &tmpfs.at)
}

/// Makes a file or directory of the host, with what is mounted below it, visible inside.
fn mount_from_host(root: &OwnedFd, bind: &Bind) -> Result<(), Failure> {
    let target = open_inside(root, &bind.to)?;
    let clone =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, &bind.from, clone).doing_to("open", &bind.from)?;
    let both = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&tree, "", &target, "", both).doing_to("mount at", &bind.to)?;
    if bind.read_only {
        restrict_mount(Path::new(&descriptor_path(&tree)), MountFlags::RDONLY)
            .doing_to("make read-only", &bind.to)?;
    }
    Ok(())
}

/// Opens a path as a process inside would find it, only to name it.
fn open_inside(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
        .doing_to("find in the root file system", path)
}

/// Makes `root` the root of this process and takes the host's file system away.
fn change_root(root: &OwnedFd) -> Result<(), Failure> {
    // The new root is put over the old one, then the old one, now on top, is taken away: no
    // directory for the old root is needed.
    fchdir(root).doing("enter the root file system")?;
    pivot_root(".", ".").doing("change to the root file system")?;
    unmount(".", UnmountFlags::DETACH).doing("let go of the host's file system")?;
    chdir("/").doing("enter the root file system")
}

fn restrict_root(spec: &Spec) -> Result<(), Failure> {
    let mut flags = MountFlags::empty();
    if spec.read_only_root {
        flags |= MountFlags::RDONLY;
    }
    if spec.privileges != Privileges::Full {
        flags |= MountFlags::NODEV;
    }
    if flags.is_empty() {
        return Ok(());
    }
    restrict_mount(Path::new("/"), flags).doing_to("restrict", Path::new("/"))
}

fn restrict_kernel_files(network: Network) -> Result<(), Failure> {
    if network == Network::None {
        open_low_ports()?;
    }
    for path in READ_ONLY {
        let path = Path::new(path);
        if !exists(path) {
            continue;
        }
        mount_bind_recursive(path, path).doing_to("mount", path)?;
        restrict_mount(path, MountFlags::RDONLY).doing_to("make read-only", path)?;
    }
    for path in HIDDEN {
        let path = Path::new(path);
        if !exists(path) {
            continue;
        }
        if path.is_dir() {
            mount("tmpfs", path, "tmpfs", MountFlags::RDONLY, c"size=0k").doing_to("hide", path)?;
        } else {
            mount_bind_recursive("/dev/null", path).doing_to("hide", path)?;
        }
    }
    Ok(())
}

/// Lets every user inside listen on port 80, as Docker does: the ports are the sandbox's own.
fn open_low_ports() -> Result<(), Failure> {
    let path = Path::new("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if !exists(path) {
        return Ok(());
    }
    std::fs::write(path, "0").doing_to("write", path)
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
