//! What a project has beside its services, and what its vendor does next.

use super::Project;
use super::files::{file_name, parent};
use super::yaml::documents;

/// Paths under which products say that they are well.
const HEALTH: [&str; 5] = ["/healthz", "/health", "/-/healthy", "/api/health", "/ping"];

/// Returns the path that the project's own sources answer when all is well.
pub(super) fn health(project: &Project) -> Option<String> {
    let is_source = |path: &str| {
        [".py", ".js", ".ts", ".rb", ".go", ".rs", ".java", ".php"].iter().any(|end| path.ends_with(end))
    };
    let texts: Vec<&str> =
        project.files.iter().filter(|(file, _)| is_source(file)).map(|(_, text)| text).collect();
    let paths = HEALTH.into_iter().flat_map(|path| [path.to_owned(), format!("{path}/")]);
    paths.into_iter().find(|path| {
        // Django's routes have no slash in front.
        let forms = ['"', '\''].map(|quote| {
            [format!("{quote}{path}{quote}"), format!("path({quote}{}{quote}", path.trim_start_matches('/'))]
        });
        forms.iter().flatten().any(|form| texts.iter().any(|text| text.contains(form)))
    })
}

/// Mentions what is not read.
pub(super) fn mention(project: &mut Project) {
    let mut undecided = Vec::new();
    for (path, text) in project.files.iter() {
        let name = file_name(path);
        let is_compose =
            (name.starts_with("docker-compose") || name.starts_with("compose")) && name.ends_with("ml");
        if is_compose {
            let documents = documents(text);
            let services = documents.first().and_then(|document| document.get("services")?.as_object());
            let names: Vec<String> = services
                .into_iter()
                .flat_map(|services| services.keys())
                .map(|name| format!("`{name}`"))
                .collect();
            let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
            undecided.push(format!("`{path}` is not read: its services{names} are images of others; what they do needs a package and a `[service]` here"));
        } else if name == "Dockerfile" && parent(path).is_empty() {
            undecided.push("`Dockerfile` is not read: what its `RUN` lines install goes into `packages` or a layer's `run`".to_owned());
        }
    }
    project.undecided.extend(undecided);
}

/// Returns what to do next.
pub(super) fn next(project: &Project) -> Vec<String> {
    let mut next = Vec::new();
    let has = |name: &str| project.files.get(name).is_some();
    if !has(".casqueignore") {
        if has(".env") {
            next.push("write `.env` into `.casqueignore`: it holds this machine's values, and would be in a step or the image".to_owned());
        } else if has(".gitignore") {
            next.push("`cp .gitignore .casqueignore`: what version control leaves out should be in no step and no image".to_owned());
        }
    }
    next.push("read the manifest: names, descriptions and order are proposals".to_owned());
    next.push("`casque check`, then `casque lock`, then `casque build`".to_owned());
    next
}
