//! `run-line`: the line that starts this image for good, with everything a first try leaves out.

use casque_format::image::ImagePlan;
use casque_format::paths;

/// Returns the line.
pub fn run(plan: &ImagePlan) -> String {
    let name = plan.product.name.rsplit('/').next().unwrap_or(&plan.product.name);
    let ports = plan.expose.iter().map(|port| format!("--publish {port}:{port}"));
    // One second beyond the budget of the ordered stop, and never less than the engine's own ten.
    let stop_timeout = (plan.stop_budget_ms.div_ceil(1000) + 1).max(10);
    let options =
        [format!("--name {name}"), "--restart unless-stopped".to_owned()].into_iter().chain(ports).chain([
            format!("--volume {name}-data:{}", paths::DATA),
            format!("--stop-timeout {stop_timeout}"),
            "--log-driver json-file --log-opt max-size=20m --log-opt max-file=5".to_owned(),
            plan.reference.clone(),
        ]);
    let lines: Vec<String> = options.collect();
    format!("docker run --detach \\\n  {}\n", lines.join(" \\\n  "))
}
