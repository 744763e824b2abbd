//! The layers of a proposal: the project's own step, or, where it has none, its files, packages and libraries.

use std::collections::BTreeSet;

use super::Project;
use super::deploy::Deploy;
use super::files::{file_name, rendered};
use super::front::Nginx;
use super::jinja::is_unknown;
use super::known::Part;
use super::services::Service;
use super::write::{list, quote};

/// Where the product is in the image, when its files are copied.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) application: String,
    pub(super) venv: Option<String>,
}

impl Places {
    pub(super) fn of(project: &Project, services: &[Service], name: &str) -> Self {
        let own = |service: &&Service| matches!(service.known.part, Part::Web | Part::Worker | Part::Setup);
        let directories: Vec<&String> =
            services.iter().filter(own).filter_map(|service| service.directory.as_ref()).collect();
        let is_usable = |directory: &&&String| {
            directory.starts_with('/') && !is_unknown(directory) && directory.len() > 1
        };
        let application = directories.into_iter().filter(|directory| is_usable(&directory)).min();
        let application = application
            .map_or_else(|| format!("/opt/{name}"), |found| found.trim_end_matches('/').to_owned());
        let of_command = services.iter().filter(own).find_map(|service| {
            let (place, program) = service.command.first()?.rsplit_once("/bin/")?;
            let is_venv =
                place.len() > 1 && !place.starts_with("/usr") && !is_unknown(place) && program != "sh";
            is_venv.then(|| place.to_owned())
        });
        let python = requirements(project).is_some() || project.files.get("pyproject.toml").is_some();
        let venv = of_command.filter(|_| python).or_else(|| python.then(|| format!("/opt/{name}/venv")));
        Self { application, venv }
    }
}

/// The project's requirements: the file, and whether every line has a hash.
fn requirements(project: &Project) -> Option<(&str, bool)> {
    let files = project.files.iter().filter(|(path, _)| {
        let name = file_name(path);
        name.starts_with("requirements")
            && (name.ends_with(".txt") || name.ends_with(".lock"))
            && !name.contains("dev")
            && !name.contains("test")
    });
    let known: Vec<(&str, bool)> = files.map(|(path, text)| (path, is_pinned(text))).collect();
    known.into_iter().min_by_key(|(path, pinned)| (!pinned, path.matches('/').count(), path.len()))
}

fn is_pinned(text: &str) -> bool {
    text.contains("--hash=sha256:")
}

/// Writes the layer of the project's own step, and as a comment those that make it faster.
pub(super) fn deployed(project: &mut Project, deploy: &Deploy) -> String {
    let mut text = String::new();
    let python = pinned_environments(project);
    if !python.is_empty() {
        text += "\n# These make a build faster when nothing in them changed; the step then finds the libraries present.\n";
        text += "# `casque lock --suggest` says which packages to add in the same way.\n";
    }
    for (venv, requirements) in &python {
        let name = rendered(file_name(requirements)).split('.').next().unwrap_or("libraries");
        text += &format!(
            "# [[layer]]\n# name = {}\n# packages = [\"python3-venv\"]\n# python = {{ venv = {}, requirements = {} }}\n",
            quote(name),
            quote(venv),
            quote(requirements)
        );
    }
    let unpinned: Vec<&str> = project
        .files
        .iter()
        .filter(|(path, text)| file_name(path) == "requirements.txt" && !is_pinned(text))
        .map(|(path, _)| path)
        .collect();
    for path in unpinned {
        text += &format!(
            "\n# `{path}` has no hashes. With them its libraries can be a layer of their own:\n# {}\n",
            how_to_pin(path)
        );
    }
    project.found.push(format!("{}, for the step `{}`", deploy.found, deploy.run));
    text += "\n# The step runs as root on a bare Debian. `casque lock` records what it downloads, `casque build` replays it.\n";
    text += "[[layer]]\nname = \"deploy\"\nmount = [{ from = \".\", to = \"/src\" }]\n";
    text += &format!("run = {}\n", quote(&deploy.run));
    if !deploy.needs.is_empty() {
        text += &format!("with-packages = {}\n", list(&deploy.needs));
    }
    text + "network = true\n"
}

fn how_to_pin(path: &str) -> String {
    let locked = format!("{}.lock", path.trim_end_matches(".txt").trim_end_matches(".in"));
    format!("pip-compile --generate-hashes --pip-args='--only-binary :all:' --output-file={locked} {path}")
}

/// Returns the virtual environments that tasks make of files with hashes: where, and the file.
fn pinned_environments(project: &Project) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for task in project.ansible.tasks_of(&["pip"]) {
        let (venv, wanted) = (task.argument("virtualenv"), task.argument("requirements"));
        if venv.is_empty() || is_unknown(venv) || found.iter().any(|(known, _)| known == venv) {
            continue;
        }
        let copied = project.ansible.tasks_of(&["copy"]).find(|copy| copy.argument("dest") == wanted);
        let name = file_name(copied.map_or(wanted, |copy| copy.argument("src")));
        let file = project.files.named(name).find(|(_, text)| is_pinned(text));
        found.extend(file.map(|(path, _)| (venv.to_owned(), path.to_owned())));
    }
    found
}

/// Writes the layers of a project without a step of its own.
pub(super) fn copied(project: &mut Project, services: &[Service], places: &Places, nginx: &Nginx) -> String {
    let mut packages: BTreeSet<&str> = services.iter().filter_map(|service| service.known.package).collect();
    let node = project.files.get("package.json").is_some();
    if node {
        packages.extend(["nodejs", "npm"]);
    }
    let mut text = String::new();
    if !packages.is_empty() {
        let packages: Vec<&str> = packages.into_iter().collect();
        text += &format!("\n[[layer]]\nname = \"packages\"\npackages = {}\n", list(&packages));
    }
    if let Some(venv) = &places.venv {
        text += &libraries(project, venv);
    }
    let mut copies = vec![(".".to_owned(), places.application.clone())];
    for service in services {
        match place(service) {
            Some(to) if rendered(&service.file) == service.file => copies.push((service.file.clone(), to)),
            Some(to) => project.undecided.push(format!(
                "`{}` is a template, and nothing here renders it: the image needs `{to}`, or `command` and `user` in place of `from`",
                service.file
            )),
            None => {}
        }
        for wanted in &service.environment_files {
            let name = file_name(wanted);
            let names = [name.to_owned(), format!("{name}.example"), ".env.example".to_owned()];
            match names.iter().find_map(|name| project.files.named(name).next()) {
                Some((path, _)) => copies.push((path.to_owned(), wanted.clone())),
                None => project.undecided.push(format!(
                    "`{}` reads `{wanted}`, and the project has no `{name}`: add it to `copy`, or the variables to `environment`",
                    service.file
                )),
            }
        }
    }
    let mut run = String::new();
    for (path, content) in &nginx.files {
        match content.contains("http {") {
            true => copies.push((path.clone(), "/etc/nginx/nginx.conf".to_owned())),
            false => {
                copies
                    .push((path.clone(), format!("/etc/nginx/sites-enabled/{}", file_name(rendered(path)))));
                run = "rm -f /etc/nginx/sites-enabled/default".to_owned();
            }
        }
    }
    copies.dedup();
    let copies: Vec<String> = copies
        .iter()
        .map(|(from, to)| format!("  {{ from = {}, to = {} }},\n", quote(from), quote(to)))
        .collect();
    text += &format!("\n[[layer]]\nname = \"application\"\ncopy = [\n{}]\n", copies.concat());
    if node {
        let locked = project.files.get("package-lock.json").is_some();
        let install = if locked { "npm ci --omit=dev" } else { "npm install --omit=dev" };
        run = [format!("cd {} && {install}", places.application), run].join("\n").trim_end().to_owned();
        text += &format!("run = {}\nnetwork = true\n", quote(&run));
    } else if !run.is_empty() {
        text += &format!("run = {}\n", quote(&run));
    }
    text
}

/// Returns where the file of a service has to be.
fn place(service: &Service) -> Option<String> {
    let from = service.from.as_ref()?;
    let name = file_name(rendered(&service.file));
    if let Some(rest) = from.strip_prefix("supervisor:") {
        return Some(rest.split('#').next().unwrap_or(rest).to_owned());
    }
    (name.ends_with(".service") && from.ends_with(name)).then(|| format!("/etc/systemd/system/{name}"))
}

fn libraries(project: &mut Project, venv: &str) -> String {
    let head = "\n[[layer]]\nname = \"libraries\"\npackages = [\"python3-venv\"]\n";
    let install = format!("python3 -m venv {venv} && {venv}/bin/pip install --no-cache-dir");
    match requirements(project) {
        Some((path, true)) => {
            let line = format!("`{path}`: requirements with hashes, for `{venv}`");
            let text =
                format!("{head}python = {{ venv = {}, requirements = {} }}\n", quote(venv), quote(path));
            project.found.push(line);
            text
        }
        Some((path, false)) => {
            let (path, name) = (path.to_owned(), file_name(path).to_owned());
            project.found.push(format!("`{path}`: requirements without hashes, for `{venv}`"));
            format!(
                "\n# `{path}` has no hashes, so pip installs it while `casque lock` records. With hashes this layer needs no step:\n# {}\n# python = {{ venv = {}, requirements = {} }}{head}mount = [{{ from = {}, to = {} }}]\nrun = {}\nnetwork = true\n",
                how_to_pin(&path),
                quote(venv),
                quote(&format!("{}.lock", path.trim_end_matches(".txt"))),
                quote(&path),
                quote(&format!("/src/{name}")),
                quote(&format!("{install} --requirement /src/{name}"))
            )
        }
        None => {
            project.found.push("`pyproject.toml`: the product is a Python package".to_owned());
            format!(
                "{head}mount = [{{ from = \".\", to = \"/src\" }}]\nrun = {}\nnetwork = true\n",
                quote(&format!("{install} /src"))
            )
        }
    }
}
