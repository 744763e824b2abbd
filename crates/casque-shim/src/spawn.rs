//! Starting the processes of a service.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use casque_units::Translated;
use fs_err as fs;

use crate::accounts::{AccountError, Accounts, Identity};
use crate::procfs::MARK;
use crate::root::Root;
use crate::sys::{self, Settings};

/// The search path of services, as systemd and casque's own PID 1 have it.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the processes of one service have in common.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// Its id, which marks its processes.
    pub(crate) service: &'a str,
    /// What it is.
    pub(crate) translated: &'a Translated,
    /// Where its output goes.
    pub(crate) log: &'a Path,
    /// The socket on which it may say that it is ready.
    pub(crate) notify: Option<&'a Path>,
    /// Its main process, for the commands beside it.
    pub(crate) main: Option<i32>,
}

/// Returns who runs a service, none when it is the step's own user.
pub(crate) fn identity(root: &Root, translated: &Translated) -> Result<Option<Identity>, AccountError> {
    let group = translated.group.as_deref();
    let user = match (&translated.user, group) {
        (None, None) if translated.supplementary_groups.is_empty() => return Ok(None),
        (user, _) => user.as_deref().unwrap_or("root"),
    };
    let accounts = Accounts::read(root);
    let identity = accounts.identity(user, group, &translated.supplementary_groups)?;
    // Without privileges there is nobody to become; the own user may stay as it is.
    let own = sys::effective_uid();
    Ok((own == 0 || own != identity.uid).then_some(identity))
}

/// Starts the service's own command; returns its process, or why there is none.
pub(crate) fn main(root: &Root, with: &Surroundings<'_>) -> Result<i32, String> {
    let identity = identity(root, with.translated).map_err(|error| error.to_string())?;
    make_directories(root, with.translated, identity.as_ref())?;
    run(&with.translated.service.command, identity, with)
}

/// Starts a command beside it, as root where the unit says so.
pub(crate) fn beside(
    root: &Root,
    with: &Surroundings<'_>,
    command: &[String],
    privileged: bool,
) -> Result<i32, String> {
    let identity =
        if privileged { None } else { identity(root, with.translated).map_err(|error| error.to_string())? };
    make_directories(root, with.translated, identity.as_ref())?;
    let main = with.main.map(|pid| pid.to_string()).unwrap_or_default();
    let command: Vec<String> =
        command.iter().map(|word| word.replace("${MAINPID}", &main).replace("$MAINPID", &main)).collect();
    run(&command, identity, with)
}

fn run(words: &[String], identity: Option<Identity>, with: &Surroundings<'_>) -> Result<i32, String> {
    let service = &with.translated.service;
    let (program, arguments) = words.split_first().ok_or("it has no command")?;
    let log =
        fs::OpenOptions::new().create(true).append(true).open(with.log).map_err(|error| error.to_string())?;
    let log = log.into_file();
    let error_log = log.try_clone().map_err(|error| format!("cannot use its log: {error}"))?;
    let home = identity.as_ref().map_or("/root", |identity| identity.home.as_str());
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(environment(identity.as_ref(), home, with))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(error_log)
        .current_dir(match service.working_directory.as_deref() {
            None => "/",
            Some("~") => home,
            Some(directory) => directory,
        });
    sys::prepare(
        &mut command,
        Settings {
            identity,
            umask: Some(service.umask.unwrap_or(0o022)),
            limits: service.limits.clone(),
            own_session: true,
        },
    );
    // Whoever reaps every child learns of this one's end too; the handle is not needed.
    let child = command.spawn().map_err(|error| format!("cannot run `{program}`: {error}"))?;
    i32::try_from(child.id()).map_err(|error| format!("cannot watch `{program}`: {error}"))
}

fn environment(identity: Option<&Identity>, home: &str, with: &Surroundings<'_>) -> BTreeMap<String, String> {
    let name = identity.map_or("root", |identity| identity.name.as_str());
    let mut environment: BTreeMap<String, String> =
        [("PATH", PATH), ("HOME", home), ("USER", name), ("LOGNAME", name), ("LANG", "C.UTF-8")]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
    environment.extend(with.translated.service.environment.clone());
    environment.insert(MARK.to_owned(), with.service.to_owned());
    if let Some(notify) = with.notify {
        environment.insert("NOTIFY_SOCKET".to_owned(), notify.display().to_string());
    }
    if let Some(main) = with.main {
        environment.insert("MAINPID".to_owned(), main.to_string());
    }
    environment
}

fn make_directories(root: &Root, translated: &Translated, identity: Option<&Identity>) -> Result<(), String> {
    for directory in &translated.service.directories {
        let path = root.path(&directory.path);
        let cannot = |error: std::io::Error| format!("cannot make its directory: {error}");
        fs::create_dir_all(&path).map_err(cannot)?;
        if let Some(identity) = identity {
            fs::os::unix::fs::chown(&path, Some(identity.uid), Some(identity.gid)).map_err(cannot)?;
        }
        fs::set_permissions(&path, std::fs::Permissions::from_mode(directory.mode)).map_err(cannot)?;
    }
    Ok(())
}
