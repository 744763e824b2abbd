//! What each fact leads to.

use std::path::PathBuf;

use casque_sandbox::subids::Range;

use super::*;

/// A host on which everything works.
fn host() -> Facts {
    let range = Ok(Range { first: 100_000, count: 65_536 });
    let mapper = |name| Mapper { name, found: Some((PathBuf::from(format!("/usr/bin/{name}")), true)) };
    Facts {
        kernel: "6.1.0-18-amd64".to_owned(),
        user: Some(User {
            name: "ann".to_owned(),
            users: range.clone(),
            groups: range,
            mappers: [mapper("newuidmap"), mapper("newgidmap")],
        }),
        most_namespaces: Some(60_000),
        clone_allowed: None,
        apparmor_restricts: None,
        container: false,
        program: "/opt/casque/casque".into(),
        cache: "/home/ann/.cache/casque".into(),
        file_system: Some(FileSystem { kind: "ext4".to_owned(), options: Vec::new(), free: 50_000_000_000 }),
        lacking_programs: Vec::new(),
        trial: Some(Ok(())),
    }
}

fn stopped(place: Place) -> Option<Result<(), Refusal>> {
    Some(Err(Refusal { place, text: "what the kernel said".to_owned() }))
}

/// Returns what is not as it should be, as `VERDICT: FACT` and `> REMEDY`.
fn complaints(facts: &Facts) -> String {
    let findings = findings(facts);
    let wrong = findings.iter().filter(|finding| finding.verdict != Verdict::Met);
    let lines = wrong.map(|Finding { fact, verdict, remedy }| {
        format!("{verdict:?}: {fact}\n> {}\n", remedy.as_deref().unwrap_or("nothing").replace('\n', "\n> "))
    });
    lines.collect()
}

#[test]
fn a_host_on_which_everything_works_has_no_complaint() {
    assert_eq!(complaints(&host()), "");
    assert_eq!(complaints(&Facts { user: None, ..host() }), "");
    assert_eq!(findings(&host()).len(), 10);
}

#[test]
fn a_kernel_is_too_old_for_users_before_it_is_for_root() {
    let facts = Facts { kernel: "5.10.0-28-amd64".to_owned(), ..host() };
    insta::assert_snapshot!(complaints(&facts), @r"
    Missing: the kernel is Linux 5.10.0-28-amd64
    > use a kernel of version 5.11 or later, or run casque with sudo
    ");
    assert_eq!(complaints(&Facts { user: None, ..facts }), "");
}

#[test]
fn namespaces_that_the_kernel_refuses_are_explained_by_its_settings() {
    let facts = Facts { trial: stopped(Place::Namespace), ..host() };
    insta::assert_snapshot!(complaints(&Facts { clone_allowed: Some(0), ..facts.clone() }), @r"
    Missing: `kernel.unprivileged_userns_clone` is 0
    > echo kernel.unprivileged_userns_clone=1 | sudo tee /etc/sysctl.d/60-casque.conf && sudo sysctl --system
    ");
    insta::assert_snapshot!(complaints(&Facts { most_namespaces: Some(0), ..facts.clone() }), @r"
    Missing: `user.max_user_namespaces` is 0
    > echo user.max_user_namespaces=15000 | sudo tee /etc/sysctl.d/60-casque.conf && sudo sysctl --system
    ");
    insta::assert_snapshot!(complaints(&Facts { container: true, ..facts.clone() }), @r"
    Missing: the container that this is lets nobody make namespaces: what the kernel said
    > start it with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined`, or with `--privileged`
    ");
    insta::assert_snapshot!(complaints(&facts), @r"
    Missing: what the kernel said
    > run casque with sudo, or ask who runs this host
    ");
}

#[test]
fn apparmor_gets_its_profile_wherever_it_steps_in() {
    let restricted =
        |place| complaints(&Facts { apparmor_restricts: Some(1), trial: stopped(place), ..host() });
    let at_namespace = restricted(Place::Namespace);
    insta::assert_snapshot!(at_namespace, @r#"
    Missing: AppArmor takes away what user namespaces are for: `kernel.apparmor_restrict_unprivileged_userns` is 1
    > let casque have them, with a profile:
    > sudo tee /etc/apparmor.d/casque <<'PROFILE'
    > abi <abi/4.0>,
    > include <tunables/global>
    > profile casque "/opt/casque/casque" flags=(unconfined) {
    >   userns,
    > }
    > PROFILE
    > sudo apparmor_parser --replace /etc/apparmor.d/casque
    "#);
    // The namespace may be made, and be worth nothing.
    assert_eq!(restricted(Place::Sandbox), at_namespace);
    assert_eq!(restricted(Place::Overlay), at_namespace);
    // A profile is there already, and everything works.
    assert_eq!(complaints(&Facts { apparmor_restricts: Some(1), ..host() }), "");
}

#[test]
fn programs_that_give_numbers_are_missing_or_powerless() {
    let mut facts = Facts { trial: stopped(Place::Numbers), ..host() };
    let user = facts.user.as_mut().unwrap();
    user.mappers[0].found = None;
    user.mappers[1].found = Some(("/usr/bin/newgidmap".into(), false));
    insta::assert_snapshot!(complaints(&facts), @r"
    Missing: there is no `newuidmap`
    > sudo apt-get install uidmap    # shadow-utils on Fedora, shadow on Arch and Alpine
    Missing: `/usr/bin/newgidmap` has neither the set-user-id bit nor a capability
    > sudo chown root /usr/bin/newgidmap && sudo chmod 4755 /usr/bin/newgidmap
    ");
}

#[test]
fn numbers_are_not_given_or_too_few_or_refused_for_another_reason() {
    let mut facts = Facts { trial: stopped(Place::Numbers), ..host() };
    insta::assert_snapshot!(complaints(&facts), @r"
    Missing: what the kernel said
    > see that `newuidmap` and `newgidmap` are not on a file system mounted `nosuid`, and that nothing sets `no_new_privs` for this session
    ");
    let user = facts.user.as_mut().unwrap();
    user.users = Err(Lack::None { file: "/etc/subuid".into() });
    user.groups = Err(Lack::Few { file: "/etc/subgid".into(), count: 1000 });
    insta::assert_snapshot!(complaints(&facts), @r"
    Missing: `/etc/subuid` gives user `ann` no numbers
    > sudo usermod --add-subuids 100000-165535 ann    # or another range that nobody has
    Missing: `/etc/subgid` gives user `ann` 1000 numbers in a row, and 65535 are needed
    > sudo usermod --add-subgids 100000-165535 ann    # or another range that nobody has
    ");
}

#[test]
fn a_cache_in_a_place_that_will_not_do_is_told_with_what_is_there() {
    let on = |kind: &str, options: &[&str], place| {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let file_system = Some(FileSystem { kind: kind.to_owned(), options, free: 50_000_000_000 });
        complaints(&Facts { file_system, trial: stopped(place), ..host() })
    };
    insta::assert_snapshot!(on("nfs4", &["rw"], Place::Overlay), @r"
    Missing: cache `/home/ann/.cache/casque` is on nfs4, which bears no overlay: what the kernel said
    > use `--cache DIR` with a directory on ext4, xfs or btrfs
    ");
    insta::assert_snapshot!(on("vfat", &["rw"], Place::Directory), @r"
    Missing: cache `/home/ann/.cache/casque` is on vfat: what the kernel said
    > use `--cache DIR` with a directory on ext4, xfs or btrfs
    ");
    insta::assert_snapshot!(on("ext4", &["rw", "noexec"], Place::Execute), @r"
    Missing: cache `/home/ann/.cache/casque` is on a file system mounted `noexec`
    > use `--cache DIR` with a directory from which programs may run
    ");
    insta::assert_snapshot!(on("ext4", &["rw"], Place::Execute), @r"
    Missing: no program runs from cache `/home/ann/.cache/casque`: what the kernel said
    > use `--cache DIR` with a directory from which programs may run
    ");
}

#[test]
fn a_sandbox_that_does_not_come_about_is_told_by_who_asks_and_where() {
    let told = |container, root: bool| {
        let user = if root { None } else { host().user };
        complaints(&Facts { container, user, trial: stopped(Place::Sandbox), ..host() })
    };
    insta::assert_snapshot!([told(true, false), told(true, true), told(false, false), told(false, true)].concat(), @r"
    Missing: what the kernel said
    > start the container with `--security-opt systempaths=unconfined`, or with `--privileged`
    Missing: what the kernel said
    > start the container with `--privileged`, or at least CAP_SYS_ADMIN and no seccomp filter
    Missing: what the kernel said
    > run casque with sudo, or ask who runs this host
    Missing: what the kernel said
    > ask who runs this host which rights root has lost
    ");
}

#[test]
fn little_room_is_a_warning_and_a_missing_program_is_not() {
    let mut facts = Facts { lacking_programs: vec!["casque-init".to_owned()], ..host() };
    facts.file_system.as_mut().unwrap().free = 1_000_000_000;
    insta::assert_snapshot!(complaints(&facts), @r"
    Warning: 1000.0 MB are free for cache `/home/ann/.cache/casque`
    > have 3000.0 MB free there, or use `--cache DIR`
    Missing: beside `/opt/casque/casque` there is no `casque-init`
    > keep casque, casque-init, casque-agent and casque-shim in one directory
    ");
}
