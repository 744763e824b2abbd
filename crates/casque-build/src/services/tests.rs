//! Units and program files in a root filesystem, and the services of the image.

use std::fs::create_dir_all;
use std::os::unix::fs::symlink;

use casque_format::run::Resource;

use super::*;

const UNIT: &str = "[Unit]\nAfter=db.service cache.service\nRequires=missing.service\n[Service]\nType=notify\nUser=shop\nGroup=adm\n\
    WorkingDirectory=~\nExecStartPre=+/bin/prepare --all\nExecStartPre=-/bin/warm up\nExecStart=/bin/shop\n";

struct Scene {
    directory: tempfile::TempDir,
    /// What the base says of its programs.
    carried: BTreeMap<String, String>,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { directory: tempfile::tempdir().unwrap(), carried: BTreeMap::new() };
        for program in ["shop", "db"] {
            scene.file(&format!("root/bin/{program}"), "");
        }
        scene.file("root/etc/passwd", "root:x:0:0::/root:/bin/sh\nshop:x:900:900::/srv/shop:/bin/sh\n");
        scene.file("root/etc/group", "root:x:0:\nadm:x:4:\nshop:x:900:\n");
        scene
    }

    fn file(&self, path: &str, text: &str) {
        let to = self.directory.path().join(path);
        create_dir_all(to.parent().unwrap()).unwrap();
        fs_err::write(to, text).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        let at = self.directory.path().join(path);
        create_dir_all(at.parent().unwrap()).unwrap();
        symlink(target, at).unwrap();
    }

    fn services(&self, rules: &str) -> Services {
        let head = "[image]\nname = \"v/s\"\nversion = \"1\"\ncommand = \"s\"\n[base]\ndistribution = \"debian\"\nsuite = \"bookworm\"\n";
        self.file("casque.toml", &format!("{head}{rules}"));
        let manifest = Manifest::read(self.directory.path()).unwrap();
        let root = self.directory.path().join("root");
        let made = services(&manifest, &root, &Accounts::of_root(&root), &self.carried);
        made.unwrap_or_else(|error| panic!("{error}"))
    }
}

#[test]
fn commands_before_the_start_become_one_shots_in_the_same_surroundings() {
    let scene = Scene::new();
    scene.file("root/lib/systemd/system/shop.service", UNIT);
    scene.file("root/lib/systemd/system/db.service", "[Service]\nExecStart=/bin/db\n");
    let made = scene.services(
        "[service.db]\nfrom = \"systemd:db.service\"\n[service.shop]\nfrom = \"systemd:shop.service\"\nafter = [\"db\"]\nready = { tcp = \"127.0.0.1:80\" }\n",
    );
    let names: Vec<_> = made.services.keys().map(String::as_str).collect();
    assert_eq!(names, ["db", "shop", "shop-before", "shop-before-2"]);
    let service = |name: &str| &made.services[name].service;
    assert_eq!(service("shop").after, ["shop-before-2"]);
    assert_eq!(service("shop-before-2").after, ["shop-before"]);
    assert_eq!(service("shop-before").after, ["db"]);
    assert_eq!(service("shop-before").command, ["/bin/prepare", "--all"]);
    assert_eq!(service("shop-before").user, None);
    assert_eq!(service("shop-before-2").user.as_ref().map(|user| user.uid), Some(900));
    assert_eq!(service("shop-before-2").command[1..], ["-c", "\"$@\" || :", "sh", "/bin/warm", "up"]);
    assert_eq!(service("shop-before-2").kind, Kind::Oneshot);
    assert_eq!(service("shop-before-2").ready, None);
    assert_eq!(service("shop").working_directory.as_deref(), Some("/srv/shop"));
    assert_eq!(service("shop").user.as_ref().map(|user| (user.uid, user.gid)), Some((900, 4)));
}

#[test]
fn one_line_for_each_service_says_what_will_be_different() {
    let scene = Scene::new();
    scene.file("root/lib/systemd/system/shop.service", UNIT);
    scene.file("root/lib/systemd/system/db.service", "[Service]\nExecStart=/bin/db\nSyslogIdentifier=db\n");
    let made = scene.services(
        "[service.db]\nfrom = \"systemd:db.service\"\n[service.shop]\nfrom = \"systemd:shop.service\"\n",
    );
    assert_eq!(
        made.summaries,
        ["service `shop` from `systemd:shop.service`: not carried over: \
          `After=db.service` (say `after = [\"db\"]` in the manifest), \
          `Requires=missing.service` (no service of the manifest is that unit), \
          `ExecStartPre=/bin/warm up` (it runs before the first start only)"]
    );
    assert_eq!(
        made.details[0],
        "service `db` from `systemd:db.service`: `SyslogIdentifier=db` (it has no meaning in a container)"
    );
}

#[test]
fn drop_ins_apply_by_name_and_the_more_important_place_wins() {
    let scene = Scene::new();
    scene.file("root/lib/systemd/system/shop@.service", "[Service]\nExecStart=/bin/shop %i\n");
    scene.file("root/lib/systemd/system/shop@.service.d/10-limit.conf", "[Service]\nLimitNOFILE=100\n");
    scene.file("root/etc/systemd/system/shop@.service.d/10-limit.conf", "[Service]\nLimitNOFILE=200\n");
    scene.file("root/etc/systemd/system/shop@eu.service.d/20-mask.conf", "[Service]\nUMask=0077\n");
    scene.file("root/lib/systemd/system/service.d/30-core.conf", "[Service]\nLimitCORE=0\n");
    let made = scene.services("[service.shop]\nfrom = \"systemd:shop@eu.service\"\n");
    let shop = &made.services["shop"].service;
    assert_eq!(shop.command, ["/bin/shop", "eu"]);
    assert_eq!(shop.limits, BTreeMap::from([(Resource::Core, 0), (Resource::Nofile, 200)]));
    assert_eq!(shop.umask, Some(0o077));
}

#[test]
fn a_link_in_the_root_filesystem_never_leads_to_the_build_s_own_files() {
    let scene = Scene::new();
    // On the machine that builds there is no such unit, and if there were it would be another.
    scene.link("root/etc/systemd/system/www.service", "/opt/units/shop.service");
    scene.link("root/opt/units", "../srv/units");
    scene.file("root/srv/units/shop.service", "[Service]\nExecStart=/bin/shop\nUMask=0027\n");
    let made = scene.services("[service.www]\nfrom = \"systemd:www.service\"\n");
    assert_eq!(made.services["www"].service.umask, Some(0o027));
}

#[test]
fn a_process_of_a_group_is_found_by_the_name_supervisorctl_shows() {
    let scene = Scene::new();
    scene.file(
        "root/etc/supervisor/conf.d/all.conf",
        "[program:shop]\ncommand=/bin/shop %(process_num)d\nnumprocs=2\nprocess_name=%(program_name)s_%(process_num)02d\nstopasgroup=true\npriority=5\nstdout_logfile=/var/log/shop.log\n",
    );
    let made = scene
        .services("[service.shop]\nfrom = \"supervisor:/etc/supervisor/conf.d/all.conf#shop:shop_01\"\n");
    assert_eq!(made.services["shop"].service.command, ["/bin/shop", "1"]);
    assert!(made.services["shop"].service.stop.group);
    assert_eq!(made.summaries, Vec::<String>::new());
    assert_eq!(made.details.len(), 2);
}

#[test]
fn variables_of_the_base_are_a_service_s_own_unless_it_says_something_else() {
    let mut scene = Scene::new();
    let pairs = [("PATH", "/opt/tools:/bin"), ("HOME_OF_SHOP", "/srv"), ("LANGUAGE", "en")];
    scene.carried = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    scene.file("root/opt/tools/till", "");
    let made = scene.services("[service.till]\ncommand = [\"till\"]\nenvironment = { LANGUAGE = \"de\" }\n");
    let expected = [("HOME_OF_SHOP", "/srv"), ("LANGUAGE", "de"), ("PATH", "/opt/tools:/bin")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(made.services["till"].service.environment, BTreeMap::from(expected));
}

#[test]
fn what_looks_at_a_host_has_to_be_in_the_image() {
    let scene = Scene::new();
    let check = "service = \"db\"\nconsequence = \"a\"\nremedy = \"b\"\n";
    let rules = |program: &str| {
        format!("[service.db]\ncommand = [\"/bin/db\"]\n[preflight.licence]\nrun = [\"{program}\"]\n{check}")
    };
    scene.services(&rules("/bin/shop"));
    let mut manifest = Manifest::read(scene.directory.path()).unwrap();
    manifest.content.preflight.get_mut("licence").unwrap().run = vec!["/bin/nothing".to_owned()];
    let root = scene.directory.path().join("root");
    let error = services(&manifest, &root, &Accounts::of_root(&root), &scene.carried).err().unwrap();
    assert!(error.to_string().contains("`/bin/nothing`"), "{error}");
}

#[test]
fn what_only_the_manifest_can_say_reaches_the_plan() {
    let scene = Scene::new();
    let made = scene.services(concat!(
        "[service.db]\ncommand = [\"/bin/db\"]\n",
        "[service.setup]\ncommand = [\"/bin/shop\", \"setup\"]\nonce = \"version\"\nafter = [\"db\"]\n",
        "[service.nightly]\ncommand = [\"/bin/shop\", \"clean\"]\nschedule = \"0 3 * * *\"\n",
        "[service.shop]\ncommand = [\"/bin/shop\"]\nuser = \"shop\"\nrequires = [\"setup\"]\nwhen-lost = { db = \"restart\" }\n",
        "after = [\"db\"]\nready = { notify = true }\nhealth = { http = \"http://127.0.0.1/\", failures = 2 }\n",
        "nice = 5\noom-score-adjust = 200\numask = \"0027\"\nlimits = { nofile = 99 }\ninherit = [\"TZ\"]\n",
        "replicas = { per-cpu = 2, per-memory = \"256MiB\" }\nreload = { signal = \"HUP\" }\ncheck = [\"/bin/shop\", \"-t\"]\npost-stop = [\"/bin/shop\", \"sweep\"]\nfiles = [\"/etc/shop.ini\"]\n",
        "needs = { cpu = [\"avx\", \"sse4_2\"], memory = \"1GiB\", disk = \"2MiB\" }\n",
        "directories = [{ path = \"/run/shop\", mode = \"0700\" }, { path = \"/run/all\", owner = \"root\" }]\n",
    ));
    let shop = &made.services["shop"].service;
    assert_eq!(
        (shop.requires.as_slice(), shop.after.as_slice()),
        (&["setup".to_owned()][..], &["db".to_owned()][..])
    );
    assert_eq!(shop.when_lost["db"], casque_format::run::WhenLost::Restart);
    assert_eq!(shop.ready, Some(Ready::Notify));
    let health = shop.health.as_ref().unwrap();
    assert_eq!((health.interval_ms, health.timeout_ms, health.failures), (10_000, 5_000, 2));
    assert_eq!((shop.nice, shop.oom_score_adjust, shop.umask), (Some(5), Some(200), Some(0o027)));
    assert_eq!(shop.replicas.as_ref().unwrap().per_memory, Some(256 << 20));
    assert_eq!(shop.reload, Some(Reload::Signal("HUP".to_owned())));
    let needs = &made.services["shop"].needs;
    assert_eq!((needs.memory, needs.disk), (Some(1 << 30), Some(2 << 20)));
    assert_eq!(needs.cpu.iter().map(ToString::to_string).collect::<Vec<_>>(), ["avx", "sse4_2"]);
    assert!(made.services["db"].needs.is_empty());
    assert_eq!(shop.check.as_deref(), Some(&["/bin/shop".to_owned(), "-t".to_owned()][..]));
    assert_eq!(shop.post_stop.as_deref(), Some(&["/bin/shop".to_owned(), "sweep".to_owned()][..]));
    assert_eq!(shop.files.as_deref(), Some(&["/etc/shop.ini".to_owned()][..]));
    assert_eq!(
        shop.directories,
        [
            RunDirectory { path: "/run/shop".to_owned(), mode: 0o700, owner: None },
            RunDirectory { path: "/run/all".to_owned(), mode: 0o755, owner: Some((0, 0)) },
        ]
    );
    assert_eq!(made.services["shop"].inherit, ["TZ"]);
    let setup = &made.services["setup"].service;
    assert_eq!((setup.kind, setup.once), (Kind::Oneshot, Some(casque_format::run::Once::Version)));
    let nightly = &made.services["nightly"].service;
    assert_eq!((nightly.kind, nightly.critical, nightly.start_timeout_ms), (Kind::Oneshot, false, 3_600_000));
}

#[test]
fn what_runs_after_the_end_comes_from_the_unit_unless_the_manifest_says_it() {
    let scene = Scene::new();
    let unit = "[Service]\nExecStartPre=/bin/warm\nExecStart=/bin/shop\nExecStopPost=/bin/sweep\n";
    scene.file("root/lib/systemd/system/shop.service", unit);
    scene.file("root/lib/systemd/system/shop.timer", "[Timer]\nOnCalendar=daily\n");
    let post_stop = |rules: &str, name: &str| scene.services(rules).services[name].service.post_stop.clone();
    let own = "[service.shop]\nfrom = \"systemd:shop.service\"\n";
    assert_eq!(post_stop(own, "shop").unwrap(), ["/bin/sweep"]);
    assert_eq!(post_stop(own, "shop-before"), None);
    let other = format!("{own}post-stop = [\"/bin/db\", \"sweep\"]\n");
    assert_eq!(post_stop(&other, "shop").unwrap(), ["/bin/db", "sweep"]);
    assert_eq!(post_stop(&format!("{own}type = \"oneshot\"\n"), "shop"), None);
    let timer = "[service.shop]\nfrom = \"systemd:shop.timer\"\n";
    assert_eq!(post_stop(timer, "shop"), None);
    assert!(scene.services(timer).summaries[0].contains("`ExecStopPost=/bin/sweep`"));
}

#[test]
fn a_timer_stands_for_its_service_at_its_times() {
    let scene = Scene::new();
    scene.file("root/lib/systemd/system/tidy.timer", "[Timer]\nOnCalendar=Mon..Fri 03:30\nPersistent=true\n");
    scene.file(
        "root/lib/systemd/system/tidy.service",
        "[Service]\nType=oneshot\nUser=shop\nExecStart=/bin/shop tidy\n",
    );
    let made = scene.services("[service.tidy]\nfrom = \"systemd:tidy.timer\"\n");
    let tidy = &made.services["tidy"].service;
    assert_eq!((tidy.kind, tidy.critical), (Kind::Oneshot, false));
    assert_eq!(tidy.schedule.as_deref(), Some("30 3 * * mon-fri"));
    assert_eq!(tidy.command, ["/bin/shop", "tidy"]);
    assert_eq!(
        made.summaries,
        [
            "service `tidy` from `systemd:tidy.timer`: not carried over: `Persistent=true` (a run that was missed is not made up for)"
        ]
    );
}
