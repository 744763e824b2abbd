//! How the project installs itself: by its Makefile, its playbook or a script, else file by file.

use super::ansible::Ansible;
use super::files::{Files, file_name, parent};

/// Targets that install everything, the best first.
const TARGETS: [&str; 6] = ["fulldeploy", "full-deploy", "deploy", "provision", "install-server", "install"];
/// Scripts that install everything, the best first.
const SCRIPTS: [&str; 6] = ["deploy.sh", "install.sh", "provision.sh", "setup.sh", "bootstrap.sh", "deploy"];
/// A command in a recipe that goes to another machine.
const ELSEWHERE: [&str; 8] =
    ["ssh ", "rsync ", "scp ", "kubectl ", "helm ", "git push", "docker push", "docker-compose "];

/// The step that installs everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deploy {
    pub(super) run: String,
    /// What has to be there for it.
    pub(super) needs: Vec<&'static str>,
    /// What was found, for people.
    pub(super) found: String,
}

/// Returns the step, or why what was found is none.
pub(super) fn find(files: &Files, ansible: &Ansible) -> (Option<Deploy>, Vec<String>) {
    let mut undecided = Vec::new();
    let mut deploy = files.get("Makefile").and_then(|text| of_makefile(text, ansible, &mut undecided));
    deploy = deploy.or_else(|| of_playbook(files, ansible));
    (deploy.or_else(|| of_script(files)), undecided)
}

fn of_makefile(text: &str, ansible: &Ansible, undecided: &mut Vec<String>) -> Option<Deploy> {
    for target in TARGETS {
        let Some(recipe) = recipe(text, target) else { continue };
        if let Some(there) = ELSEWHERE.iter().find(|word| recipe.contains(**word)) {
            undecided.push(format!(
                "`make {target}` goes to another machine (`{}`), so it is no step of a build",
                there.trim()
            ));
            continue;
        }
        let playbook = recipe.contains("ansible-playbook");
        // `install` is often a developer's own: it counts when it does what a machine needs.
        if target == "install"
            && !playbook
            && !["apt-get", "systemctl", "/etc/"].iter().any(|word| recipe.contains(word))
        {
            continue;
        }
        let stage = ansible.group.as_ref().and_then(|group| {
            let variable =
                variables(text).find(|(_, value)| ansible.groups.contains(*value) || value == group)?;
            (variable.1 != group).then(|| format!(" {}={group}", variable.0))
        });
        let mut needs = vec!["make"];
        if playbook {
            needs.extend(needs_of_playbook(ansible));
        }
        needs.sort_unstable();
        let run = format!("make -C /src {target}{}", stage.unwrap_or_default());
        return Some(Deploy { found: format!("`Makefile`: target `{target}`"), run, needs });
    }
    None
}

/// Returns the lines that a target runs.
fn recipe(text: &str, target: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| {
        let name = line.split(':').next().unwrap_or_default();
        line.starts_with(['\t', '#', '.'])
            || !line.contains(':')
            || !name.split_whitespace().any(|word| word == target)
    });
    lines.next()?;
    Some(
        lines
            .take_while(|line| line.starts_with('\t') || line.trim().is_empty())
            .collect::<Vec<_>>()
            .join("\n"),
    )
}

/// Returns the variables that a Makefile gives a value that its caller may replace.
fn variables(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let name = name.trim_end_matches(['?', ':', ' ']);
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        plain.then(|| (name, value.trim()))
    })
}

fn of_playbook(files: &Files, ansible: &Ansible) -> Option<Deploy> {
    let playbook = ansible.playbook.as_ref()?;
    let inventory = match &ansible.inventory {
        Some(inventory) => format!("/src/{inventory}"),
        None => "localhost,".to_owned(),
    };
    let limit = ansible.group.as_ref().map(|group| format!(" --limit {group}")).unwrap_or_default();
    let configuration = files.named("ansible.cfg").map(|(path, _)| path).next();
    let configuration = configuration.map(|path| format!("ANSIBLE_CONFIG=/src/{path} ")).unwrap_or_default();
    let run = format!(
        "{configuration}ansible-playbook --inventory {inventory} --connection local{limit} /src/{playbook}"
    );
    Some(Deploy { found: format!("`{playbook}`: a playbook"), run, needs: needs_of_playbook(ansible) })
}

fn needs_of_playbook(ansible: &Ansible) -> Vec<&'static str> {
    let mut needs = vec![ansible.package()];
    // The module's own way is to install it while it runs, where nobody sees it.
    if ansible.tasks_of(&["apt", "package"]).next().is_some() {
        needs.push("python3-apt");
    }
    needs
}

fn of_script(files: &Files) -> Option<Deploy> {
    let scripts = SCRIPTS.iter().flat_map(|name| files.named(name));
    let (path, text) = scripts
        .filter(|(path, _)| ["", "deploy", "scripts", "bin", "install"].contains(&parent(path)))
        .find(|(_, text)| text.starts_with("#!") && !ELSEWHERE.iter().any(|word| text.contains(word)))?;
    let shell = if text.lines().next().is_some_and(|line| line.contains("bash")) { "bash" } else { "sh" };
    let run = format!("cd /src && {shell} {path}");
    Some(Deploy {
        found: format!("`{path}`: `{}` installs the product", file_name(path)),
        run,
        needs: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAKEFILE: &str = "stage ?= production\n.PHONY: deploy install\n\ndeploy: build ## All of it\n\tansible-playbook --limit $(stage) site.yml\n\ninstall:\n\tpip install -r requirements.txt\n\npush:\n\tssh x\n";

    #[test]
    fn a_target_is_run_for_the_group_that_stands_for_an_image() {
        let mut ansible = Ansible { group: Some("docker".to_owned()), ..Ansible::default() };
        ansible.groups = ["docker", "production"].map(str::to_owned).into();
        let deploy = of_makefile(MAKEFILE, &ansible, &mut Vec::new()).unwrap();
        assert_eq!(deploy.run, "make -C /src deploy stage=docker");
        assert_eq!(deploy.needs, ["ansible-core", "make"]);
    }

    #[test]
    fn a_target_for_developers_or_another_machine_is_no_step() {
        let mut undecided = Vec::new();
        let makefile = "install:\n\tpip install -r requirements.txt\ndeploy:\n\tssh host restart\n";
        assert_eq!(of_makefile(makefile, &Ansible::default(), &mut undecided), None);
        assert_eq!(undecided, ["`make deploy` goes to another machine (`ssh`), so it is no step of a build"]);
    }
}
