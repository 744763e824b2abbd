//! Everything but the agent stops for as long as somebody holds the line.

use casque_format::control::{Overall, ServiceState};

use super::*;

/// A database with an application after it, a job, and the agent; sorted by name.
const AGENT: usize = 0;
const DB: usize = 1;
const JOB: usize = 2;
const SETUP: usize = 3;
const WORKER: usize = 4;

fn scene() -> Scene {
    let mut scene = Scene::new(&json!({
        "agent": { "sockets": "agent" }, "db": {}, "worker": { "after": ["setup"], "critical": true },
        "setup": { "kind": "oneshot", "after": ["db"] },
        "job": { "kind": "oneshot", "schedule": "0 * * * *" },
    }));
    scene.up();
    assert_eq!(scene.exited(5, SETUP, 0), [Action::Spawn(WORKER)]);
    scene.step(6, Event::Running(WORKER));
    assert_eq!(overall(&scene), Overall::Ready);
    scene
}

fn overall(scene: &Scene) -> Overall {
    scene.supervisor.snapshot(at(0), &std::collections::BTreeMap::new()).state
}

fn maintain(scene: &mut Scene, now: u64) -> Vec<Action> {
    scene.step(now, Event::Maintain(3))
}

/// A scene in which everything is stopped.
fn maintained() -> Scene {
    let mut scene = scene();
    assert_eq!(maintain(&mut scene, 100), [Action::Signal(WORKER, libc::SIGTERM)]);
    assert_eq!(overall(&scene), Overall::Maintenance);
    assert_eq!(scene.exited(110, WORKER, 0), [Action::Signal(DB, libc::SIGTERM)]);
    assert_eq!(scene.exited(120, DB, 0), [done(3)]);
    scene
}

#[test]
fn everything_but_the_agent_stops_in_order_and_starts_again_when_the_line_is_dead() {
    let mut scene = maintained();
    let snapshot = scene.supervisor.snapshot(at(130), &std::collections::BTreeMap::new());
    let states: Vec<ServiceState> = snapshot.services.iter().map(|service| service.state).collect();
    use ServiceState::{Ready, Stopped};
    assert_eq!(states, [Ready, Stopped, Stopped, Stopped, Stopped]);
    let why = "is stopped for maintenance and starts again afterwards";
    assert_eq!(snapshot.services[DB].message.as_deref(), Some(why));
    // Hours later, through a time of its schedule.
    assert_eq!(scene.due(7_200_000), []);
    assert_eq!(scene.step(7_200_001, Event::HungUp(4)), [], "somebody else hung up");
    assert_eq!(scene.step(7_200_002, Event::HungUp(3)), [Action::Spawn(DB)]);
    assert_eq!(overall(&scene), Overall::Starting);
    assert_eq!(scene.step(7_200_003, Event::Running(DB)), [Action::Spawn(SETUP)]);
    assert_eq!(scene.exited(7_200_004, SETUP, 0), [Action::Spawn(WORKER)]);
    scene.step(7_200_005, Event::Running(WORKER));
    assert_eq!(overall(&scene), Overall::Ready);
    assert!(matches!(scene.supervisor.services()[JOB].state(), State::Scheduled));
}

#[test]
fn a_line_that_dies_early_lets_what_still_stops_start_again() {
    let mut scene = scene();
    maintain(&mut scene, 100);
    // The database was not even told, and what is set up between the two runs again.
    assert_eq!(scene.step(105, Event::HungUp(3)), [Action::Spawn(SETUP)]);
    assert_eq!(scene.exited(110, WORKER, 0), [], "it waits for what it comes after");
    assert_eq!(overall(&scene), Overall::Starting);
    assert_eq!(scene.exited(120, SETUP, 0), [Action::Spawn(WORKER)]);
}

#[test]
fn nothing_starts_meanwhile_whatever_dies_or_is_asked_for() {
    let mut scene = scene();
    maintain(&mut scene, 100);
    // Before its turn, and not because it was told to.
    assert_eq!(scene.exited(101, DB, 7), []);
    assert_eq!(scene.exited(102, WORKER, 9), [done(3)]);
    assert_eq!(scene.due(60_000), []);
    let busy = refused(UNDER_WAY);
    for request in [Request::Start, Request::Stop, Request::Restart] {
        let asked = Event::Asked { client: 7, request, service: "worker".to_owned() };
        assert_eq!(scene.step(60_001, asked), std::slice::from_ref(&busy));
    }
    assert_eq!(scene.step(60_002, Event::Maintain(7)), [busy]);
    // The agent is not part of it.
    assert_eq!(scene.exited(60_003, AGENT, 1), [Action::Spawn(AGENT)]);
}

#[test]
fn what_was_stopped_or_has_failed_before_stays_so() {
    let mut scene = scene();
    let stop = Event::Asked { client: 7, request: Request::Stop, service: "worker".to_owned() };
    scene.step(10, stop);
    scene.exited(11, WORKER, 0);
    assert_eq!(maintain(&mut scene, 100), [Action::Signal(DB, libc::SIGTERM)]);
    scene.exited(120, DB, 0);
    scene.step(130, Event::HungUp(3));
    scene.step(131, Event::Running(DB));
    assert_eq!(scene.exited(132, SETUP, 0), []);
    assert!(matches!(scene.supervisor.services()[WORKER].state(), State::Stopped));
}

#[test]
fn a_migration_is_not_interrupted() {
    let mut scene = Scene::new(&json!({ "setup": { "kind": "oneshot" }, "web": {} }));
    scene.due(0);
    assert_eq!(
        maintain(&mut scene, 1),
        [Action::Answer {
            client: 3,
            result: Err(
                "`setup` is at work, which must not be interrupted; ask again when it is done".to_owned()
            )
        }]
    );
    assert_eq!(overall(&scene), Overall::Starting);
}

#[test]
fn a_job_that_runs_is_stopped_and_waits_for_its_next_time() {
    let mut scene = scene();
    // 45 minutes after the beginning the hour is full.
    assert_eq!(scene.supervisor.deadline(), Some(at(2_700_000)));
    scene.supervisor.look_at_clock(BEGAN + 2_700);
    assert_eq!(scene.due(2_700_000), [Action::Spawn(JOB)]);
    scene.step(2_700_001, Event::Running(JOB));
    let actions = maintain(&mut scene, 2_700_002);
    assert!(actions.contains(&Action::Signal(JOB, libc::SIGTERM)), "{actions:?}");
    scene.exited(2_700_003, JOB, 0);
    scene.step(2_700_004, Event::HungUp(3));
    assert!(matches!(scene.supervisor.services()[JOB].state(), State::Scheduled));
    assert!(!scene.words.iter().any(|words| words.contains("missed")), "{:?}", scene.words);
}

#[test]
fn the_end_of_the_container_is_more_urgent() {
    let mut scene = scene();
    maintain(&mut scene, 100);
    let answer = Action::Answer { client: 3, result: Err("the container is stopping".to_owned()) };
    let actions = scene.step(105, terminate());
    assert!(actions.contains(&answer), "{actions:?}");
    let mut scene = maintained();
    assert_eq!(scene.step(200, terminate()), [answer, Action::Signal(AGENT, libc::SIGTERM)]);
    assert_eq!(scene.exited(201, AGENT, 0), [Action::TerminateStrays]);
    assert_eq!(scene.step(202, Event::StraysGone), [Action::Exit(0)]);
    let refusal = Action::Answer { client: 3, result: Err("the container is stopping".to_owned()) };
    assert_eq!(maintain(&mut scene, 203), [refusal]);
}
