//! What scripts ask of the machine itself.

use crate::test_step::TestStep;

#[test]
fn what_a_container_does_not_decide_is_accepted_and_named() {
    let step = TestStep::new();
    let script = "hostnamectl --static set-hostname shop; hostnamectl --static status
        sysctl -w vm.swappiness=1; sysctl -q -w vm.swappiness=1; sysctl -p /etc/sysctl.d/shop.conf
        ufw --force enable; ufw allow 80/tcp; ufw status; loginctl enable-linger shop; timedatectl set-ntp true";
    assert_eq!(
        step.run(script).printed(),
        "build\nvm.swappiness = 1\nRules updated\nRules updated\nStatus: inactive\n"
    );
    assert_eq!(
        step.report().notes,
        [
            "the host name `shop` is left out: the engine gives a container its name",
            "the kernel's parameter `vm.swappiness=1` is left out: the host decides it",
            "the kernel's parameters in `/etc/sysctl.d/shop.conf` are left out: the host decides them",
            "`ufw enable` is left out: the firewall is the customer's",
            "`ufw allow 80/tcp` is left out: the firewall is the customer's",
            "`loginctl enable-linger shop` is left out: an image has no sessions",
            "`timedatectl set-ntp true` is left out: the clock is the host's",
        ]
    );
}

#[test]
fn a_parameter_of_the_kernel_can_be_read() {
    let step = TestStep::new();
    let kernel = fs_err::read_to_string("/proc/sys/kernel/ostype").unwrap();
    let ended = step.run("sysctl -n kernel.ostype; sysctl -e kernel.no_such; sysctl kernel.no_such; echo $?");
    assert_eq!(ended.stderr, "sysctl: cannot stat /proc/sys/kernel/no_such: No such file or directory\n");
    assert_eq!(ended.printed(), format!("{kernel}1\n"));
}

#[test]
fn a_time_zone_is_a_file_of_the_image() {
    let step = TestStep::new();
    step.file("/usr/share/zoneinfo/Europe/Berlin", "TZif").file("/etc/hosts", "");
    let script = "timedatectl set-timezone Europe/Berlin; timedatectl show | head -1; timedatectl set-timezone Mars/Base; echo $?";
    let ended = step.run(script);
    assert_eq!(ended.stderr, "Failed to set time zone: Invalid or not installed time zone 'Mars/Base'\n");
    assert_eq!(ended.printed(), "Timezone=Europe/Berlin\n1\n");
    assert_eq!(fs_err::read_to_string(step.root().join("etc/timezone")).unwrap(), "Europe/Berlin\n");
}

#[test]
fn the_journal_is_what_the_step_s_services_wrote() {
    let step = TestStep::new();
    step.unit("web.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo one; echo two'\n");
    let script = "systemctl start web; journalctl --no-pager -u web -n 1; journalctl -f -u web; echo $?";
    let ended = step.run(script);
    assert_eq!(ended.stderr, "journalctl: `-f` is not a verb that works during the build\n");
    assert_eq!(ended.printed(), "two\n1\n");
}

#[test]
fn a_timer_can_be_started_and_asked_for_and_is_named() {
    let step = TestStep::new();
    step.unit("backup.timer", "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n");
    let script = "systemctl is-active backup.timer; systemctl -q enable --now backup.timer
        systemctl is-active backup.timer; systemctl is-enabled backup.timer
        systemctl stop backup.timer; systemctl is-active backup.timer; systemctl list-timers";
    assert_eq!(step.run(script).printed(), "inactive\nactive\nenabled\ninactive\n0 timers listed.\n");
    assert_eq!(
        step.report().notes,
        ["`backup.timer` was started and does nothing: only services run in an image"]
    );
}

#[test]
fn sudo_runs_a_command_as_another_user_without_the_caller_s_environment() {
    let step = TestStep::new();
    step.file("/etc/passwd", "root:x:0:0::/root:/bin/sh\nshop:x:64010:64011::/srv/shop:/bin/sh\n")
        .file("/etc/group", "root:x:0:\nshop:x:64011:\ndocs:x:64012:shop\n");
    let script = "export SECRET=1; sudo -n -u shop LANG=C sh -c 'id -u; id -G; echo $HOME $USER $LANG ${SECRET-none}'
        sudo -E sh -c 'echo $SECRET $USER'; sudo -u nobody-known true; echo $?; sudo no-such-command; echo $?";
    let ended = step.run(script);
    assert_eq!(
        ended.stderr,
        "sudo: user `nobody-known` is not in `/etc/passwd`\nsudo: no-such-command: No such file or directory (os error 2)\n"
    );
    assert_eq!(ended.printed(), "64010\n64011 64012\n/srv/shop shop C none\n1 root\n1\n127\n");
}
