//! What a unit does next, event by event.

use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn rules(startup: Startup) -> Rules {
    Rules {
        startup,
        before: Vec::new(),
        reload: Vec::new(),
        stop: Vec::new(),
        policy: RestartPolicy::Always,
        limit: 2,
        delay: secs(1),
        start_timeout: secs(90),
        stop_timeout: secs(10),
        signal: libc::SIGTERM,
        signal_group: false,
        habits: Habits::Systemd,
    }
}

fn supervised() -> Machine {
    let habits = Habits::Supervisor { start: secs(1), expected: vec![0] };
    Machine::new(Rules { habits, ..rules(Startup::Simple) })
}

const KILL_REST: Action = Action::SignalAll(libc::SIGKILL);

#[test]
fn a_simple_service_runs_at_once_and_stops_by_its_signal() {
    let mut web = Machine::new(rules(Startup::Simple));
    assert_eq!(web.step(secs(0), &Event::Start), [Action::RunMain]);
    assert_eq!(web.step(secs(0), &Event::Spawned(7)), []);
    assert_eq!(web.state(), State::Running);
    assert_eq!(web.step(secs(5), &Event::Stop), [Action::Signal(7, libc::SIGTERM)]);
    assert_eq!(web.step(secs(5), &Event::Exited(7, Exit::Signal(libc::SIGTERM))), [KILL_REST]);
    assert_eq!((web.state(), web.message()), (State::Inactive, None));
}

#[test]
fn a_service_that_ignores_its_stop_signal_is_killed() {
    let mut web = Machine::new(rules(Startup::Simple));
    web.step(secs(0), &Event::Start);
    web.step(secs(0), &Event::Spawned(7));
    web.step(secs(1), &Event::Stop);
    assert_eq!(web.step(secs(10), &Event::Due), []);
    assert_eq!(web.step(secs(11), &Event::Due), [Action::Signal(7, libc::SIGKILL), KILL_REST]);
    web.step(secs(11), &Event::Exited(7, Exit::Signal(libc::SIGKILL)));
    assert_eq!(web.state(), State::Inactive);
}

#[test]
fn commands_before_the_start_run_first_and_may_forbid_it() {
    let mut web = Machine::new(Rules { before: vec![true, false], ..rules(Startup::Simple) });
    assert_eq!(web.step(secs(0), &Event::Start), [Action::Run(Beside::Before, 0)]);
    web.step(secs(0), &Event::Spawned(3));
    let ignored = web.step(secs(0), &Event::Exited(3, Exit::Code(1)));
    assert_eq!(ignored, [Action::Run(Beside::Before, 1)]);
    web.step(secs(0), &Event::Spawned(4));
    web.step(secs(0), &Event::Exited(4, Exit::Code(2)));
    assert_eq!(
        (web.state(), web.message()),
        (State::Failed, Some("the command before its start exited with 2"))
    );
}

#[test]
fn a_forking_service_runs_when_its_pid_file_names_a_process() {
    let mut nginx = Machine::new(rules(Startup::Forking { pid_file: Some("/run/nginx.pid".to_owned()) }));
    nginx.step(secs(0), &Event::Start);
    nginx.step(secs(0), &Event::Spawned(7));
    assert_eq!(nginx.step(secs(0), &Event::Exited(7, Exit::Code(0))), [Action::ReadPidFile]);
    assert_eq!(nginx.step(secs(0), &Event::NoMain), []);
    assert_eq!(nginx.state(), State::Starting);
    assert_eq!(nginx.step(secs(1), &Event::Due), [Action::ReadPidFile]);
    nginx.step(secs(1), &Event::Main(8));
    assert_eq!((nginx.state(), nginx.main()), (State::Running, Some(8)));
}

#[test]
fn a_service_that_never_says_it_is_ready_has_failed() {
    let mut redis = Machine::new(rules(Startup::Notify));
    redis.step(secs(0), &Event::Start);
    redis.step(secs(0), &Event::Spawned(7));
    assert_eq!(redis.state(), State::Starting);
    assert_eq!(redis.step(secs(90), &Event::Due), [KILL_REST]);
    assert_eq!(
        (redis.state(), redis.message()),
        (State::Failed, Some("it did not say within 90 s that it runs"))
    );

    redis.step(secs(91), &Event::Start);
    redis.step(secs(91), &Event::Spawned(9));
    redis.step(secs(92), &Event::Ready);
    assert_eq!(redis.state(), State::Running);
}

#[test]
fn a_one_shot_is_done_when_it_has_exited() {
    for (remains, state) in [(true, State::Exited), (false, State::Inactive)] {
        let mut setup = Machine::new(rules(Startup::Oneshot { remains }));
        setup.step(secs(0), &Event::Start);
        setup.step(secs(0), &Event::Spawned(7));
        assert!(setup.is_changing());
        setup.step(secs(3), &Event::Exited(7, Exit::Code(0)));
        assert_eq!(setup.state(), state);
    }
}

#[test]
fn a_unit_that_crashes_comes_back_until_it_has_failed_too_often() {
    let mut web = Machine::new(rules(Startup::Simple));
    web.step(secs(0), &Event::Start);
    for attempt in 0..3 {
        web.step(secs(10), &Event::Spawned(7));
        web.step(secs(10), &Event::Exited(7, Exit::Code(3)));
        if attempt < 2 {
            assert_eq!(web.state(), State::Backoff);
            assert_eq!(web.step(secs(11), &Event::Due), [Action::RunMain]);
        }
    }
    assert_eq!((web.state(), web.message()), (State::Failed, Some("it exited with 3")));
}

#[test]
fn a_program_counts_as_started_after_its_start_seconds() {
    let mut web = supervised();
    web.step(secs(0), &Event::Start);
    web.step(secs(0), &Event::Spawned(7));
    assert_eq!(web.state(), State::Starting);
    web.step(secs(1), &Event::Due);
    assert_eq!(web.state(), State::Running);
    // Once it runs, an exit is not one of the failed starts, and it comes back whatever its code.
    assert_eq!(web.step(secs(9), &Event::Exited(7, Exit::Code(0))), [KILL_REST]);
    assert_eq!(web.state(), State::Backoff);
}

#[test]
fn a_program_that_ends_too_soon_is_tried_again_and_then_fatal() {
    let mut web = supervised();
    web.step(secs(0), &Event::Start);
    for (pid, now) in [(7, 0), (8, 10), (9, 20)] {
        web.step(secs(now), &Event::Spawned(pid));
        web.step(secs(now), &Event::Exited(pid, Exit::Code(1)));
        web.step(secs(now + 9), &Event::Due);
    }
    assert_eq!((web.state(), web.message()), (State::Failed, Some("it exited with 1")));
}

#[test]
fn a_service_of_an_init_script_stops_when_nothing_of_it_is_left() {
    let stop = vec![true];
    let mut old = Machine::new(Rules { stop, ..rules(Startup::Forking { pid_file: None }) });
    old.step(secs(0), &Event::Start);
    old.step(secs(0), &Event::Spawned(7));
    assert_eq!(old.step(secs(0), &Event::Exited(7, Exit::Code(0))), [Action::GuessMain]);
    assert_eq!((old.state(), old.main()), (State::Running, None));
    assert_eq!(old.step(secs(1), &Event::Stop), [Action::Run(Beside::Stop, 0)]);
    old.step(secs(1), &Event::Spawned(8));
    assert_eq!(old.step(secs(1), &Event::Exited(8, Exit::Code(0))), [Action::SignalAll(libc::SIGTERM)]);
    assert!(old.waits_for_all());
    old.step(secs(2), &Event::Gone);
    assert_eq!(old.state(), State::Inactive);
}
