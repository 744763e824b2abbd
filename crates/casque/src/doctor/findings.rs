//! From facts to what they mean for a build, and what to do. Whether it works is what trying says; the
//! facts explain it.

use casque_format::doctor::{Finding, Verdict};
use casque_sandbox::subids::{Lack, NEEDED};
use casque_sandbox::{FileSystem, Place, Refusal};

use super::facts::{Facts, Mapper, User};

/// The first kernel with overlays in user namespaces.
const KERNEL_OF_USERS: (u32, u32) = (5, 11);
/// The first that resolves paths inside a root file system.
const KERNEL: (u32, u32) = (5, 6);
/// What a build of an image of usual size writes.
const ROOM: u64 = 3_000_000_000;

/// Judges the facts, in the order in which a build meets them.
pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![kernel(facts)];
    if let Some(user) = &facts.user {
        findings.push(namespace(facts));
        findings.extend(user.mappers.iter().map(mapper));
        let files = [(&user.users, "/etc/subuid", "subuids"), (&user.groups, "/etc/subgid", "subgids")];
        for (range, file, option) in files {
            findings.push(match range {
                Ok(range) => met(format!("`{file}` gives user `{}` {} numbers", user.name, range.count)),
                Err(lack) => numbers(user, lack, option),
            });
        }
        findings.extend(numbers_refused(facts, &findings));
    }
    findings.extend(cache(facts));
    findings.extend(sandbox(facts));
    findings.extend(facts.file_system.as_ref().map(|system| room(facts, system)));
    findings.push(match &facts.lacking_programs[..] {
        [] => met("the programs that go into images are beside casque".to_owned()),
        names => missing(
            format!("beside `{}` there is no `{}`", facts.program.display(), names.join("`, `")),
            "keep casque, casque-init, casque-agent and casque-shim in one directory".to_owned(),
        ),
    });
    findings
}

fn met(fact: String) -> Finding {
    Finding { fact, verdict: Verdict::Met, remedy: None }
}

fn missing(fact: String, remedy: String) -> Finding {
    Finding { fact, verdict: Verdict::Missing, remedy: Some(remedy) }
}

fn kernel(facts: &Facts) -> Finding {
    let (major, minor) = if facts.user.is_some() { KERNEL_OF_USERS } else { KERNEL };
    let fact = format!("the kernel is Linux {}", facts.kernel);
    let mut numbers = facts.kernel.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor) {
        return met(fact);
    }
    let or = if facts.user.is_some() { ", or run casque with sudo" } else { "" };
    missing(fact, format!("use a kernel of version {major}.{minor} or later{or}"))
}

/// Returns what was refused at `place`.
fn refused(facts: &Facts, place: Place) -> Option<&Refusal> {
    match &facts.trial {
        Some(Err(refusal)) if refusal.place == place => Some(refusal),
        _ => None,
    }
}

fn namespace(facts: &Facts) -> Finding {
    let Some(refusal) = refused(facts, Place::Namespace) else {
        return met("this kernel gives ordinary users user namespaces".to_owned());
    };
    if facts.clone_allowed == Some(0) {
        let lines = persistent("kernel.unprivileged_userns_clone", 1);
        return missing("`kernel.unprivileged_userns_clone` is 0".to_owned(), lines);
    }
    if facts.most_namespaces == Some(0) {
        let lines = persistent("user.max_user_namespaces", 15000);
        return missing("`user.max_user_namespaces` is 0".to_owned(), lines);
    }
    if facts.apparmor_restricts == Some(1) {
        return apparmor(facts);
    }
    if facts.container {
        return missing(
            format!("the container that this is lets nobody make namespaces: {}", refusal.text),
            "start it with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined \
             --security-opt systempaths=unconfined`, or with `--privileged`"
                .to_owned(),
        );
    }
    missing(refusal.text.clone(), "run casque with sudo, or ask who runs this host".to_owned())
}

fn apparmor(facts: &Facts) -> Finding {
    let program = facts.program.display();
    missing(
        "AppArmor takes away what user namespaces are for: `kernel.apparmor_restrict_unprivileged_userns` is 1".to_owned(),
        format!(
            "let casque have them, with a profile:\n\
             sudo tee /etc/apparmor.d/casque <<'PROFILE'\n\
             abi <abi/4.0>,\n\
             include <tunables/global>\n\
             profile casque \"{program}\" flags=(unconfined) {{\n\
             \x20 userns,\n\
             }}\n\
             PROFILE\n\
             sudo apparmor_parser --replace /etc/apparmor.d/casque"
        ),
    )
}

fn persistent(name: &str, value: u32) -> String {
    format!("echo {name}={value} | sudo tee /etc/sysctl.d/60-casque.conf && sudo sysctl --system")
}

fn mapper(mapper: &Mapper) -> Finding {
    let name = mapper.name;
    match &mapper.found {
        None => missing(
            format!("there is no `{name}`"),
            "sudo apt-get install uidmap    # shadow-utils on Fedora, shadow on Arch and Alpine".to_owned(),
        ),
        Some((path, true)) => met(format!("`{}` may give numbers", path.display())),
        Some((path, false)) => missing(
            format!("`{}` has neither the set-user-id bit nor a capability", path.display()),
            format!("sudo chown root {0} && sudo chmod 4755 {0}", path.display()),
        ),
    }
}

fn numbers(user: &User, lack: &Lack, option: &str) -> Finding {
    let name = &user.name;
    let fact = match lack {
        Lack::None { file } => format!("`{}` gives user `{name}` no numbers", file.display()),
        Lack::Few { file, count } => {
            format!(
                "`{}` gives user `{name}` {count} numbers in a row, and {NEEDED} are needed",
                file.display()
            )
        }
    };
    let begin = "sudo usermod --add-";
    missing(fact, format!("{begin}{option} 100000-165535 {name}    # or another range that nobody has"))
}

/// Everything looks right and yet the numbers were not given.
fn numbers_refused(facts: &Facts, so_far: &[Finding]) -> Option<Finding> {
    let refusal = refused(facts, Place::Numbers)?;
    let explained = so_far.iter().any(|finding| finding.verdict == Verdict::Missing);
    let remedy = "see that `newuidmap` and `newgidmap` are not on a file system mounted `nosuid`, and that nothing sets \
                  `no_new_privs` for this session";
    (!explained).then(|| missing(refusal.text.clone(), remedy.to_owned()))
}

fn cache(facts: &Facts) -> Option<Finding> {
    let cache = facts.cache.display();
    let kind = facts.file_system.as_ref().map_or("file system of no known kind", |system| &system.kind);
    let elsewhere = "use `--cache DIR` with a directory on ext4, xfs or btrfs".to_owned();
    if let Some(refusal) = refused(facts, Place::Execute) {
        let option =
            |name| facts.file_system.as_ref().is_some_and(|system| system.options.iter().any(|o| o == name));
        let fact = match option("noexec") {
            true => format!("cache `{cache}` is on a file system mounted `noexec`"),
            false => format!("no program runs from cache `{cache}`: {}", refusal.text),
        };
        return Some(missing(
            fact,
            "use `--cache DIR` with a directory from which programs may run".to_owned(),
        ));
    }
    if let Some(refusal) = refused(facts, Place::Overlay) {
        if facts.user.is_some() && facts.apparmor_restricts == Some(1) {
            return Some(apparmor(facts));
        }
        return Some(missing(
            format!("cache `{cache}` is on {kind}, which bears no overlay: {}", refusal.text),
            elsewhere,
        ));
    }
    if let Some(refusal) = refused(facts, Place::Directory) {
        return Some(missing(format!("cache `{cache}` is on {kind}: {}", refusal.text), elsewhere));
    }
    let tried = facts.trial == Some(Ok(())) || refused(facts, Place::Sandbox).is_some();
    tried.then(|| met(format!("cache `{cache}` is on {kind}, which bears overlays")))
}

fn sandbox(facts: &Facts) -> Option<Finding> {
    if facts.trial == Some(Ok(())) {
        return Some(met("a program ran in a sandbox".to_owned()));
    }
    let refusal = refused(facts, Place::Sandbox)?;
    if facts.user.is_some() && facts.apparmor_restricts == Some(1) {
        return Some(apparmor(facts));
    }
    let remedy = match (facts.container, facts.user.is_some()) {
        (true, true) => {
            "start the container with `--security-opt systempaths=unconfined`, or with `--privileged`"
        }
        (true, false) => {
            "start the container with `--privileged`, or at least CAP_SYS_ADMIN and no seccomp filter"
        }
        (false, true) => "run casque with sudo, or ask who runs this host",
        (false, false) => "ask who runs this host which rights root has lost",
    };
    Some(missing(refusal.text.clone(), remedy.to_owned()))
}

fn room(facts: &Facts, system: &FileSystem) -> Finding {
    let fact =
        format!("{} are free for cache `{}`", crate::ui::megabytes(system.free), facts.cache.display());
    if system.free >= ROOM {
        return met(fact);
    }
    let remedy = format!("have {} free there, or use `--cache DIR`", crate::ui::megabytes(ROOM));
    Finding { fact, verdict: Verdict::Warning, remedy: Some(remedy) }
}

#[cfg(test)]
mod tests;
