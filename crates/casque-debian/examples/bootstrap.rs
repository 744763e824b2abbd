//! Makes a Debian root directory: `bootstrap STORE ROOT PACKAGE...`, as root, on a Debian system.
//!
//! Shows the whole way of this crate, and what a caller has to do between its steps: the maintainer scripts run here
//! in a plain chroot with namespaces of its own.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use casque_debian::{
    Archive, Control, Deb, Keyring, Pin, Request, Snapshot, add_control, configure_batches,
    installed_packages, load_archives, preinst_order, prepare_root, resolve, unpack,
};
use casque_fetch::{Network, NetworkSettings, Silent, Store, Wanted, fetch_all};
use time::OffsetDateTime;

const ARCHITECTURE: &str = "amd64";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Mounts what scripts expect, in namespaces that end with the command, and enters the root given first.
const ENTER: &str = r#"
set -e
root=$1; shift
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do : > "$root/dev/$node"; mount --bind "/dev/$node" "$root/dev/$node"; done
ln -s /proc/self/fd "$root/dev/fd"
exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true "$@"
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(store), Some(root)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bootstrap STORE ROOT PACKAGE...".into());
    };
    let root = fs::canonicalize(&root)
        .or_else(|_| fs::create_dir_all(&root).and_then(|()| fs::canonicalize(&root)))?;
    let builder = Builder::new(Path::new(&store), root)?;
    builder.base()?;
    builder.add(&arguments.collect::<Vec<_>>())
}

struct Builder {
    network: Network,
    store: Store,
    archives: Vec<Archive>,
    snapshot: Snapshot,
    root: PathBuf,
}

impl Builder {
    fn new(store: &Path, root: PathBuf) -> Result<Self, Box<dyn Error>> {
        let network = Network::new(&NetworkSettings::default())?;
        let store = Store::open(store)?;
        let keyring = Keyring::open(&[KEYRING])?;
        let archive = |url: &str, suite: &str| Archive {
            name: suite.to_owned(),
            url: format!("http://deb.debian.org/{url}"),
            suite: suite.to_owned(),
            components: vec!["main".to_owned()],
            keyring: keyring.clone(),
        };
        let archives = vec![
            archive("debian", "bookworm"),
            archive("debian", "bookworm-updates"),
            archive("debian-security", "bookworm-security"),
        ];
        let snapshot = load_archives(&network, &store, &archives, ARCHITECTURE, OffsetDateTime::now_utc())?;
        Ok(Self { network, store, archives, snapshot, root })
    }

    /// Everything essential is unpacked before any script runs: the scripts need each other's programs.
    fn base(&self) -> Result<(), Box<dyn Error>> {
        let mut wanted = vec![Request::parse("usr-is-merged"), Request::parse("apt")];
        wanted.extend(self.snapshot.universe.essential().iter().map(|p| Request::parse(&p.control.name)));
        let debs = self.fetch(&wanted)?;
        prepare_root(&self.root, ARCHITECTURE)?;
        unpack(&self.root, &debs, 2)?;
        let awk = self.root.join("usr/bin/awk");
        if !awk.exists() {
            std::os::unix::fs::symlink("mawk", awk)?;
        }
        fs::write(self.root.join("usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 101\n")?;
        self.run(&["chmod", "755", "/usr/sbin/policy-rc.d"])?;
        self.run_preinsts(&debs)?;
        self.configure(&debs)
    }

    /// Later packages find a working system, so they go dpkg's own way: `preinst`, files, `postinst`.
    fn add(&self, packages: &[String]) -> Result<(), Box<dyn Error>> {
        let wanted: Vec<_> = packages.iter().map(|text| Request::parse(text)).collect();
        let debs = self.fetch(&wanted)?;
        add_control(&self.root, &debs)?;
        self.run_preinsts(&debs)?;
        unpack(&self.root, &debs, 2)?;
        self.configure(&debs)?;
        fs::remove_file(self.root.join("usr/sbin/policy-rc.d"))?;
        Ok(())
    }

    fn fetch(&self, wanted: &[Request]) -> Result<Vec<Deb>, Box<dyn Error>> {
        let installed = installed_packages(&self.root)?;
        let chosen = resolve(&self.snapshot.universe, &installed, wanted)?;
        let pins: Vec<_> = chosen
            .iter()
            .map(|p| Pin::new(p, &self.archives[p.archive], &self.snapshot.releases[p.archive]))
            .collect();
        let files: Vec<Wanted> = pins.iter().map(Pin::wanted).collect();
        fetch_all(&self.network, &self.store, &files, 8, &Silent)?;
        pins.iter().map(|pin| Ok(Deb::open(&self.store.path(&pin.sha256))?)).collect()
    }

    fn run_preinsts(&self, debs: &[Deb]) -> Result<(), Box<dyn Error>> {
        let controls: Vec<&Control> = debs.iter().map(|deb| &deb.control).collect();
        for name in preinst_order(&controls, ARCHITECTURE)? {
            let deb = debs.iter().find(|deb| deb.control.database_name() == name).ok_or("no such package")?;
            if deb.has("preinst") {
                let package = format!("DPKG_MAINTSCRIPT_PACKAGE={}", deb.control.name);
                let architecture = format!("DPKG_MAINTSCRIPT_ARCH={}", deb.control.architecture);
                let script = format!("/var/lib/dpkg/info/{name}.preinst");
                self.run(&[
                    "env",
                    &package,
                    &architecture,
                    "DPKG_MAINTSCRIPT_NAME=preinst",
                    "DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1",
                    "DPKG_ADMINDIR=/var/lib/dpkg",
                    "DPKG_ROOT=",
                    &script,
                    "install",
                ])?;
            }
        }
        Ok(())
    }

    fn configure(&self, debs: &[Deb]) -> Result<(), Box<dyn Error>> {
        let controls: Vec<&Control> = debs.iter().map(|deb| &deb.control).collect();
        for batch in configure_batches(&controls, ARCHITECTURE)? {
            let mut command =
                vec!["dpkg", "--force-confold", "--force-confdef", "--no-triggers", "--configure"];
            command.extend(batch.iter().map(String::as_str));
            self.run(&command)?;
        }
        self.run(&["dpkg", "--triggers-only", "--pending"])
    }

    fn run(&self, command: &[&str]) -> Result<(), Box<dyn Error>> {
        let status = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--net", "--uts", "--ipc", "sh", "-c", ENTER, "enter"])
            .arg(&self.root)
            .args(command)
            .status()?;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("`{}` ended with {status}", command.join(" "))).into())
    }
}
