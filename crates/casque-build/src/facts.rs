//! Names for facts of the build's machine in the files of a step: what they decide, every customer gets.

use std::path::PathBuf;

/// Facts of Ansible, and commands, that are the build machine's own. Of a prefix, all that begin so.
const FACTS: [&str; 24] = [
    "$(getconf _NPROCESSORS_ONLN)",
    "$(nproc)",
    "$(nproc --all)",
    "/proc/cpuinfo",
    "`nproc`",
    "ansible_all_ipv4_addresses",
    "ansible_date_time",
    "ansible_default_ipv4",
    "ansible_facts.memtotal_mb",
    "ansible_facts.processor_",
    "ansible_facts['memtotal_mb']",
    "ansible_facts['processor_",
    "ansible_fqdn",
    "ansible_hostname",
    "ansible_kernel",
    "ansible_machine_id",
    "ansible_memory_mb",
    "ansible_memtotal_mb",
    "ansible_processor_",
    "command: nproc",
    "multiprocessing.cpu_count()",
    "os.cpu_count()",
    "os.sched_getaffinity(0)",
    "shell: nproc",
];

/// Returns one sentence for each file that uses such a fact; one in a comment counts too.
pub(crate) fn named(texts: impl Iterator<Item = (PathBuf, String)>) -> Vec<String> {
    let is_document = |path: &PathBuf| path.extension().is_some_and(|end| end == "md" || end == "rst");
    texts
        .filter(|(path, _)| !is_document(path))
        .filter_map(|(path, text)| {
            let found: Vec<String> =
                FACTS.iter().filter_map(|fact| whole(&text, fact)).map(|fact| format!("`{fact}`")).collect();
            (!found.is_empty()).then(|| {
                let (path, found) = (path.display(), found.join(", "));
                format!(
                    "`{path}` uses {found}: the build's machine decides it for every customer; a setting can"
                )
            })
        })
        .collect()
}

/// Returns the word of `text` that begins with `fact`.
fn whole<'a>(text: &'a str, fact: &str) -> Option<&'a str> {
    let at = text.find(fact)?;
    let behind = &text[at + fact.len()..];
    if fact.ends_with([')', '`', ']']) {
        return Some(&text[at..at + fact.len()]);
    }
    let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len());
    // `ansible_hostname` is not in `ansible_hostname_of_shop`, but a prefix is meant to go on.
    (fact.ends_with('_') || end == 0).then(|| &text[at..at + fact.len() + end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_with_the_build_machine_s_processors_is_named() {
        let texts = [
            ("roles/web/templates/web.conf.j2", "workers = {{ ansible_processor_vcpus * 2 }}\nname = shop\n"),
            ("deploy.sh", "make -j $(nproc)\n"),
            (
                "facts.yml",
                "- ansible.builtin.command: nproc\n- set_fact: {n: \"{{ ansible_facts.processor_cores }}\"}\n",
            ),
            ("limits.conf", "* hard nproc 4096\n"),
            ("README.md", "ansible_hostname"),
            ("vars.yml", "ansible_hostname_of_shop: x\n"),
        ];
        let texts = texts.map(|(path, text)| (PathBuf::from(path), text.to_owned()));
        assert_eq!(
            named(texts.into_iter()),
            [
                "`roles/web/templates/web.conf.j2` uses `ansible_processor_vcpus`: the build's machine decides it for every customer; a setting can",
                "`deploy.sh` uses `$(nproc)`: the build's machine decides it for every customer; a setting can",
                "`facts.yml` uses `ansible_facts.processor_cores`, `command: nproc`: the build's machine decides it for every customer; a setting can",
            ]
        );
    }
}
