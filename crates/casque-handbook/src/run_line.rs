//! The line that starts an image for good, with everything a first try leaves out.

use casque_format::image::ImagePlan;
use casque_format::paths;

use crate::markdown::word;

/// Returns the line for the image itself, with its line break.
pub fn run_line(plan: &ImagePlan) -> String {
    line(plan, &plan.reference)
}

/// Returns the same line for another image, such as the next version.
pub(crate) fn line(plan: &ImagePlan, reference: &str) -> String {
    let name = word(short_name(plan));
    let ports = plan.expose.iter().map(|port| format!("--publish {port}:{port}"));
    // One second beyond the budget of the ordered stop, and never less than the engine's own ten.
    let stop_timeout = (plan.stop_budget_ms.div_ceil(1000) + 1).max(10);
    let options =
        [format!("--name {name}"), "--restart unless-stopped".to_owned()].into_iter().chain(ports).chain([
            format!("--volume {name}-data:{}", paths::DATA),
            format!("--stop-timeout {stop_timeout}"),
            "--log-driver json-file --log-opt max-size=20m --log-opt max-file=5".to_owned(),
            word(reference),
        ]);
    let lines: Vec<String> = options.collect();
    format!("docker run --detach \\\n  {}\n", lines.join(" \\\n  "))
}

/// Returns what the container is called: the repository's last part.
pub(crate) fn short_name(plan: &ImagePlan) -> &str {
    plan.product.name.rsplit('/').next().unwrap_or(&plan.product.name)
}
