//! Who calls does not show inside.

use rustix::process::Gid;

use crate::environment::{Environment, text};

#[test]
fn a_step_may_open_as_many_files_as_usual_and_is_in_no_group_of_the_callers() {
    // Groups are a thread's own: no other test has these. The limit is as it happens to be.
    std::thread::spawn(|| {
        rustix::thread::set_thread_groups(&[Gid::from_raw(20), Gid::from_raw(44)]).unwrap();
        let environment = Environment::new();
        assert_eq!(text(&environment.script("ulimit -S -n; id -G; umask")), "1024\n0\n0022\n");
    })
    .join()
    .unwrap();
}

#[test]
fn everybody_is_himself_outside_of_a_user_namespace() {
    let map = casque_sandbox::numbers().unwrap();
    assert_eq!(map, "0 0 4294967295\n");
    assert!(!casque_sandbox::in_user_namespace());
}

#[test]
fn a_place_that_can_be_built_in_is_told_from_one_that_cannot() {
    std::thread::spawn(|| {
        let sandbox = crate::environment::sandbox();
        let place = tempfile::tempdir().unwrap();
        let program = std::path::Path::new("/bin/true");
        assert_eq!(sandbox.try_in(place.path(), program), Ok(()));
        let missing = place.path().join("missing");
        let refusal = sandbox.try_in(&missing, program).unwrap_err();
        assert_eq!(refusal.place, casque_sandbox::Place::Directory);
        let text = format!("cannot make files of other users in `{}`: No such file", missing.display());
        assert!(refusal.text.starts_with(&text), "{}", refusal.text);
    })
    .join()
    .unwrap();
}
