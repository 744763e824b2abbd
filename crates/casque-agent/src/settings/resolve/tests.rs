//! Precedence, types and messages of the settings.

use fs_err as fs;

use super::*;

fn setting(kind: Kind) -> Setting {
    Setting { kind, description: "A test.".to_owned(), ..Setting::default() }
}

struct Instance {
    directory: tempfile::TempDir,
    settings: BTreeMap<String, Setting>,
}

impl Instance {
    fn with(name: &str, setting: Setting) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, settings: BTreeMap::from([(name.to_owned(), setting)]) }
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn root(&self) -> Root {
        Root::new(self.directory.path().to_owned())
    }

    fn resolve(&self, environment: impl Into<Environment>) -> Result<Settings, Vec<String>> {
        let (environment, root) = (environment.into(), self.root());
        let sources =
            Sources { settings: &self.settings, prefix: "APP_", environment: &environment, root: &root };
        let resolved = sources.resolve();
        let root = format!("{}", self.directory.path().display());
        resolved.map_err(|all| all.iter().map(|one| one.to_string().replace(&root, "")).collect())
    }

    fn value(&self, environment: impl Into<Environment>) -> (String, Origin) {
        let mut all = self.resolve(environment).unwrap();
        let one = all.pop_first().unwrap().1;
        (one.text().unwrap().to_owned(), one.origin)
    }
}

#[test]
fn the_first_source_that_has_a_value_wins() {
    let mut admin = setting(Kind::Password);
    admin.generate = true;
    admin.default = Some("from-default".to_owned());
    let mut instance = Instance::with("admin", admin);
    instance.write("/run/secret", "from-value-file\n");
    instance.write(paths::SETTINGS_FILE, "admin = 'from-settings-file'\n");
    instance.write("/data/casque/secrets/admin", "from-generated");
    let both = ("from-environment".to_owned(), Origin::Environment("APP_ADMIN".to_owned()));
    assert_eq!(instance.value([("APP_ADMIN", "from-environment")]), both);
    let file = ("from-value-file".to_owned(), Origin::ValueFile("APP_ADMIN_FILE".to_owned()));
    assert_eq!(instance.value([("APP_ADMIN_FILE", "/run/secret")]), file);
    assert_eq!(instance.value([]), ("from-settings-file".to_owned(), Origin::SettingsFile));
    fs::remove_file(instance.root().join(paths::SETTINGS_FILE)).unwrap();
    assert_eq!(instance.value([]), ("from-generated".to_owned(), Origin::Generated));
    fs::remove_file(instance.root().join("/data/casque/secrets/admin")).unwrap();
    assert_eq!(instance.resolve([]).unwrap()["admin"].value, Value::NotGenerated);
    instance.settings.get_mut("admin").unwrap().generate = false;
    assert_eq!(instance.value([]), ("from-default".to_owned(), Origin::Default));
}

#[test]
fn an_empty_variable_is_not_given_and_one_line_break_is_not_part_of_a_file() {
    let mut word = setting(Kind::String);
    word.default = Some("default".to_owned());
    let instance = Instance::with("word", word);
    assert_eq!(instance.value([("APP_WORD", "")]).0, "default");
    instance.write("/word", "a\n\n");
    assert_eq!(instance.value([("APP_WORD_FILE", "/word")]).0, "a\n");
}

#[test]
fn each_wrong_setting_is_one_line() {
    let mut instance = Instance::with("port", setting(Kind::Port));
    instance.settings.insert("smtp-url".to_owned(), Setting { secret: true, ..setting(Kind::Url) });
    instance.settings.insert("name".to_owned(), Setting { required: true, ..setting(Kind::String) });
    instance.settings.insert("size".to_owned(), setting(Kind::Integer));
    instance.settings.insert("twice".to_owned(), setting(Kind::String));
    instance.write(paths::SETTINGS_FILE, "smtp-ulr = 'x'\nsize = [1]\n");
    let variables =
        [("APP_PORT", "80\n80"), ("APP_SMTP_URL", "hunter2"), ("APP_TWICE", "a"), ("APP_TWICE_FILE", "/a")];
    assert_eq!(
        instance.resolve(variables).unwrap_err(),
        [
            "setting `port`: given `80\\n80`, expected a port number from 1 to 65535 (from environment variable `APP_PORT`)",
            "setting `size`: given a list, expected a whole number such as 42 (from `/data/config/settings.toml`)",
            "setting `smtp-url`: given a secret that is not shown, expected a URL such as `smtp://user:password@host:25` (from environment variable `APP_SMTP_URL`)",
            "setting `twice`: both `APP_TWICE` and `APP_TWICE_FILE` are given, expected one of them",
            "setting `name`: not given, expected text (from environment variable `APP_NAME`, `APP_NAME_FILE` or the settings file)",
            "setting `smtp-ulr`: unknown to this product, did you mean `smtp-url`? (from `/data/config/settings.toml`)",
        ]
    );
}

#[test]
fn a_value_file_that_cannot_be_used_is_named() {
    let instance = Instance::with("word", setting(Kind::String));
    let missing = instance.resolve([("APP_WORD_FILE", "/none")]).unwrap_err();
    assert!(
        missing[0].starts_with("setting `word`: the file named by `APP_WORD_FILE` cannot be read: "),
        "{missing:?}"
    );
    assert!(missing[0].contains("/none"), "{missing:?}");
    instance.write("/bytes", [0xff, 0xfe]);
    assert_eq!(
        instance.resolve([("APP_WORD_FILE", "/bytes")]).unwrap_err(),
        [
            "setting `word`: given bytes that are not UTF-8, expected text (from file named by `APP_WORD_FILE`)"
        ]
    );
}

#[test]
fn a_switch_is_on_with_a_value_and_for_a_truth_value_with_true() {
    let on = |kind, value: &str| {
        let instance = Instance::with("a", setting(kind));
        instance.resolve([("APP_A", value)]).unwrap()["a"].is_on()
    };
    assert!(on(Kind::Bool, "true") && on(Kind::Url, "smtp://host"));
    assert!(!on(Kind::Bool, "false") && !on(Kind::Url, ""));
}

#[test]
fn debug_output_shows_no_value() {
    let instance = Instance::with("word", setting(Kind::String));
    let all = instance.resolve([("APP_WORD", "hunter2")]).unwrap();
    assert!(!format!("{all:?}").contains("hunter2"));
}

#[test]
fn an_old_name_still_works_everywhere_and_is_warned_of() {
    let renamed = Setting { renamed_from: vec!["mailer".to_owned()], ..setting(Kind::String) };
    let mut instance = Instance::with("smtp", renamed);
    let seen = |instance: &Instance, variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut all = instance.resolve(variables.collect::<Vec<_>>()).unwrap();
        let one = all.pop_first().unwrap().1;
        (one.text().unwrap_or("-").to_owned(), one.warnings)
    };
    let warning = |text: &str| vec![format!("setting `smtp`{text}")];
    assert_eq!(seen(&instance, &[("APP_SMTP", "a")]), ("a".to_owned(), vec![]));
    let old = warning(": `APP_MAILER` is its old name, it is `APP_SMTP` now");
    assert_eq!(seen(&instance, &[("APP_MAILER", "a")]), ("a".to_owned(), old.clone()));
    instance.write("/run/value", "b\n");
    assert_eq!(seen(&instance, &[("APP_MAILER_FILE", "/run/value")]), ("b".to_owned(), old));
    instance.write(paths::SETTINGS_FILE, "mailer = 'c'\n");
    let old = warning(" is called `mailer` in `/data/config/settings.toml`, which is its old name");
    assert_eq!(seen(&instance, &[]), ("c".to_owned(), old));
    assert_eq!(
        instance.resolve([("APP_SMTP", "a"), ("APP_MAILER", "b")]).unwrap_err(),
        [
            "setting `smtp`: both `APP_SMTP` and its old name `APP_MAILER` are given in the environment, expected `APP_SMTP` alone"
        ]
    );
    instance.write(paths::SETTINGS_FILE, "mailer = 'c'\nsmtp = 'd'\n");
    assert_eq!(
        instance.resolve([]).unwrap_err(),
        [
            "setting `smtp`: both `smtp` and its old name `mailer` are given in `/data/config/settings.toml`, expected `smtp` alone"
        ]
    );
    fs::remove_file(instance.root().join(paths::SETTINGS_FILE)).unwrap();
    instance.settings.get_mut("smtp").unwrap().generate = true;
    instance.write("/data/casque/secrets/mailer", "kept");
    let kept = ("kept".to_owned(), Origin::GeneratedAs("mailer".to_owned()));
    assert_eq!(instance.value([]), kept);
    instance.write("/data/casque/secrets/smtp", "newer");
    assert_eq!(instance.value([]), ("newer".to_owned(), Origin::Generated));
}

#[test]
fn a_deprecated_setting_is_warned_of_only_when_it_is_given() {
    let mut instance = Instance::with("word", setting(Kind::String));
    let word = instance.settings.get_mut("word").unwrap();
    (word.default, word.deprecated) = (Some("x".to_owned()), Some("use `text`".to_owned()));
    assert_eq!(warnings(&instance.resolve([]).unwrap()), Vec::<String>::new());
    assert_eq!(
        warnings(&instance.resolve([("APP_WORD", "y")]).unwrap()),
        ["setting `word` is deprecated: use `text` (from environment variable `APP_WORD`)"]
    );
}

#[test]
fn what_another_setting_makes_necessary_is_missed_only_then() {
    let when = |text: &str| Some(text.to_owned().try_into().unwrap());
    let mut instance =
        Instance::with("from", Setting { required_when: when("mail"), ..setting(Kind::String) });
    instance.settings.insert("mail".to_owned(), setting(Kind::Url));
    instance
        .settings
        .insert("key".to_owned(), Setting { required_when: when("port = 443"), ..setting(Kind::String) });
    instance.settings.insert("port".to_owned(), setting(Kind::Port));
    assert!(instance.resolve([("APP_PORT", "80")]).is_ok());
    assert!(instance.resolve([("APP_MAIL", "smtp://a"), ("APP_FROM", "b")]).is_ok());
    assert_eq!(
        instance.resolve([("APP_MAIL", "smtp://a"), ("APP_PORT", "0443")]).unwrap_err(),
        [
            "setting `from`: not given, expected text, since `mail` is given (from environment variable `APP_FROM`, `APP_FROM_FILE` or the settings file)",
            "setting `key`: not given, expected text, since `port` is `443` (from environment variable `APP_KEY`, `APP_KEY_FILE` or the settings file)",
        ]
    );
}

#[test]
fn a_list_is_written_with_commas_or_as_a_list() {
    let instance = Instance::with("hosts", Setting { items: Some(Kind::Host), ..setting(Kind::List) });
    assert_eq!(instance.value([("APP_HOSTS", "a, b")]).0, "a,b");
    instance.write(paths::SETTINGS_FILE, "hosts = ['a', 'b.c']\n");
    assert_eq!(instance.value([]).0, "a,b.c");
    instance.write(paths::SETTINGS_FILE, "hosts = ['a,b']\n");
    assert_eq!(
        instance.resolve([]).unwrap_err(),
        [
            "setting `hosts`: given an item with a comma, expected a list such as `mail.example.com,mail.example.com` (from `/data/config/settings.toml`)"
        ]
    );
}

#[test]
fn well_known_variables_give_a_setting_whatever_the_prefix() {
    let zone = Setting { variables: vec!["TZ".to_owned()], ..setting(Kind::String) };
    let instance = Instance::with("zone", zone);
    assert_eq!(instance.value([("TZ", "UTC")]), ("UTC".to_owned(), Origin::Environment("TZ".to_owned())));
    assert_eq!(instance.value([("TZ", "UTC"), ("APP_ZONE", "CET")]).0, "CET");
}

#[test]
fn every_place_with_something_is_named_and_the_first_counts() {
    let mut word = setting(Kind::Password);
    (word.generate, word.default) = (true, None);
    let instance = Instance::with("word", word);
    instance.write(paths::SETTINGS_FILE, "word = 'c'\n");
    let (environment, root) = ([("APP_WORD", "a")].into(), instance.root());
    let sources =
        Sources { settings: &instance.settings, prefix: "APP_", environment: &environment, root: &root };
    let expected = [Origin::Environment("APP_WORD".to_owned()), Origin::SettingsFile, Origin::Generated];
    assert_eq!(sources.origins().unwrap()["word"], expected);
}
