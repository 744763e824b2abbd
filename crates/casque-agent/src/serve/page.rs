//! The page for people while the front is not there: one file, no scripts, nothing fetched.

use casque_format::control::Overall;
use casque_format::image::Product;

/// Returns the page; browsers ask again after `refresh` seconds.
pub fn page(product: &Product, state: Overall, refresh: &str) -> String {
    let title = escape(&product.name);
    let (what, then) = match state {
        Overall::Starting | Overall::Ready => ("is starting", "This page reloads until it is ready."),
        Overall::Degraded => {
            ("is not available", "A part of it is being restarted. This page reloads until it is ready.")
        }
        Overall::Maintenance => {
            ("is being maintained", "Its data are being copied. This page reloads until it is ready.")
        }
        Overall::Stopping => ("is stopping", "It answers again after its next start."),
    };
    format!(
        "<!doctype html>\n\
         <html lang=\"en\">\n\
         <head>\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"refresh\" content=\"{refresh}\">\n\
         <title>{title}</title>\n\
         <style>\n\
         body {{ font: 1.1rem/1.5 system-ui, sans-serif; margin: 20vh auto; max-width: 30rem; padding: 0 1rem; color: #222; background: #fff }}\n\
         h1 {{ font-size: 1.5rem; margin: 0 }}\n\
         p {{ color: #555 }}\n\
         @media (prefers-color-scheme: dark) {{ body {{ color: #eee; background: #111 }} p {{ color: #aaa }} }}\n\
         </style>\n\
         </head>\n\
         <body>\n\
         <h1>{title} {what}</h1>\n\
         <p>{then}</p>\n\
         </body>\n\
         </html>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_the_product_and_needs_nothing_else() {
        let product = Product {
            name: "a<b>&\"c".to_owned(),
            version: String::new(),
            command: String::new(),
            counter: None,
        };
        let text = page(&product, Overall::Degraded, "5");
        assert!(text.contains("<h1>a&lt;b&gt;&amp;&quot;c is not available</h1>"));
        assert!(text.contains("<meta http-equiv=\"refresh\" content=\"5\">"));
        for absent in ["<script", "src=", "href=", "url(", "@import"] {
            assert!(!text.contains(absent), "{absent}");
        }
        assert!(page(&product, Overall::Starting, "5").contains("is starting"));
        assert!(page(&product, Overall::Maintenance, "5").contains("is being maintained"));
    }
}
