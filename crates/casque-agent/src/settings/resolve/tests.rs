//! Precedence, types and messages of the settings.

use fs_err as fs;

use super::*;

fn setting(kind: Kind) -> Setting {
    Setting {
        kind,
        description: "A test.".to_owned(),
        secret: false,
        generate: false,
        default: None,
        required: false,
    }
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
        let resolved = resolve(&self.settings, "APP_", &environment.into(), &self.root());
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
            "setting `name`: not given, expected text (from environment variable `APP_NAME`, `APP_NAME_FILE` or the settings file)",
            "setting `port`: given `80\\n80`, expected a port number from 1 to 65535 (from environment variable `APP_PORT`)",
            "setting `size`: given a list, expected a whole number such as 42 (from `/data/config/settings.toml`)",
            "setting `smtp-url`: given a secret that is not shown, expected a URL such as `smtp://user:password@host:25` (from environment variable `APP_SMTP_URL`)",
            "setting `twice`: both `APP_TWICE` and `APP_TWICE_FILE` are given, expected one of them",
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
