//! How a build runs a program: in a root filesystem, with nothing of the host but what is named here.

use std::collections::VecDeque;
use std::fs::Permissions;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use casque_format::shim::Report;
use casque_image::resolve::located;
use casque_sandbox::{Bind, Exit, FirstProcess, Network, Spec};
use tempfile::TempDir;

use crate::builder::Builder;
use crate::error::BuildError;
use crate::event::Event;
use crate::wire::{self, Wire};

/// Where the stand-ins for the service managers are, first in `PATH`.
pub(crate) const MANAGERS: &str = "/run/casque-step";
/// The trusted certificates of a step with a network.
pub(crate) const CERTIFICATES: &str = "/run/casque-step/certificates.pem";
/// Numbers for the users that packages make.
const IDS: &str = "/run/casque-step/ids";
/// Commands that the shim answers.
const STAND_INS: [&str; 4] = ["systemctl", "service", "supervisorctl", "deb-systemd-invoke"];
const PATH: &str = "/run/casque-step/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of a failed program's output is shown.
const LAST_LINES: usize = 40;
/// Maintainer scripts ask this before they start anything (Debian policy 9.3.3.1); 101 forbids it.
const POLICY: &str = "#!/bin/sh\nexit 101\n";

/// What a program sees of a network.
#[derive(Clone, Copy)]
pub(crate) enum Access<'a> {
    /// Its own loopback.
    None,
    /// What this host sees.
    Host,
    /// Its own loopback, and on it a proxy.
    Wire(&'a Wire),
}

/// What a program sees beside what every program does.
#[derive(Default)]
pub(crate) struct Further {
    pub(crate) binds: Vec<Bind>,
    pub(crate) variables: Vec<(String, String)>,
}

/// A root filesystem made ready for running programs in it.
pub(crate) struct Confined<'a> {
    builder: &'a Builder<'a>,
    root: &'a Path,
    access: Access<'a>,
    /// Holds `run` and `tmp` of the sandbox, and whatever else is mounted there.
    directory: TempDir,
}

impl<'a> Confined<'a> {
    pub(crate) fn new(builder: &'a Builder<'a>, root: &'a Path, access: Access<'a>) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("casque-").tempdir_in(builder.work)?;
        let confined = Self { builder, root, access, directory };
        confined.prepare()?;
        Ok(confined)
    }

    /// Returns a directory of the host for what is mounted besides.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn prepare(&self) -> io::Result<()> {
        let inside = |path: &str| self.directory().join(path.trim_start_matches('/'));
        let bin = inside(MANAGERS).join("bin");
        for directory in [bin.clone(), inside("/tmp"), inside("/run/lock"), inside("/run/systemd/system")] {
            fs_err::create_dir_all(directory)?;
        }
        fs_err::set_permissions(inside("/tmp"), Permissions::from_mode(0o1777))?;
        fs_err::set_permissions(inside("/run/lock"), Permissions::from_mode(0o1777))?;
        fs_err::copy(&self.builder.programs.shim, inside(MANAGERS).join("casque-shim"))?;
        for name in STAND_INS {
            fs_err::os::unix::fs::symlink("../casque-shim", bin.join(name))?;
        }
        let name = self.builder.host_name();
        fs_err::write(inside("hosts"), format!("127.0.0.1 localhost {name}\n::1 localhost\n"))?;
        if let Some(elsewhere) = &self.builder.elsewhere {
            for (index, (_, text)) in elsewhere.files.iter().enumerate() {
                fs_err::write(inside(&format!("elsewhere-{index}")), text)?;
            }
        }
        match (self.access, &self.builder.reach.ca_bundle) {
            (Access::Wire(wire), _) => {
                fs_err::write(inside(CERTIFICATES), wire.certificate())?;
                fs_err::write(inside("resolv.conf"), wire::RESOLVER)
            }
            (Access::Host, Some(bundle)) => fs_err::copy(bundle, inside(CERTIFICATES)).map(drop),
            _ => Ok(()),
        }
    }

    /// Writes a file for the programs that run here; `path` is below `/run` or `/tmp`.
    pub(crate) fn put(&self, path: &str, text: &str) -> io::Result<()> {
        fs_err::write(self.directory().join(path.trim_start_matches('/')), text)
    }

    /// Tells whether programs here find one of this name.
    pub(crate) fn has(&self, program: &str) -> io::Result<bool> {
        let environment = self.environment();
        let path = environment.iter().find(|(name, _)| name == "PATH").map_or("", |(_, path)| path);
        for directory in path.split(':') {
            if located(self.root, &Path::new(directory).join(program))?.is_file() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Gives debconf the answers to its questions; `program` is a script of perl's.
    pub(crate) fn answer(&self, layer: &str, program: &str, answers: &str) -> Result<(), BuildError> {
        self.put("/run/casque-step/preseed", answers).map_err(BuildError::Root)?;
        self.run(layer, &["perl", "-S", program, "/run/casque-step/preseed"])
    }

    /// Runs `command` to its end, its output as events; `layer` is for messages.
    pub(crate) fn run(&self, layer: &str, command: &[&str]) -> Result<(), BuildError> {
        let policy = Policy::put(self.root).map_err(BuildError::Root)?;
        let mut show = |line: &str| self.show(line);
        self.each_line(layer, command, Further::default(), FirstProcess::Reaper, &mut show)?;
        policy.remove().map_err(BuildError::Root)
    }

    /// Runs the shim, which is the first process itself and has its own answer to maintainer scripts.
    pub(crate) fn run_step(&self, layer: &str, command: &[&str], further: Further) -> Result<(), BuildError> {
        self.each_line(layer, command, further, FirstProcess::Command, &mut |line| self.show(line))
    }

    /// Runs `command` to its end and returns what it printed.
    pub(crate) fn lines(&self, layer: &str, command: &[&str]) -> Result<Vec<String>, BuildError> {
        let mut lines = Vec::new();
        let mut take = |line: &str| lines.push(line.to_owned());
        self.each_line(layer, command, Further::default(), FirstProcess::Reaper, &mut take)?;
        Ok(lines)
    }

    fn show(&self, line: &str) {
        self.builder.observer.event(&Event::Output { line: line.to_owned() });
    }

    fn each_line(
        &self,
        layer: &str,
        command: &[&str],
        further: Further,
        first_process: FirstProcess,
        take: &mut dyn FnMut(&str),
    ) -> Result<(), BuildError> {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let mut spec = Spec::new(self.root, command);
        spec.binds = self.binds(further.binds).map_err(BuildError::Root)?;
        spec.network = match self.access {
            Access::None => Network::None,
            Access::Host | Access::Wire(_) => Network::Host,
        };
        spec.hostname = self.builder.host_name().to_owned();
        spec.environment = self.environment();
        spec.environment.extend(further.variables);
        spec.processors = self.builder.elsewhere.as_ref().map(|elsewhere| elsewhere.processors.1);
        spec.first_process = first_process;

        let (reader, writer) = io::pipe().map_err(BuildError::Root)?;
        let errors = writer.try_clone().map_err(BuildError::Root)?;
        let sandbox = &self.builder.sandbox;
        let mut running = match self.access {
            Access::Wire(wire) => {
                wire.network().within(|| sandbox.spawn(&spec, writer.into(), errors.into()))??
            }
            Access::None | Access::Host => sandbox.spawn(&spec, writer.into(), errors.into())?,
        };
        let mut last = VecDeque::new();
        for line in BufReader::new(reader).split(b'\n') {
            let line = String::from_utf8_lossy(&line.map_err(BuildError::Root)?).trim_end().to_owned();
            let line = self.builder.secrets.mask(&line);
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            take(&line);
            last.push_back(line);
        }
        let exit = running.wait()?;
        if exit.success() {
            return Ok(());
        }
        let how = match exit {
            Exit::Code(code) => format!("exited with {code}"),
            Exit::Signal(signal) => format!("was killed by signal {signal}"),
        };
        Err(BuildError::Step { layer: layer.to_owned(), how, last: last.into() })
    }

    fn binds(&self, further: Vec<Bind>) -> io::Result<Vec<Bind>> {
        let bind = |from: &str, to: &str| Bind {
            from: self.directory().join(from),
            to: PathBuf::from(to),
            read_only: false,
        };
        let mut binds = vec![bind("run", "/run"), bind("tmp", "/tmp"), bind("hosts", "/etc/hosts")];
        binds.extend(self.adduser_configuration()?);
        match self.access {
            Access::None => {}
            Access::Wire(_) => {
                binds.push(Bind { read_only: true, ..bind("resolv.conf", "/etc/resolv.conf") });
            }
            Access::Host => {
                let resolver = Path::new("/etc/resolv.conf");
                if resolver.exists() {
                    let to = resolver.to_owned();
                    binds.push(Bind { from: resolver.to_owned(), to, read_only: true });
                }
            }
        }
        binds.extend(further);
        if let Some(elsewhere) = &self.builder.elsewhere {
            binds.extend(elsewhere.files.iter().enumerate().map(|(index, (to, _))| Bind {
                from: self.directory().join(format!("elsewhere-{index}")),
                to: to.clone(),
                read_only: true,
            }));
        }
        Ok(binds)
    }

    /// Returns adduser's configuration with the table of ids, laid over the root's own, which stays as it is.
    fn adduser_configuration(&self) -> io::Result<Option<Bind>> {
        let own = match fs_err::read_to_string(located(self.root, Path::new("etc/adduser.conf"))?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            own => own?,
        };
        self.put(IDS, &self.builder.ids())?;
        let from = self.directory().join("adduser.conf");
        fs_err::write(&from, format!("{own}\nUID_POOL={IDS}\nGID_POOL={IDS}\n"))?;
        Ok(Some(Bind { from, to: "/etc/adduser.conf".into(), read_only: false }))
    }

    fn environment(&self) -> Vec<(String, String)> {
        let epoch = self.builder.epoch.to_string();
        let mut environment = vec![
            ("PATH", PATH),
            ("HOME", "/root"),
            ("USER", "root"),
            ("LOGNAME", "root"),
            ("LANG", "C.UTF-8"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("DEBIAN_FRONTEND", "noninteractive"),
            ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
            // What is thrown away when it fails need not be flushed to the disk.
            ("DPKG_FORCE", "unsafe-io"),
            ("PYTHONHASHSEED", "0"),
            ("SOURCE_DATE_EPOCH", &epoch),
        ];
        // What the base says of its programs, but where a build has to be sure.
        let carried = &self.builder.carried.environment;
        let path: String;
        if let Some(further) = carried.get("PATH") {
            path = format!("{MANAGERS}/bin:{further}");
            environment.iter_mut().filter(|(name, _)| *name == "PATH").for_each(|pair| pair.1 = &path);
        }
        for (name, value) in carried {
            if !environment.iter().any(|(known, _)| known == name) {
                environment.push((name, value));
            }
        }
        let wired: Vec<(String, String)>;
        match self.access {
            Access::None => {}
            Access::Wire(wire) => {
                wired = wire.environment(self.builder.host_name());
                environment.extend(wired.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            }
            Access::Host => {
                let reach = self.builder.reach;
                let variables = reach.variables.iter().chain(&reach.python_variables);
                environment.extend(variables.map(|(name, value)| (name.as_str(), value.as_str())));
                if reach.ca_bundle.is_some() {
                    environment.extend(wire::BUNDLES.map(|name| (name, CERTIFICATES)));
                }
            }
        }
        environment.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Returns what the shim saw of services.
    pub(crate) fn report(&self) -> io::Result<Report> {
        let path = self.directory().join("run/casque-step/state/report.json");
        let report = serde_json::from_slice(&fs_err::read(path)?)?;
        Ok(report)
    }
}

/// `policy-rc.d`, there while programs run.
struct Policy {
    path: PathBuf,
    /// The vendor's own stays as it is.
    ours: bool,
}

impl Policy {
    fn put(root: &Path) -> io::Result<Self> {
        let path = located(root, Path::new("usr/sbin"))?.join("policy-rc.d");
        let ours = path.symlink_metadata().is_err();
        if ours {
            fs_err::write(&path, POLICY)?;
            fs_err::set_permissions(&path, Permissions::from_mode(0o755))?;
        }
        Ok(Self { path, ours })
    }

    fn remove(self) -> io::Result<()> {
        let still_ours = self.ours && fs_err::read(&self.path).is_ok_and(|text| text == POLICY.as_bytes());
        if still_ours { fs_err::remove_file(self.path) } else { Ok(()) }
    }
}
