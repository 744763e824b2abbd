//! The customer's handbook of a product, made from the plan in its image: one text, as Markdown and as a page; no I/O.

mod blocks;
mod markdown;
mod page;
mod run_line;
mod view;

pub use blocks::Block;
pub use run_line::run_line;

use casque_format::image::ImagePlan;

/// Returns the handbook as Markdown (CommonMark with the tables of GitHub).
pub fn markdown(plan: &ImagePlan) -> String {
    markdown::render(&view::View::of(plan))
}

/// Returns the same text as one HTML page that needs nothing else and runs no script.
pub fn html(plan: &ImagePlan) -> String {
    page::render(&format!("{} {}", plan.product.name, plan.product.version), &markdown(plan))
}

/// Returns every block of commands in the handbook, in its order.
pub fn blocks(plan: &ImagePlan) -> Vec<Block> {
    blocks::of(&markdown(plan))
}
