//! A place of its own for `casque run`, with an image made of the fake service.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use casque_image::archive::{Compression, Image, ImageLayer, Memory, Prepared};
use casque_image::config::ImageConfig;
use casque_image::layer::{LayerOptions, LayerStore};
use casque_test::{Seen, TestEnv};

/// A state directory, a cache and an image archive.
pub struct Place {
    environment: TestEnv,
    /// The archive, of an image called `vendor/fake:v1`.
    pub image: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        let environment = TestEnv::default();
        let image = environment.path("fake.tar");
        write_image(&environment.path(""), &image);
        Self { environment, image }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.environment.path(name)
    }

    /// Returns a command that knows nothing but this place. Relative paths are in it.
    pub fn casque(&self, arguments: &[&str]) -> Command {
        self.environment.casque(arguments)
    }

    /// Runs casque to its end.
    pub fn run(&self, arguments: &[&str]) -> Seen {
        self.environment.run(arguments)
    }

    /// Starts a detached container called `fake` and returns the address of its port 80.
    pub fn start(&self, options: &[&str], word: &str) -> String {
        let image = self.image_with(word);
        let mut arguments = vec!["run", "--detach", "--name", "fake", "--publish", "127.0.0.1:0:80"];
        arguments.extend(options);
        arguments.push(image.to_str().unwrap());
        let seen = self.run(&arguments);
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(0), "fake\n"), "{}", seen.stderr);
        self.wait_until_ready();
        let line = seen.stderr.lines().find_map(|line| line.strip_suffix(" leads to port 80"));
        line.unwrap().strip_prefix("fake: ").unwrap().to_owned()
    }

    /// Waits until the service says that it listens: the port of the host is open before it does.
    fn wait_until_ready(&self) {
        let mut logs = self.casque(&["logs", "--follow", "fake"]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(logs.stdout.take().unwrap()).lines();
        let ready = lines.map(Result::unwrap).any(|line| line.ends_with("ready"));
        logs.kill().unwrap();
        logs.wait().unwrap();
        assert!(ready);
    }

    /// Returns an archive whose image says this word to its entrypoint.
    fn image_with(&self, word: &str) -> PathBuf {
        if word == "serve" {
            return self.image.clone();
        }
        let path = self.path(&format!("{word}.tar"));
        let store = LayerStore::open(&self.path("layers")).unwrap();
        write(&store, &self.path("root"), word, &path);
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        let _ = self.casque(&["stop", "--timeout", "0s", "fake"]).output();
    }
}

fn write_image(directory: &Path, archive: &Path) {
    let root = directory.join("root");
    let program = Path::new(env!("CARGO_BIN_EXE_fake-service"));
    copy(program, &root.join("bin/fake-service"));
    for library in libraries(program) {
        copy(&library, &root.join(library.strip_prefix("/").unwrap()));
    }
    std::fs::create_dir(root.join("data")).unwrap();
    std::os::unix::fs::chown(root.join("data"), Some(900), Some(901)).unwrap();
    let store = LayerStore::open(&directory.join("layers")).unwrap();
    write(&store, &root, "serve", archive);
}

fn write(store: &LayerStore, root: &Path, word: &str, archive: &Path) {
    let options = LayerOptions { epoch: 0, omit: [].into(), empty: [].into() };
    let file = store.write_tree(root, &options).unwrap();
    let config = ImageConfig {
        architecture: "amd64".to_owned(),
        entrypoint: vec!["/bin/fake-service".to_owned()],
        command: vec![word.to_owned()],
        environment: BTreeMap::from([("FROM_IMAGE".to_owned(), "1".to_owned())]),
        ..ImageConfig::default()
    };
    let layers = vec![ImageLayer { file, created_by: "test".to_owned() }];
    let names = vec!["vendor/fake:v1".parse().unwrap()];
    let image = Image { config, layers, names, annotations: BTreeMap::new() };
    let memory = Memory::open(&archive.with_extension("memory")).unwrap();
    Prepared::new(&image, &memory, Compression::None, None).unwrap().write_tar(archive).unwrap();
}

/// Returns the files that a program of this host is linked with.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listing = Command::new("ldd").arg(program).output().unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    let paths = listing.split_whitespace().filter(|word| word.starts_with('/'));
    paths.map(PathBuf::from).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap();
}
